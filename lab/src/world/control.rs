//! What the supervisor can be asked to do, over the socket `control` in the lab's folder (in a host: `/.lab/control`).

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::Context as _;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

/// A request: one JSON line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Boot a host anew; `hard` without shutting down first. Answered once the host is up, unless `wait` is false: then at once, because the asker dies with the host.
    Reboot { node: String, hard: bool, wait: bool },
    /// Cut a host's power; it stays off until `Reboot`.
    PowerOff { node: String },
    /// End the lab.
    Down,
}

/// The answer: one JSON line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What went wrong.
    pub error: Option<String>,
}

/// Asks the supervisor behind `socket`.
pub fn ask(socket: &Path, request: &Request) -> Result<()> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("the lab does not answer at {}", socket.display()))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    let answer: Answer = serde_json::from_str(&answer).context("the lab went away")?;
    match answer.error {
        Some(error) => anyhow::bail!(error),
        None => Ok(()),
    }
}
