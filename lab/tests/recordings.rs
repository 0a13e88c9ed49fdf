//! Holds the emulated commands to what a real FreeBSD 13.2 answered (`fixtures/freebsd-13.2`, one file a question): same lines on both outputs, same exit status, after
//! what differs from host to host is masked. Every recording is asked again, or stands in [`NOT_ASKED`] with the reason.

#[path = "recordings/host.rs"]
mod host;
#[path = "recordings/mask.rs"]
mod mask;
#[path = "recordings/namespace.rs"]
mod namespace;
#[path = "recordings/recording.rs"]
mod recording;
#[path = "recordings/session.rs"]
mod session;

use std::collections::BTreeSet;

/// Recordings that a host of the lab cannot be asked again, and why.
const NOT_ASKED: &[(&str, &str)] = &[
    (
        "jail-create",
        "runs FreeBSD's own /etc/rc in the jail, which says what it starts; jail-create-b is the same without",
    ),
    ("jail-remove", "runs FreeBSD's own /etc/rc.shutdown in the jail; jail-remove-b is the same without"),
    (
        "ping",
        "the recorded machine's network answered for an address that nobody has, in less than no time; ping-df has the shape",
    ),
    ("ps-J", "lists the terminals of a machine, which no host of the lab has"),
    ("rctl", "resource accounting is not in the lab"),
    ("rctl-b", "resource accounting is not in the lab"),
    ("service-routing", "sysrc(8) had lost its library on the recorded machine by then; static-routes asks the same"),
];

/// Those of zfs(8) and zpool(8), which tests/zfs.rs asks.
const ZFS: &str = include_str!("zfs/answers.rs");

#[test]
fn no_recording_is_forgotten() {
    let all: BTreeSet<String> = recording::all();
    let by_session = session::SESSION.iter().flat_map(|chapter| chapter.asked);
    let mut asked: Vec<String> =
        namespace::CASES.iter().map(|(name, _)| name).chain(by_session).map(|name| name.to_string()).collect();
    asked.extend(all.iter().filter(|name| ZFS.contains(&format!("\"{name}\""))).cloned());
    let excused: Vec<String> = NOT_ASKED.iter().map(|(name, _)| name.to_string()).collect();
    let both: Vec<&String> = excused.iter().filter(|name| asked.contains(name)).collect();
    assert!(both.is_empty(), "asked, and in NOT_ASKED as well: {both:?}");
    let known: BTreeSet<String> = asked.into_iter().chain(excused).collect();
    let forgotten: Vec<&String> = all.difference(&known).collect();
    assert!(forgotten.is_empty(), "neither asked again nor in NOT_ASKED: {forgotten:?}");
    let gone: Vec<&String> = known.difference(&all).collect();
    assert!(gone.is_empty(), "asked, but not in fixtures/freebsd-13.2: {gone:?}");
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED, NOT TESTED: recordings are asked in namespaces, which needs root");
    }
    root
}
