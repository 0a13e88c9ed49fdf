//! Pools, space and the datasets themselves.

use crate::effect::Base;
use crate::plan::finding::Findings;
use crate::plan::preflight::Subject;

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
        findings.error("no-pool", node, format!("{node} has no pool {pool}"), "correct `parent:` in fleet.yml");
        return;
    };
    if target_pool.health != "ONLINE" {
        findings.error(
            "pool-health",
            node,
            format!("pool {pool} on {node} is {}", target_pool.health),
            format!("repair it first: zpool status {pool}"),
        );
    }
    let needed: u64 = s.datasets.iter().filter(|d| d.base == Base::Nothing).map(|d| d.estimate).sum();
    let with_margin = needed.saturating_add(needed / 5).saturating_add(16 << 20);
    let available = s
        .situation
        .target
        .dataset
        .as_str()
        .rsplit_once('/')
        .and_then(|(parent, _)| s.target.datasets.iter().find(|d| d.name.as_str() == parent))
        .map_or(target_pool.free, |parent| parent.available);
    if available < with_margin {
        findings.error(
            "no-space",
            node,
            format!(
                "the jail needs {} (with a fifth to spare) and {pool} on {node} has {} left",
                bytes(with_margin),
                bytes(available)
            ),
            "make room; the source keeps its own copy until `finalize`",
        );
    }
    if let Some(source_pool) = source_pool {
        for feature in STREAM_FEATURES {
            let active = source_pool.features.get(feature).is_some_and(|v| v == "active");
            let known = target_pool.features.get(feature).is_some_and(|v| v == "active" || v == "enabled");
            if active && !known {
                findings.error(
                    "feature",
                    node,
                    format!(
                        "pool {} uses feature {feature}, which pool {pool} on {node} does not have enabled",
                        source_pool.name
                    ),
                    format!("zpool set feature@{feature}=enabled {pool}"),
                );
            }
        }
    }
    for dataset in s.datasets {
        if let Some(facts) = s.source.dataset(&dataset.source.dataset) {
            if facts.encrypted && !dataset.target.volume {
                findings.error(
                    "encrypted",
                    node,
                    format!(
                        "{} is encrypted; jailferry does not yet check that its key can be loaded on {node}",
                        facts.name
                    ),
                    "move this jail by hand for now",
                );
            }
            if facts.origin.is_some() {
                findings.note(
                    "clone",
                    &s.situation.source.node,
                    format!("{} is a clone; it is sent as a full copy", facts.name),
                );
            }
            if facts.jailed {
                findings.error(
                    "jailed-dataset",
                    &s.situation.source.node,
                    format!(
                        "{} is delegated to the jail (jailed=on); jailferry does not move such datasets yet",
                        facts.name
                    ),
                    "move this jail by hand for now",
                );
            }
        }
    }
}

/// 1536 → `1.5 KiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    bytesize::ByteSize::b(count).display().iec().to_string()
}
