//! One line an event, for pipes, logs and dumb terminals. No time stamps: whoever logs adds their own.

use std::collections::BTreeMap;
use std::io::Write;

use crate::ui::Show;
use crate::ui::event::Event;
use crate::ui::output::Lines;
use crate::ui::paint::Paint;
use crate::ui::sanitize;
use crate::ui::text;
use crate::ui::text::Words;

/// Shows events as lines.
#[derive(Debug)]
pub struct Plain<W> {
    lines: Lines<W>,
    words: Words,
    /// By step: the last milestone told.
    milestones: BTreeMap<usize, u64>,
    /// In front of every line: which of several moves it is about.
    name: String,
}

impl<W: Write> Plain<W> {
    /// Writes to `stream`.
    pub fn new(stream: W, colours: Paint) -> Plain<W> {
        Plain {
            lines: Lines::new(stream),
            words: Words::new(colours),
            milestones: BTreeMap::new(),
            name: String::new(),
        }
    }

    /// Puts a name in front of every line.
    #[must_use]
    pub fn named(mut self, name: &str) -> Plain<W> {
        self.name = format!("{name}: ");
        self
    }

    fn line(&mut self, text: &str) {
        let name = &self.name;
        // Every line of it, so that it can be searched for.
        let text = if name.is_empty() {
            text.to_owned()
        } else {
            format!("{name}{}", text.replace('\n', &format!("\n{name}")))
        };
        self.lines.line(&text);
    }

    /// A line at each quarter of a transfer, or each time it has doubled when its size is not known.
    fn transfer(&mut self, number: usize, what: &str, bytes: u64, total: Option<u64>) {
        let milestone = match total {
            Some(total) if total > 0 => bytes.min(total).saturating_mul(4) / total,
            // From 16 MiB on.
            _ => u64::from((bytes >> 24).checked_ilog2().map_or(0, |log| log + 1)),
        };
        if milestone <= self.milestones.insert(number, milestone).unwrap_or(0) {
            return;
        }
        let of = total.map(|t| format!(" of {}", text::bytes(t))).unwrap_or_default();
        let line = format!("{} {}: {}{of}", self.words.place(number), sanitize::line(what), text::bytes(bytes));
        self.line(&line);
    }
}

impl<W: Write + Send> Show for Plain<W> {
    fn show(&mut self, event: &Event) {
        self.words.remember(event);
        match event {
            Event::Transfer { number, what, bytes, total } => self.transfer(*number, what, *bytes, *total),
            Event::TransferDone { number, .. } => drop(self.milestones.remove(number)),
            _ => {}
        }
        if let Some(line) = self.words.line(event) {
            self.line(&line);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::NodeName;
    use crate::model::RunId;

    /// A run in which everything happens once.
    pub(crate) fn story() -> Vec<Event> {
        let (big, spare) = (NodeName::new("big").unwrap(), NodeName::new("spare").unwrap());
        let run = RunId::new("web-0123abcd").unwrap();
        let transfer = |mebibytes: u64| Event::Transfer {
            number: 2,
            what: "zroot/jails/web".into(),
            bytes: mebibytes << 20,
            total: Some(400 << 20),
        };
        vec![
            Event::AskingHost { host: big.clone() },
            Event::HostAnswered { host: big.clone(), milliseconds: 180 },
            Event::RunStarted { run: run.clone(), steps: 12, title: "move jail web from spare to big".into() },
            Event::StepStarted { number: 1, host: spare.clone(), title: "take a snapshot".into(), undo: false },
            Event::StepDone { number: 1, milliseconds: 90, undo: false },
            Event::StepStarted { number: 2, host: big.clone(), title: "receive \u{1b}[2Jit".into(), undo: false },
            transfer(1),
            transfer(99),
            transfer(100),
            transfer(150),
            transfer(400),
            Event::TransferDone { number: 2, bytes: 400 << 20, milliseconds: 4000 },
            Event::StepDone { number: 2, milliseconds: 4100, undo: false },
            Event::StepSkipped { number: 3, reason: "no nullfs".into() },
            Event::StepStarted { number: 4, host: big, title: "start the jail".into(), undo: false },
            Event::StepFailed { number: 4, error: "exit status 1\njail: web: already exists".into(), undo: false },
            Event::Unwinding { reason: "step 4 failed".into() },
            Event::StepStarted { number: 1, host: spare, title: "take a snapshot".into(), undo: true },
            Event::StepDone { number: 1, milliseconds: 1100, undo: true },
            Event::Note { text: "spare keeps the jail".into() },
            Event::RunFinished {
                run,
                outcome: "rolled-back".into(),
                blackout_milliseconds: Some(1700),
                summary: "The jail runs on spare as before.".into(),
            },
        ]
    }

    #[test]
    fn a_run_as_lines() {
        let mut bytes = Vec::new();
        let mut plain = Plain::new(&mut bytes, Paint::new(false));
        story().iter().for_each(|e| plain.show(e));
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @r"
        asking big
        big answered in 180 ms
        web-0123abcd: move jail web from spare to big (12 steps)
        [ 1/12] spare: take a snapshot
        [ 1/12] done in 90 ms
        [ 2/12] big: receive \u{1b}[2Jit
        [ 2/12] zroot/jails/web: 100.0 MiB of 400.0 MiB
        [ 2/12] zroot/jails/web: 400.0 MiB of 400.0 MiB
        [ 2/12] 400.0 MiB in 4.0 s, 100.0 MiB/s
        [ 2/12] done in 4.1 s
        [ 3/12] skipped: no nullfs
        [ 4/12] big: start the jail
        [ 4/12] FAILED: big: start the jail: exit status 1
            jail: web: already exists
        going back, undoing what was done: step 4 failed
        [ 1/12] undo spare: take a snapshot
        [ 1/12] undone in 1.1 s
        spare keeps the jail
        web-0123abcd: rolled-back, nobody answered for 1.7 s. The jail runs on spare as before.
        ");
    }
}
