//! Exit codes: they tell the outcome (design promise 6).

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Moved; or the question was answered.
    Done = 0,
    /// Input is wrong: command line, fleet.yml, playbook. No host was asked anything.
    BadInput = 2,
    /// Refused before any change: a finding forbids it, a host cannot be reached, or the operator said no.
    Refused = 3,
    /// Something failed and everything was put back; the jail runs where it ran.
    RolledBack = 4,
    /// Neither moved nor put back, or moved but not made to last: a person has to look. The output says what is so.
    NeedsHuman = 5,
    /// A defect of jailferry itself or of this machine (journal not writable, broken terminal).
    Internal = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The table of `--help` and the man page.
pub const TABLE: &str = "Exit codes:
  0   moved, or the question was answered
  2   bad input (command line, fleet.yml, playbook); no host was asked
  3   refused before any change; the jail runs where it ran
  4   rolled back; the jail runs where it ran
  5   a person has to look; the output says what is so and what remains
  70  jailferry itself or this machine failed";
