//! The testbed's scripts (tests/acceptance) do in the lab what they promise on real hosts: prepare, answer, change nothing when run again, and leave no trace.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

const HOSTS: [&str; 4] = ["small", "spare", "big", "client"];

/// A lab that ends with the test.
struct Lab {
    dir: PathBuf,
}

impl Lab {
    fn raise(name: &str) -> Lab {
        let lab = Lab { dir: std::env::temp_dir().join(format!("lab-{name}-{}", std::process::id())) };
        let output = lab.verb(&["up", "--bare"]);
        assert!(output.status.success(), "lab up failed: {}", text(&output));
        lab
    }

    fn verb(&self, args: &[&str]) -> Output {
        run(Command::new(env!("CARGO_BIN_EXE_lab")).arg("--dir").arg(&self.dir).args(args))
    }

    fn ssh(&self, host: &str, command: &str, script: &str) -> Output {
        let input = fs::File::open(scripts().join(script)).expect("the script is there");
        run(Command::new("ssh").arg("-F").arg(self.dir.join("ssh_config")).args([host, command]).stdin(input))
    }

    /// What state.sh prints of every host; the number of FIBs, which the kernel cannot lower, is left out.
    fn states(&self) -> String {
        let mut all = String::new();
        for host in HOSTS {
            let become_root = if host == "small" { "sudo -n " } else { "" };
            let output = self.ssh(host, &format!("exec {become_root}/bin/sh -s"), "state.sh");
            assert!(output.status.success(), "state.sh failed on {host}: {}", text(&output));
            let state = String::from_utf8_lossy(&output.stdout);
            let lines =
                state.lines().filter(|line| !line.starts_with("net.fibs=") && !line.starts_with("== routes fib 1"));
            all.extend(lines.map(|line| format!("{host}: {line}\n")));
        }
        all
    }

    fn fleet(&self, first: &[&str]) -> Output {
        run(Command::new("/bin/sh")
            .arg(scripts().join("fleet.sh"))
            .args(first)
            .arg("-F")
            .arg(self.dir.join("ssh_config"))
            .arg("-o")
            .arg(&self.dir)
            .args(["--public-if", "vtnet0"])
            .args(HOSTS))
    }

    fn client(&self, url: &str) -> String {
        let output = self.verb(&["client", "--", "fetch", "-q", "-T", "5", "-o", "-", url]);
        assert!(output.status.success(), "no answer from {url}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.verb(&["down"]);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/acceptance")
}

fn run(command: &mut Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("the command can be run")
}

fn text(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: the lab needs root");
    }
    root
}

#[test]
fn the_testbed_answers_and_leaves_no_trace() {
    if !root() {
        return;
    }
    let lab = Lab::raise("testbed");
    let bare = lab.states();
    let output = lab.fleet(&[]);
    assert!(output.status.success(), "fleet.sh failed: {}", text(&output));

    // From outside, through NAT and tunnel, both families; the page says who answers.
    for (url, jail, host) in [
        ("http://203.0.113.1:8080/", "web", "spare"),
        ("http://203.0.113.1:8081/", "db", "spare"),
        ("http://203.0.113.1:8082/", "mail", "small"),
        ("http://203.0.113.1:8083/", "sib", "spare"),
        ("http://[2001:db8:1:1::50]/", "web", "spare"),
        ("http://[2001:db8:1:3::10]/", "db", "spare"),
        ("http://[2001:db8:1::25]/", "mail", "small"),
    ] {
        assert_eq!(lab.client(url), format!("jail={jail}\nhost={host}\ncount=0\n"), "{url}");
    }
    assert_eq!(lab.client("http://203.0.113.1:8080/increment"), "1\n");
    assert_eq!(lab.client("http://[2001:db8:1:1::50]/count"), "1\n");

    // Again: nothing changes.
    let prepared = lab.states();
    let output = lab.fleet(&[]);
    assert!(output.status.success(), "fleet.sh failed when run again: {}", text(&output));
    assert_eq!(lab.states(), prepared);

    let output = lab.fleet(&["--undo"]);
    assert!(output.status.success(), "fleet.sh --undo failed: {}", text(&output));
    assert_eq!(lab.states(), bare);
}
