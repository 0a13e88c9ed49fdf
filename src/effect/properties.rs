//! Properties of datasets that follow a jail, by name (zfsprops(7)). Pure.

use serde::Deserialize;
use serde::Serialize;

use crate::effect::PropertyState;

/// What a property is to be, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyChange {
    /// Such as `compression`, or a user's.
    pub name: String,
    /// Its state.
    pub state: PropertyState,
}

/// What every copy has otherwise, since it is one: [`crate::effect::Parked`] has these.
const OF_A_COPY: [&str; 4] = ["mountpoint", "canmount", "readonly", "jailed"];

/// Of the data itself: a stream brings it, or it can only be chosen when a dataset is made.
const OF_THE_DATA: [&str; 11] = [
    "volsize",
    "volblocksize",
    "encryption",
    "keyformat",
    "keylocation",
    "pbkdf2iters",
    "casesensitivity",
    "normalization",
    "utf8only",
    "version",
    "mlslabel",
];

/// Those that every OpenZFS from 2.1 on takes, whatever the value and the pool.
const EVERYWHERE: [&str; 17] = [
    "aclinherit",
    "aclmode",
    "atime",
    "copies",
    "devices",
    "exec",
    "filesystem_limit",
    "logbias",
    "primarycache",
    "quota",
    "refquota",
    "secondarycache",
    "setuid",
    "sharenfs",
    "snapdev",
    "snapshot_limit",
    "sync",
];

/// Does every host take that property with that value? Others a receive may have passed over: `zfs receive` says so on
/// standard error and ends well (libzfs_sendrecv.c, zfs_receive_one).
#[must_use]
pub fn everywhere(name: &str, value: &str) -> bool {
    let old = ["on", "off", "lz4", "lzjb", "zle", "gzip"];
    match name {
        "compression" => old.contains(&value) || value.starts_with("gzip-"),
        "recordsize" => value.parse::<u64>().is_ok_and(|bytes| bytes <= 128 << 10),
        "snapdir" => matches!(value, "hidden" | "visible"),
        // A user's (zfsprops(7)).
        _ => name.contains(':') || EVERYWHERE.contains(&name),
    }
}

/// Those that `zfs inherit` does not take back.
const LIMITS: [&str; 6] = ["quota", "refquota", "reservation", "refreservation", "filesystem_limit", "snapshot_limit"];

/// Does a property of this name belong to the jail's data, so that a copy is to have it as the source has it? Ours do not.
#[must_use]
pub fn travels(name: &str) -> bool {
    let known = OF_A_COPY.contains(&name) || OF_THE_DATA.contains(&name);
    !known && !name.starts_with("org.jailferry:")
}

/// Extended regular expression for the names of those that [`travels`] leaves out.
#[must_use]
pub fn left_out() -> String {
    let names: Vec<&str> = OF_A_COPY.iter().chain(&OF_THE_DATA).copied().collect();
    format!("^({}|org\\.jailferry:.*)$", names.join("|"))
}

/// The same for [`is_limit`].
#[must_use]
pub fn limits() -> String {
    format!("^({})$", LIMITS.join("|"))
}

/// Is it a limit, whose default is none?
#[must_use]
pub fn is_limit(name: &str) -> bool {
    LIMITS.contains(&name)
}

/// Is it a limit that does not limit? With -p, zfs-get(8) writes 0, or the greatest number.
#[must_use]
pub fn is_no_limit(name: &str, value: &str) -> bool {
    is_limit(name) && (matches!(value, "0" | "none") || value.parse() == Ok(u64::MAX))
}
