//! What is asked once it is clear which jail goes where: of the source about the jail, of the target about its place.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::JailName;
use crate::model::Landmark;
use crate::model::RemotePath;
use crate::model::Snapshot;
use crate::model::SnapshotName;

/// What the source says of the jail to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailFacts {
    /// The jail.
    pub name: JailName,
    /// The file that configures it.
    pub configuration_file: RemotePath,
    /// That file's text, and mode and owner as `stat -f '%Lp %u %g'` tells.
    pub configuration: TextFile,
    /// The fstab of `mount.fstab`, when it is named and exists.
    pub fstab: Option<(RemotePath, TextFile)>,
    /// The root dataset and all below it, parents first.
    pub datasets: Vec<JailDataset>,
    /// What is mounted at or below the jail's root (`mount -p`).
    pub mounts: Vec<Mount>,
    /// Userland of the jail: `USERLAND_VERSION` of its bin/freebsd-version, such as `13.2-RELEASE-p4`.
    pub userland: Option<String>,
    /// Mentions of the jail's interfaces in its own /etc/rc.conf, which a renamed interface would break.
    pub inner_rc_interfaces: Vec<String>,
    /// Words of its own rc.conf(5) by which a network gives it its address: `DHCP`, `SYNCDHCP`, `accept_rtadv` …
    #[serde(default)]
    pub address_by: BTreeSet<String>,
    /// Whom it asks for names: `nameserver` of its resolv.conf(5).
    #[serde(default)]
    pub resolvers: BTreeSet<IpAddr>,
    /// Files beside the configuration that hold something and that only its manager would act on: `rdr.conf` …
    #[serde(default)]
    pub beside: BTreeSet<String>,
    /// What each landmark of fleet.yml answers the jail where it runs now.
    #[serde(default)]
    pub outside: BTreeMap<Landmark, Outside>,
    /// Who has something of its datasets and is neither the jail nor inside it.
    #[serde(default)]
    pub users: Vec<User>,
    /// What others may do with its root dataset: the words that `zfs allow` needs to allow that elsewhere.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// GUIDs of the snapshots that its datasets are clones of.
    #[serde(default)]
    pub origins: BTreeMap<SnapshotName, Guid>,
    /// What else it has of its host.
    #[serde(default)]
    pub of_the_host: OfTheHost,
}

/// What a jail has of its host besides files and interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OfTheHost {
    /// The rules of its devfs ruleset and of those that it includes, without their numbers (devfs(8)).
    pub devices: BTreeSet<String>,
    /// The rules of rctl(8) for it; none where the kernel does not count.
    pub limits: BTreeSet<String>,
    /// Those of the programs and files that its commands name which are there.
    #[serde(default)]
    pub programs: BTreeSet<String>,
    /// The host's own addresses at which something waits for questions about names (port 53); `*` stands for all of them.
    #[serde(default)]
    pub names: BTreeSet<String>,
}

/// What keeps a dataset from being unmounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum User {
    /// A process has a file or its working directory there.
    Process {
        /// Its number.
        pid: u32,
        /// Its program, as far as fstat(1) tells.
        program: String,
        /// Who runs it.
        user: String,
    },
    /// A part of it is mounted (nullfs(5)) there.
    Mount(String),
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            User::Process { pid, program, user } => write!(f, "process {pid} ({program} of {user})"),
            User::Mount(path) => write!(f, "the mount {path}"),
        }
    }
}

/// What a landmark answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// Nothing.
    Silent,
    /// Something, but not who asks.
    Answers,
    /// The address it sees as its caller's.
    Sees(IpAddr),
}

/// A small text file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFile {
    /// Its text.
    pub text: String,
    /// SHA-256 as hexadecimal digits.
    pub sha256: String,
    /// Permission bits in octal, such as 644.
    pub mode: String,
    /// Numeric owner and group.
    pub owner: (u32, u32),
}

/// One line of `mount -p`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Dataset, directory or device.
    pub source: String,
    /// Where it is mounted.
    pub path: String,
    /// `zfs`, `nullfs`, `devfs` …
    pub kind: String,
    /// Options, comma separated.
    pub options: String,
}

/// What a target says about everything that the jail's configuration and datasets will need there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// Each path asked for, and what is there.
    pub paths: BTreeMap<RemotePath, PathKind>,
    /// Each file asked for that exists, with its text.
    pub files: BTreeMap<RemotePath, TextFile>,
    /// Jail parameters that this host's kernel does not know (contract 2.7).
    pub unknown_parameters: BTreeSet<String>,
    /// devfs rulesets asked for that have no rule here; jail(8) would give the jail an empty or a full /dev.
    pub undefined_rulesets: BTreeSet<u32>,
    /// The datasets at and below the jail's place on the target, parents first; empty when there are none.
    pub datasets: Vec<JailDataset>,
    /// Snapshots in the same pool by the GUIDs asked for.
    #[serde(default)]
    pub twins: BTreeMap<Guid, Vec<SnapshotName>>,
    /// What the dataset above the jail's place gives to those below it (`questions::GIVEN_PROPERTIES`), by name; empty
    /// where there is no such dataset.
    #[serde(default)]
    pub given: BTreeMap<String, String>,
    /// The names of the properties that zfs(8) has there for filesystems; empty where nobody could tell.
    #[serde(default)]
    pub properties: BTreeSet<String>,
    /// What else the jail would have of this host.
    #[serde(default)]
    pub of_the_host: OfTheHost,
}

/// What a path leads to (symbolic links followed, except that [`PathKind::Link`] is a dangling one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Something else: device, socket, FIFO.
    Other,
    /// A symbolic link to nothing.
    Link,
    /// Nothing.
    Absent,
}

/// A dataset of the jail with its snapshots and local properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailDataset {
    /// Its name on this host.
    pub name: DatasetName,
    /// All its snapshots, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Properties set locally or received, and the native ones that a transfer depends on whatever their source
    /// (`questions::NATIVE_PROPERTIES`), by name.
    pub properties: BTreeMap<String, PropertyValue>,
    /// Properties that came with a stream, also those that were set or taken back since.
    #[serde(default)]
    pub received: BTreeSet<String>,
}

/// A property's value and where it comes from (`zfs get`'s source column).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyValue {
    /// The value.
    pub value: String,
    /// `local`, `received`, `default`, `inherited from X`, `-`.
    pub source: String,
}
