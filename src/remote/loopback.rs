//! Tests of the transport against an sshd of our own on 127.0.0.1, with its own keys and configuration.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command as Process;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use crate::effect::command::Become;
use crate::effect::command::Command;
use crate::model::NodeName;
use crate::model::SshDestination;
use crate::remote::CommandEntry;
use crate::remote::CommandLog;
use crate::remote::Hosts;
use crate::remote::Kind;
use crate::remote::Target;

/// One sshd with its client configuration; ended and removed when dropped.
pub(crate) struct Sshd {
    directory: TempDir,
    process: Child,
    pub(crate) port: u16,
}

impl Sshd {
    /// Starts it, or says loudly that this test is skipped.
    pub(crate) fn start(options: &str) -> Option<Sshd> {
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].map(PathBuf::from).into_iter().find(|p| p.exists());
        let Some(sshd) = sshd else {
            eprintln!("SKIPPED: no sshd on this machine, the SSH transport is NOT tested");
            return None;
        };
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        for key in ["host", "user"] {
            let made = Process::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key)).status();
            assert!(made.unwrap().success());
        }
        fs::copy(at("user.pub"), at("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let public = fs::read_to_string(at("host.pub")).unwrap();
        fs::write(at("known"), format!("[127.0.0.1]:{port} {public}")).unwrap();
        // sshd as root wants its own separation directory; it is the system's and usually there.
        if !Path::new("/run/sshd").exists() {
            drop(fs::create_dir("/run/sshd"));
        }
        let show = |name: &str| at(name).display().to_string();
        // Of several SetEnv the first counts (sshd_config(5)).
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPidFile none\n\
             UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             MaxStartups 100\nPerSourcePenalties no\n{options}\nSetEnv {NOT_OUTERMOST}\n",
            show("host"),
            show("authorized")
        );
        let supported = |line: &&str| !line.starts_with("PerSource");
        fs::write(at("sshd"), config.lines().filter(supported).collect::<Vec<_>>().join("\n")).unwrap();
        let client = format!(
            "Host *\n HostName 127.0.0.1\n Port {port}\n IdentityFile {}\n IdentitiesOnly yes\n IdentityAgent none\n\
             \x20UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n",
            show("user"),
            show("known")
        );
        fs::write(at("config"), client).unwrap();
        fs::set_permissions(at("config"), fs::Permissions::from_mode(0o600)).unwrap();
        let process = Process::new(sshd)
            .args(["-D", "-f"])
            .arg(at("sshd"))
            .arg("-E")
            .arg(at("log"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let this = Sshd { directory, process, port };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(this);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("sshd does not answer: {}", fs::read_to_string(this.file("log")).unwrap_or_default());
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Two names for the one machine, so that there is something to copy between.
    pub(crate) async fn hosts(&self) -> Hosts {
        Hosts::connect(&[target("a"), target("b")], Some(&self.file("config"))).await.unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// In the environment of what sshd runs: bash(1) reads ~/.bashrc there, which may say anything to standard error, but only
/// where it is the outermost shell.
pub(crate) const NOT_OUTERMOST: &str = "SHLVL=2";

pub(crate) fn target(name: &str) -> Target {
    Target {
        name: NodeName::new(name).unwrap(),
        destination: SshDestination::new(name).unwrap(),
        become_root: Become::None,
    }
}

pub(crate) fn argv(host: &str, words: &[&str]) -> Command {
    Command::argv(&NodeName::new(host).unwrap(), 30, words.iter().copied())
}

pub(crate) fn script(host: &str, body: &str) -> Command {
    Command::script(&NodeName::new(host).unwrap(), 30, body)
}

#[derive(Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<String>>);

impl CommandLog for Lines {
    fn command(&self, entry: &CommandEntry<'_>) -> std::io::Result<()> {
        let text = format!("{} {} [{}] {:?}", entry.host, entry.line, entry.stdin.unwrap_or("-"), entry.status);
        self.0.lock().unwrap().push(text);
        Ok(())
    }
}

pub(crate) struct FullDisk;

impl CommandLog for FullDisk {
    fn command(&self, _: &CommandEntry<'_>) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_as_printed_and_are_written_down() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    let log = Arc::new(Lines::default());
    hosts.log_to(log.clone());
    // Everything that a careless quoting would lose in sh or csh.
    let hostile = ["printf", "%s|", "a b", "it's", "$HOME", "`id`", "!!", "*", "~", "\\n", "", "#", "é\u{1b}"];
    let output = hosts.run(&argv("a", &hostile)).await.unwrap();
    assert_eq!(output.text(), "a b|it's|$HOME|`id`|!!|*|~|\\n||#|é\u{1b}|");
    let output = hosts.run(&script("b", "printf '%s\\n' \"it's $((6 * 7))\"; cat; echo end >&2")).await.unwrap();
    assert_eq!((output.text().as_str(), output.stderr.as_slice()), ("it's 42\n", b"end\n".as_slice()));
    let lines = log.0.lock().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with(r"a exec timeout --foreground -k 10 30 printf '%s|' 'a b' 'it'\''s' '$HOME'"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("b exec timeout --foreground -k 10 30 /bin/sh -s [set -eu\n"), "{lines:?}");
    assert!(lines[1].ends_with("main </dev/null\nexit\n] Some(0)"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ending_is_told_apart() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    for status in [1, 7, 124, 255] {
        let error = hosts.run(&script("a", &format!("echo why >&2; exit {status}"))).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Exit(s) if s == status), "{error}");
        assert_eq!(error.stderr, "why");
        assert_eq!(hosts.probe(&script("a", &format!("exit {status}"))).await.unwrap().status, status);
    }
    let error = hosts.probe(&argv("a", &["no-such-program"])).await.unwrap_err();
    assert!(matches!(error.kind, Kind::NotFound(127)), "{error}");
    let mut slow = argv("a", &["sleep", "100"]);
    slow.timeout = 1;
    let error = hosts.run(&slow).await.unwrap_err();
    assert!(matches!(error.kind, Kind::TimedOut(1)), "{error}");
    let error = hosts.run(&argv("c", &["true"])).await.unwrap_err();
    assert!(matches!(error.kind, Kind::NotConnected), "{error}");
    let error = hosts.run(&argv("a", &["head", "-c", "17000000", "/dev/zero"])).await.unwrap_err();
    assert!(matches!(error.kind, Kind::TooMuchOutput(_)), "{error}");
    hosts.log_to(Arc::new(FullDisk));
    let error = hosts.run(&argv("a", &["true"])).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Log(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_outputs_arrive_whole_and_many_commands_share_one_connection() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = Arc::new(sshd.hosts().await);
    let output = hosts.run(&script("a", "head -c 15000000 /dev/zero; head -c 1000000 /dev/zero >&2")).await.unwrap();
    assert_eq!(output.stdout.len(), 15_000_000);
    assert!(output.stderr.len() >= 256 << 10);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let hosts = hosts.clone();
        tasks.spawn(async move {
            let output = hosts.run(&script("a", &format!("sleep 0.1; echo {number}; seq 1 20000"))).await.unwrap();
            assert!(output.text().starts_with(&format!("{number}\n1\n")) && output.text().ends_with("\n20000\n"));
        });
    }
    assert_eq!(tasks.join_all().await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_named_and_a_fresh_one_works() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = sshd.hosts().await;
    let name = NodeName::new("a").unwrap();
    // The parent of the remote shell is timeout(1), and the parent of that the sshd process of this very connection.
    // Not by ps: under load it has been seen to print nothing for a process that was there.
    let kill = "kill -9 \"$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$PPID/status)\"; sleep 5";
    let error = hosts.run(&script("a", kill)).await.unwrap_err();
    assert!(matches!(error.kind, Kind::ConnectionLost), "{error:?}");
    assert!(error.outcome_unknown());
    let error = hosts.run(&argv("a", &["true"])).await.unwrap_err();
    assert!(matches!(error.kind, Kind::ConnectionLost), "{error:?}");
    hosts.reconnect(&name).await.unwrap();
    hosts.run(&argv("a", &["true"])).await.unwrap();
    hosts.run(&argv("b", &["true"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_that_cannot_be_reached_is_named_with_its_reason() {
    let Some(sshd) = Sshd::start("") else { return };
    let config = fs::read_to_string(sshd.file("config")).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The first value wins in ssh_config(5), so the exceptions come first; identities add up, so `stranger` is kept out.
    let special = format!(
        "Host closed\n Port {closed}\nHost newkey\n HostKeyAlias other\nHost nameless\n HostName host.invalid\n\
         Host stranger\n HostName 127.0.0.1\n Port {}\n IdentityFile /nonexistent\n IdentityAgent none\n\
         \x20UserKnownHostsFile {}\n",
        sshd.port,
        sshd.file("known").display()
    );
    let rest = config.replace("Host *", "Host * !stranger");
    let path = sshd.file("config2");
    fs::write(&path, special + &rest).unwrap();
    let targets: Vec<_> = ["a", "stranger", "closed", "newkey", "nameless"].into_iter().map(target).collect();
    let (hosts, errors) = Hosts::connect_reachable(&targets, Some(&path)).await.unwrap();
    assert_eq!(hosts.names().map(ToString::to_string).collect::<Vec<_>>(), ["a"]);
    let told: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.host, e.reason)).collect();
    let expected =
        ["closed: not reachable", "nameless: unknown name", "newkey: host key not accepted", "stranger: login refused"];
    assert_eq!(told, expected, "{errors:#?}");
}
