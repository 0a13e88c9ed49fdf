//! Properties: which there are, where a value comes from, what may be set.

use super::model::Dataset;
use super::model::Kind;
use super::model::State;
use super::names;
use super::session::Fail;
use super::session::fail;
use super::sizes;

/// How a property may be changed (the EDIT and INHERIT columns of zfs's own list).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only computed.
    ReadOnly,
    /// Set at creation, then fixed.
    Once,
    /// Settable, does not inherit.
    Own,
    /// Settable, inherits.
    Inherit,
}

/// A native property.
#[derive(Debug)]
pub struct Native {
    /// Its name.
    pub name: &'static str,
    /// How it changes.
    pub access: Access,
    /// Its default.
    pub default: &'static str,
    /// The values it takes; empty for free text.
    pub values: &'static str,
}

const fn native(name: &'static str, access: Access, default: &'static str, values: &'static str) -> Native {
    Native { name, access, default, values }
}

use Access::Inherit;
use Access::Once;
use Access::Own;
use Access::ReadOnly;

const ON_OFF: &str = "on | off";

/// All native properties, in the order of `zfs get all`.
pub const NATIVE: &[Native] = &[
    native("type", ReadOnly, "", ""),
    native("creation", ReadOnly, "", ""),
    native("used", ReadOnly, "", ""),
    native("available", ReadOnly, "", ""),
    native("referenced", ReadOnly, "", ""),
    native("compressratio", ReadOnly, "", ""),
    native("mounted", ReadOnly, "", ""),
    native("origin", ReadOnly, "", ""),
    native("quota", Own, "0", "size"),
    native("reservation", Own, "0", "size"),
    native("volsize", Own, "", "size"),
    native("volblocksize", Once, "8192", "size"),
    native("recordsize", Inherit, "131072", "size"),
    native("mountpoint", Inherit, "", ""),
    native("sharenfs", Inherit, "off", ""),
    native("checksum", Inherit, "on", ""),
    native("compression", Inherit, "off", ""),
    native("atime", Inherit, "on", ON_OFF),
    native("devices", Inherit, "on", ON_OFF),
    native("exec", Inherit, "on", ON_OFF),
    native("setuid", Inherit, "on", ON_OFF),
    native("readonly", Inherit, "off", ON_OFF),
    native("jailed", Inherit, "off", ON_OFF),
    native("snapdir", Inherit, "hidden", "hidden | visible"),
    native("aclmode", Inherit, "discard", "discard | groupmask | passthrough | restricted"),
    native("aclinherit", Inherit, "restricted", ""),
    native("createtxg", ReadOnly, "", ""),
    native("canmount", Own, "on", "on | off | noauto"),
    native("xattr", Inherit, "on", "on | off | dir | sa"),
    native("copies", Inherit, "1", "1 | 2 | 3"),
    native("version", Own, "5", ""),
    native("utf8only", Once, "off", ON_OFF),
    native("normalization", Once, "none", ""),
    native("casesensitivity", Once, "sensitive", "sensitive | insensitive | mixed"),
    native("vscan", Inherit, "off", ON_OFF),
    native("nbmand", Inherit, "off", ON_OFF),
    native("sharesmb", Inherit, "off", ""),
    native("refquota", Own, "0", "size"),
    native("refreservation", Own, "0", "size"),
    native("guid", ReadOnly, "", ""),
    native("primarycache", Inherit, "all", "all | none | metadata"),
    native("secondarycache", Inherit, "all", "all | none | metadata"),
    native("usedbysnapshots", ReadOnly, "", ""),
    native("usedbydataset", ReadOnly, "", ""),
    native("usedbychildren", ReadOnly, "", ""),
    native("usedbyrefreservation", ReadOnly, "", ""),
    native("logbias", Inherit, "latency", "latency | throughput"),
    native("objsetid", ReadOnly, "", ""),
    native("dedup", Inherit, "off", ""),
    native("mlslabel", Inherit, "none", ""),
    native("sync", Inherit, "standard", "standard | always | disabled"),
    native("dnodesize", Inherit, "legacy", "legacy | auto | 1k | 2k | 4k | 8k | 16k"),
    native("refcompressratio", ReadOnly, "", ""),
    native("written", ReadOnly, "", ""),
    native("logicalused", ReadOnly, "", ""),
    native("logicalreferenced", ReadOnly, "", ""),
    native("volmode", Inherit, "default", "default | full | geom | dev | none"),
    native("filesystem_limit", Own, "none", "count"),
    native("snapshot_limit", Own, "none", "count"),
    native("filesystem_count", ReadOnly, "none", ""),
    native("snapshot_count", ReadOnly, "none", ""),
    native("snapdev", Inherit, "hidden", "hidden | visible"),
    native("acltype", Inherit, "nfsv4", "off | nfsv4 | posix"),
    native("context", Own, "none", ""),
    native("fscontext", Own, "none", ""),
    native("defcontext", Own, "none", ""),
    native("rootcontext", Own, "none", ""),
    native("relatime", Inherit, "off", ON_OFF),
    native("redundant_metadata", Inherit, "all", "all | most | some | none"),
    native("overlay", Inherit, "on", ON_OFF),
    native("encryption", Once, "off", ""),
    native("keylocation", Own, "none", ""),
    native("keyformat", Once, "none", "none | raw | hex | passphrase"),
    native("pbkdf2iters", Once, "0", "count"),
    native("encryptionroot", ReadOnly, "", ""),
    native("keystatus", ReadOnly, "", ""),
    native("special_small_blocks", Inherit, "0", "size"),
    native("userrefs", ReadOnly, "", ""),
    native("defer_destroy", ReadOnly, "", ""),
    native("clones", ReadOnly, "", ""),
    native("receive_resume_token", ReadOnly, "", ""),
    native("redact_snaps", ReadOnly, "", ""),
    native("name", ReadOnly, "", ""),
];

/// The property's own name, for a short one (`avail`, `refer` …).
pub fn canonical(name: &str) -> &str {
    match name {
        "avail" => "available",
        "refer" => "referenced",
        "ratio" => "compressratio",
        "refratio" => "refcompressratio",
        "compress" => "compression",
        "recsize" => "recordsize",
        "rdonly" => "readonly",
        "volblock" => "volblocksize",
        "reserv" => "reservation",
        "refreserv" => "refreservation",
        "usedsnap" => "usedbysnapshots",
        "usedds" => "usedbydataset",
        "usedchild" => "usedbychildren",
        "usedrefreserv" => "usedbyrefreservation",
        "lused" => "logicalused",
        "lrefer" => "logicalreferenced",
        other => other,
    }
}

/// The native property of that name.
pub fn find(name: &str) -> Option<&'static Native> {
    NATIVE.iter().find(|native| native.name == name)
}

/// A user property: its name has a colon.
pub fn is_user(name: &str) -> bool {
    name.contains(':') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ":+.-_".contains(c))
}

/// May be asked for.
pub fn known(name: &str) -> bool {
    find(canonical(name)).is_some()
        || is_user(name)
        || ["written@", "written#", "userused@", "groupused@", "userquota@", "groupquota@"]
            .iter()
            .any(|prefix| name.starts_with(prefix) && name.len() > prefix.len())
}

/// A value and where it comes from, as the SOURCE column has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value.
    pub value: String,
    /// `local`, `default`, `received`, `inherited from X`, `-`.
    pub source: String,
}

impl Value {
    /// A value.
    pub fn new(value: impl Into<String>, source: impl Into<String>) -> Value {
        Value { value: value.into(), source: source.into() }
    }
}

/// Marks a received property as switched off by `receive -x` or `inherit`: the local map then holds this.
pub const INHERITED: &str = "\u{0}inherit";

/// What the dataset itself says, if anything: value and `local` or `received`.
fn own(dataset: &Dataset, name: &str) -> Option<Value> {
    match dataset.local.get(name).map(String::as_str) {
        Some(INHERITED) => None,
        // A limit that is not set has no source of its own, also when it was set to none (module/zfs/dsl_prop.c dsl_prop_nvlist_add_uint64).
        Some("0") if ["quota", "refquota", "reservation", "refreservation"].contains(&name) => None,
        Some(value) => Some(Value::new(value, "local")),
        None => dataset.received.get(name).map(|value| Value::new(value, "received")),
    }
}

/// A settable or user property of a dataset: its own, an ancestor's, or the default.
pub fn lookup(state: &State, dataset: &str, name: &str) -> Option<Value> {
    let native = find(name);
    let inherits = match native {
        Some(native) => native.access == Inherit,
        None => true,
    };
    let mut at = dataset;
    loop {
        if let Some(found) = state.datasets.get(at).and_then(|here| own(here, name)) {
            if at == dataset {
                return Some(mountpoint_below(found, at, dataset, name));
            }
            let found = mountpoint_below(found, at, dataset, name);
            return Some(Value::new(found.value, format!("inherited from {at}")));
        }
        match names::parent(at) {
            Some(parent) if inherits => at = parent,
            _ => break,
        }
    }
    if name == "mountpoint" {
        return Some(Value::new(format!("/{dataset}"), "default"));
    }
    native.map(|native| Value::new(native.default, "default"))
}

/// An inherited mountpoint continues with the path below the dataset that set it.
fn mountpoint_below(found: Value, at: &str, dataset: &str, name: &str) -> Value {
    if name != "mountpoint" || !found.value.starts_with('/') {
        return found;
    }
    let tail = dataset.strip_prefix(at).unwrap_or_default();
    let path = format!("{}{tail}", found.value.trim_end_matches('/'));
    let path = if path.is_empty() { "/".to_string() } else { path };
    Value::new(path, found.source)
}

/// The plain value of a settable property.
pub fn value(state: &State, dataset: &str, name: &str) -> String {
    lookup(state, dataset, name).map(|found| found.value).unwrap_or_default()
}

/// Does a dataset of that kind have the property? (zfs_prop.c)
pub fn applies(name: &str, kind: Kind) -> bool {
    const FILESYSTEM: &[&str] = &[
        "aclinherit",
        "aclmode",
        "acltype",
        "atime",
        "canmount",
        "casesensitivity",
        "devices",
        "dnodesize",
        "exec",
        "filesystem_count",
        "filesystem_limit",
        "jailed",
        "mountpoint",
        "nbmand",
        "normalization",
        "overlay",
        "quota",
        "recordsize",
        "refquota",
        "relatime",
        "setuid",
        "sharenfs",
        "sharesmb",
        "snapdir",
        "utf8only",
        "version",
        "vscan",
        "xattr",
    ];
    match kind {
        Kind::Volume => !FILESYSTEM.contains(&name),
        Kind::Filesystem => !matches!(name, "volsize" | "volblocksize"),
    }
}

/// Checks and normalises a value to set; `what` begins the message, such as `cannot set property for 'x'`.
pub fn accept(name: &str, value: &str, kind: Kind, creating: bool, what: &str) -> Result<String, Fail> {
    let refuse = |text: String| Err(fail(format!("{what}: {text}")));
    if is_user(name) {
        return Ok(value.to_string());
    }
    let Some(native) = find(name) else {
        return refuse(format!("invalid property '{name}'"));
    };
    let fixed = native.access == Once && !creating || native.access == ReadOnly;
    if fixed {
        return refuse(format!("'{name}' is readonly"));
    }
    if !applies(name, kind) {
        return refuse(format!("'{name}' does not apply to datasets of this type"));
    }
    match native.values {
        "size" => match sizes::parse(value) {
            Some(size) if name == "recordsize" && !(size.is_power_of_two() && (512..=1 << 20).contains(&size)) => {
                refuse(format!("'{name}' must be power of 2 from 512B to 1M"))
            }
            Some(size) => Ok(size.to_string()),
            None => refuse(format!("bad numeric value '{value}'")),
        },
        "count" if value != "none" && value.parse::<u64>().is_err() => refuse(format!("bad numeric value '{value}'")),
        "" | "count" => match name {
            "mountpoint" if !(value.starts_with('/') || ["none", "legacy"].contains(&value)) => {
                refuse(format!("'{name}' must be an absolute path, 'none', or 'legacy'"))
            }
            "mountpoint" if value.len() > 1 => Ok(value.trim_end_matches('/').to_string()),
            "encryption" if value == "on" => Ok("aes-256-gcm".into()),
            _ => Ok(value.to_string()),
        },
        values if values.split(" | ").any(|allowed| allowed == value) => Ok(value.to_string()),
        values => refuse(format!("'{name}' must be one of '{values}'")),
    }
}
