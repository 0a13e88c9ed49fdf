//! Where a run of a batch waits until no other cuts over.

use futures_util::future::BoxFuture;

use crate::plan::Plan;

/// Lets a run go on from behind its copy.
pub trait Turn: Send + Sync {
    /// Waits for the turn.
    ///
    /// # Errors
    /// Why the run must not go on; what it has copied is taken back then.
    fn come(&self) -> BoxFuture<'_, Result<(), String>>;

    /// The plan to go on with, when the facts had changed by then.
    fn plan(&self) -> Option<&Plan>;
}
