//! What the hosts and the journal say about a case, whatever jailferry says.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::bench::Fleet;
use crate::bench::NODES;
use crate::lab::Watch;
use crate::matrix::Step;

/// At most one copy of `jail` ever ran, by the hosts' own logs: a copy counts from before its first process until after its last.
/// Returns the hosts it ran on, in order.
pub fn never_two(fleet: &Fleet, jail: &str) -> Vec<String> {
    let mut events: Vec<(f64, &str, Value)> = Vec::new();
    for node in NODES {
        let lives = fleet.in_lab().lives(node).into_iter();
        events.extend(lives.map(|life| (life["time"].as_f64().expect("a time"), node, life)));
    }
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut running: BTreeMap<&str, f64> = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    for (time, node, life) in &events {
        match (life["jail"].as_str(), life["runs"] == true) {
            (Some(name), true) if name == jail => {
                running.insert(node, *time);
                assert!(running.len() == 1, "two copies of {jail} ran at {time}: {running:?}");
                if path.last().is_none_or(|last| last != node) {
                    path.push((*node).to_owned());
                }
            }
            (Some(name), false) if name == jail => drop(running.remove(node)),
            (None, _) => drop(running.remove(node)),
            _ => {}
        }
    }
    path
}

/// Each prefix has one owner at the hub whenever the hub is up, and nobody takes what is the sibling's.
pub fn owners(watch: &Watch, prefixes: &[&str]) {
    for sample in watch.samples() {
        let Some(owners) = sample["prefixes"].as_object().filter(|owners| !owners.is_empty()) else { continue };
        assert_eq!(owners.get("192.168.123.0/24"), Some(&Value::from("spare")), "the siblings' network: {sample}");
        for prefix in prefixes {
            let owner = owners.get(*prefix).map_or("spare", |owner| owner.as_str().unwrap_or_default());
            assert!(["spare", "big"].contains(&owner), "{prefix} belongs to {owner}: {sample}");
        }
    }
}

/// The lines of the newest journal.
pub fn journal(fleet: &Fleet) -> Vec<Value> {
    let Some(path) = fleet.journals().pop() else { return Vec::new() };
    let text = fs::read_to_string(path).expect("a journal is text");
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The numbers of the steps that came to this state, in order.
pub fn steps(journal: &[Value], phase: &str) -> Vec<u64> {
    let steps = journal.iter().map(|line| &line["what"]["step"]).filter(|step| step["phase"] == phase);
    steps.filter_map(|step| step["number"].as_u64()).collect()
}

/// The fault struck at `time` while this step was under way.
pub fn struck_during(journal: &[Value], step: &Step, time: f64) {
    let at = |line: &Value| -> f64 {
        let text = line["at"].as_str().expect("a line has a time");
        let time: jiff::Timestamp = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        time.as_duration().as_secs_f64()
    };
    let of = |phases: &[&str]| {
        let found = journal.iter().find(|line| {
            let what = &line["what"]["step"];
            what["number"] == step.number && phases.iter().any(|phase| what["phase"] == *phase)
        });
        found.map(at)
    };
    let begun = of(&["intended"]).unwrap_or_else(|| panic!("step {} never began", step.number));
    let ended = of(&["done", "failed"]);
    assert!(
        begun <= time && ended.is_none_or(|ended| time <= ended),
        "the fault struck at {time}, step {} was under way from {begun} to {ended:?}",
        step.number
    );
}

/// The host on which the text says that the jail runs, each time it says so.
pub fn claims<'a>(said: &'a str, jail: &str) -> Vec<&'a str> {
    let claim = format!("jail {jail} runs on ");
    let found = said.match_indices(&claim).map(|(at, _)| &said[at + claim.len()..]);
    found.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()).collect()
}
