//! Tests of the relay against an sshd of our own.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::remote::Cause;
use crate::remote::Kind;
use crate::remote::loopback::Sshd;
use crate::remote::loopback::argv;
use crate::remote::loopback::script;

const PATIENT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_megabytes_arrive_unchanged_and_counted() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    let (file, copy) = (sshd.file("data"), sshd.file("copy"));
    let (file, copy) = (file.display(), copy.display());
    hosts.run(&script("a", &format!("head -c 200000000 /dev/urandom > {file}"))).await.unwrap();
    let seen = AtomicU64::new(0);
    let to = argv("b", &["dd", &format!("of={copy}"), "bs=131072"]);
    let copied = hosts
        .copy(&argv("a", &["cat", &file.to_string()]), &to, |bytes| seen.store(bytes, Ordering::Relaxed), PATIENT)
        .await
        .unwrap();
    assert_eq!((copied.bytes, seen.load(Ordering::Relaxed)), (200_000_000, 200_000_000));
    hosts.run(&argv("a", &["cmp", &file.to_string(), &copy.to_string()])).await.unwrap();
    // A sender that is a script, and nothing at all to send.
    let copied = hosts.copy(&script("b", "echo hello; : ; true"), &to, |_| {}, PATIENT).await.unwrap();
    assert_eq!(copied.bytes, 6);
    let copied = hosts.copy(&argv("b", &["true"]), &to, |_| {}, PATIENT).await.unwrap();
    assert_eq!(copied.bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_dies_midway_is_the_cause_and_the_sender_is_ended() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    let marker = sshd.file("sender-ended");
    let from = script("a", &format!("trap 'echo > {}' EXIT; head -c 900000000 /dev/zero", marker.display()));
    let to = argv("b", &["sh", "-c", "head -c 1000000 >/dev/null; echo 'cannot receive: out of space' >&2; exit 3"]);
    let error = hosts.copy(&from, &to, |_| {}, PATIENT).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Target(e) if matches!(e.kind, Kind::Exit(3))), "{error}");
    assert!(error.to_string().contains("cannot receive: out of space"), "{error}");
    assert!(error.bytes < 900_000_000);
    assert!(marker.exists(), "the sender still runs");
    // Content, but too early.
    let error = hosts.copy(&from, &argv("b", &["head", "-c", "10"]), |_| {}, PATIENT).await.unwrap_err();
    assert!(matches!(error.cause, Cause::TargetLeft(_)), "{error}");
    // While the sender is silent: found at once, not by the watchdog.
    let begun = Instant::now();
    let quiet = script("a", "sleep 25 >&2 & wait");
    let error = hosts.copy(&quiet, &argv("b", &["false"]), |_| {}, Duration::from_secs(24)).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Target(e) if matches!(e.kind, Kind::Exit(1))), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(24), "found by the watchdog only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_fails_is_the_cause_even_when_the_receiver_complains_too() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    let from = script("a", "head -c 500000 /dev/zero; echo 'cannot send: I/O error' >&2; exit 5");
    let to = argv("b", &["sh", "-c", "cat >/dev/null; echo 'incomplete stream' >&2; exit 1"]);
    let error = hosts.copy(&from, &to, |_| {}, PATIENT).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Source(e) if matches!(e.kind, Kind::Exit(5))), "{error}");
    assert!(error.besides.as_ref().is_some_and(|e| e.stderr == "incomplete stream"), "{error}");
    assert_eq!(error.bytes, 500_000);
    let error = hosts.copy(&from, &script("b", "cat"), |_| {}, PATIENT).await.unwrap_err();
    assert!(matches!(error.cause, Cause::ScriptAsTarget), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_stands_still_is_given_up() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    let watchdog = Duration::from_secs(2);
    let from = script("a", "head -c 100000 /dev/zero; exec sleep 20");
    let error = hosts.copy(&from, &argv("b", &["sh", "-c", "cat >/dev/null"]), |_| {}, watchdog).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Stalled { sending: true, .. }), "{error}");
    assert_eq!(error.bytes, 100_000);
    let stuck = argv("b", &["sleep", "20"]);
    let error = hosts.copy(&argv("a", &["cat", "/dev/zero"]), &stuck, |_| {}, watchdog).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Stalled { sending: false, .. }), "{error}");
    // Everything was taken, and then it hangs: as a receive does whose pool is suspended.
    let hung = argv("b", &["sh", "-c", "cat >/dev/null; exec sleep 60"]);
    let error = hosts.copy(&argv("a", &["echo", "all"]), &hung, |_| {}, watchdog).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Unended { seconds: 6, .. }), "{error}");
    assert!(error.to_string().starts_with("b: has not ended 6 seconds after the last byte"), "{error}");
}
