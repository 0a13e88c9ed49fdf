//! What of jailferry's is on a host, as found: names, times, and the run or jail that a name tells.

use serde::Deserialize;
use serde::Serialize;

use crate::model::JailName;
use crate::model::Notice;
use crate::model::Owner;
use crate::model::RunId;

/// Everything of ours on one host, and which jails run there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traces {
    /// The host's clock, in seconds since the epoch.
    pub clock: i64,
    /// Jails that run there.
    pub jails: Vec<String>,
    /// What was found.
    pub traces: Vec<Trace>,
}

/// One thing of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What it is.
    pub kind: TraceKind,
    /// Its name, as the host tells it: a dataset, a path, a variable with its value, a line. May be anything.
    pub name: String,
    /// When it was made or last changed, in seconds since the epoch of the host's clock.
    pub since: Option<i64>,
    /// The run whose name it carries.
    pub run: Option<RunId>,
    /// The jail whose name it carries.
    pub jail: Option<JailName>,
    /// Whose that run is, where it says so.
    pub owner: Option<Owner>,
    /// What the run has written on a dataset.
    pub notice: Option<Notice>,
}

/// What a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TraceKind {
    /// A snapshot of ours.
    Snapshot,
    /// A bookmark of ours.
    Bookmark,
    /// A hold of ours; its name is the snapshot's.
    Hold,
    /// A dataset with our mark, not mounted.
    Copy,
    /// A dataset with our mark into which a transfer was cut off.
    PartialCopy,
    /// A dataset with our mark that is mounted.
    MountedCopy,
    /// A dataset on which a run has written that it moves it, and nothing else.
    Notice,
    /// A configuration file put aside, so that no tool starts the jail by it.
    FileAside,
    /// A file that was about to take another one's place.
    StagedFile,
    /// What a WireGuard file was before a run.
    Backup,
    /// Translation rules of a jail for the next boot, or the list of such files.
    RulesFile,
    /// The lock of a jail.
    Lock,
    /// Another file in /var/db/jailferry.
    StateFile,
    /// A file or folder in /var/run.
    RunFile,
    /// A line in a file of keys that lets a run's key in; its name is the file's.
    Key,
    /// A variable of rc.conf(5), as `NAME: VALUE`.
    Variable,
    /// A line of ours in a wg-quick(8) file; its name is the file and the line.
    Hook,
    /// A route that a jail gets at each start, in its configuration file.
    Way,
    /// A pf anchor of ours that holds something.
    Anchor,
    /// A jail of our own.
    Jail,
    /// An interface of our own.
    Interface,
    /// A process, as `PID COMMAND`.
    Process,
}

impl TraceKind {
    /// What people call it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            TraceKind::Snapshot => "snapshot",
            TraceKind::Bookmark => "bookmark",
            TraceKind::Hold => "hold on",
            TraceKind::Copy => "parked copy",
            TraceKind::PartialCopy => "half a copy",
            TraceKind::MountedCopy => "marked dataset",
            TraceKind::Notice => "note on dataset",
            TraceKind::FileAside => "file put aside",
            TraceKind::StagedFile => "staged file",
            TraceKind::Backup => "backup",
            TraceKind::RulesFile => "pf rules for boot",
            TraceKind::Lock => "lock",
            TraceKind::StateFile => "file of a run",
            TraceKind::RunFile => "file of a run",
            TraceKind::Key => "key let in by",
            TraceKind::Variable => "rc.conf variable",
            TraceKind::Hook => "WireGuard hook",
            TraceKind::Way => "route at a jail's start",
            TraceKind::Anchor => "pf anchor",
            TraceKind::Jail => "jail",
            TraceKind::Interface => "interface",
            TraceKind::Process => "process",
        }
    }
}
