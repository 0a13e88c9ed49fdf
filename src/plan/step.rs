//! Building steps, one property after the other.

use crate::effect::Effect;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;

impl Step {
    /// A step without undo or changes.
    #[must_use]
    pub fn new(phase: Phase, title: impl Into<String>, effect: Effect) -> Step {
        Step {
            phase,
            title: title.into(),
            effect,
            undo: vec![],
            changes: vec![],
            alongside: false,
            guard: None,
            round: None,
        }
    }

    /// Lets it run at the same time as the step before it.
    #[must_use]
    pub fn alongside(mut self) -> Step {
        self.alongside = true;
        self
    }

    /// Adds an undo effect behind those it has.
    #[must_use]
    pub fn undo(mut self, effect: Effect) -> Step {
        self.undo.push(effect);
        self
    }

    /// Adds a change for people to read.
    #[must_use]
    pub fn change(mut self, change: Change) -> Step {
        self.changes.push(change);
        self
    }

    /// Adds several.
    #[must_use]
    pub fn changes(mut self, changes: Vec<Change>) -> Step {
        self.changes.extend(changes);
        self
    }
}

impl Change {
    /// A value before and after.
    pub fn new(what: impl ToString, before: impl ToString, after: impl ToString) -> Change {
        Change { what: what.to_string(), before: before.to_string(), after: after.to_string() }
    }
}
