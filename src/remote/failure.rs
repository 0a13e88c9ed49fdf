//! Why a remote command did not do its work, told so that a person knows where to look.

use std::fmt;
use std::time::Duration;

use crate::effect::command::Become;
use crate::effect::command::Command;
use crate::effect::command::Lock;
use crate::effect::command::NO_TURN;
use crate::effect::command::TURN;
use crate::model::NodeName;
use crate::remote::master::ConnectError;
use crate::ui::sanitize;

/// Lines of standard error that an error message carries.
const SHOWN_LINES: usize = 8;

/// Lines of a script that an error message carries; the journal has all of them.
const SHOWN_SCRIPT: usize = 3;

/// Characters of each: a plan is one line, and the reason stands behind it. One line by itself may be longer, so that the
/// dataset at the end of a transfer's is seen.
const SHOWN_WIDTH: [usize; 2] = [240, 800];

/// A command that failed on a host.
#[derive(Debug)]
pub struct RemoteError {
    /// The host.
    pub host: NodeName,
    /// The command as the plan prints it; empty when none ran.
    pub command: String,
    /// What happened.
    pub kind: Kind,
    /// The end of standard error, sanitised.
    pub stderr: String,
}

/// What happened to a command.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    /// It ended with this exit status.
    #[error("failed with exit status {0}")]
    Exit(i32),
    /// A signal ended it on the host.
    #[error("was ended by a signal on the host")]
    Signal,
    /// timeout(1) on the host ended it.
    #[error("was ended on the host after {0} seconds")]
    TimedOut(u32),
    /// An earlier command that starts, stops or mounts the same jail is still at work there.
    #[error("waited {0} seconds in vain for an earlier command of jailferry on this jail to end")]
    NoTurn(u32),
    /// Another command that changes the same is still at work there.
    #[error("waited {} seconds in vain for another command of jailferry to let go of {}", .0.seconds, .0.file)]
    Locked(Box<Lock>),
    /// The host did not even end it: our own deadline. It may still be running there.
    #[error("did not come back within {0} seconds; it may still be running there")]
    NoReply(u64),
    /// The host's shell or timeout(1) does not find the program.
    #[error("was not found on the host (exit status {0})")]
    NotFound(i32),
    /// sudo, doas or mdo refused.
    #[error("was refused: {} does not let this user become root without a password", word(*.0))]
    BecomeRefused(Become),
    /// The SSH connection ended; whether the command did its work is unknown.
    #[error("lost its connection; whether it did its work is unknown")]
    ConnectionLost,
    /// sshd or our master refused one more channel.
    #[error(
        "got no channel on the connection ({0}); its sshd lets nobody have one more session, although no other of ours is open (MaxSessions, sshd_config(5))"
    )]
    NoChannel(String),
    /// It printed more than it may.
    #[error("printed more than {0} bytes")]
    TooMuchOutput(usize),
    /// It ended, but something that it left running still holds its output open, so the output may be incomplete.
    #[error("ended, but something it started keeps its output open")]
    OutputHeldOpen,
    /// A pipe of ours failed.
    #[error("could not be served: {0}")]
    Local(std::io::Error),
    /// The run's log cannot be written. The command itself ran.
    #[error("ran, but cannot be written to the journal ({0}), so the run stops here")]
    Log(std::io::Error),
    /// The host is not one of those connected.
    #[error("is not connected")]
    NotConnected,
    /// A fresh connection was asked for.
    #[error("no fresh connection: {0}")]
    NoFreshConnection(Box<ConnectError>),
}

impl RemoteError {
    /// Nothing ran.
    pub(crate) fn before(host: &NodeName, kind: Kind) -> RemoteError {
        RemoteError { host: host.clone(), command: String::new(), kind, stderr: String::new() }
    }

    pub(crate) fn of(command: &Command, kind: Kind, stderr: &[u8]) -> RemoteError {
        RemoteError {
            host: command.host.clone(),
            command: command.text(),
            kind,
            stderr: sanitize::tail(stderr, SHOWN_LINES),
        }
    }

    /// Is the host not to be reached now, or was it not a moment ago?
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self.kind, Kind::ConnectionLost | Kind::NoFreshConnection(_))
    }

    /// May the command have done its work, or still do it? Then the state must be read before anything else is done.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        matches!(self.kind, Kind::NoReply(_) | Kind::ConnectionLost | Kind::Signal | Kind::Log(_) | Kind::Local(_))
    }
}

impl std::error::Error for RemoteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Local(e) | Kind::Log(e) => Some(e),
            Kind::NoFreshConnection(e) => Some(e),
            _ => None,
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.host)?;
        // A script that says why it failed need not be shown as well: the journal has it whole.
        let told = self.command.contains('\n') && !self.stderr.is_empty();
        if !self.command.is_empty() && !told {
            let lines: Vec<&str> = self.command.lines().filter(|l| !l.trim().is_empty()).collect();
            let width = if lines.len() > 1 { SHOWN_WIDTH[0] } else { SHOWN_WIDTH[1] };
            let shown: Vec<String> = lines.iter().take(SHOWN_SCRIPT).map(|l| shortened(l.trim(), width)).collect();
            let shown = shown.join("; ");
            let more = if lines.len() > SHOWN_SCRIPT { "; …" } else { "" };
            write!(f, "`{shown}{more}` ")?;
        }
        if told {
            return write!(f, "{} ({})", self.stderr, self.kind);
        }
        write!(f, "{}", self.kind)?;
        if !self.stderr.is_empty() {
            write!(f, ": {}", self.stderr)?;
        }
        Ok(())
    }
}

/// A line as it is, or its beginning.
fn shortened(line: &str, width: usize) -> String {
    let line = sanitize::line(line);
    match line.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// What an exit status other than 0 means, given how long the command took.
///
/// timeout(1) answers 124 when it ended the command, or 128 + SIGKILL after its `-k`; a command may answer the same by
/// itself, but not at that time. csh answers 1 for a missing program, sh 127, timeout(1) 127 (or 126).
pub(crate) fn classify(command: &Command, become_root: Become, status: i32, stderr: &[u8], duration: Duration) -> Kind {
    let text = String::from_utf8_lossy(stderr);
    let full_time =
        duration >= Duration::from_secs(u64::from(command.timeout)).saturating_sub(Duration::from_millis(100));
    let prefix = format!("{}: ", word(become_root));
    let not_found = |l: &str| l.ends_with("Command not found.") || l.contains(": not found");
    match status {
        NO_TURN if command.turn.is_some() && duration >= Duration::from_secs(u64::from(TURN) - 1) => Kind::NoTurn(TURN),
        NO_TURN => match &command.lock {
            Some(lock) if duration >= Duration::from_secs(u64::from(lock.seconds.saturating_sub(1))) => {
                Kind::Locked(Box::new(lock.clone()))
            }
            _ => Kind::Exit(status),
        },
        124 | 137 if full_time => Kind::TimedOut(command.timeout),
        126 | 127 => Kind::NotFound(status),
        1 if text.lines().any(|l| l.ends_with(": Command not found.")) => Kind::NotFound(status),
        1 if become_root != Become::None && text.lines().any(|l| l.starts_with(&prefix) && !not_found(l)) => {
            Kind::BecomeRefused(become_root)
        }
        _ => Kind::Exit(status),
    }
}

/// The program that makes root.
fn word(become_root: Become) -> &'static str {
    match become_root {
        Become::None => "ssh",
        Become::Sudo => "sudo",
        Become::Doas => "doas",
        Become::Mdo => "mdo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(become_root: Become, status: i32, stderr: &str, seconds: u64) -> String {
        let command = Command::argv(&NodeName::new("big").unwrap(), 60, ["zfs", "list"]);
        format!("{:?}", classify(&command, become_root, status, stderr.as_bytes(), Duration::from_secs(seconds)))
    }

    #[test]
    fn exit_statuses_are_told_apart() {
        assert_eq!(of(Become::None, 1, "cannot open 'x': dataset does not exist", 0), "Exit(1)");
        assert_eq!(of(Become::None, 124, "", 60), "TimedOut(60)");
        assert_eq!(of(Become::None, 137, "", 70), "TimedOut(60)");
        assert_eq!(of(Become::None, 124, "", 3), "Exit(124)");
        assert_eq!(of(Become::None, 127, "timeout: zfs: No such file or directory", 0), "NotFound(127)");
        assert_eq!(of(Become::None, 1, "sudo: a password is required", 0), "Exit(1)");
        assert_eq!(of(Become::Sudo, 1, "sudo: a password is required", 0), "BecomeRefused(Sudo)");
        assert_eq!(of(Become::Doas, 1, "doas: Authorization required", 0), "BecomeRefused(Doas)");
        assert_eq!(of(Become::Doas, 1, "doas: Operation not permitted", 0), "BecomeRefused(Doas)");
        assert_eq!(of(Become::Sudo, 1, "sudo: Command not found.", 0), "NotFound(1)");
        assert_eq!(of(Become::Sudo, 1, "cannot open 'x'", 0), "Exit(1)");
    }

    #[test]
    fn a_message_names_host_command_status_and_what_was_said() {
        let big = NodeName::new("big").unwrap();
        let command = Command::argv(&big, 60, ["zfs", "list", "it's"]);
        let error = RemoteError::of(&command, Kind::Exit(1), b"\x1b[2Jcannot open\n");
        assert_eq!(error.to_string(), r"big: `zfs list 'it'\''s'` failed with exit status 1: \u{1b}[2Jcannot open");
        let long = Command::script(&big, 60, format!("cat <<'END'\n{}\nEND", "x".repeat(1000)));
        let error = RemoteError::of(&long, Kind::Log(std::io::Error::other("full")), b"");
        assert!(error.to_string().len() < 500 && error.to_string().contains("(full)"), "{error}");
        let script = Command::script(&big, 60, "one\ntwo\n\nthree\nfour");
        let error = RemoteError::of(&script, Kind::ConnectionLost, b"");
        assert!(error.to_string().starts_with("big: `one; two; three; …` lost its connection"), "{error}");
        assert!(error.outcome_unknown());
    }
}
