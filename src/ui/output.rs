//! Lines to a stream whose reader may go away.

use std::io::Write;

/// A stream that stops quietly when it can no longer be written: the run goes on, its journal has everything.
#[derive(Debug)]
pub struct Lines<W> {
    stream: Option<W>,
}

impl<W: Write> Lines<W> {
    /// Writes to `stream`.
    pub fn new(stream: W) -> Lines<W> {
        Lines { stream: Some(stream) }
    }

    /// Writes one line and flushes, since whoever reads a pipe wants to see it now.
    pub fn line(&mut self, text: &str) {
        let Some(stream) = &mut self.stream else { return };
        if writeln!(stream, "{text}").and_then(|()| stream.flush()).is_err() {
            self.stream = None;
        }
    }

    /// Can it still be written?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_disturbs_nothing() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut lines = Lines::new(writer);
        lines.line("one");
        assert!(lines.is_open());
        drop(reader);
        lines.line("two");
        lines.line("three");
        assert!(!lines.is_open());
    }
}
