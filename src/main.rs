//! Parses the command line, runs it, ends with an exit code that tells the outcome.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    jailferry::cli::main().await.into()
}
