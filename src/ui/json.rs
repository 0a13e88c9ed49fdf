//! One JSON object a line, for machines: the events as they are.

use std::io::Write;

use crate::ui::Show;
use crate::ui::event::Event;
use crate::ui::output::Lines;

/// Shows events as JSON lines.
#[derive(Debug)]
pub struct Json<W> {
    lines: Lines<W>,
    /// Which of several moves the events are about.
    jail: Option<String>,
}

impl<W: Write> Json<W> {
    /// Writes to `stream`.
    pub fn new(stream: W) -> Json<W> {
        Json { lines: Lines::new(stream), jail: None }
    }

    /// Adds the jail to every event.
    #[must_use]
    pub fn of(mut self, jail: &str) -> Json<W> {
        self.jail = Some(jail.to_owned());
        self
    }
}

impl<W: Write + Send> Show for Json<W> {
    fn show(&mut self, event: &Event) {
        // An event is made of strings and numbers and always has a JSON form.
        let Ok(mut value) = serde_json::to_value(event) else { return };
        if let (Some(jail), Some(fields)) = (&self.jail, value.as_object_mut()) {
            fields.insert("jail".into(), jail.as_str().into());
        }
        self.lines.line(&value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_reads_back_as_its_event() {
        let events = [
            Event::Note { text: "two\nlines \u{1b}[2J".into() },
            Event::Transfer { number: 3, what: "zroot/web".into(), bytes: 7, total: None },
        ];
        let mut bytes = Vec::new();
        let mut json = Json::new(&mut bytes);
        events.iter().for_each(|e| json.show(e));
        let text = String::from_utf8(bytes).unwrap();
        let back: Vec<Event> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(back, events);
        assert!(!text.contains('\u{1b}'));
    }
}
