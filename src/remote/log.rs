//! Where every executed command is written down, exactly as it was executed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::model::NodeName;

/// One command that ran, as it ran.
#[derive(Debug, Clone)]
pub struct CommandEntry<'a> {
    /// The host.
    pub host: &'a NodeName,
    /// The string that ssh handed to the login shell.
    pub line: &'a str,
    /// The script on standard input, whole.
    pub stdin: Option<&'a str>,
    /// Exit status, when there was one.
    pub status: Option<i32>,
    /// How long it took.
    pub duration: Duration,
    /// The end of standard output. Not sanitised: whoever shows it does that.
    pub stdout: &'a [u8],
    /// The end of standard error.
    pub stderr: &'a [u8],
    /// What went wrong besides the exit status: a lost connection, a deadline.
    pub problem: Option<&'a str>,
}

/// A place to write commands down. A run whose log cannot be written stops (issue 3: a full disk).
pub trait CommandLog: Send + Sync {
    /// Writes one entry.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn command(&self, entry: &CommandEntry<'_>) -> io::Result<()>;
}

/// Writes down what it can: for the way back, which is the right way without a record, too.
pub(crate) struct WherePossible(pub(crate) Arc<dyn CommandLog>);

impl CommandLog for WherePossible {
    fn command(&self, entry: &CommandEntry<'_>) -> io::Result<()> {
        let _ = self.0.command(entry);
        Ok(())
    }
}

/// Keeps nothing: for `facts` and `plan`, which change nothing and leave no run behind.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLog;

impl CommandLog for NoLog {
    fn command(&self, _: &CommandEntry<'_>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_down_counts_all_the_same_on_the_way_back() {
        struct Full;
        impl CommandLog for Full {
            fn command(&self, _: &CommandEntry<'_>) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        let host = NodeName::new("big").unwrap();
        let entry = CommandEntry {
            host: &host,
            line: "true",
            stdin: None,
            status: Some(0),
            duration: Duration::ZERO,
            stdout: b"",
            stderr: b"",
            problem: None,
        };
        Full.command(&entry).unwrap_err();
        WherePossible(Arc::new(Full)).command(&entry).unwrap();
    }
}
