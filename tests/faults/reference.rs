//! What a move without faults leaves on the hosts: what every moved case is held to.

use serde_json::Value;

use crate::bench::Fleet;
use crate::case::LEASE;
use crate::evidence;
use crate::matrix::Plan;
use crate::state::States;

/// The move without faults.
pub struct Reference {
    pub plan: Plan,
    /// What differs on the hosts from before, run ids, GUIDs and keys left out, after `finalize`.
    pub moved: Vec<String>,
}

impl Reference {
    pub fn of(mut fleet: Fleet) -> Reference {
        fleet.short_lease(LEASE);
        let json = fleet.jailferry(&["plan", "web", "big", "--json"]).exits(0).json();
        let before = fleet.states();
        fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
        let left_out = evidence::steps(&evidence::journal(&fleet), "skipped");
        finalize(&fleet);
        Reference { plan: Plan::read(&json, &left_out), moved: difference(&before, &fleet.states()) }
    }

    /// The plan of the same move in another lab.
    pub fn plan_in(&self, fleet: &Fleet) -> Plan {
        let left_out: Vec<u64> = self.plan.steps.iter().filter(|s| s.left_out).map(|s| s.number as u64).collect();
        let json = fleet.jailferry(&["plan", "web", "big", "--json"]).exits(0).json();
        let plan = Plan::read(&json, &left_out);
        let titles = |plan: &Plan| -> Vec<String> { plan.steps.iter().map(|s| anonymous(&s.title)).collect() };
        assert_eq!(titles(&plan), titles(&self.plan), "another plan for the same move");
        plan
    }
}

/// Lets go of the source's copy after the newest run.
pub fn finalize(fleet: &Fleet) {
    let runs = fleet.jailferry(&["runs", "--json"]).exits(0).json();
    let run = runs[0]["run"].as_str().unwrap_or_else(|| panic!("no run: {runs}")).to_owned();
    fleet.jailferry(&["finalize", &run, "--yes"]).exits(0);
}

/// What differs, without what is another in every lab.
pub fn difference(before: &States, after: &States) -> Vec<String> {
    let plain = |line: &String| {
        let line = anonymous(line);
        in_any_order(&line).unwrap_or(line)
    };
    let mut lines: Vec<String> = before.difference(after).iter().map(plain).collect();
    lines.sort();
    lines
}

/// A step that failed after the point of no return is made up for behind the others, so that its lines of rc.conf, and its
/// words in the lists of routes, come last. That means the same: all lines are compared, but not their order.
fn in_any_order(line: &str) -> Option<String> {
    const FILE: &str = " /etc/rc.conf";
    if let Some((section, file)) = line.split_once("files: ")
        && file.ends_with(FILE)
    {
        return Some(format!("{section}files: one of {}", file.split_once(' ')?.1));
    }
    let (start, list) = line.split_once("static_routes=\"")?;
    let mut names: Vec<&str> = list.strip_suffix('"')?.split(' ').collect();
    names.sort_unstable();
    Some(format!("{start}static_routes=\"{}\"", names.join(" ")))
}

/// Run ids, GUIDs and keys by what they are.
fn anonymous(line: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for letter in line.chars().chain([' ']) {
        // A key ends with the only = that can be part of a word.
        if letter.is_ascii_alphanumeric() || "+/".contains(letter) || letter == '=' && word.len() == 43 {
            word.push(letter);
            continue;
        }
        let hex = word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit());
        let digits = word.len() > 12 && word.chars().all(|c| c.is_ascii_digit());
        let key = word.len() == 44 && word.ends_with('=');
        match (hex && out.ends_with("web-"), digits, key) {
            (true, ..) => out.push_str("RUN"),
            (_, true, _) => out.push_str("GUID"),
            (.., true) => out.push_str("KEY"),
            _ => out.push_str(&word),
        }
        word.clear();
        out.push(letter);
    }
    out.trim_end().to_owned()
}

/// How the newest run ended, by its journal.
pub fn outcome(fleet: &Fleet) -> String {
    let journal = evidence::journal(fleet);
    let last = journal.iter().rev().find_map(|line| line["what"].get("finished"));
    last.map_or_else(String::new, |f: &Value| f["outcome"].as_str().unwrap_or_default().to_owned())
}
