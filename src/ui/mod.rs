//! What a person or a machine sees of a run: events in, lines out.

pub mod event;
pub mod sanitize;
