//! The fleet under test and how to reach its hosts.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use crate::lab::Lab;

/// Real hosts are there once.
static REAL: Mutex<()> = Mutex::new(());

/// The hosts of docs/testbed.md.
pub const NODES: [&str; 3] = ["small", "spare", "big"];

/// For a real host to boot anew.
const REBOOT: Duration = Duration::from_secs(600);

/// More than twice the life of a segment (net.inet.tcp.msl).
const TIME_WAIT: Duration = Duration::from_secs(180);

/// How a host is reached.
struct Host {
    destination: String,
    become_root: &'static str,
}

/// Prepares real hosts anew when a test is over, whether it passed or not, before the next one has its turn.
struct Again {
    script: PathBuf,
}

impl Drop for Again {
    fn drop(&mut self) {
        let prepared = Command::new("sh").arg(&self.script).stdin(Stdio::null()).output();
        match prepared {
            Ok(output) if output.status.success() => {}
            // The next test would find hosts that nobody knows.
            Ok(output) => {
                let _ = writeln!(std::io::stderr(), "{}: {}", self.script.display(), text(&output));
                std::process::abort();
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{}: {error}", self.script.display());
                std::process::abort();
            }
        }
    }
}

/// Hosts prepared as docs/testbed.md says.
pub struct Fleet {
    /// Present when the hosts are a lab's.
    lab: Option<Lab>,
    /// fleet.yml.
    pub file: PathBuf,
    /// The hub's public IPv4 address.
    pub public4: String,
    /// The client's addresses on the internet segment, where a page tells who asks.
    pub client: [String; 2],
    hosts: BTreeMap<String, Host>,
    config: String,
    /// jailferry's journals of this test.
    pub state: TempDir,
    _again: Option<Again>,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Fleet {
    /// Real hosts if FLEET names them, a lab otherwise. None, after a line on the terminal, when there is neither.
    pub fn any(test: &str) -> Option<Fleet> {
        match std::env::var_os("FLEET") {
            Some(file) => {
                let turn = REAL.lock().unwrap_or_else(PoisonError::into_inner);
                Some(Fleet::open(None, PathBuf::from(file), Some(turn)))
            }
            None => Fleet::lab(test),
        }
    }

    /// As [`Fleet::any`], for tests that change what jailferry does not put back: real hosts are prepared anew afterwards.
    pub fn anew(test: &str) -> Option<Fleet> {
        let mut fleet = Fleet::any(test)?;
        if !fleet.has_lab() {
            fleet._again = Some(Again { script: fleet.file.with_file_name("again.sh") });
        }
        Some(fleet)
    }

    /// A lab, for tests that inject faults or read logs.
    pub fn lab(test: &str) -> Option<Fleet> {
        if std::env::var_os("FLEET").is_some() {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: it needs the lab, FLEET names real hosts");
            return None;
        }
        let lab = Lab::raise(test)?;
        let file = lab.dir.join("fleet.yml");
        Some(Fleet::open(Some(lab), file, None))
    }

    fn open(lab: Option<Lab>, file: PathBuf, turn: Option<MutexGuard<'static, ()>>) -> Fleet {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let outside = read(&file.with_file_name("acceptance.env"));
        let variable = |name: &str| {
            let line = outside.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\''));
            line.unwrap_or_else(|| panic!("acceptance.env has no {name}")).to_owned()
        };
        let mut hosts = hosts(&read(&file));
        let client = variable("ACCEPTANCE_CLIENT");
        assert!(!client.is_empty(), "the tests need a client host: fleet.sh HUB SPARE BIG CLIENT");
        hosts.insert("client".into(), Host { destination: client, become_root: "" });
        Fleet {
            lab,
            file,
            public4: variable("ACCEPTANCE_PUBLIC4"),
            client: ["ACCEPTANCE_CLIENT4", "ACCEPTANCE_CLIENT6"].map(variable),
            hosts,
            config: variable("ACCEPTANCE_SSH_CONFIG"),
            state: tempfile::tempdir().expect("a temporary folder"),
            _again: None,
            _turn: turn,
        }
    }

    /// Lets the lab's hosts wait that long for a sign of life, by a fleet.yml beside the first one; real ones, which may be far
    /// slower, 20 s.
    pub fn short_lease(&mut self, lease: &str) {
        let lease = if self.has_lab() { lease } else { "20s" };
        let text = fs::read_to_string(&self.file).expect("fleet.yml is text");
        self.file = self.file.with_file_name("short-lease.yml");
        fs::write(&self.file, format!("{text}\ndefaults:\n  lease: {lease}\n")).expect("the folder is writable");
    }

    /// The lab; only for fleets of [`Fleet::lab`], or behind [`Fleet::has_lab`].
    pub fn in_lab(&self) -> &Lab {
        self.lab.as_ref().expect("this test asked for a lab")
    }

    pub fn has_lab(&self) -> bool {
        self.lab.is_some()
    }

    /// `ssh HOST 'exec … /bin/sh -s -- ARGS'`, as root, whatever the login shell.
    pub fn shell(&self, host: &str, args: &[&str]) -> Command {
        let there = self.hosts.get(host).unwrap_or_else(|| panic!("no host {host}"));
        let mut ssh = Command::new("ssh");
        if !self.config.is_empty() {
            ssh.arg("-F").arg(&self.config);
        }
        let words: String = args.iter().map(|word| format!(" '{word}'")).collect();
        ssh.args(["-T", "-o", "BatchMode=yes", &there.destination]);
        ssh.arg(format!("exec {}/bin/sh -s --{words}", there.become_root));
        ssh.stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh
    }

    /// Runs one of the scripts of tests/acceptance on a host.
    pub fn script(&self, host: &str, script: &str, args: &[&str]) -> Command {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/acceptance").join(script);
        let mut command = self.shell(host, args);
        command.stdin(File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        command
    }

    /// Runs shell commands on a host and requires their success.
    pub fn sh(&self, host: &str, commands: &str) -> String {
        let output = self.try_sh(host, commands);
        assert!(output.status.success(), "on {host}: {commands}\n{}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs shell commands on a host.
    pub fn try_sh(&self, host: &str, commands: &str) -> Output {
        let mut child = self.shell(host, &[]).stdin(Stdio::piped()).spawn().expect("ssh runs");
        let mut input = child.stdin.take().expect("a pipe");
        // A host that ends before it has read everything says why by its exit status.
        let _ = write!(input, "main() {{\nset -e\n{commands}\n}}\nmain </dev/null\nexit\n");
        drop(input);
        child.wait_with_output().expect("ssh ends")
    }

    /// What a URL answers the client, empty when nothing.
    pub fn fetch(&self, url: &str) -> String {
        let output = self.try_sh("client", &format!("fetch -q -T 5 -o - '{url}'"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A jail's page as a client outside sees it, by the hub's port forward and by its own IPv6 address.
    pub fn urls(&self, jail: &str) -> [String; 2] {
        let (port, address) = match jail {
            "web" => (8080, "2001:db8:1:1::50"),
            "db" => (8081, "2001:db8:1:3::10"),
            "mail" => (8082, "2001:db8:1::25"),
            "sib" => (8083, "2001:db8:1:1::51"),
            other => panic!("no jail {other}"),
        };
        [format!("http://{}:{port}", self.public4), format!("http://[{address}]")]
    }

    /// The jail answers outside in both families, and says that it runs on `host`.
    pub fn answers_from(&self, jail: &str, host: &str) {
        for url in self.urls(jail) {
            let mut page = String::new();
            wait_until(&format!("{url}/ answers from {host}"), || {
                page = self.fetch(&format!("{url}/"));
                page.starts_with(&format!("jail={jail}\nhost={host}\n"))
            });
        }
    }

    /// Boots a host anew and waits until it is up.
    pub fn reboot(&self, host: &str) {
        let Some(lab) = &self.lab else {
            let booted = "sysctl -n kern.boottime | awk '{ print $4 }'";
            let before = self.sh(host, booted);
            self.sh(host, "nohup sh -c 'sleep 1; exec shutdown -r now' >/dev/null 2>&1 &");
            return wait_at_most(REBOOT, &format!("{host} has booted anew"), || {
                // sshd(8) answers before rc(8) has started the jails.
                let now = self.try_sh(host, &format!("! pgrep -qf '/etc/[r]c autoboot' && {booted}"));
                now.status.success() && String::from_utf8_lossy(&now.stdout) != before
            });
        };
        let output = lab.verb(&["reboot", host]);
        assert!(output.status.success(), "lab reboot {host}: {}", text(&output));
        wait_until(&format!("{host} is up"), || self.try_sh(host, "jls name").status.success());
    }

    /// Stops a jail, and waits until it lets go of its datasets: on FreeBSD a removed jail keeps its root for as long as
    /// a connection of its is in TIME_WAIT.
    pub fn stop(&self, host: &str, jail: &str) {
        self.sh(host, &format!("jail -q -f /etc/jail.conf.d/{jail}.conf -r {jail} >/dev/null"));
        wait_at_most(TIME_WAIT, &format!("{jail} is gone"), || {
            !self.sh(host, "jls -d name").lines().any(|name| name == jail)
        });
    }

    /// The node on which the jail runs, by asking all of them.
    pub fn runs_on(&self, jail: &str) -> Vec<&'static str> {
        NODES.into_iter().filter(|node| self.try_sh(node, &format!("jls -j {jail} jid")).status.success()).collect()
    }
}

/// The nodes of a fleet.yml that fleet.sh wrote.
fn hosts(fleet: &str) -> BTreeMap<String, Host> {
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    let mut name = String::new();
    for line in fleet.lines().skip_while(|line| *line != "nodes:").skip(1).take_while(|line| line.starts_with(' ')) {
        if let Some(node) = line.strip_prefix("  ").filter(|l| !l.starts_with(' ')).and_then(|l| l.strip_suffix(':')) {
            name = node.to_owned();
        } else if let Some((key, value)) = line.trim().split_once(": ") {
            let host = hosts.entry(name.clone()).or_insert(Host { destination: name.clone(), become_root: "" });
            match (key, value) {
                ("ssh", destination) => host.destination = destination.trim_matches('"').to_owned(),
                ("become", "sudo") => host.become_root = "sudo -n ",
                ("become", "doas") => host.become_root = "doas -n ",
                ("become", "mdo") => host.become_root = "mdo ",
                _ => {}
            }
        }
    }
    assert_eq!(hosts.keys().map(String::as_str).collect::<Vec<_>>(), ["big", "small", "spare"], "unexpected fleet.yml");
    hosts
}

/// Asks again until it is so; a generous bound, since no timing shall decide a test.
pub fn wait_until(what: &str, so: impl FnMut() -> bool) {
    wait_at_most(Duration::from_secs(60), what, so);
}

/// The same, for what takes a host longer.
pub fn wait_at_most(time: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !so() {
        assert!(Instant::now() < end, "waited {} s in vain until: {what}", time.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A command's whole answer, for messages.
pub fn text(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
