//! Completions and the manual page, generated from the command line's own definition.

use std::io::Write;

use crate::cli::Exit;
use crate::cli::command;

/// Prints the completion script.
pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "jailferry", &mut script);
    print(&script)
}

/// Prints the manual page.
pub(super) fn man() -> Exit {
    let mut page = Vec::new();
    match clap_mangen::Man::new(command()).render(&mut page) {
        Ok(()) => print(&page),
        Err(_) => Exit::Internal,
    }
}

fn print(bytes: &[u8]) -> Exit {
    match std::io::stdout().write_all(bytes) {
        Ok(()) => Exit::Done,
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(_) => Exit::Internal,
    }
}
