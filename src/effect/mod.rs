//! The closed list of things jailferry does to a host, and the exact command of each.
//!
//! An [`Effect`] is data. [`commands`] says how FreeBSD spells it; a change of a FreeBSD command's syntax is a change
//! of one file there. Every effect may be repeated: its script first asks whether things are already so, and reads
//! the state back after the change instead of trusting an exit status (contract, head).

pub mod canary;
pub mod command;
pub mod commands;
pub mod direct;
pub mod hand_over;
pub mod lease;
pub mod meaning;
mod network;
pub mod resume;
pub mod shell;
pub mod simulate;
pub mod understudy;

use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::canary::Canary;
use crate::effect::canary::Trial;
use crate::effect::command::Command;
use crate::effect::command::Guard;
use crate::effect::direct::Direct;
use crate::effect::direct::SshPublicKey;
use crate::effect::hand_over::HandOver;
use crate::effect::lease::Lease;
use crate::effect::lease::Stage;
use crate::effect::meaning::Meaning;
use crate::effect::resume::Resume;
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
    /// An atomic snapshot of a dataset and all below it.
    Snapshot { host: NodeName, dataset: DatasetName, label: SnapshotLabel },
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
    /// Forget the backups of configuration files that a run kept.
    ForgetBackups { host: NodeName, run: RunId },
    /// Take an older copy of ours back to the snapshot it had before this run.
    ///
    /// `arriving`: somebody's snapshots that came with this run, and go with it.
    RollBackReceived {
        host: NodeName,
        dataset: DatasetName,
        base: SnapshotLabel,
        run: RunId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arriving: Vec<SnapshotLabel>,
    },
    /// Prove that a snapshot has the same GUID on both hosts, for every dataset.
    CompareGuids { source: NodeName, target: NodeName, pairs: Vec<(DatasetName, DatasetName)>, label: SnapshotLabel },
    /// Unmount a jail's datasets, make them read-only and unmountable by accident, and mark them as a copy of that run.
    Park { host: NodeName, datasets: Vec<Parked>, run: RunId },
    /// Give parked datasets their own properties back and mount them.
    Unpark { host: NodeName, datasets: Vec<Parked> },
    /// Destroy the snapshots that runs of this jail left on a dataset and all below it, but the one that is kept.
    Tidy { host: NodeName, dataset: DatasetName, jail: JailName, keep: SnapshotLabel },
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
    /// A gateway address on a bridge.
    AddAlias { host: NodeName, interface: InterfaceName, address: IpAddr, length: u8 },
    /// The end of such an address.
    RemoveAlias { host: NodeName, interface: InterfaceName, address: IpAddr, length: u8 },
    /// Answer ARP for addresses that are routed elsewhere, or not (`net.link.ether.inet.proxyall`).
    ProxyArp { host: NodeName, on: bool },
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
    /// Which way the data takes.
    pub way: Way,
    /// The dataset's own `refquota`, which a full stream that was broken does not bring.
    #[serde(default)]
    pub refquota: Option<String>,
    /// A volume, which has neither mount point nor canmount.
    #[serde(default)]
    pub volume: bool,
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

/// Something to prove, without changing anything.
#[expect(missing_docs, reason = "the fields' names and types say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "probe", rename_all = "snake_case")]
pub enum Probe {
    /// Echo request; `size` is the whole packet in bytes with DF set; `fib` of the sender.
    /// `source` is the sender's own address where its usual one would not get an answer.
    Ping { address: IpAddr, size: Option<u32>, fib: u16, source: Option<IpAddr>, seconds: u32 },
    /// A TCP connection.
    Tcp { address: IpAddr, port: u16, source: Option<IpAddr>, seconds: u32 },
    /// An HTTP answer: its status and, if given, a text in it.
    Http { url: String, status: u16, body: Option<String>, source: Option<IpAddr>, seconds: u32 },
    /// A command inside the jail that must succeed.
    Inside { jail: JailName, argv: Vec<String>, seconds: u32 },
    /// The same, asked inside a jail with the jail's own tools: whether its services answer itself.
    Within { jail: JailName, asked: Box<Probe> },
    /// Something that the canary, or the jail itself, tries on its way; tells the likely reason when it fails.
    Trial(Box<Trial>),
    /// Echo requests from inside the jail.
    PingFromInside { jail: JailName, address: IpAddr, size: Option<u32>, seconds: u32 },
}

/// How an effect is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing to run.
    Nothing,
    /// These commands, one after the other.
    Run(Vec<Command>),
    /// One command's output is the other's input.
    Pipe {
        /// Sends.
        from: Command,
        /// Receives.
        to: Command,
        /// Bytes expected.
        estimate: Option<u64>,
        /// How it goes on when the stream breaks.
        resume: Option<Box<Resume>>,
    },
    /// The source sends into the target by itself; only its count of bytes comes by here.
    Direct {
        /// What runs, on the source.
        send: Command,
        /// What sends within it, for errors.
        from: Command,
        /// What receives, run by the key on the target, for errors.
        to: Command,
        /// Bytes expected.
        estimate: Option<u64>,
        /// How it goes on when the stream breaks.
        resume: Option<Box<Resume>>,
    },
    /// A key is made and its public half, which `make` prints, admitted.
    AdmitKey {
        /// Makes the key.
        make: Command,
        /// Admits it, with [`SshPublicKey::placeholder`] in the place of the key.
        admit: Command,
        /// What it is for.
        direct: Box<Direct>,
        /// What the key may run.
        receives: Vec<Command>,
    },
    /// The plan itself goes where [`THIS_PLAN`](commands::lease::THIS_PLAN) stands.
    StorePlan {
        /// With the placeholder.
        store: Command,
        /// The hub.
        host: NodeName,
        /// The run.
        run: RunId,
    },
    /// Over a fresh connection.
    Fresh(Command),
    /// When `tried` fails, the answer of `why` says more.
    Explained {
        /// What has to succeed.
        tried: Command,
        /// A question to another host, which changes nothing.
        why: Option<Command>,
    },
    /// Both must print the same lines.
    Compare {
        /// First.
        left: Command,
        /// Second.
        right: Command,
    },
    /// Several of these in order.
    Sequence(Vec<Work>),
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
            Effect::BringBack(b) => &b.to,
            Effect::StopJail(p) | Effect::StartJail(p) => &p.host,
            Effect::MakeCanary(c) | Effect::RemoveCanary(c) => &c.host,
            Effect::CloneForRehearsal(u)
            | Effect::DiscardClones(u)
            | Effect::StartUnderstudy(u)
            | Effect::StopUnderstudy(u) => &u.host,
            Effect::AddRoute(r) | Effect::DeleteRoute(r) => &r.host,
            Effect::HandOver(h) => &h.host,
            Effect::Arm(lease) => &lease.host,
        }
    }
}

impl Work {
    /// Lets every script of it wait for the jail's turn on its host, and do nothing unless the guard holds. What data
    /// goes through does not wait: the host's other steps run beside it.
    #[must_use]
    pub fn guarded(self, guard: &Guard) -> Work {
        match self {
            Work::Nothing => Work::Nothing,
            Work::Run(commands) => Work::Run(commands.into_iter().map(|c| c.exclusive(guard)).collect()),
            Work::Pipe { from, to, estimate, resume } => Work::Pipe {
                from: from.guarded(guard),
                to: to.guarded(guard),
                estimate,
                resume: resume.map(|r| Box::new(r.guarded(guard))),
            },
            // A program with arguments, and a key.
            Work::Direct { send, from, to, estimate, resume } => {
                Work::Direct { send, from, to, estimate, resume: resume.map(|r| Box::new(r.guarded(guard))) }
            }
            Work::StorePlan { store, host, run } => Work::StorePlan { store: store.exclusive(guard), host, run },
            Work::Explained { tried, why } => Work::Explained { tried: tried.exclusive(guard), why },
            Work::Compare { left, right } => {
                Work::Compare { left: left.exclusive(guard), right: right.exclusive(guard) }
            }
            Work::Sequence(parts) => Work::Sequence(parts.into_iter().map(|p| p.guarded(guard)).collect()),
            // Programs with arguments and keys; they change nothing that another owner could care for.
            Work::AdmitKey { .. } | Work::Fresh(_) => self,
        }
    }

    /// All commands, in the order in which they may run. Exactly as they run, but for the placeholder of a key that
    /// does not exist yet.
    #[must_use]
    pub fn commands(&self) -> Vec<&Command> {
        match self {
            Work::Nothing => Vec::new(),
            Work::Run(commands) => commands.iter().collect(),
            Work::Pipe { from, to, .. } => vec![from, to],
            Work::Direct { send, .. } => vec![send],
            Work::AdmitKey { make, admit, .. } => vec![make, admit],
            Work::StorePlan { store, .. } => vec![store],
            Work::Fresh(command) => vec![command],
            Work::Explained { tried, why } => std::iter::once(tried).chain(why).collect(),
            Work::Compare { left, right } => vec![left, right],
            Work::Sequence(parts) => parts.iter().flat_map(Work::commands).collect(),
        }
    }

    /// How its streams go on when they break.
    #[must_use]
    pub fn resumes(&self) -> Vec<&Resume> {
        match self {
            Work::Pipe { resume, .. } | Work::Direct { resume, .. } => resume.iter().map(AsRef::as_ref).collect(),
            Work::Sequence(parts) => parts.iter().flat_map(Work::resumes).collect(),
            Work::Nothing
            | Work::Run(_)
            | Work::AdmitKey { .. }
            | Work::StorePlan { .. }
            | Work::Fresh(_)
            | Work::Explained { .. }
            | Work::Compare { .. } => Vec::new(),
        }
    }
}
