//! Tests of several scripts that go to a host as one command, against an sshd of our own.

use std::fs;
use std::sync::Arc;

use crate::effect::command::Command;
use crate::model::JailName;
use crate::remote::Broken;
use crate::remote::Hosts;
use crate::remote::Kind;
use crate::remote::loopback::FullDisk;
use crate::remote::loopback::Lines;
use crate::remote::loopback::NOT_OUTERMOST;
use crate::remote::loopback::Sshd;
use crate::remote::loopback::script;

/// An sshd on whose host there is a lockf(1) that waits for nobody, as this machine may have none.
pub(super) fn sshd() -> Option<(tempfile::TempDir, Sshd)> {
    let programs = tempfile::tempdir().unwrap();
    let lockf = programs.path().join("lockf");
    fs::write(&lockf, "#!/bin/sh\nshift 5\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&lockf, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("SetEnv PATH={}:/usr/sbin:/usr/bin:/sbin:/bin {NOT_OUTERMOST}", programs.path().display());
    Sshd::start(&path).map(|sshd| (programs, sshd))
}

fn part(text: &str) -> Command {
    script("a", text).in_turn(&JailName::new("web").unwrap())
}

/// What each part said that ended well, and what became of the first that did not.
async fn carry_out(hosts: &Hosts, parts: &[&str]) -> (Vec<String>, Option<Broken>) {
    let parts: Vec<Command> = parts.iter().map(|text| part(text)).collect();
    let mut said = Vec::new();
    let came = hosts.chain(&parts, |number, text| {
        assert_eq!(number, said.len());
        said.push(String::from_utf8_lossy(text).into_owned());
    });
    let broken = came.await.err();
    (said, broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_go_over_together_and_each_end_is_told() {
    let Some((_programs, sshd)) = sshd() else { return };
    let hosts = sshd.hosts().await;
    let (said, broken) = carry_out(&hosts, &["echo one", "printf 'two\\n\\njailferry-00 0\\n'", "cat; true"]).await;
    assert_eq!(said, ["one\n", "two\n\njailferry-00 0\n", ""]);
    assert!(broken.is_none(), "{broken:?}");
    let (said, broken) = carry_out(&hosts, &[]).await;
    assert!(said.is_empty() && broken.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_and_its_parts_are_written_down_or_it_stops() {
    let Some((_programs, sshd)) = sshd() else { return };
    let hosts = sshd.hosts().await;
    let log = Arc::new(Lines::default());
    hosts.log_to(log.clone());
    carry_out(&hosts, &["echo one", "exit 3", "true"]).await;
    let lines = log.0.lock().unwrap().clone();
    let of = |status: i32| lines.iter().filter(|line| line.ends_with(&format!("Some({status})"))).collect::<Vec<_>>();
    let (good, bad) = (of(0), of(3));
    assert!(good.len() == 1 && good[0].contains("[set -eu") && good[0].contains("echo one\n}"), "{lines:#?}");
    assert!(bad.len() == 2 && bad[0].starts_with("a exec lockf ") && bad[1].starts_with("a timeout "), "{lines:#?}");
    hosts.log_to(Arc::new(FullDisk));
    let (said, broken) = carry_out(&hosts, &["echo one", "true"]).await;
    let Broken { part: failed, error, told } = broken.unwrap();
    assert!(said.is_empty() && failed == 0 && !told && matches!(error.kind, Kind::Log(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_that_fails_is_the_last_and_says_why() {
    let Some((_programs, sshd)) = sshd() else { return };
    let hosts = sshd.hosts().await;
    let never = sshd.file("never");
    let touch = format!("touch {}", never.display());
    let (said, broken) = carry_out(&hosts, &["echo fine >&2", "echo why >&2; exit 25", &touch]).await;
    let Broken { part: failed, error, told } = broken.unwrap();
    assert_eq!((said.len(), failed, told, error.stderr.as_str()), (1, 1, true, "why"));
    assert!(matches!(error.kind, Kind::Exit(25)) && error.command.contains("exit 25"), "{error:?}");
    // Its own deadline, of which the whole knows nothing.
    let mut parts = vec![part("true"), part("exec sleep 100"), part(&touch)];
    parts[1].timeout = 1;
    let broken = hosts.chain(&parts, |_, _| {}).await.unwrap_err();
    assert!(broken.part == 1 && broken.told && matches!(broken.error.kind, Kind::TimedOut(1)), "{broken:?}");
    assert!(!never.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_chain_whose_connection_is_lost_nobody_knows_the_end() {
    let Some((_programs, sshd)) = sshd() else { return };
    let hosts = sshd.hosts().await;
    // The sshd above the script's shell and timeout(1) is this connection's.
    let kill = "p=$$; while [ \"$(cat /proc/$p/comm)\" != sshd ] && [ \"$(cat /proc/$p/comm)\" != sshd-session ]; do \
                p=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status); done; kill -9 $p; sleep 5";
    let (said, broken) = carry_out(&hosts, &["echo one", kill, "true"]).await;
    let Broken { part: failed, error, told } = broken.unwrap();
    assert_eq!((said, failed, told), (vec!["one\n".to_owned()], 1, false));
    assert!(matches!(error.kind, Kind::ConnectionLost), "{error:?}");
}
