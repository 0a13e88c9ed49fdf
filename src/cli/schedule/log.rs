//! What the scheduler says: one line a decision, on standard output, for a service manager's log.

use jiff::Timestamp;

use crate::cli::output;
use crate::schedule::standing::short;
use crate::ui::sanitize;

/// Writes lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    pub(super) json: bool,
}

impl Log {
    /// Something was decided or happened to a playbook; without a name, to the scheduler.
    pub(super) fn say(self, at: Timestamp, name: &str, text: &str) {
        if self.json {
            self.object(at, name, "said", text);
            return;
        }
        for line in sanitize::block(text).lines() {
            output::say(&format!("{} {name}: {line}", short(at)));
        }
    }

    /// A line of the run's own output.
    pub(super) fn relay(self, at: Timestamp, name: &str, line: &str) {
        if self.json {
            self.object(at, name, "output", line);
        } else {
            output::say(&format!("{} {name} | {}", short(at), sanitize::line(line)));
        }
    }

    fn object(self, at: Timestamp, name: &str, kind: &str, text: &str) {
        output::say(&serde_json::json!({ "at": at, "playbook": name, "kind": kind, "text": text }).to_string());
    }
}
