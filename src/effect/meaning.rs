//! What an edit of a configuration file means, beside the script that does it: for the simulator and for machines.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::configuration::jail_conf::Edit;
use crate::model::Family;
use crate::model::JailName;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::model::RemotePath;
use crate::model::RunId;

/// An edit of rc.conf(5), of a WireGuard configuration file, of a pf table's file or of jail.conf(5). Values are `None` where no file sets the variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub enum Meaning {
    /// The jail goes off `jail_list`; `jail_enable` goes to NO with the last one.
    JailListRemove {
        /// The jail.
        jail: JailName,
    },
    /// The jail goes back on, both variables as they were.
    JailListGiveBack {
        /// The jail.
        jail: JailName,
        /// `jail_list` as it was.
        list: Option<String>,
        /// `jail_enable` as it was.
        enable: Option<String>,
    },
    /// The jail goes on `jail_list`, with `all` when the list is empty and every jail starts.
    JailListAdd {
        /// The jail.
        jail: JailName,
        /// The jails of jail.conf.
        all: Vec<JailName>,
    },
    /// A variable changes from `old` to `new`; any other value is somebody's and refused.
    Variable {
        /// Its name.
        name: String,
        /// Before.
        old: Option<String>,
        /// After.
        new: Option<String>,
    },
    /// A static route of that name is added.
    StaticRouteAdd {
        /// `static_routes` or `ipv6_static_routes`.
        family: Family,
        /// Its name.
        name: String,
        /// Arguments of route(8) after `add`.
        arguments: String,
        /// In front of all others?
        #[serde(default)]
        first: bool,
    },
    /// Such a route goes.
    StaticRouteRemove {
        /// `static_routes` or `ipv6_static_routes`.
        family: Family,
        /// Its name.
        name: String,
        /// Arguments of route(8) after `add`.
        arguments: String,
    },
    /// Peers get exactly these AllowedIPs in a WireGuard file with that SHA-256.
    AllowedIps {
        /// The file.
        path: RemotePath,
        /// SHA-256 of the file that the plan was made from.
        sha256: String,
        /// The run, whose own earlier edit does not count as a change.
        run: RunId,
        /// Each peer with its whole list.
        peers: Vec<(PublicKey, BTreeSet<Prefix>)>,
    },
    /// Lines of the `[Interface]` section of a wg-quick(8) file with that SHA-256.
    Hooks {
        /// The file.
        path: RemotePath,
        /// SHA-256 of the file that the plan was made from.
        sha256: String,
        /// The run, whose own earlier edit does not count as a change.
        run: RunId,
        /// Lines that go.
        remove: Vec<String>,
        /// Lines that come.
        add: Vec<String>,
    },
    /// Entries of the file that a pf table is filled from, which has that SHA-256.
    TableFile {
        /// The file.
        path: RemotePath,
        /// SHA-256 of the file that the plan was made from.
        sha256: String,
        /// Entries that come.
        add: BTreeSet<Prefix>,
        /// Entries that go.
        remove: BTreeSet<Prefix>,
    },
    /// Bytes of a jail's configuration file.
    JailFile {
        /// The file.
        path: RemotePath,
        /// SHA-256 of the file that the plan was made from.
        before: String,
        /// SHA-256 of it afterwards.
        after: String,
        /// What is replaced by what.
        edits: Vec<Edit>,
    },
}
