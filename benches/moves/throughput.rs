//! How fast data goes over, against the plain pipes, and the memory of the process through which it goes.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::bench::Fleet;
use crate::methods::warm;
use crate::stand::Stand;
use crate::table::Figures;
use crate::table::head;
use crate::table::repetitions;
use crate::table::row;
use crate::table::title;

const REPETITIONS: usize = 7;

/// MiB for the throughput.
const SIZE: usize = 300;

/// MiB for the memory.
const SIZES: [usize; 3] = [10, 100, 300];

/// The step whose stream is measured: with the plain pipe's snapshot, and without.
const STEPS: [&str; 2] = ["send jfpool/jails/web/data@plain", "send jfpool/jails/web/data in full"];

pub fn measure() {
    let Some(stand) = Stand::raise("moves-throughput") else { return };
    let masters = warm(&stand, "warm", "");
    stand.fill("spare", SIZE);
    let ssh = |host: &str, command: &str| {
        let mut line = format!("ssh -F {} -T -o BatchMode=yes {host}", masters.display());
        line.push_str(&format!(" '{command}'"));
        line
    };
    let run = |line: &str| {
        let output = Command::new("/bin/sh").args(["-c", line]).output().expect("sh runs");
        assert!(output.status.success(), "{line}: {}", crate::bench::text(&output));
    };
    stand.fleet.sh("spare", "zfs snapshot jfpool/jails/web/data@plain");
    let direct = Direct::between(&stand);
    let send = "zfs send -L -e -c jfpool/jails/web/data@plain";
    let receive = "zfs receive -u jfpool/plain";
    let pipes = [
        format!("{} | {}", ssh("spare", send), ssh("big", receive)),
        ssh("spare", &format!("{send} | {} \"{receive}\"", direct.ssh)),
    ];
    // Also makes the warm connections.
    run(&ssh("spare", "true"));
    run(&ssh("big", "true"));
    title(
        &format!("Throughput, {SIZE} MiB in files of one"),
        "At least 0.95 of the plain pipe over warm connections.",
        repetitions(REPETITIONS),
    );
    head(&["way", "jailferry", "plain pipe", "jailferry / plain"]);
    for (way, pipe) in [("relay", &pipes[0]), ("direct", &pipes[1])] {
        let (mut ours, mut plain) = (Figures::default(), Figures::default());
        for _ in 0..repetitions(REPETITIONS) {
            let (took, _) = copied(&stand.fleet, way);
            ours.add(rate(took));
            let started = Instant::now();
            run(pipe);
            plain.add(rate(started.elapsed()));
            stand.fleet.sh("big", "zfs destroy -r jfpool/plain");
        }
        row(&[way, &ours.told("MiB/s"), &plain.told("MiB/s"), &format!("{:.2}", ours.median() / plain.median())]);
    }
    direct.gone(&stand);
    stand.fleet.sh("spare", "zfs destroy jfpool/jails/web/data@plain");
    title(
        "Memory of the process that copies",
        "Flat at any size: what it has allocated (RssAnon), and with the pages of its program that it has used (VmHWM).",
        1,
    );
    head(&["size", "relay", "relay, with the program", "direct", "direct, with the program"]);
    for size in SIZES {
        stand.fill("spare", size);
        let [relay, direct] = ["relay", "direct"].map(|way| copied(&stand.fleet, way).1);
        let told = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
        row(&[&format!("{size} MiB"), &told(relay.own), &told(relay.all), &told(direct.own), &told(direct.all)]);
    }
}

fn rate(took: Duration) -> f64 {
    f64::from(u16::try_from(SIZE).expect("small")) / took.as_secs_f64()
}

/// The most memory a process had, in KiB.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    /// Allocated.
    own: u64,
    /// With the pages of its program and libraries: how many of those are in memory is the kernel's affair as well.
    all: u64,
}

impl Peak {
    /// proc(5), `/proc/PID/status`. Before exec(2) it is a copy of this program.
    fn see(&mut self, status: &str) {
        if !status.starts_with("Name:\tjailferry\n") {
            return;
        }
        let of = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or_default()
        };
        self.own = self.own.max(of("RssAnon:"));
        self.all = self.all.max(of("VmHWM:"));
    }
}

/// A move that is interrupted behind its first copy: the time of the large stream, and the most memory.
fn copied(fleet: &Fleet, way: &str) -> (Duration, Peak) {
    let mut child = fleet.start(&["migrate", "jail", "web", "to", "node", "big", "--yes", "--json", "--transfer", way]);
    let status = format!("/proc/{}/status", child.id());
    let peak = std::thread::spawn(move || {
        let mut peak = Peak::default();
        // A process that has ended and is not waited for yet has no such lines.
        while let Ok(text) = fs::read_to_string(&status)
            && text.contains("VmHWM:")
        {
            peak.see(&text);
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    let lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let (mut number, mut took) = (Value::Null, None);
    let mut all = String::new();
    for line in lines.lines().map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["event"] == "step_started" && STEPS.iter().any(|title| event["title"] == *title) {
            number = event["number"].clone();
        }
        if took.is_none() && !number.is_null() && event["event"] == "step_done" && event["number"] == number {
            took = event["milliseconds"].as_u64().map(Duration::from_millis);
            // It takes back what it copied.
            let stop = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            assert!(stop.is_ok_and(|status| status.success()), "it is still there");
        }
        all.push_str(&line);
        all.push('\n');
    }
    let output = child.wait_with_output().expect("it ends");
    let peak = peak.join().expect("the watcher ends");
    assert_eq!(output.status.code(), Some(4), "rolled back\n{all}{}", crate::bench::text(&output));
    (took.unwrap_or_else(|| panic!("none of {STEPS:?}\n{all}")), peak)
}

/// The plain way from node to node: a key of spare's that big accepts, over the tunnel, and a warm connection.
struct Direct {
    ssh: String,
}

impl Direct {
    fn between(stand: &Stand) -> Direct {
        stand.fleet.sh("spare", "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/plain");
        let key = stand.fleet.sh("spare", "cat /root/.ssh/plain.pub");
        stand.fleet.sh("big", &format!("echo '{}' >>/root/.ssh/authorized_keys", key.trim()));
        let ssh = "ssh -i /root/.ssh/plain -o StrictHostKeyChecking=accept-new -o BatchMode=yes -o ControlMaster=auto -o ControlPath=/tmp/plain-%h -o ControlPersist=600 root@10.77.0.3".to_owned();
        stand.fleet.sh("spare", &format!("{ssh} true"));
        Direct { ssh }
    }

    fn gone(&self, stand: &Stand) {
        stand.fleet.sh("spare", &format!("{} -O exit 2>/dev/null || :; rm -f /root/.ssh/plain*", self.ssh));
    }
}
