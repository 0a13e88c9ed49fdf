//! What effects on datasets are about: streams, bases, parked copies, keys.

use std::num::NonZeroU64;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::direct::Direct;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RemotePath;
use crate::model::RunId;
use crate::model::SnapshotLabel;
use crate::model::SnapshotName;

/// What becomes of somebody's snapshots that are newer than the one that a copy goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newer {
    /// They are in the way.
    #[default]
    Stops,
    /// Those that show nothing new stay: an increment fits behind them all the same (dmu_recv.c,
    /// recv_begin_check_existing_impl), but for a raw one. Others are in the way.
    Fits,
    /// The same, but where others are in the way the copy is left as it is. Nobody needs it to be otherwise: whoever moves
    /// the jail there again is told of it.
    Keeps,
}

/// The key of an encrypted dataset on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The dataset.
    pub dataset: DatasetName,
    /// The file that holds its key.
    pub file: RemotePath,
    /// Does it use its parent's key once that is loaded?
    pub inherits: bool,
}

/// What is to become of snapshots that are not ours when a parked copy is destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Others {
    /// These have been sent, and those that are newer than this one show nothing that it does not. Any other one stops it.
    Sent {
        /// Taken when the jail had stopped.
        last: SnapshotLabel,
        /// Of the copy.
        snapshots: Vec<SnapshotName>,
    },
    /// They go.
    Discard,
}

/// Sending one dataset's snapshot from one host to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Sending host.
    pub from: NodeName,
    /// Receiving host.
    pub to: NodeName,
    /// Dataset at the sender.
    pub dataset: DatasetName,
    /// Dataset at the receiver.
    pub into: DatasetName,
    /// Snapshot to send.
    pub label: SnapshotLabel,
    /// What the receiver has already.
    pub base: Base,
    /// Snapshots between that one and the one to send, oldest first, which come in the same stream. All that there are.
    #[serde(default)]
    pub through: Vec<SnapshotLabel>,
    /// The run it belongs to.
    pub run: RunId,
    /// Whose run it is, to be written on the top dataset while it is received.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// Send encrypted blocks as they are.
    pub raw: bool,
    /// Bytes expected, for the progress bar.
    pub estimate: Option<u64>,
    /// Which round it is: 0 the first, then increments; `None` for the last one, with the jail stopped.
    pub round: Option<u32>,
    /// Bytes a second at most; none with the jail stopped.
    #[serde(default)]
    pub rate: Option<NonZeroU64>,
    /// Which way the data takes.
    pub way: Way,
    /// The dataset's own `refquota`: a full stream that was broken does not bring it, nor one that it is left out of.
    #[serde(default)]
    pub refquota: Option<String>,
    /// Leave `refquota` out for now: one of the snapshots that follow may refer to more than is allowed today.
    #[serde(default)]
    pub unlimited: bool,
    /// A volume, which has neither mount point nor canmount.
    #[serde(default)]
    pub volume: bool,
    /// `jailed=on` at the sender, its own: not yet at the receiver (contract 5.5).
    #[serde(default)]
    pub delegated: bool,
}

/// The way of a transfer's data.
#[expect(missing_docs, reason = "the fields' names and types say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Through the machine that jailferry runs on.
    Relay,
    /// From host to host, into the receive of that number of those that the key was admitted for, counted from 1; and
    /// into which one when it goes on behind a break.
    Direct {
        direct: Box<Direct>,
        number: usize,
        #[serde(default)]
        resume: Option<usize>,
    },
}

/// What an incremental stream builds on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// Nothing: a full stream.
    Nothing,
    /// A snapshot both sides have.
    Snapshot(SnapshotLabel),
    /// Our bookmark of the snapshot sent last.
    Bookmark(SnapshotLabel),
    /// The snapshot that the dataset is a clone of, which the receiver has too, by the same GUID: it becomes a clone there.
    Origin {
        /// Its name at the sender.
        here: SnapshotName,
        /// Its name at the receiver.
        there: SnapshotName,
    },
}

impl Base {
    /// Does the receiver get a new dataset, with the properties of the sender's?
    #[must_use]
    pub fn makes_a_dataset(&self) -> bool {
        matches!(self, Base::Nothing | Base::Origin { .. })
    }
}

/// A dataset with the property values it has when it is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The dataset.
    pub dataset: DatasetName,
    /// `canmount` when live.
    pub canmount: PropertyState,
    /// `readonly` when live.
    pub readonly: PropertyState,
    /// `mountpoint` when live.
    pub mountpoint: PropertyState,
    /// Is it mounted when live?
    pub mounted: bool,
    /// A volume, which has neither mount point nor canmount.
    pub volume: bool,
    /// Does the jail mount it, when live?
    #[serde(default)]
    pub delegation: Delegation,
    /// Where it is mounted when live; unknown in plans of earlier versions.
    #[serde(default)]
    pub at: Option<String>,
}

impl Parked {
    /// What is mounted inside another one behind it. Names do not tell: a mount point of its own may lie anywhere.
    #[must_use]
    pub fn by_place(datasets: &[Parked]) -> Vec<&Parked> {
        let mut ordered: Vec<&Parked> = datasets.iter().collect();
        // Parents first where places are not known, since the order of equals stays.
        ordered.sort_by_key(|parked| parked.at.as_deref().map(|path| path.split('/').collect::<Vec<_>>()));
        ordered
    }

    /// The same, but mounted by nobody yet, and by no boot.
    #[must_use]
    pub fn unmounted(self) -> Parked {
        let canmount = PropertyState::Local("noauto".into());
        Parked { mounted: false, delegation: Delegation::None, canmount, ..self }
    }
}

/// Is a dataset the jail's own to mount and to manage (`jailed`, zfsprops(7))? A copy that nobody uses is nobody's: the host
/// neither renames a jailed dataset nor changes its mount point (libzfs_dataset.c, zfs_valid_proplist and zfs_rename).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delegation {
    /// No: the host mounts it.
    #[default]
    None,
    /// `jailed=on` is its own.
    Own,
    /// `jailed=on` is that of a dataset above it.
    Above,
}

/// Where a property's value comes from (zfsprops(7)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyState {
    /// Inherited or default.
    Inherited,
    /// Came with a stream.
    Received,
    /// Set on the dataset.
    Local(String),
}

/// How to bring home what was written at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BringBack {
    /// The host that ran the jail for a moment.
    pub from: NodeName,
    /// The host it came from.
    pub to: NodeName,
    /// Dataset at `from`, dataset at `to`.
    pub pairs: Vec<(DatasetName, DatasetName)>,
    /// The snapshot both have.
    pub base: SnapshotLabel,
    /// The snapshot to take and send.
    pub label: SnapshotLabel,
    /// Raw streams.
    pub raw: bool,
    /// The run, in whose folder at `to` it is noted when all is home; `None` in plans of older versions.
    #[serde(default)]
    pub run: Option<RunId>,
}
