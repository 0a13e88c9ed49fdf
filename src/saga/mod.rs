//! The saga: which steps were intended, done and undone, written down before and after each of them.
//!
//! [`record`] and [`state`] are pure: what a journal says and what follows from it. [`journal`] is the file.

pub mod beats;
pub mod direction;
pub mod hooks;
pub mod interrupt;
pub mod journal;
pub mod lanes;
pub mod owner;
pub mod past;
pub mod record;
pub mod run;
pub mod state;
pub mod turn;
pub mod undo;

pub use journal::Journal;
pub use journal::JournalError;
pub use record::Header;
pub use record::Record;
pub use record::RunRecord;
pub use state::IllegalEvent;
pub use state::StepEvent;
pub use state::StepState;
