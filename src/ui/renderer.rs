//! The one place where events go: chosen once, shown by a thread of its own.
//!
//! A terminal may be paused (Ctrl-S) and a pipe full; writing to them from the run would stop a cut-over in its middle.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use crate::ui::Show;
use crate::ui::bars::Bars;
use crate::ui::event::Event;
use crate::ui::json::Json;
use crate::ui::paint::Paint;
use crate::ui::plain::Plain;

/// Progress of one step is shown at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Plain,
    Bars,
}

impl Kind {
    /// `--json` wins; bars only where a terminal can redraw lines.
    fn of(json: bool, terminal: bool, term: Option<&str>) -> Kind {
        match term {
            _ if json => Kind::Json,
            Some(term) if terminal && term != "dumb" && !term.is_empty() => Kind::Bars,
            _ => Kind::Plain,
        }
    }
}

/// What the showing thread is told.
enum Message {
    Event(Event),
    /// Answer when all before this is shown.
    Settle(mpsc::Sender<()>),
    /// The same, and clear what is live.
    Finish(mpsc::Sender<()>),
}

/// Shows events; cheap to tell, never waits for a terminal.
pub struct Renderer {
    shown_by: Option<mpsc::Sender<Message>>,
    told: Mutex<BTreeMap<usize, Instant>>,
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renderer").field("quiet", &self.shown_by.is_none()).finish_non_exhaustive()
    }
}

impl Renderer {
    /// Shows nothing.
    #[must_use]
    pub fn quiet() -> Renderer {
        Renderer { shown_by: None, told: Mutex::default() }
    }

    /// Chooses by what is around: JSON lines when asked for, bars on a terminal, else one line an event.
    #[must_use]
    pub fn choose(json: bool, colour: bool) -> Renderer {
        let term = std::env::var("TERM").ok();
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Renderer::with(match Kind::of(json, terminal, term.as_deref()) {
            Kind::Json => Box::new(Json::new(std::io::stdout())),
            Kind::Plain => Box::new(Plain::new(std::io::stdout(), Paint::new(colour))),
            Kind::Bars => Box::new(Bars::on_standard_error(colour)),
        })
    }

    /// For one of several moves at once: lines that begin with its name, or JSON lines that tell it. No bars.
    #[must_use]
    pub fn of_many(json: bool, colour: bool, name: &str) -> Renderer {
        if json {
            return Renderer::with(Box::new(Json::new(std::io::stdout()).of(name)));
        }
        Renderer::with(Box::new(Plain::new(std::io::stdout(), Paint::new(colour)).named(name)))
    }

    fn with(mut show: Box<dyn Show>) -> Renderer {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for message in receiver {
                match message {
                    Message::Event(event) => show.show(&event),
                    // Whoever asked may have given up waiting.
                    Message::Settle(answer) => answer.send(()).unwrap_or_default(),
                    Message::Finish(answer) => {
                        show.finish();
                        answer.send(()).unwrap_or_default();
                    }
                }
            }
        });
        Renderer { shown_by: Some(sender), told: Mutex::default() }
    }

    /// Shows an event. A transfer's progress is thinned here, so it may be told for every piece.
    pub fn event(&self, event: &Event) {
        let Some(shown_by) = &self.shown_by else { return };
        if let Event::Transfer { number, .. } | Event::TransferDone { number, .. } = event {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(event, Event::TransferDone { .. }) {
                told.remove(number);
            } else {
                let now = Instant::now();
                if told.get(number).is_some_and(|last| now.duration_since(*last) < PROGRESS_EVERY) {
                    return;
                }
                told.insert(*number, now);
            }
        }
        // Showing is never a reason to stop a run.
        drop(shown_by.send(Message::Event(event.clone())));
    }

    /// Waits until all that was told is shown: before a question is asked below it.
    pub fn settle(&self) {
        self.wait(Message::Settle);
    }

    /// Waits until all that was told is shown, and clears what is live.
    pub fn finish(&self) {
        self.wait(Message::Finish);
    }

    fn wait(&self, message: fn(mpsc::Sender<()>) -> Message) {
        let (answer, answered) = mpsc::channel();
        if let Some(shown_by) = &self.shown_by
            && shown_by.send(message(answer)).is_ok()
        {
            // An error is the thread's end: then there is nothing to wait for.
            answered.recv().unwrap_or_default();
        }
    }
}

impl Drop for Renderer {
    /// What was told is shown, however the verb ended.
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Show for Kept {
        fn show(&mut self, event: &Event) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
        fn finish(&mut self) {
            self.0.lock().unwrap().push("finished".into());
        }
    }

    #[test]
    fn bars_only_where_lines_can_be_redrawn() {
        assert_eq!(Kind::of(false, true, Some("xterm")), Kind::Bars);
        assert_eq!(Kind::of(true, true, Some("xterm")), Kind::Json);
        assert_eq!(Kind::of(false, false, Some("xterm")), Kind::Plain);
        assert_eq!(Kind::of(false, true, Some("dumb")), Kind::Plain);
        assert_eq!(Kind::of(false, true, None), Kind::Plain);
    }

    #[test]
    fn events_are_shown_in_order_and_progress_is_thinned() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let renderer = Renderer::with(Box::new(Kept(kept.clone())));
        for bytes in 0..10_000 {
            renderer.event(&Event::Transfer { number: 1, what: "web".into(), bytes, total: None });
        }
        renderer.event(&Event::TransferDone { number: 1, bytes: 10_000, milliseconds: 5 });
        renderer.settle();
        assert!(kept.lock().unwrap().len() < 5000);
        renderer.event(&Event::Note { text: "last".into() });
        renderer.finish();
        let kept = kept.lock().unwrap();
        assert!(kept[0].contains("bytes: 0"), "{}", kept[0]);
        assert_eq!(kept[kept.len() - 2..], ["Note { text: \"last\" }", "finished"]);
        Renderer::quiet().finish();
    }
}
