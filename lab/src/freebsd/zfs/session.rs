//! One call of zfs(8) or zpool(8): where it answers, and how it fails.

use std::io;
use std::io::Write;

use crate::context::Context;

/// Why a command stopped: what goes to standard error, and the exit status.
#[derive(Debug)]
pub struct Fail {
    /// Printed as it is, followed by a newline; nothing when empty.
    pub message: String,
    /// 1 for a refusal, 2 for wrong usage.
    pub code: i32,
}

/// What every verb returns.
pub type Done<T = ()> = Result<T, Fail>;

/// A refusal: exit status 1.
pub fn fail(message: impl Into<String>) -> Fail {
    Fail { message: message.into(), code: 1 }
}

/// Everything was said already; only the exit status remains.
pub fn silent(code: i32) -> Fail {
    Fail { message: String::new(), code }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Fail {
        fail(format!("internal error: {error}"))
    }
}

/// The context and the two outputs of a call.
pub struct Session<'a> {
    /// The host.
    pub ctx: &'a Context,
    out: io::BufWriter<io::Stdout>,
}

impl<'a> Session<'a> {
    /// A session that answers on this process's standard output and error.
    pub fn new(ctx: &'a Context) -> Session<'a> {
        Session { ctx, out: io::BufWriter::new(io::stdout()) }
    }

    /// A line on standard output. A reader that has gone away is no reason to stop half-way through a change.
    pub fn say(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.out, "{}", line.as_ref());
    }

    /// A line on standard error, after what was said before.
    pub fn warn(&mut self, line: impl AsRef<str>) {
        self.flush();
        let _ = writeln!(io::stderr(), "{}", line.as_ref());
    }

    /// Hands on what was said.
    pub fn flush(&mut self) {
        let _ = self.out.flush();
    }

    /// Ends the call.
    pub fn finish(mut self, done: Done) -> i32 {
        let code = match done {
            Ok(()) => 0,
            Err(fail) => {
                if !fail.message.is_empty() {
                    self.warn(&fail.message);
                }
                fail.code
            }
        };
        self.flush();
        code
    }
}
