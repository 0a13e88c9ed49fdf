//! Tests of the direct transfer against an sshd of our own: its file of keys, no one's home is touched.

use std::fs;
use std::process::Command as Process;
use std::time::Duration;

use crate::effect::command::Become;
use crate::effect::command::Command;
use crate::effect::command::Form;
use crate::effect::direct::Direct;
use crate::effect::direct::SshPublicKey;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::model::RunId;
use crate::remote::Cause;
use crate::remote::Kind;
use crate::remote::loopback::argv;
use crate::remote::loopback_chain;

const PATIENT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_transfer_leaves_nothing_behind_and_allows_nothing_else() {
    let Some((_programs, sshd)) = loopback_chain::sshd() else { return };
    let hosts = sshd.hosts().await;
    let target = NodeName::new("b").unwrap();
    let path = |name: &str| RemotePath::new(sshd.file(name).display().to_string()).unwrap();
    let copy = path("copy").to_string();
    let receives = vec![
        argv("b", &["sh", "-c", &format!("cat >{copy}")]),
        argv("b", &["sh", "-c", "head -c 1000 >/dev/null; echo 'out of space' >&2; exit 3"]),
    ];
    let direct = Direct {
        run: RunId::new("web-0123abcd").unwrap(),
        source: NodeName::new("a").unwrap(),
        source_address: "127.0.0.1".parse().unwrap(),
        target_address: "127.0.0.1".parse().unwrap(),
        port: sshd.port,
        user: hosts.login_user(&target).await.unwrap(),
        become_root: Become::None,
        folder: path("direct"),
        authorized_keys: Some(path("authorized")),
        target,
        aes: true,
    };
    let before = fs::read_to_string(sshd.file("authorized")).unwrap();
    let host_key = SshPublicKey::new(&fs::read_to_string(sshd.file("host.pub")).unwrap()).unwrap();
    // Twice is as good as once.
    for _ in 0..2 {
        let key = SshPublicKey::new(&hosts.run(&direct.make_key(&host_key)).await.unwrap().text()).unwrap();
        hosts.run(&direct.admit(&key, &receives)).await.unwrap();
    }
    hosts.run(&direct.try_key()).await.unwrap();
    assert_eq!(fs::read_to_string(sshd.file("authorized")).unwrap().lines().count(), before.lines().count() + 1);

    let send = |from: &Command, number: usize| match &from.form {
        Form::Argv(words) => direct.send(words, number, 30),
        Form::Script(_) => unreachable!("no script here"),
    };
    let from = argv("a", &["head", "-c", "50000000", "/dev/zero"]);
    let mut seen = 0;
    let all = send(&from, 1);
    let copied = hosts.send_direct(&all, &from, &receives[0], |bytes| seen = bytes, PATIENT).await.unwrap();
    assert_eq!((copied.bytes, seen, fs::metadata(&copy).unwrap().len()), (50_000_000, 50_000_000, 50_000_000));

    let error = hosts.send_direct(&send(&from, 2), &from, &receives[1], |_| {}, PATIENT).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Target(e) if matches!(e.kind, Kind::Exit(3))), "{error}");
    assert!(error.to_string().contains("out of space"), "{error}");
    let broken = argv("a", &["sh", "-c", "echo x; echo 'I/O error' >&2; exit 5"]);
    let error = hosts.send_direct(&send(&broken, 1), &broken, &receives[0], |_| {}, PATIENT).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Source(e) if matches!(e.kind, Kind::Exit(5))), "{error}");
    let error = hosts.send_direct(&send(&from, 3), &from, &receives[0], |_| {}, PATIENT).await.unwrap_err();
    assert!(error.to_string().contains("only receive what its run has planned"), "{error}");
    let stuck = argv("a", &["sleep", "20"]);
    let silence = Duration::from_secs(2);
    let error = hosts.send_direct(&send(&stuck, 1), &stuck, &receives[0], |_| {}, silence).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Stalled { .. }), "{error}");

    // Whoever got hold of the key: no shell, no other command, no number beyond the plan.
    for wish in ["", "id", "3", "1; id", "../../bin/sh"] {
        let tried = Process::new("ssh")
            .args([
                "-F",
                "/dev/null",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "HostKeyAlias=jailferry-target",
            ])
            .arg(format!("-oUserKnownHostsFile={}", sshd.file("direct/known_hosts").display()))
            .arg("-i")
            .arg(sshd.file("direct/key"))
            .args(["-l", direct.user.as_str(), "-p", &sshd.port.to_string(), "127.0.0.1", wish])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_eq!(tried.status.code(), Some(22), "{wish}: {tried:?}");
        assert!(tried.stdout.is_empty());
    }
    for command in [direct.dismiss(), direct.forget_key(), direct.dismiss(), direct.forget_key()] {
        hosts.run(&command).await.unwrap();
    }
    let refused = hosts.run(&direct.try_key()).await.unwrap_err();
    assert!(refused.to_string().contains("does not get in to b with the key"), "{refused}");
    assert_eq!(fs::read_to_string(sshd.file("authorized")).unwrap(), before);
    assert!(!sshd.file("direct").exists());
}
