//! What happens during a run, as values. Nothing in the core prints; everything is an [`Event`].

use serde::Deserialize;
use serde::Serialize;

use crate::model::NodeName;
use crate::model::RunId;
use crate::model::SnapshotLabel;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Facts are being gathered from a host.
    AskingHost {
        /// The host.
        host: NodeName,
    },
    /// A host answered.
    HostAnswered {
        /// The host.
        host: NodeName,
        /// How long it took, in milliseconds.
        milliseconds: u64,
    },
    /// A run begins.
    RunStarted {
        /// Its id.
        run: RunId,
        /// Its number of steps.
        steps: usize,
        /// One line that says what it is.
        title: String,
    },
    /// A step begins.
    StepStarted {
        /// Its place in the plan, from 1.
        number: usize,
        /// The host it works on.
        host: NodeName,
        /// What it does.
        title: String,
        /// Is this the undoing of the step?
        undo: bool,
    },
    /// A step is done, or was found to be so already.
    StepDone {
        /// Its place in the plan.
        number: usize,
        /// Milliseconds it took.
        milliseconds: u64,
        /// Is this the undoing of the step?
        undo: bool,
    },
    /// A step was left out, with the reason.
    StepSkipped {
        /// Its place in the plan.
        number: usize,
        /// Why.
        reason: String,
    },
    /// A step failed.
    StepFailed {
        /// Its place in the plan.
        number: usize,
        /// What the host said.
        error: String,
        /// Is this the undoing of the step?
        undo: bool,
    },
    /// Bytes of a transfer so far.
    Transfer {
        /// The step's number.
        number: usize,
        /// What is sent.
        what: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes expected, when known.
        total: Option<u64>,
    },
    /// The transfer is over.
    TransferDone {
        /// The step's number.
        number: usize,
        /// Bytes in all.
        bytes: u64,
        /// Milliseconds it took.
        milliseconds: u64,
    },
    /// The stream of a transfer broke; it is tried again.
    TransferBroken {
        /// The step's number.
        number: usize,
        /// What broke.
        error: String,
        /// Seconds until the next try.
        seconds: u64,
        /// The number of that try, from 1; counted anew when much has arrived since.
        attempt: u32,
        /// How many there are at most in a row.
        attempts: u32,
    },
    /// The transfer goes on.
    TransferResumed {
        /// The step's number.
        number: usize,
        /// Bytes that the target has kept; 0: it begins anew.
        kept: u64,
        /// Bytes that are left, as the source reckons; unknown when it begins anew.
        left: Option<u64>,
        /// Bytes that were sent in vain since the last break and are sent again; unknown behind a snapshot that has
        /// arrived.
        again: Option<u64>,
        /// Of several snapshots in one stream: the last that has arrived.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arrived: Option<SnapshotLabel>,
    },
    /// The run turns round and undoes what it did.
    Unwinding {
        /// Why.
        reason: String,
    },
    /// Something a person should know.
    Note {
        /// The text, one sentence or more.
        text: String,
    },
    /// The run is over.
    RunFinished {
        /// Its id.
        run: RunId,
        /// How it ended: `moved`, `rolled-back`, `needs-human`.
        outcome: String,
        /// Milliseconds in which nobody answered, when measured.
        blackout_milliseconds: Option<u64>,
        /// What it means for the jail now, and what to do next.
        summary: String,
    },
}
