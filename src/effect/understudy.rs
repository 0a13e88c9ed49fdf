//! The understudy: a clone of what has arrived, started at the target where nobody can reach it, before the jail stops.

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

use crate::model::DatasetName;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::model::RunId;

/// A VNET jail out of clones of the jail's datasets. No interface of the host's is in it, and nothing of it runs on the
/// host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understudy {
    /// The host.
    pub host: NodeName,
    /// Its name, which begins with `jailferry_dress_`.
    pub jail: JailName,
    /// The jail whose part it plays.
    pub of: JailName,
    /// The run it belongs to, in the marks of its datasets and in its paths.
    pub run: RunId,
    /// Where its first clone is mounted; there is nothing else in that directory.
    pub place: RemotePath,
    /// Its root directory, there or below.
    pub root: RemotePath,
    /// Its datasets, parents first; never none.
    pub clones: Vec<CloneOf>,
    /// Interfaces made inside, one for each that the jail has, with their own other ends: they lead nowhere.
    pub ends: Vec<DeadEnd>,
    /// The jail's addresses, where it is clear on which of these interfaces they are: there is only one.
    pub addresses: Vec<IpNet>,
    /// The fstab that jail(8) mounts, written for this run only.
    pub fstab: Option<RemotePath>,
    /// The jail's own parameters that it gets, as `jail -e` tells them; `None` for one without value.
    pub parameters: Vec<(String, Option<String>)>,
    /// How its commands run.
    pub manner: Manner,
    /// `exec.start`.
    pub start: Vec<String>,
    /// `exec.stop`.
    pub stop: Vec<String>,
}

/// How the commands of a jail run inside it, as jail(8) is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Manner {
    /// `exec.clean`: without the environment of whoever starts it.
    pub clean: bool,
    /// `exec.jail_user`.
    pub user: Option<String>,
    /// `exec.system_jail_user`: that user is looked up on the host.
    pub of_the_host: bool,
    /// `exec.timeout` in seconds.
    pub timeout: Option<u32>,
}

/// A clone of one of the jail's filesystems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneOf {
    /// What has arrived: a clone of its newest snapshot of this run is made.
    pub origin: DatasetName,
    /// The clone.
    pub dataset: DatasetName,
    /// Where it is mounted, if its original is when the jail is at the target.
    pub mountpoint: Option<RemotePath>,
    /// Is the original read-only when the jail runs?
    pub readonly: bool,
}

/// An epair with both ends inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadEnd {
    /// The end that has the name which the jail knows.
    pub name: InterfaceName,
    /// What `ifconfig` makes it from: `epair7`, or `epair` and a new name.
    pub unit: Option<u32>,
}
