//! Pools, space and the datasets themselves.

use crate::effect::Base;
use crate::facts::Dataset;
use crate::facts::PathKind;
use crate::facts::Pool;
use crate::plan::datasets::DatasetMove;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;
use crate::plan::snapshots;

/// Without these on the source's pool there are no bookmarks, on the target's no receive that goes on (zpool-features(7);
/// dsl_bookmark.c, dmu_recv.c). A pool that was made long ago, or with `-d`, may lack them.
const NEEDED: [(&str, &str); 2] =
    [("bookmarks", "remember what was sent"), ("extensible_dataset", "receive what may break off")];

/// Stream-relevant pool features (contract 5.6).
const STREAM_FEATURES: [&str; 8] = [
    "lz4_compress",
    "zstd_compress",
    "large_blocks",
    "embedded_data",
    "large_dnode",
    "encryption",
    "large_microzap",
    "longname",
];

/// Space for both copies, features of the stream, keys.
pub(super) fn storage(s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    let pool = s.situation.target.dataset.pool();
    let source_pool = s.source.pools.iter().find(|p| p.name == s.situation.source.dataset.pool());
    let Some(target_pool) = s.target.pools.iter().find(|p| p.name == pool) else {
        findings.error(
            "no-pool",
            node,
            format!("{node} has no pool {pool}"),
            format!("correct `parent:` of {node} in fleet.yml, or import the pool (zpool import {pool})"),
        );
        return;
    };
    let (health, what) = (target_pool.health.as_str(), format!("pool {pool} on {node} is {}", target_pool.health));
    match health {
        "ONLINE" => {}
        // zpool-status(8): it works, with fewer copies than it should have.
        "DEGRADED" => findings.warning(
            "pool-health",
            node,
            format!("{what}: it works, but the next disk that fails may take the jail with it"),
            format!("repair it: zpool status {pool} says what is missing (zpool replace, zpool online)"),
        ),
        "SUSPENDED" => findings.error(
            "pool-health",
            node,
            format!("{what}: nothing can be written to it, and commands on it hang"),
            Fix::new(format!("when its disks are back (zpool status {pool}), let it go on"))
                .run(format!("zpool clear {pool}")),
        ),
        _ => findings.error(
            "pool-health",
            node,
            format!("{what}: the jail cannot be received there"),
            format!("repair it first: zpool status {pool} says what is missing"),
        ),
    }
    if target_pool.readonly {
        findings.error(
            "pool-read-only",
            node,
            format!("pool {pool} on {node} is imported read-only: the jail cannot be received there"),
            Fix::new("import it again, read-write")
                .run(format!("zpool export {pool}"))
                .run(format!("zpool import {pool}")),
        );
    }
    let parent = s.situation.target.dataset.parent().and_then(|parent| s.target.dataset(&parent));
    if let Some(parent) = parent {
        examine_parent(parent, s, findings);
    }
    let least: u64 = s.datasets.iter().map(|d| d.estimate).sum::<u64>().saturating_add(16 << 20);
    let needed: u64 = s.datasets.iter().map(|d| d.estimate.max(grown(d, s)).max(reserved(d, s))).sum();
    let with_margin = needed.saturating_add(needed / 5).saturating_add(16 << 20);
    let available = parent.map_or(target_pool.free, |parent| parent.available);
    let left = format!("and {pool} on {node} has {} left", bytes(available));
    let room = format!(
        "make room: `zfs list -o space -r {pool}` says what takes it, `zfs get -r quota,reservation {pool}` what is kept for others; the source keeps its own copy until `finalize`"
    );
    if available < least {
        findings.error("no-space", node, format!("the jail needs {} {left}", bytes(least)), room);
    } else if available < with_margin {
        // How much a copy takes depends on the pool's own layout too.
        findings.warning(
            "no-space",
            node,
            format!("the jail needs about {} {left}, which may not do", bytes(needed)),
            room,
        );
    }
    for moving in s.datasets {
        own_room(moving, available, s, findings);
    }
    if let Some(source_pool) = source_pool {
        features(s, source_pool, target_pool, findings);
        let source = &s.situation.source.node;
        for ((feature, what), (host, pool)) in NEEDED.iter().zip([(source, source_pool), (node, target_pool)]) {
            // Nothing is known of a pool whose features were not told.
            if pool.features.get(*feature).is_some_and(|state| state == "disabled") {
                findings.error(
                    "feature",
                    host,
                    format!(
                        "pool {} on {host} does not have feature {feature} enabled, without which it cannot {what}",
                        pool.name
                    ),
                    Fix::new(
                        "enable it; older systems can no longer import the pool once it is used (zpool-features(7))",
                    )
                    .run(format!("zpool set feature@{feature}=enabled {}", pool.name)),
                );
            }
        }
    }
    for dataset in s.datasets {
        if let Some(facts) = s.source.dataset(&dataset.source.dataset)
            && let (Some(origin), Base::Nothing) = (&facts.origin, &dataset.base)
        {
            let own = facts.used.min(facts.referenced);
            findings.warning(
                    "clone",
                    &s.situation.source.node,
                    format!(
                        "{} is a clone of {origin} and holds {} of its own; no snapshot of pool {pool} on {node} has the same GUID, so it is sent in full: {}, which it will also take there",
                        facts.name,
                        bytes(own),
                        bytes(facts.referenced)
                    ),
                    format!("to keep it thin, send the origin there first: zfs send {origin} on {}, zfs receive -u on {node}", s.situation.source.node),
                );
        }
    }
}

/// An older copy may have less left than its pool: a quota of its own, under which snapshots count that are gone at the source.
fn own_room(moving: &DatasetMove, of_the_pool: u64, s: &Subject<'_>, findings: &mut Findings) {
    let node = &s.situation.target.node;
    let limit = |name: &str| ["quota", "refquota"].contains(&name);
    let raised = moving.properties.before.iter().any(|changed| limit(&changed.new.name));
    let copy = s.target.dataset(&moving.target.dataset).filter(|_| !moving.base.makes_a_dataset() && !raised);
    if let Some(copy) = copy.filter(|copy| copy.available < moving.estimate && copy.available < of_the_pool) {
        findings.warning(
            "no-space",
            node,
            format!(
                "{} on {node}, the older copy, can take {} under its quota, and {} are to come",
                copy.name,
                bytes(copy.available),
                bytes(moving.estimate)
            ),
            format!(
                "destroy snapshots of it that are gone on {} (`zfs list -t snapshot {}`), or raise its quota",
                s.situation.source.node, copy.name
            ),
        );
    }
}

/// By how much the source's dataset is larger than an older copy of it, with the snapshots of both. Another pool's layout
/// takes other room for the same, so it is no more than a hint.
fn grown(moving: &DatasetMove, s: &Subject<'_>) -> u64 {
    let here = s.source.dataset(&moving.source.dataset).filter(|_| !moving.base.makes_a_dataset());
    let there = s.target.dataset(&moving.target.dataset);
    let (Some(here), Some(there)) = (here, there) else { return 0 };
    snapshots::size(here, s.source).saturating_sub(snapshots::size(there, s.target))
}

/// What a dataset that is made at the target keeps for itself there (zfsprops(7)): where that is more than is left, zfs
/// receive passes the property over.
fn reserved(moving: &DatasetMove, s: &Subject<'_>) -> u64 {
    let here =
        s.jail.datasets.iter().find(|d| d.name == moving.source.dataset).filter(|_| moving.base.makes_a_dataset());
    let value = |name: &str| here?.properties.get(name)?.value.parse::<u64>().ok();
    ["reservation", "refreservation"].into_iter().filter_map(value).max().unwrap_or_default()
}

/// Features that the stream may need. That a pool uses one does not tell that the jail's datasets do: only their
/// properties tell for sure, and only of what is written from now on (zpool-features(7)).
fn features(s: &Subject<'_>, source_pool: &Pool, target_pool: &Pool, findings: &mut Findings) {
    let (node, pool) = (&s.situation.target.node, &target_pool.name);
    let of = |property: &str| {
        let datasets = s.jail.datasets.iter().filter_map(move |d| d.properties.get(property));
        datasets.map(|p| p.value.clone()).collect::<Vec<String>>()
    };
    for feature in STREAM_FEATURES {
        let active = source_pool.features.get(feature).is_some_and(|v| v == "active");
        let known = target_pool.features.get(feature).is_some_and(|v| v == "active" || v == "enabled");
        if !active || known {
            continue;
        }
        let uses = match feature {
            "encryption" => s.datasets.iter().any(|d| d.raw),
            // What of these the pool uses every stream says that it may have (dmu_send.c, `-c` and `-e`).
            "lz4_compress" => true,
            "embedded_data" => s.datasets.iter().any(|d| !d.raw),
            "zstd_compress" => of("compression").iter().any(|v| v.starts_with("zstd")),
            "large_blocks" => of("recordsize").iter().any(|v| v.parse::<u64>().is_ok_and(|size| size > 128 << 10)),
            _ => false,
        };
        let lacks = format!("which pool {pool} on {node} does not have enabled");
        let fix =
            Fix::new("enable it; older systems can no longer import the pool once it is used (zpool-features(7))")
                .run(format!("zpool set feature@{feature}=enabled {pool}"));
        if uses {
            let what = format!("datasets of the jail use feature {feature}, {lacks}: they cannot be received there");
            findings.error("feature", node, what, fix);
        } else {
            let what = format!(
                "pool {} uses feature {feature}, {lacks}: the copy fails if the jail's datasets need it",
                source_pool.name
            );
            findings.warning("feature", node, what, fix);
        }
    }
}

/// The dataset below which the jail's shall lie.
fn examine_parent(parent: &Dataset, s: &Subject<'_>, findings: &mut Findings) {
    let (name, node, path) = (&parent.name, &s.situation.target.node, &s.situation.path);
    // A mount point is made in the filesystem it lies in (zfs-mount(8)).
    let holds = parent.mounted && path.as_str().starts_with(&format!("{}/", parent.mountpoint.trim_end_matches('/')));
    // A mount point that is there already needs no making.
    if parent.readonly && holds && s.there.paths.get(path) != Some(&PathKind::Directory) {
        findings.error(
            "parent-read-only",
            node,
            format!("{name} on {node} is read-only, so no mount point of a jail can be made in it"),
            Fix::new("let it be written to").run(format!("zfs set readonly=off {name}")),
        );
    }
    // What is sent raw brings its own encryption.
    let plain = s.datasets.iter().any(|d| d.base.makes_a_dataset() && !d.raw);
    if parent.encrypted && !parent.key_available && plain {
        findings.error(
            "parent-locked",
            node,
            format!("{name} on {node} is encrypted and its key is not loaded: nothing can be received below it"),
            Fix::new("load its key").run(format!("zfs load-key {name}")),
        );
    }
    // libzfs says so for every stream with properties that is not raw (libzfs_sendrecv.c, zfs_receive_one).
    if parent.encrypted && parent.key_available && plain {
        findings.warning(
            "not-encrypted",
            node,
            format!("{name} on {node} is encrypted, and the jail's datasets are not: they stay as they are there, too"),
            format!(
                "if they shall be encrypted, encrypt them on {} before they move: zfs create -o encryption=on, zfs send and zfs receive",
                s.situation.source.node
            ),
        );
    }
    if !parent.mounted && parent.canmount == "on" && parent.mountpoint.starts_with('/') {
        findings.warning(
            "parent-unmounted",
            node,
            format!("{name} on {node} is not mounted: mounted later, it would hide the jail's files"),
            Fix::new("mount it").run(format!("zfs mount {name}")),
        );
    }
}

/// 1536 → `1.5 KiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    bytesize::ByteSize::b(count).display().iec().to_string()
}
