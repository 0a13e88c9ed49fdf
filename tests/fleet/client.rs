//! A client outside that counts while a jail moves, and asks its neighbours (tests/acceptance/client.sh).

use std::collections::BTreeMap;
use std::process::Child;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use crate::bench::Fleet;
use crate::bench::text;
use crate::bench::wait_until;

/// Long enough for any move; a test stops it earlier.
const SECONDS: &str = "1800";

/// A client that increments a jail's counter, or asks for pages, until it is stopped.
pub struct Client<'a> {
    fleet: &'a Fleet,
    file: String,
    child: Child,
}

/// What a probe saw of one URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub asked: u64,
    pub answered: u64,
    pub lost: u64,
    pub blackout_ms: u64,
    /// Who answered, in order: `spare>big`.
    pub hosts: String,
}

impl<'a> Client<'a> {
    /// Increments by GET URL/increment, one after the other, a few times a second: asking without a rest would take a
    /// processor of the machine that has all hosts.
    pub fn counting(fleet: &'a Fleet, url: &str) -> Client<'a> {
        Client::counting_slowly(fleet, url, "0.2")
    }

    /// The same with a rest between two increments, in seconds: many of these clients leave the processor to others.
    pub fn counting_slowly(fleet: &'a Fleet, url: &str, rest: &str) -> Client<'a> {
        Client::begin(fleet, "count", &[url, rest])
    }

    /// Asks every URL again and again, about ten times a second where that is no load.
    pub fn asking(fleet: &'a Fleet, urls: &[&str]) -> Client<'a> {
        Client::begin(fleet, "probe", urls)
    }

    /// The same of those that nothing should happen to: lost is only what gets no answer at all, however slow.
    pub fn neighbours(fleet: &'a Fleet, urls: &[&str]) -> Client<'a> {
        Client::begin(fleet, "neighbours", urls)
    }

    fn begin(fleet: &'a Fleet, verb: &str, rest: &[&str]) -> Client<'a> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = format!("/tmp/acceptance-{verb}-{}-{number}", std::process::id());
        let mut args = vec![verb, &file, SECONDS];
        args.extend(rest);
        let child = fleet.script("client", "client.sh", &args).stdout(Stdio::null()).spawn().expect("ssh runs");
        let client = Client { fleet, file, child };
        // An answer before anything happens, or the test would prove nothing.
        client.waits_for(1);
        client
    }

    /// Waits until so many more lines than now have an answer.
    pub fn waits_for(&self, more: usize) {
        let answered = || {
            let count = format!("grep -c -v -e '-$' {} || :", self.file);
            self.fleet.sh("client", &count).trim().parse::<usize>().unwrap_or(0)
        };
        let before = answered();
        wait_until("the client gets answers", || answered() >= before + more);
    }

    fn stop(&mut self) {
        self.fleet.sh("client", &format!("touch {}.stop", self.file));
        let _ = self.child.wait();
    }

    /// Increments so far that nobody acknowledged.
    pub fn unanswered(&self) -> u64 {
        let count = format!("grep -c -e ' -$' {} || :", self.file);
        self.fleet.sh("client", &count).trim().parse().expect("a number")
    }

    /// Every increment that was acknowledged is there, each value was given once and in order. Returns the last value.
    pub fn lost_nothing(mut self, url: &str) -> u64 {
        self.waits_for(3);
        self.stop();
        let output = self.fleet.script("client", "client.sh", &["verify", &self.file, url]).output().expect("ssh runs");
        assert!(
            output.status.success(),
            "{}\n{}",
            text(&output),
            self.fleet.sh("client", &format!("cat {}", self.file))
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = said.split_whitespace().find_map(|word| word.strip_prefix("last="));
        last.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("client.sh verify said: {said}"))
    }

    /// What the client saw of each URL.
    pub fn seen(mut self) -> BTreeMap<String, Seen> {
        self.waits_for(3);
        self.stop();
        let output = self.fleet.script("client", "client.sh", &["report", &self.file]).output().expect("ssh runs");
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8_lossy(&output.stdout).lines().map(seen).collect()
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // It sees that within an answer's time; its files can go then.
        self.fleet.try_sh("client", &format!("touch {}.stop", self.file));
        if !self.fleet.try_sh("client", "true").status.success() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        self.fleet.try_sh("client", &format!("rm -f {f} {f}.*", f = self.file));
    }
}

fn seen(line: &str) -> (String, Seen) {
    let field = |name: &str| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in: {line}")).to_owned()
    };
    let number = |name: &str| field(name).parse().unwrap_or_else(|_| panic!("{name} is no number in: {line}"));
    let (asked, answered, lost) = (number("asked"), number("answered"), number("lost"));
    (field("url"), Seen { asked, answered, lost, blackout_ms: number("blackout_ms"), hosts: field("hosts") })
}
