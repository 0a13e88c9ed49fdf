//! Tests of the shells that wait for a command, against an sshd of our own.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::model::NodeName;
use crate::remote::Cause;
use crate::remote::Hosts;
use crate::remote::Kind;
use crate::remote::READY_SHELLS;
use crate::remote::loopback::Sshd;
use crate::remote::loopback::argv;
use crate::remote::loopback::script;

/// In which some byte must move.
const BOUND: Duration = Duration::from_secs(60);

/// Waits until so many shells wait on its hosts, by what the machine says of itself.
async fn waiting(hosts: &Hosts, sshd: &Sshd, count: usize) {
    // One that reads its line; the sshd that is its parent's parent is this test's.
    let of_ours = format!(
        "n=0; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q 'IFS= read -r line [&]& eval' || continue; \
         grep -q {} $p/environ 2>/dev/null && n=$((n + 1)); done; echo $n",
        sshd.port
    );
    let mut said = String::new();
    for _ in 0..200 {
        said = hosts.run(&argv("b", &["sh", "-c", &of_ours])).await.unwrap().text();
        if said.trim() == count.to_string() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{count} shells were to wait: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_waits_becomes_the_command() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    let a = NodeName::new("a").unwrap();
    hosts.keep_ready(&a, READY_SHELLS);
    waiting(&hosts, &sshd, READY_SHELLS).await;
    // What follows the line is the script, all of it, in order and nothing else.
    let long = format!(
        "printf '%s\\n' \"it's $((6 * 7))\" 'back\\slash  blanks'; cat; echo end >&2; # {}",
        "x".repeat(100_000)
    );
    for _ in 0..2 * READY_SHELLS {
        let output = hosts.run(&script("a", &long)).await.unwrap();
        assert_eq!(output.text(), "it's 42\nback\\slash  blanks\n");
        assert_eq!(output.stderr, b"end\n");
    }
    waiting(&hosts, &sshd, READY_SHELLS).await;
    // Deadlines, locks and exit statuses are those of the command.
    let error = hosts.run(&script("a", "echo why >&2; exit 7")).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Exit(7)) && error.stderr == "why", "{error}");
    let mut slow = script("a", "exec sleep 100");
    slow.timeout = 1;
    let error = hosts.run(&slow).await.unwrap_err();
    assert!(matches!(error.kind, Kind::TimedOut(1)), "{error}");
    // Nobody needs them any more: they end without having done anything.
    hosts.keep_ready(&a, 0);
    waiting(&hosts, &sshd, 0).await;
    hosts.run(&script("a", "true")).await.unwrap();
    waiting(&hosts, &sshd, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_wait_are_used_up_where_nothing_behind_them_needs_more() {
    let Some(sshd) = Sshd::start("").map(Arc::new) else { return };
    let hosts = sshd.hosts().await;
    let a = NodeName::new("a").unwrap();
    hosts.keep_ready(&a, 3);
    waiting(&hosts, &sshd, 3).await;
    hosts.replenish(&a, 1);
    waiting(&hosts, &sshd, 3).await;
    for left in [2, 1, 1] {
        hosts.run(&script("a", "true")).await.unwrap();
        waiting(&hosts, &sshd, left).await;
    }
    hosts.replenish(&a, 0);
    hosts.run(&script("a", "true")).await.unwrap();
    waiting(&hosts, &sshd, 0).await;
    hosts.replenish(&a, 2);
    waiting(&hosts, &sshd, 2).await;
}

/// The line is not a part of the data, and none of the data is taken for it.
#[tokio::test(flavor = "multi_thread")]
async fn both_ends_of_a_stream_are_shells_that_waited() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    for name in ["a", "b"] {
        hosts.keep_ready(&NodeName::new(name).unwrap(), 1);
    }
    waiting(&hosts, &sshd, 2).await;
    let (from, to) = (sshd.file("from"), sshd.file("to"));
    // As many lines as any stream could begin with.
    let data = "first line\nsecond\n".repeat(50_000);
    fs::write(&from, &data).unwrap();
    let receive = argv("b", &["dd", "bs=4k", "iflag=fullblock", &format!("of={}", to.display())]);
    let copied = hosts.copy(&argv("a", &["cat", from.to_str().unwrap()]), &receive, |_| {}, BOUND).await.unwrap();
    assert_eq!(copied.bytes, data.len() as u64);
    assert_eq!(fs::read_to_string(&to).unwrap(), data);
    waiting(&hosts, &sshd, 2).await;
    // A receiver that takes nothing is told as ever.
    let refuses = argv("b", &["sh", "-c", "echo why >&2; exit 3"]);
    let error = hosts.copy(&argv("a", &["cat", from.to_str().unwrap()]), &refuses, |_| {}, BOUND).await.unwrap_err();
    assert!(
        matches!(&error.cause, Cause::Target(e) if matches!(e.kind, Kind::Exit(3)) && e.stderr == "why"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_of_a_lost_connection_are_not_used_again() {
    let Some(sshd) = Sshd::start("").map(Arc::new) else { return };
    let hosts = sshd.hosts().await;
    let a = NodeName::new("a").unwrap();
    hosts.keep_ready(&a, 1);
    waiting(&hosts, &sshd, 1).await;
    let kill = "kill -9 \"$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$PPID/status)\"; sleep 5";
    let error = hosts.run(&script("a", kill)).await.unwrap_err();
    assert!(matches!(error.kind, Kind::ConnectionLost), "{error:?}");
    hosts.reconnect(&a).await.unwrap();
    waiting(&hosts, &sshd, 1).await;
    let marker = sshd.file("marker");
    hosts.run(&script("a", &format!("echo once >> {}", marker.display()))).await.unwrap();
    assert_eq!(fs::read_to_string(&marker).unwrap(), "once\n");
    waiting(&hosts, &sshd, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_leave_room_for_as_many_commands_as_ever() {
    let Some(sshd) = Sshd::start("MaxSessions 10").map(Arc::new) else { return };
    let hosts = Arc::new(sshd.hosts().await);
    hosts.keep_ready(&NodeName::new("a").unwrap(), READY_SHELLS);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let hosts = hosts.clone();
        tasks.spawn(async move {
            let output = hosts.run(&script("a", &format!("sleep 0.1; echo {number}"))).await.unwrap();
            assert_eq!(output.text(), format!("{number}\n"));
        });
    }
    assert_eq!(tasks.join_all().await.len(), 40);
}

/// Hardened hosts have fewer (MaxSessions 2 or 4 is what guides say): then nothing waits, and no more runs at once than fits.
#[tokio::test(flavor = "multi_thread")]
async fn fewer_sessions_are_enough() {
    for sessions in [1, 2, 4] {
        let Some(sshd) = Sshd::start(&format!("MaxSessions {sessions}")) else { return };
        let hosts = sshd.hosts().await;
        for name in ["a", "b"] {
            hosts.keep_ready(&NodeName::new(name).unwrap(), READY_SHELLS);
        }
        let one = async |number: u32| {
            let output = hosts.run(&script("a", &format!("sleep 0.1; echo {number}"))).await.unwrap();
            assert_eq!(output.text(), format!("{number}\n"));
            let to = sshd.file(&number.to_string());
            let receive = argv("b", &["dd", "bs=4k", "iflag=fullblock", &format!("of={}", to.display())]);
            hosts.copy(&argv("a", &["seq", "20000"]), &receive, |_| {}, BOUND).await.unwrap();
            assert_eq!(fs::read_to_string(&to).unwrap().lines().count(), 20_000);
        };
        let all = futures_util::future::join_all((0..12).map(one));
        let done = tokio::time::timeout(Duration::from_secs(120), all).await;
        assert!(done.is_ok(), "MaxSessions {sessions}");
    }
}
