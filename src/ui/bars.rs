//! A live view for a terminal: what runs now, with a bar for each transfer, below the steps that are done.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressFinish;
use indicatif::ProgressStyle;

use crate::ui::Show;
use crate::ui::event::Event;
use crate::ui::output::Lines;
use crate::ui::paint::Paint;
use crate::ui::sanitize;
use crate::ui::text;
use crate::ui::text::Words;

/// Live lines at once: more of them flicker and push each other off the screen.
const MOST_BARS: usize = 8;

/// Redraws a second.
const REDRAWS: u8 = 5;

/// What a live line belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Host(String),
    Step(usize),
    Transfer(usize),
}

/// Shows events as live lines.
#[derive(Debug)]
pub struct Bars {
    board: MultiProgress,
    live: BTreeMap<Key, ProgressBar>,
    words: Words,
    colours: Paint,
    coloured: bool,
    /// The last word goes to standard output, once the bars are gone.
    last: Vec<String>,
}

impl Bars {
    /// Draws on standard error.
    #[must_use]
    pub fn on_standard_error(coloured: bool) -> Bars {
        Bars::on(ProgressDrawTarget::stderr_with_hz(REDRAWS), coloured)
    }

    fn on(target: ProgressDrawTarget, coloured: bool) -> Bars {
        let (board, colours) = (MultiProgress::with_draw_target(target), Paint::new(coloured));
        Bars { board, live: BTreeMap::new(), words: Words::new(colours), colours, coloured, last: Vec::new() }
    }

    /// A line above the live ones. A terminal that is gone takes no lines, and the run goes on.
    fn above(&self, line: &str) {
        drop(self.board.println(line));
    }

    /// Adds a live line, if there is room for one more.
    fn add(&mut self, key: Key, style: &str, length: Option<u64>, message: String) {
        self.remove(&key);
        if self.live.len() >= MOST_BARS {
            return;
        }
        let bar = match length {
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::no_length(),
        };
        // The templates are ours and a test reads them; the default one would do, too.
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = self.board.add(bar.with_finish(ProgressFinish::AndClear));
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(message);
        bar.enable_steady_tick(Duration::from_millis(1000 / u64::from(REDRAWS)));
        self.live.insert(key, bar);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(bar) = self.live.remove(key) {
            bar.finish_and_clear();
            self.board.remove(&bar);
        }
    }

    fn template(&self, kind: &Key, known: bool) -> &'static str {
        match (kind, known, self.coloured) {
            (Key::Transfer(_), true, true) => {
                "        {msg} [{bar:24.green}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
            }
            (Key::Transfer(_), true, false) => {
                "        {msg} [{bar:24}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
            }
            (Key::Transfer(_), false, _) => "        {msg} {binary_bytes}, {binary_bytes_per_sec}",
            (_, _, true) => "{spinner:.cyan} {msg} {elapsed:.dim}",
            (_, _, false) => "{spinner} {msg} {elapsed}",
        }
    }

    fn transfer(&mut self, number: usize, what: &str, bytes: u64, total: Option<u64>) {
        let key = Key::Transfer(number);
        if !self.live.contains_key(&key) {
            self.add(key.clone(), self.template(&key, total.is_some()), total, sanitize::line(what));
        }
        if let Some(bar) = self.live.get(&key) {
            if let Some(total) = total {
                // Estimates of zfs send are low at times: a bar that is full must not lie about what is left.
                bar.set_length(total.max(bytes));
            }
            bar.set_position(bytes);
        }
    }
}

impl Show for Bars {
    fn show(&mut self, event: &Event) {
        self.words.remember(event);
        let c = self.colours;
        match event {
            Event::AskingHost { host } => {
                let key = Key::Host(host.to_string());
                self.add(key.clone(), self.template(&key, false), None, format!("asking {host}"));
                return;
            }
            Event::HostAnswered { host, .. } => {
                self.remove(&Key::Host(host.to_string()));
                return;
            }
            Event::StepStarted { number, undo, .. } => {
                let undo = if *undo { "undo " } else { "" };
                let message = format!("{} {undo}{}", self.words.place(*number), self.words.title(*number));
                let key = Key::Step(*number);
                self.add(key.clone(), self.template(&key, false), None, message);
                return;
            }
            Event::StepDone { number, milliseconds, undo } => {
                self.remove(&Key::Transfer(*number));
                self.remove(&Key::Step(*number));
                let word = if *undo { c.yellow("undone") } else { c.green("done") };
                let (place, title) = (self.words.place(*number), self.words.title(*number));
                self.above(&format!("{place} {title} {word} {}", c.dim(&text::duration(*milliseconds))));
                return;
            }
            Event::StepFailed { number, .. } => {
                self.remove(&Key::Transfer(*number));
                self.remove(&Key::Step(*number));
            }
            Event::Transfer { number, what, bytes, total } => self.transfer(*number, what, *bytes, *total),
            Event::TransferDone { number, .. } | Event::TransferBroken { number, .. } => {
                self.remove(&Key::Transfer(*number));
            }
            Event::RunFinished { .. } => {
                self.last.extend(self.words.line(event));
                return;
            }
            // It may have begun: one that is not waited for any more.
            Event::StepSkipped { number, .. } => self.remove(&Key::Step(*number)),
            Event::RunStarted { .. } | Event::TransferResumed { .. } | Event::Unwinding { .. } | Event::Note { .. } => {
            }
        }
        if let Some(line) = self.words.line(event) {
            self.above(&line);
        }
    }

    fn finish(&mut self) {
        for bar in std::mem::take(&mut self.live).into_values() {
            bar.finish_and_clear();
        }
        // Nothing depends on the clearing of a terminal.
        drop(self.board.clear());
        self.say_last(std::io::stdout());
    }
}

impl Bars {
    fn say_last(&mut self, stream: impl Write) {
        let mut lines = Lines::new(stream);
        self.last.drain(..).for_each(|line| lines.line(&line));
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeName;

    fn hidden() -> Bars {
        Bars::on(ProgressDrawTarget::hidden(), false)
    }

    #[test]
    fn never_more_than_eight_live_lines() {
        let mut bars = hidden();
        for number in 1..=20 {
            let host = NodeName::new("big").unwrap();
            bars.show(&Event::StepStarted { number, host, title: "x".into(), undo: false });
            bars.show(&Event::Transfer { number, what: "web".into(), bytes: 5, total: Some(4) });
            assert!(bars.live.len() <= MOST_BARS);
        }
        for number in 1..=20 {
            bars.show(&Event::StepDone { number, milliseconds: 1, undo: false });
        }
        assert!(bars.live.is_empty());
    }

    #[test]
    fn the_templates_are_valid() {
        let bars = hidden();
        for key in [Key::Step(1), Key::Transfer(1)] {
            for known in [true, false] {
                for coloured in [true, false] {
                    let template = Bars::on(ProgressDrawTarget::hidden(), coloured).template(&key, known);
                    assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
                }
            }
        }
        assert!(bars.live.is_empty());
    }

    #[test]
    fn the_last_word_is_said_once() {
        let mut bars = hidden();
        crate::ui::plain::tests::story().iter().for_each(|e| bars.show(e));
        let mut bytes = Vec::new();
        bars.say_last(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("web-0123abcd: rolled-back, nobody answered for 1.7 s."), "{text}");
        assert!(bars.last.is_empty());
    }
}
