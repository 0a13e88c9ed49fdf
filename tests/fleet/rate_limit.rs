//! A copy that leaves room on the line.

use serde_json::Value;

use crate::bench::Fleet;

/// Bytes a second that are allowed.
const LIMIT: u64 = 8 << 20;

/// What may go at once, without waiting: a quarter of a second's.
const AT_ONCE: u64 = LIMIT / 4;

#[test]
fn a_copy_goes_no_faster_than_it_may() {
    let Some(fleet) = Fleet::anew("a_copy_goes_no_faster_than_it_may") else { return };
    fleet.sh(
        "spare",
        "dd if=/dev/urandom of=$(zfs get -Hp -o value mountpoint jfpool/jails/web)/blob bs=1048576 count=24",
    );
    let straight = ["plan", "web", "big", "--transfer", "direct", "--rate-limit", "8MiB"];
    fleet.jailferry(&straight).exits(0).says("`rate_limit` does not hold it");
    fleet.jailferry(&["plan", "web", "big", "--rate-limit", "8"]).exits(2).says("at least 64KiB");

    let limited = ["--rate-limit", "8MiB"];
    let told = fleet.jailferry(&[&["migrate", "web", "big", "--yes", "--json"][..], &limited].concat()).exits(0);
    let events = told.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let number = |event: &Value, field: &str| event[field].as_u64().unwrap_or_else(|| panic!("{event}"));
    let copied = events.filter(|e| e["event"] == "transfer_done").max_by_key(|e| number(e, "bytes")).expect("a copy");
    let (bytes, milliseconds) = (number(&copied, "bytes"), number(&copied, "milliseconds"));
    assert!(bytes > 24 << 20, "{copied}");
    assert!(milliseconds >= (bytes - AT_ONCE) * 1000 / LIMIT, "{copied}");

    // What a limited copy took is no forecast for one that is not; and there is none of those yet.
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    let without = fleet.jailferry(&["plan", "web", "big"]).exits(0);
    assert!(!without.stdout.contains("copy about"), "{}", without.stdout);
    let plan = fleet.jailferry(&[&["plan", "web", "big"][..], &limited].concat()).exits(0);
    plan.says("(8.0 MiB/s, as `rate_limit` says)");
}
