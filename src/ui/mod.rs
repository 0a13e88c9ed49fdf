//! What a person or a machine sees of a run: events in, lines out.
//!
//! [`event`] is the vocabulary, [`renderer`] carries events to the one [`Show`] that was chosen: [`plain`] lines,
//! [`bars`] on a terminal, or [`json`] lines. A reader that goes away (`| head`) or a terminal that is paused never
//! disturbs a run.

pub mod bars;
pub mod doctor_view;
pub mod event;
pub mod json;
pub mod output;
pub mod paint;
pub mod plain;
pub mod plan_script;
pub mod plan_view;
pub mod renderer;
pub mod sanitize;
pub mod text;

use crate::ui::event::Event;

/// Something that shows events.
pub trait Show: Send {
    /// Shows one event.
    fn show(&mut self, event: &Event);

    /// Nothing more will come: clears what is live on the terminal.
    fn finish(&mut self) {}
}
