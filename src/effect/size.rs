//! How much a stream will come to: what `zfs send -nvP` prints (contract 5.4), so that its progress has an end.

use crate::model::SnapshotLabel;

/// Bytes of a stream, as the source reckons them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// Of all of it.
    pub total: u64,
    /// Of each of its snapshots, in their order.
    snapshots: Vec<(SnapshotLabel, u64)>,
}

impl Size {
    /// So many bytes, and no more is known.
    #[must_use]
    pub fn of(total: u64) -> Size {
        Size { total, snapshots: Vec::new() }
    }

    /// Reads the answer; `None` when it says no size.
    #[must_use]
    pub fn read(answer: &str) -> Option<Size> {
        let mut size = Size { total: 0, snapshots: Vec::new() };
        let mut told = None;
        for line in answer.lines() {
            // full NAME BYTES; incremental FROM NAME BYTES; size BYTES
            let mut columns = line.split('\t');
            let (kind, last) = (columns.next(), columns.next_back().and_then(|bytes| bytes.parse::<u64>().ok()));
            match (kind, last) {
                (Some("size"), Some(bytes)) => told = Some(bytes),
                (Some("full" | "incremental"), Some(bytes)) => {
                    let name = columns.next_back().and_then(|name| name.split_once('@'));
                    let label = name.and_then(|(_, label)| SnapshotLabel::new(label).ok())?;
                    size.snapshots.push((label, bytes));
                }
                _ => {}
            }
        }
        Some(Size { total: told?, ..size })
    }

    /// Bytes of those up to that one, which have arrived.
    #[must_use]
    pub fn up_to(&self, arrived: Option<&SnapshotLabel>) -> u64 {
        let count = self.snapshots.iter().position(|(label, _)| Some(label) == arrived).map_or(0, |at| at + 1);
        self.snapshots.iter().take(count).fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_freebsd_answers() {
        let single = "full\tzroot/jails/web/data@jailferry-r1-1\t21053296\nsize\t21053296\n";
        assert_eq!(Size::read(single).map(|size| size.total), Some(21_053_296));
        let step = "incremental\tzroot/jails/web/data@jailferry-r1-1\tzroot/jails/web/data@jailferry-r1-2\t33904\nsize\t33904\n";
        assert_eq!(Size::read(step).map(|size| size.total), Some(33_904));
        for no_answer in
            ["", "size\t\n", "size\tmany\n", "cannot open 'zroot': dataset does not exist\n", "full\tx\t1\n"]
        {
            assert_eq!(Size::read(no_answer), None, "{no_answer}");
        }
    }

    /// The form of -I: the short name of what each begins with.
    #[test]
    fn what_has_arrived_is_reckoned_snapshot_by_snapshot() {
        let answer = "incremental\ta\tzroot/web@b\t100\nincremental\tb\tzroot/web@c\t20\nincremental\tc\tzroot/web@d\t3\nsize\t123\n";
        let size = Size::read(answer).unwrap();
        let up_to = |label: &str| size.up_to(Some(&SnapshotLabel::new(label).unwrap()));
        assert_eq!((size.up_to(None), up_to("b"), up_to("c"), up_to("d"), up_to("x")), (0, 100, 120, 123, 0));
    }
}
