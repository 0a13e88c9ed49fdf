//! What a person or a machine sees of a run: events in, lines out.

pub mod event;
pub mod paint;
pub mod plan_view;
pub mod renderer;
pub mod sanitize;
