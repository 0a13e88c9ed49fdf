//! Standard output and standard error. Nothing else in the program writes there.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::OnceLock;

use crate::ui::paint::Paint;

/// May colours be used? Only on a terminal, and not with NO_COLOR or TERM=dumb.
#[must_use]
pub fn colour(terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Paint for standard output.
#[must_use]
pub fn paint() -> Paint {
    Paint::new(colour(std::io::stdout().is_terminal()))
}

/// Paint for what goes to standard error.
#[must_use]
pub fn error_paint() -> Paint {
    Paint::new(colour(std::io::stderr().is_terminal()))
}

/// Why standard output could not be written.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// What kept standard output from being written whole; a reader that has gone away is no failure.
#[must_use]
pub fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}

/// Writes to standard output; whether that worked is asked at the end ([`failure`]).
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let end: &[u8] = if text.ends_with('\n') { b"" } else { b"\n" };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end)).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = FAILURE.set(error);
    }
}

/// Writes to standard error as it is.
pub fn error(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ =
        err.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { err.write_all(b"\n") });
}

/// `error: …` on standard error.
pub fn complain(message: &str) {
    error(&format!("{} {message}", error_paint().red("error:")));
}

/// A value as indented JSON on standard output.
///
/// # Errors
/// When it cannot be serialised.
pub fn json<T: serde::Serialize>(value: &T) -> Result<(), serde_json::Error> {
    say(&serde_json::to_string_pretty(value)?);
    Ok(())
}
