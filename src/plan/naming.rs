//! The names of what a run leaves on hosts: ours, and recognisable as the run's.

use crate::model::RunId;
use crate::model::SnapshotLabel;

/// `jailferry-RUN-SUFFIX`: our snapshots carry our name and the run's.
#[must_use]
pub fn label(run: &RunId, suffix: &str) -> SnapshotLabel {
    // A run id is at most 73 characters and suffixes are our own short words, so the result is a valid label.
    SnapshotLabel::new(format!("jailferry-{run}-{suffix}")).unwrap_or_else(|_| unreachable_label())
}

/// `jailferry-RUN`: the bookmark of what was sent last, and the tag of our holds.
#[must_use]
pub fn bookmark(run: &RunId) -> SnapshotLabel {
    SnapshotLabel::new(format!("jailferry-{run}")).unwrap_or_else(|_| unreachable_label())
}

fn unreachable_label() -> SnapshotLabel {
    unreachable!("a run id and a short suffix always make a valid snapshot name")
}
