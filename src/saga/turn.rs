//! Where a run of a batch waits until no other cuts over.

use futures_util::future::BoxFuture;

use crate::plan::Plan;

/// Why a run does not go on from behind its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoTurn {
    /// A host cannot be asked now; it may be back later.
    Away(String),
    /// It must not; what it has copied is taken back then.
    Never(String),
}

impl From<String> for NoTurn {
    fn from(why: String) -> NoTurn {
        NoTurn::Never(why)
    }
}

/// Lets a run go on from behind its copy.
pub trait Turn: Send + Sync {
    /// Waits for the turn. May be asked again when a host was away.
    ///
    /// # Errors
    /// Why the run does not go on.
    fn come(&self) -> BoxFuture<'_, Result<(), NoTurn>>;

    /// The plan to go on with, when the facts had changed by then.
    fn plan(&self) -> Option<&Plan>;
}
