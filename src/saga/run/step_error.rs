//! Why a step did not succeed.

use crate::model::NodeName;
use crate::remote::CopyError;
use crate::remote::DirectError;
use crate::remote::RemoteError;
use crate::saga::interrupt::INTERRUPTED;
use crate::saga::journal::JournalError;

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("{0}")]
    Remote(#[from] RemoteError),
    #[error("{0}")]
    Copy(#[from] CopyError),
    #[error("{error}\nit could not go on: {why}")]
    Broken { error: CopyError, why: String },
    #[error("{error}\nit could not go on: {why}")]
    Away { error: CopyError, why: String },
    #[error("{0}")]
    Key(#[from] DirectError),
    #[error("{error}\n{why}")]
    Explained { error: RemoteError, why: String },
    #[error("the two hosts differ: {0}")]
    Differs(String),
    #[error("{0} answered {1:?}")]
    Unclear(NodeName, String),
    #[error("{0}")]
    Contents(String),
    #[error("{INTERRUPTED}")]
    TurnedRound,
    #[error("the journal cannot be written: {0}")]
    Journal(#[from] JournalError),
    #[error("the plan cannot be written as JSON: {0}")]
    Plan(#[from] serde_json::Error),
    #[error("stopped at once, as asked")]
    Stopped,
    #[error("whether it happened is not known: nothing was heard of the step before it")]
    Unheard,
}

impl StepError {
    /// What a host, or the way to it, has to do with it: of a stream the end at which it broke.
    pub(super) fn remote(&self) -> Option<&RemoteError> {
        match self {
            StepError::Remote(error) | StepError::Explained { error, .. } => Some(error),
            StepError::Copy(error) | StepError::Broken { error, .. } | StepError::Away { error, .. } => error.remote(),
            StepError::Key(_)
            | StepError::Differs(_)
            | StepError::Unclear(..)
            | StepError::Contents(_)
            | StepError::TurnedRound
            | StepError::Journal(_)
            | StepError::Plan(_)
            | StepError::Stopped
            | StepError::Unheard => None,
        }
    }
}
