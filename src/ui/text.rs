//! The words for events, the same for plain lines and for what the bars leave behind. Everything that may come from a
//! host goes through [`sanitize`].

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;

use crate::ui::event::Event;
use crate::ui::paint::Paint;
use crate::ui::sanitize;

/// What has to be remembered to word a later event: the number of steps and their titles.
#[derive(Debug)]
pub struct Words {
    colours: Paint,
    steps: usize,
    titles: BTreeMap<usize, String>,
}

impl Words {
    /// Words with or without colours.
    #[must_use]
    pub fn new(colours: Paint) -> Words {
        Words { colours, steps: 0, titles: BTreeMap::new() }
    }

    /// Remembers what later lines need.
    pub fn remember(&mut self, event: &Event) {
        match event {
            Event::RunStarted { steps, .. } => self.steps = *steps,
            Event::StepStarted { number, host, title, .. } => {
                self.titles.insert(*number, format!("{host}: {}", sanitize::line(title)));
            }
            _ => {}
        }
    }

    /// `[ 3/34]`
    #[must_use]
    pub fn place(&self, number: usize) -> String {
        let width = self.steps.to_string().len();
        self.colours.dim(&format!("[{number:>width$}/{}]", self.steps))
    }

    /// `big: receive …`, as far as it is known.
    #[must_use]
    pub fn title(&self, number: usize) -> &str {
        self.titles.get(&number).map_or("", String::as_str)
    }

    /// The line for an event; transfers in progress have none.
    #[must_use]
    pub fn line(&self, event: &Event) -> Option<String> {
        let c = self.colours;
        let undo_word = |undo: bool| if undo { c.yellow("undo ") } else { String::new() };
        Some(match event {
            Event::AskingHost { host } => format!("asking {host}"),
            Event::HostAnswered { host, milliseconds } => format!("{host} answered in {}", duration(*milliseconds)),
            Event::RunStarted { run, steps, title } => {
                format!("{}: {} ({steps} steps)", c.bold(run.as_str()), c.bold(&sanitize::line(title)))
            }
            Event::StepStarted { number, undo, .. } => {
                format!("{} {}{}", self.place(*number), undo_word(*undo), self.title(*number))
            }
            Event::StepDone { number, milliseconds, undo } => {
                let word = if *undo { "undone" } else { "done" };
                format!("{} {} in {}", self.place(*number), c.green(word), duration(*milliseconds))
            }
            Event::StepSkipped { number, reason } => {
                format!("{} {}: {}", self.place(*number), c.dim("skipped"), sanitize::line(reason))
            }
            Event::StepFailed { number, error, undo } => {
                let word = c.red(if *undo { "undo FAILED" } else { "FAILED" });
                format!("{} {word}: {}: {}", self.place(*number), self.title(*number), indented(error))
            }
            Event::Transfer { .. } => return None,
            Event::TransferDone { number, bytes, milliseconds } => {
                format!("{} {}", self.place(*number), transferred(*bytes, *milliseconds))
            }
            Event::TransferBroken { number, error, seconds, attempt, attempts } => format!(
                "{} {}: {}; trying again in {seconds} s ({attempt} of {attempts})",
                self.place(*number),
                c.yellow("the stream broke"),
                indented(error)
            ),
            Event::TransferResumed { number, kept, left, again, arrived } => {
                let left = left.map_or_else(|| "some".to_owned(), bytes);
                let again = again.map(bytes);
                let again = |before: &str| again.map(|n| format!(", {n} {before}are sent again")).unwrap_or_default();
                let what = match (arrived, kept) {
                    (None, 0) => format!("begins anew: nothing was kept{}", again("")),
                    (None, kept) => {
                        format!("goes on: {} were kept, {left} are left{}", bytes(*kept), again("of them "))
                    }
                    (Some(label), 0) => format!("goes on behind @{label}, which has arrived whole"),
                    (Some(label), kept) => {
                        format!("goes on behind @{label}: {} of the next were kept, {left} are left", bytes(*kept))
                    }
                };
                format!("{} {what}", self.place(*number))
            }
            Event::Unwinding { reason } => {
                format!("{}: {}", c.yellow("going back, undoing what was done"), indented(reason))
            }
            Event::Note { text } => indented(text),
            Event::RunFinished { run, outcome, blackout_milliseconds, summary } => {
                let word = if outcome == "moved" { c.green(outcome) } else { c.red(&sanitize::line(outcome)) };
                let blackout = blackout_milliseconds.map(|ms| format!(", nobody answered for {}", duration(ms)));
                let blackout = blackout.unwrap_or_default();
                format!("{}: {word}{blackout}. {}", c.bold(run.as_str()), indented(summary))
            }
        })
    }
}

/// What may have several lines, those after the first set in.
fn indented(text: &str) -> String {
    sanitize::block(text).replace('\n', "\n    ")
}

/// `250 ms`, `3.2 s`, `4 min 05 s`, `2 h 03 min`.
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `1.2 GiB`, in powers of 1024 as zfs(8) counts.
#[must_use]
pub fn bytes(count: u64) -> String {
    ByteSize(count).display().iec().to_string()
}

/// `1.2 GiB in 9.0 s, 136.5 MiB/s`
#[must_use]
pub fn transferred(count: u64, milliseconds: u64) -> String {
    let text = format!("{} in {}", bytes(count), duration(milliseconds));
    let rate = u128::from(count) * 1000 / u128::from(milliseconds.max(1));
    if milliseconds < 100 { text } else { format!("{text}, {}/s", bytes(u64::try_from(rate).unwrap_or(u64::MAX))) }
}

/// Milliseconds of a duration.
#[must_use]
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let shown: Vec<String> = [250, 1000, 3290, 245_000, 7_400_000].into_iter().map(duration).collect();
        assert_eq!(shown, ["250 ms", "1.0 s", "3.2 s", "4 min 05 s", "2 h 03 min"]);
        assert_eq!(bytes(1_288_490_188), "1.2 GiB");
        assert_eq!(transferred(1 << 30, 8000), "1.0 GiB in 8.0 s, 128.0 MiB/s");
        assert_eq!(transferred(10, 0), "10 B in 0 ms");
    }
}
