//! Which properties of a dataset a host can have: zfsprops(7), zpool-features(7). `zfs receive` passes over the others,
//! and ends well all the same; `zfs set` fails.

use std::collections::BTreeSet;

use crate::facts::HostFacts;
use crate::facts::Pool;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::plan::finding::Fix;

/// What a host is known to take.
#[derive(Debug, Clone, Copy)]
pub struct Takes<'a> {
    /// Which host.
    pub node: &'a NodeName,
    /// The properties that its zfs(8) has; with none nothing is known.
    pub known: &'a BTreeSet<String>,
    /// `vfs.zfs.max_recordsize`.
    pub largest: Option<u64>,
    /// The pool.
    pub pool: Option<&'a Pool>,
}

/// Why a property cannot be had, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rest of a sentence.
    pub why: String,
    /// What helps.
    pub fix: Fix,
}

impl<'a> Takes<'a> {
    /// What a host takes where a dataset is to be.
    #[must_use]
    pub fn of(
        node: &'a NodeName,
        host: &'a HostFacts,
        dataset: &DatasetName,
        known: &'a BTreeSet<String>,
    ) -> Takes<'a> {
        let largest = host.sysctl("vfs.zfs.max_recordsize").and_then(|bytes| u64::try_from(bytes).ok());
        Takes { node, known, largest, pool: host.pools.iter().find(|pool| pool.name == dataset.pool()) }
    }

    /// Why a native property is not taken, as far as that can be known beforehand.
    #[must_use]
    pub fn refuses(&self, name: &str, value: &str) -> Option<Refusal> {
        let (node, native) = (self.node, name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        if native && !self.known.is_empty() && !self.known.contains(name) {
            let fix = Fix::new("nothing, if the jail can do without; else give that host a release that has it");
            return Some(Refusal { why: format!("zfs(8) on {node} knows no such property"), fix });
        }
        if name == "recordsize"
            && let (Ok(bytes), Some(largest)) = (value.parse::<u64>(), self.largest)
            && bytes > largest
        {
            let why = format!("{node} takes {largest} at most (vfs.zfs.max_recordsize)");
            let fix = Fix::new("let it take more, now and in sysctl.conf(5)")
                .run(format!("sysctl vfs.zfs.max_recordsize={bytes}"));
            return Some(Refusal { why, fix });
        }
        let (feature, pool) = (feature(name, value)?, self.pool?);
        let has = |state: &String| matches!(state.as_str(), "enabled" | "active");
        if pool.features.is_empty() || pool.features.get(feature).is_some_and(has) {
            return None;
        }
        let why = format!("pool {} on {node} does not have the feature {feature} enabled", pool.name);
        let fix = match pool.features.contains_key(feature) {
            true => {
                Fix::new("enable it; older systems can no longer import the pool once it is used (zpool-features(7))")
                    .run(format!("zpool set feature@{feature}=enabled {}", pool.name))
            }
            false => Fix::new("nothing, if the jail can do without; else give that host a release that has it"),
        };
        Some(Refusal { why, fix })
    }
}

/// The feature of a pool that a value needs.
fn feature(name: &str, value: &str) -> Option<&'static str> {
    let algorithm = value.split(',').next().unwrap_or_default();
    match name {
        "checksum" | "dedup" => ["sha512", "skein", "edonr", "blake3"].into_iter().find(|known| *known == algorithm),
        "compression" => value.starts_with("zstd").then_some("zstd_compress"),
        "dnodesize" => (value != "legacy").then_some("large_dnode"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn why(known: &[&str], largest: Option<u64>, features: &[(&str, &str)], name: &str, value: &str) -> Option<String> {
        let features = features.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned()));
        let pool = Pool {
            name: "zroot".into(),
            free: 0,
            size: 0,
            health: "ONLINE".into(),
            readonly: false,
            features: features.collect::<BTreeMap<_, _>>(),
        };
        let known: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
        let node = NodeName::new("big").unwrap();
        let takes = Takes { node: &node, known: &known, largest, pool: Some(&pool) };
        takes.refuses(name, value).map(|refusal| refusal.why)
    }

    #[test]
    fn what_zfs_does_not_know_is_not_taken_where_it_is_known_what_it_knows() {
        assert_eq!(why(&["atime"], None, &[], "atime", "off"), None);
        assert_eq!(why(&[], None, &[], "prefetch", "none"), None);
        assert_eq!(why(&["atime"], None, &[], "prefetch", "none").unwrap(), "zfs(8) on big knows no such property");
        // A user's, and what is somebody's own (userquota@).
        assert_eq!(why(&["atime"], None, &[], "org.example:x", "y"), None);
        assert_eq!(why(&["atime"], None, &[], "userquota@www", "5"), None);
    }

    #[test]
    fn a_record_is_no_larger_than_the_host_takes() {
        let of = |value, largest| why(&[], largest, &[], "recordsize", value).is_some();
        assert!(of("4194304", Some(1 << 20)) && !of("1048576", Some(1 << 20)));
        assert!(!of("4194304", Some(16 << 20)) && !of("4194304", None));
    }

    #[test]
    fn a_value_needs_its_feature() {
        let pool = [("skein", "disabled"), ("zstd_compress", "active")];
        let of = |name, value| why(&[], None, &pool, name, value);
        let lacks = |feature: &str| Some(format!("pool zroot on big does not have the feature {feature} enabled"));
        assert_eq!(of("checksum", "blake3"), lacks("blake3"));
        assert_eq!(of("dedup", "skein,verify"), lacks("skein"));
        assert_eq!(
            (of("checksum", "sha256"), of("compression", "zstd-fast-3"), of("compression", "lz4")),
            (None, None, None)
        );
        assert_eq!(why(&[], None, &[], "checksum", "blake3"), None);
    }
}
