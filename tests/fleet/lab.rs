//! A lab: raised for one test, ended with it.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use serde_json::Value;

use crate::bench::text;
use crate::bench::wait_until;

/// Labs at once, unless JAILFERRY_TEST_LABS says otherwise: more would only wait for each other's processors.
const AT_ONCE: u32 = 2;

/// How many labs may run at once.
pub fn at_once() -> u32 {
    std::env::var("JAILFERRY_TEST_LABS").ok().and_then(|n| n.parse().ok()).unwrap_or(AT_ONCE).max(1)
}

static RUNNING: Mutex<u32> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// One of the places for a lab.
struct Permit;

impl Permit {
    fn take() -> Permit {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= at_once() {
            running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// A running lab.
pub struct Lab {
    pub dir: PathBuf,
    _permit: Permit,
}

impl Lab {
    /// None, after a line on the terminal, when this user cannot raise one.
    pub fn raise(test: &str) -> Option<Lab> {
        let id = Command::new("id").arg("-u").output().expect("id(1) runs");
        if String::from_utf8_lossy(&id.stdout).trim() != "0" {
            // Not eprintln, which shows nothing when the test passes.
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: the lab needs root (run it as root, or with sudo -E)");
            return None;
        }
        let permit = Permit::take();
        let dir = std::env::temp_dir().join(format!("jf-{test}-{}", std::process::id()));
        let lab = Lab { dir, _permit: permit };
        let output = lab.verb(&["up"]);
        assert!(output.status.success(), "lab up failed: {}", text(&output));
        Some(lab)
    }

    pub fn verb(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the lab's program runs")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--dir").arg(&self.dir).args(args);
        command
    }

    /// Makes every (or the nth) command of `host` whose words contain `part` fail before its effect.
    pub fn fail(&self, host: &str, part: &str, nth: Option<u32>, message: &str) -> Fault {
        let number = nth.map(|n| n.to_string());
        let mut at = vec!["--match", part];
        if let Some(number) = &number {
            at.extend(["--nth", number]);
        }
        self.fault(host, &at, &format!("fail:1:{message}"))
    }

    /// Orders a fault (`lab fault`).
    pub fn fault(&self, host: &str, at: &[&str], action: &str) -> Fault {
        let mut args = vec!["fault", host, "add", "--do", action];
        args.extend(at);
        let output = self.verb(&args);
        assert!(output.status.success(), "lab fault failed: {}", text(&output));
        Fault { host: host.to_owned(), id: String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number") }
    }

    /// How often a fault struck.
    pub fn fired(&self, fault: &Fault) -> u64 {
        self.ordered(fault)["fired"].as_u64().expect("a number")
    }

    /// When a fault struck last, in seconds since 1970.
    pub fn struck(&self, fault: &Fault) -> Option<f64> {
        self.ordered(fault)["struck"].as_f64()
    }

    /// All that the lab knows of a fault, for messages.
    pub fn told(&self, fault: &Fault) -> String {
        format!("{} {}", fault.host, self.ordered(fault))
    }

    fn ordered(&self, fault: &Fault) -> Value {
        let output = self.verb(&["fault", &fault.host, "list"]);
        let list = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = list.lines().map(json).find(|f| f["id"] == fault.id);
        found.unwrap_or_else(|| panic!("{} has no fault {}: {list}", fault.host, fault.id))
    }

    pub fn clear_faults(&self, host: &str) {
        let output = self.verb(&["fault", host, "clear"]);
        assert!(output.status.success(), "lab fault clear failed: {}", text(&output));
    }

    /// The commands a host received, not those of its own boot.
    pub fn commands(&self, host: &str) -> Vec<Value> {
        let output = self.verb(&["log", host, "--json"]);
        assert!(output.status.success(), "lab log failed: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).lines().map(json).filter(|e| e.get("by").is_none()).collect()
    }

    /// What a host received over ssh: command strings and scripts.
    pub fn received(&self, host: &str) -> Vec<Value> {
        let output = self.verb(&["log", host, "--ssh"]);
        assert!(output.status.success(), "lab log --ssh failed: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).lines().map(json).collect()
    }

    /// When jails began to be and had ended on a host, since the lab was raised.
    pub fn lives(&self, host: &str) -> Vec<Value> {
        let output = self.verb(&["log", host, "--jails"]);
        assert!(output.status.success(), "lab log --jails failed: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).lines().map(json).collect()
    }

    /// Starts to look where jails run and who owns which prefix.
    pub fn watch(&self) -> Watch {
        let path = self.dir.join("watch.jsonl");
        let file = File::create(&path).expect("the lab's folder is writable");
        let child =
            self.command(&["watch", "--json"]).stdout(file).stdin(Stdio::null()).spawn().expect("lab watch runs");
        let watch = Watch { child, path };
        wait_until("lab watch looks", || !watch.samples().is_empty());
        watch
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::env::var_os("JAILFERRY_TEST_KEEP").is_some() && std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the lab is kept: lab --dir {} status", self.dir.display());
            return;
        }
        self.verb(&["down"]);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A fault that was ordered.
pub struct Fault {
    host: String,
    id: u64,
}

/// `lab watch`, twenty samples a second, a line for every change.
pub struct Watch {
    child: Child,
    path: PathBuf,
}

impl Watch {
    pub fn samples(&self) -> Vec<Value> {
        let all = fs::read_to_string(&self.path).expect("what lab watch wrote can be read");
        // The last line may be half written.
        all.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(json).collect()
    }

    /// At most one copy of `jail` ran at any time, and its prefix always had an owner. Returns the hosts it ran on, in order.
    pub fn never_two(mut self, jail: &str, prefix: &str) -> Vec<String> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut path: Vec<String> = Vec::new();
        for sample in self.samples() {
            let empty = serde_json::Map::new();
            let jails = sample["jails"].as_object().unwrap_or(&empty);
            let runs = |list: &Value| list.as_array().is_some_and(|l| l.iter().any(|name| name == jail));
            let hosts: Vec<&String> = jails.iter().filter(|(_, list)| runs(list)).map(|(host, _)| host).collect();
            assert!(hosts.len() <= 1, "two copies of {jail} ran: {sample}");
            if let [host] = hosts.as_slice()
                && path.last() != Some(host)
            {
                path.push((*host).clone());
            }
            // One line per prefix, so that two owners of the same one would show as a missing /24 or a changed owner.
            let owners = sample["prefixes"].as_object().unwrap_or(&empty);
            assert!(owners.contains_key(prefix), "nobody owned {prefix}: {sample}");
        }
        path
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
}

/// The lab's program, built once from this source tree beside the program under test.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_jailferry")).parent().expect("a program lies in a folder");
        let path = folder.join("lab");
        if let Some(cargo) = std::env::var_os("CARGO") {
            let target = folder.parent().expect("target/PROFILE");
            let mut build = Command::new(cargo);
            build.args([
                "build",
                "-q",
                "-p",
                "lab",
                "--manifest-path",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            ]);
            build.arg("--target-dir").arg(target);
            if folder.ends_with("release") {
                build.arg("--release");
            }
            let output = build.output().expect("cargo runs");
            assert!(output.status.success(), "the lab does not build: {}", text(&output));
        }
        assert!(path.exists(), "no {}: cargo build -p lab", path.display());
        path
    })
}
