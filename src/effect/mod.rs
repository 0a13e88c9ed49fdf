//! The closed list of things jailferry does to a host, and the exact command of each.
//!
//! An [`Effect`] is data. [`commands`] says how FreeBSD spells it; a change of a FreeBSD command's syntax is a change
//! of one file there. Every effect may be repeated: its script first asks whether things are already so, and reads
//! the state back after the change instead of trusting an exit status (contract, head).

pub mod canary;
pub mod chain;
pub mod cipher;
pub mod command;
pub mod commands;
pub mod contents;
mod datasets;
pub mod direct;
pub mod hand_over;
pub mod lease;
pub mod meaning;
mod network;
mod probe;
pub mod properties;
pub mod resume;
pub mod shell;
pub mod simulate;
pub mod size;
pub mod understudy;
pub mod work;

use std::net::IpAddr;

pub use datasets::Base;
pub use datasets::BringBack;
pub use datasets::Delegation;
pub use datasets::KeyUse;
pub use datasets::Newer;
pub use datasets::Others;
pub use datasets::Parked;
pub use datasets::PropertyState;
pub use datasets::Transfer;
pub use datasets::Way;
pub use probe::Probe;
pub use properties::PropertyChange;
use serde::Deserialize;
use serde::Serialize;
pub use work::Comparison;
pub use work::Work;

use crate::effect::canary::Canary;
use crate::effect::command::Command;
use crate::effect::contents::Listing;
use crate::effect::direct::Direct;
use crate::effect::direct::SshPublicKey;
use crate::effect::hand_over::HandOver;
use crate::effect::lease::Lease;
use crate::effect::lease::Stage;
use crate::effect::meaning::Meaning;
use crate::effect::understudy::Understudy;
use crate::model::DatasetName;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Notice;
use crate::model::Owner;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::model::RunId;
use crate::model::SnapshotLabel;
use crate::model::SnapshotName;
use crate::model::TableName;

/// One thing done to one host (or between two).
#[expect(
    missing_docs,
    reason = "the fields' names and types say what they are; the variants say what is done with them"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// An atomic snapshot of a dataset and all below it, which must be those that are known. A plan of an earlier version
    /// names none, and then that is not asked.
    Snapshot {
        host: NodeName,
        dataset: DatasetName,
        label: SnapshotLabel,
        #[serde(default)]
        known: Vec<DatasetName>,
    },
    /// The end of such a snapshot, by its exact name.
    DestroySnapshot { host: NodeName, dataset: DatasetName, label: SnapshotLabel, held_by: Option<SnapshotLabel> },
    /// A hold on a snapshot of a dataset and all below it, so that nobody destroys it by mistake.
    Hold { host: NodeName, dataset: DatasetName, label: SnapshotLabel, tag: SnapshotLabel },
    /// Holds on somebody's snapshots, so that they are there until they are sent.
    HoldSnapshots { host: NodeName, snapshots: Vec<SnapshotName>, tag: SnapshotLabel },
    /// The end of such holds.
    ReleaseSnapshots { host: NodeName, snapshots: Vec<SnapshotName>, tag: SnapshotLabel },
    /// Let a bookmark point at a snapshot: the base of the next increment has one name however many rounds there were.
    MoveBookmark { host: NodeName, datasets: Vec<DatasetName>, bookmark: SnapshotLabel, label: SnapshotLabel },
    /// Remove our bookmark.
    RemoveBookmark { host: NodeName, datasets: Vec<DatasetName>, bookmark: SnapshotLabel },
    /// Send a dataset's snapshot to another host.
    Transfer(Transfer),
    /// Make a key for this run on the source and admit it on the target, for these receives and nothing else.
    AdmitKey { direct: Box<Direct>, host_key: SshPublicKey, receives: Vec<Command> },
    /// Prove that the source gets in to the target with that key.
    TryKey { direct: Box<Direct> },
    /// The end of that key on both hosts.
    RemoveKey { direct: Box<Direct> },
    /// Give a dataset and all below it another name; nothing is mounted or unmounted.
    RenameDataset { host: NodeName, from: DatasetName, to: DatasetName },
    /// Destroy datasets that this run received, and nothing else.
    ///
    /// `arriving`: somebody's snapshots that come with this run.
    DiscardReceived {
        host: NodeName,
        datasets: Vec<DatasetName>,
        run: RunId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arriving: Vec<SnapshotLabel>,
    },
    /// Destroy the copy that a run left parked, with its snapshots: only while it is still that run's, and unmounted, and
    /// only if somebody's snapshots on it are known to be elsewhere too, or may go.
    DestroyParked { host: NodeName, datasets: Vec<DatasetName>, run: RunId, others: Others },
    /// Forget the backups of configuration files that a run kept: beside those in WireGuard's folders, and beside these.
    ForgetBackups {
        host: NodeName,
        run: RunId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<RemotePath>,
    },
    /// Take an older copy of ours back to the snapshot it had before this run.
    ///
    /// `arriving`: somebody's snapshots that came with this run, and go with it. `newer`: what becomes of those
    /// that somebody has taken of it since.
    RollBackReceived {
        host: NodeName,
        dataset: DatasetName,
        base: SnapshotLabel,
        run: RunId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arriving: Vec<SnapshotLabel>,
        #[serde(default)]
        newer: Newer,
    },
    /// Prove that a snapshot has the same GUID on both hosts, for every dataset.
    CompareGuids { source: NodeName, target: NodeName, pairs: Vec<(DatasetName, DatasetName)>, label: SnapshotLabel },
    /// Unmount a jail's datasets, make them read-only and unmountable by accident, and mark them as a copy of that run.
    Park { host: NodeName, datasets: Vec<Parked>, run: RunId },
    /// Give parked datasets their own properties back and mount them.
    Unpark { host: NodeName, datasets: Vec<Parked> },
    /// Set a dataset's properties, or take them back.
    SetProperties { host: NodeName, dataset: DatasetName, changes: Vec<PropertyChange> },
    /// Destroy the snapshots that runs of this jail left on a dataset and all below it, but the one that is kept.
    Tidy {
        host: NodeName,
        dataset: DatasetName,
        jail: JailName,
        keep: SnapshotLabel,
        /// Others that stay.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        bases: Vec<SnapshotLabel>,
    },
    /// Prove that the files on a host hold the keys of encrypted datasets.
    TryKeys { host: NodeName, keys: Vec<KeyUse> },
    /// Load the keys of encrypted datasets from these files.
    LoadKeys { host: NodeName, keys: Vec<KeyUse> },
    /// Let go of such keys.
    UnloadKeys { host: NodeName, datasets: Vec<DatasetName> },
    /// Remove our mark from datasets that are now the live copy.
    ClearMark { host: NodeName, datasets: Vec<DatasetName> },
    /// Write on a dataset which run moves it and whose that is, for whoever has only this host left.
    Declare { host: NodeName, dataset: DatasetName, notice: Notice },
    /// The same anew, only where that run has written before: a copy that is gone, or an older one that has its place
    /// again, says nothing of it.
    Amend { host: NodeName, dataset: DatasetName, notice: Notice },
    /// The end of what that run wrote on a dataset.
    Withdraw { host: NodeName, dataset: DatasetName, run: RunId },
    /// Send what was written at the target back to the source; only ever used to undo a start.
    BringBack(BringBack),
    /// Nothing forward; the step exists for its undo.
    KeepWayBack { host: NodeName },
    /// Write a small text file.
    WriteFile { host: NodeName, path: RemotePath, text: String, mode: String, replaces: Option<String> },
    /// Remove a file that holds exactly what we wrote.
    RemoveFile { host: NodeName, path: RemotePath, sha256: String },
    /// Rename a file, so that no tool starts the jail by it.
    MoveFile { host: NodeName, from: RemotePath, to: RemotePath },
    /// Forget a file of ours that is no longer needed.
    ForgetFile { host: NodeName, path: RemotePath },
    /// Prove that jail(8) reads the configuration as it is meant.
    CheckJailConfiguration { host: NodeName, jail: JailName, file: RemotePath, expected: Vec<(String, String)> },
    /// Stop a jail and see it gone.
    StopJail(JailPlace),
    /// Start a jail and see it running.
    StartJail(JailPlace),
    /// A script of another module (rc.conf, WireGuard configuration) with the words that describe it.
    Edit { host: NodeName, what: String, script: String, meaning: Meaning },
    /// A route out of an interface.
    AddRoute(RouteSpec),
    /// The end of such a route.
    DeleteRoute(RouteSpec),
    /// The same of a route to the subnet of siblings, unless rc.conf says by now that it is for good: another run's jail
    /// needs it too.
    DeleteSubnetRoute(RouteSpec),
    /// A gateway address on a bridge.
    AddAlias { host: NodeName, interface: InterfaceName, address: IpAddr, length: u8 },
    /// The end of such an address.
    ///
    /// `unless_kept`: not where rc.conf says by now that it is for good, as another run does whose jail needs it too.
    RemoveAlias {
        host: NodeName,
        interface: InterfaceName,
        address: IpAddr,
        length: u8,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unless_kept: bool,
    },
    /// Answer ARP for addresses that are routed elsewhere, or not (`net.link.ether.inet.proxyall`).
    ///
    /// `unless_kept`: it is not switched off where rc.conf says by now that it is on for good.
    ProxyArp {
        host: NodeName,
        on: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unless_kept: bool,
    },
    /// A host route through a gateway inside a running jail, or its end.
    JailRoute { host: NodeName, jail: JailName, to: IpAddr, gateway: IpAddr, there: bool },
    /// Change who owns which prefixes: one atomic `wg set`.
    HandOver(HandOver),
    /// Forget the packet filter's states of a jail's addresses.
    KillStates { host: NodeName, prefixes: Vec<Prefix> },
    /// Prove that pfctl(8) reads the rules of a jail's anchor.
    CheckAnchor { host: NodeName, jail: JailName, rules: Vec<String> },
    /// Replace the translation rules of a jail's anchor, `jailferry/JAIL`; without any the anchor is empty.
    LoadAnchor { host: NodeName, jail: JailName, before: Vec<String>, rules: Vec<String> },
    /// Let the anchor come back at boot, or not any more: its file, and its line in the file that pf.conf includes.
    KeepAnchor { host: NodeName, jail: JailName, rules: Vec<String>, main: RemotePath },
    /// Put prefixes into a pf table that is there, and take others out.
    ChangeTable { host: NodeName, table: TableName, add: Vec<Prefix>, remove: Vec<Prefix> },
    /// Forget link-layer addresses of the jail, on a host and inside jails next to it: its interface gets a new one.
    ForgetNeighbours { host: NodeName, addresses: Vec<IpAddr>, jails: Vec<JailName> },
    /// Let a running jail speak to its neighbours, so that they and the bridges on the way learn where it is.
    Announce { host: NodeName, jail: JailName, neighbours: Vec<IpAddr> },
    /// A throw-away jail on the new way.
    MakeCanary(Canary),
    /// Its end, and that of whatever there is of it.
    RemoveCanary(Canary),
    /// Clones of what has arrived, mounted where nothing else is.
    CloneForRehearsal(Understudy),
    /// Their end, and nothing else's.
    DiscardClones(Understudy),
    /// A jail out of those clones, without a way out.
    StartUnderstudy(Understudy),
    /// Its end, and that of what is mounted in it.
    StopUnderstudy(Understudy),
    /// List what is in snapshots, with digests of the files, and keep that on the host.
    ListContents(Listing),
    /// Prove that two such listings are the same.
    CompareContents { source: Listing, target: Listing },
    /// The end of a listing, and of what is still at work on it.
    ForgetListing(Listing),
    /// Take the lock of a jail, so that only one run moves it.
    Lock { host: NodeName, jail: JailName, run: RunId, owner: Owner },
    /// Take the turn to change the network that is switched at a hub: one run at a time, whichever jails move.
    TakeNetwork { host: NodeName, run: RunId, owner: Owner },
    /// Give it back.
    LeaveNetwork { host: NodeName, run: RunId },
    /// Keep the whole plan on the hub, so that another machine can take over.
    StorePlan { host: NodeName, run: RunId },
    /// Write down on the hub how far the run is.
    Mark { host: NodeName, run: RunId, stage: Stage },
    /// Let a host go back by itself when nobody is heard any more.
    Arm(Lease),
    /// From now on it does not; refused when it has.
    Release { host: NodeName, jail: JailName, run: RunId },
    /// The end of a lease, whatever became of it.
    Disarm { host: NodeName, jail: JailName, run: RunId },
    /// Prove that a changed network still lets us in: a connection made the whole way anew.
    Confirm { host: NodeName },
    /// Give it back.
    Unlock { host: NodeName, jail: JailName, run: RunId },
    /// Let a host ask an address ten times a second, to see from outside for how long nobody answers.
    Watch { host: NodeName, address: IpAddr, run: RunId },
    /// End the watching and tell what was seen.
    Unwatch { host: NodeName, run: RunId },
    /// Something to prove.
    Probe { host: NodeName, probe: Probe },
}

/// A jail on a host, with what must be seen when it runs and what must be gone when it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailPlace {
    /// The host.
    pub host: NodeName,
    /// The jail.
    pub jail: JailName,
    /// Its configuration file.
    pub file: RemotePath,
    /// Its root directory.
    pub path: RemotePath,
    /// Its interfaces on the host, such as epair7a.
    pub interfaces: Vec<InterfaceName>,
    /// The bridge they belong to.
    pub bridge: Option<InterfaceName>,
    /// The FIB they belong to.
    pub fib: u16,
    /// Those that are on another bridge, or none, in whatever FIB.
    #[serde(default)]
    pub elsewhere: Vec<InterfaceName>,
    /// Datasets whose file systems and those below it mounts itself.
    #[serde(default)]
    pub delegated: Vec<DatasetName>,
    /// Datasets that jail(8) mounts for it (`mountpoint=legacy`, zfsprops(7)).
    #[serde(default)]
    pub legacy: Vec<DatasetName>,
}

/// A route out of an interface in one FIB. Never a next hop: an added next hop silently makes a second path (contract 0.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSpec {
    /// The host.
    pub host: NodeName,
    /// Where to.
    pub prefix: Prefix,
    /// Out of which interface.
    pub interface: InterfaceName,
    /// In which routing table.
    pub fib: u16,
}

impl Effect {
    /// The host it is listed under: the one that changes.
    #[must_use]
    pub fn host(&self) -> &NodeName {
        match self {
            Effect::Snapshot { host, .. }
            | Effect::DestroySnapshot { host, .. }
            | Effect::Hold { host, .. }
            | Effect::HoldSnapshots { host, .. }
            | Effect::ReleaseSnapshots { host, .. }
            | Effect::MoveBookmark { host, .. }
            | Effect::RemoveBookmark { host, .. }
            | Effect::RenameDataset { host, .. }
            | Effect::DiscardReceived { host, .. }
            | Effect::DestroyParked { host, .. }
            | Effect::ForgetBackups { host, .. }
            | Effect::RollBackReceived { host, .. }
            | Effect::Park { host, .. }
            | Effect::Unpark { host, .. }
            | Effect::SetProperties { host, .. }
            | Effect::Tidy { host, .. }
            | Effect::TryKeys { host, .. }
            | Effect::LoadKeys { host, .. }
            | Effect::UnloadKeys { host, .. }
            | Effect::ClearMark { host, .. }
            | Effect::Declare { host, .. }
            | Effect::Amend { host, .. }
            | Effect::Withdraw { host, .. }
            | Effect::KeepWayBack { host }
            | Effect::WriteFile { host, .. }
            | Effect::RemoveFile { host, .. }
            | Effect::MoveFile { host, .. }
            | Effect::ForgetFile { host, .. }
            | Effect::CheckJailConfiguration { host, .. }
            | Effect::Edit { host, .. }
            | Effect::AddAlias { host, .. }
            | Effect::ProxyArp { host, .. }
            | Effect::JailRoute { host, .. }
            | Effect::RemoveAlias { host, .. }
            | Effect::KillStates { host, .. }
            | Effect::CheckAnchor { host, .. }
            | Effect::LoadAnchor { host, .. }
            | Effect::KeepAnchor { host, .. }
            | Effect::ChangeTable { host, .. }
            | Effect::ForgetNeighbours { host, .. }
            | Effect::Announce { host, .. }
            | Effect::Lock { host, .. }
            | Effect::TakeNetwork { host, .. }
            | Effect::LeaveNetwork { host, .. }
            | Effect::StorePlan { host, .. }
            | Effect::Mark { host, .. }
            | Effect::Release { host, .. }
            | Effect::Disarm { host, .. }
            | Effect::Confirm { host }
            | Effect::Unlock { host, .. }
            | Effect::Watch { host, .. }
            | Effect::Unwatch { host, .. }
            | Effect::Probe { host, .. } => host,
            Effect::Transfer(t) => &t.to,
            Effect::TryKey { direct } => &direct.source,
            Effect::AdmitKey { direct, .. } | Effect::RemoveKey { direct } => &direct.target,
            Effect::CompareGuids { target, .. } => target,
            Effect::CompareContents { target, .. } => &target.host,
            Effect::ListContents(listing) | Effect::ForgetListing(listing) => &listing.host,
            Effect::BringBack(b) => &b.to,
            Effect::StopJail(p) | Effect::StartJail(p) => &p.host,
            Effect::MakeCanary(c) | Effect::RemoveCanary(c) => &c.host,
            Effect::CloneForRehearsal(u)
            | Effect::DiscardClones(u)
            | Effect::StartUnderstudy(u)
            | Effect::StopUnderstudy(u) => &u.host,
            Effect::AddRoute(r) | Effect::DeleteRoute(r) | Effect::DeleteSubnetRoute(r) => &r.host,
            Effect::HandOver(h) => &h.host,
            Effect::Arm(lease) => &lease.host,
        }
    }
}
