//! One case, from the first question to the last look at the hosts.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use crate::bench::Fleet;
use crate::bench::NODES;
use crate::bench::wait_until;
use crate::client::Client;
use crate::echoes::Echoes;
use crate::evidence;
use crate::lab;
use crate::lab::Lab;
use crate::matrix::Case;
use crate::matrix::Command;
use crate::matrix::Fault;
use crate::matrix::Plan;
use crate::matrix::Step;
use crate::matrix::Then;
use crate::reference;
use crate::reference::Reference;
use crate::state::States;
use crate::table::Ending;
use crate::tool::Told;

/// A run that lasts longer hangs.
const LONGEST: Duration = Duration::from_secs(300);

/// How long the hosts wait for a sign of life; long enough for a machine with much to do.
pub const LEASE: &str = "12s";

/// What the web jail owns.
const PREFIXES: [&str; 2] = ["192.168.123.50/32", "2001:db8:1:1::50/128"];

/// A neighbour of the web jail's, in its subnet.
const SIBLING: &str = "2001:db8:1:1::51";

/// So many pings in a row, five a second, an overloaded machine may lose.
const MAY_BE_LOST: usize = 5;

/// What a plan prints instead of itself.
const PLACEHOLDER: &str = "(this plan, as JSON)";

const MIGRATE: [&str; 4] = ["migrate", "web", "big", "--yes"];

/// A lab in which nothing has happened yet.
pub struct Bench {
    fleet: Fleet,
    before: States,
    /// What a machine that is lost had.
    lost: TempDir,
}

/// What came of a case.
pub struct Came {
    pub ending: Ending,
    /// Exit codes: of the run, unless it was killed, and of each `recover`.
    pub exits: Vec<i32>,
    pub outcome: String,
    /// What a person had to know.
    pub note: String,
    /// Is the lab as it was, so that the next case can have it?
    pub clean: bool,
}

impl Bench {
    pub fn new(mut fleet: Fleet) -> Bench {
        fleet.short_lease(LEASE);
        let before = fleet.states();
        Bench { fleet, before, lost: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Carries out a case. Panics with what was wrong.
    pub fn run(&mut self, reference: &Reference, case: &Case) -> Came {
        self.fleet.state = tempfile::tempdir().expect("a temporary folder");
        self.lost = tempfile::tempdir().expect("a temporary folder");
        let (fleet, lab) = (&self.fleet, self.fleet.in_lab());
        let plan = reference.plan_in(fleet);
        let steps: Vec<&Step> = case.steps.iter().map(|step| plan.step(step.number)).collect();
        let [url, _] = fleet.urls("web");
        let watch = lab.watch();
        let counting = Client::counting_slowly(fleet, &url, "1");
        let beside = Echoes::of(lab, SIBLING);

        let faults: Vec<lab::Fault> = steps.iter().flat_map(|step| order(lab, &plan, step, case.fault)).collect();
        let child = fleet.start(&MIGRATE);
        let mut told: Vec<Told> = Vec::new();
        if case.fault.kills() {
            killed(fleet, child, &faults);
            let journal = evidence::journal(fleet);
            let open = |number: &u64| !evidence::steps(&journal, "done").contains(number);
            let under_way: Vec<u64> = evidence::steps(&journal, "intended").into_iter().filter(open).collect();
            assert!(
                under_way.contains(&(case.step().number as u64)),
                "killed while steps {under_way:?} were under way"
            );
        } else {
            told.push(ended(fleet, child));
        }
        let header = evidence::journal(fleet).first().map(|line| line["what"]["header"]["run"].clone());
        assert_eq!(header, Some(plan.run.as_str().into()), "the run, and the plan that the faults are for");
        let struck = strikes(lab, &faults, &told);
        NODES.into_iter().for_each(|node| lab.clear_faults(node));
        if case.fault == Fault::Rebooted {
            are_up(fleet);
        }
        let journal = evidence::journal(fleet);
        let commands = steps.iter().flat_map(|step| case.fault.strikes(step).into_iter().map(move |_| *step));
        for (step, time) in commands.zip(struck) {
            evidence::struck_during(&journal, step, time);
        }
        if let Some(told) = told.first() {
            aimed(&journal, case, told);
            code(&plan, case, told);
            claims(fleet, told);
        }
        // At once, however busy the hosts still are with what the killed run had sent them.
        if told.first().is_none_or(|told| told.status == 5) {
            if case.then == Then::RecoverElsewhere {
                lose(fleet.state.path(), self.lost.path());
            }
            let way: &[&str] = if case.then == Then::GoesOn { &["recover", "--continue"] } else { &["recover"] };
            told.push(fleet.jailferry(way));
        }
        let last = told.last().expect("something ran");
        if last.status == 5 {
            evidence::never_two(fleet, "web");
            return Came {
                ending: Ending::Human,
                exits: told.iter().map(|t| t.status).collect(),
                outcome: reference::outcome(fleet),
                note: last.all.clone(),
                clean: false,
            };
        }

        counting.lost_nothing(&url);
        let path = evidence::never_two(fleet, "web");
        evidence::owners(&watch, &PREFIXES);
        let host = case.step().commands.first().map_or("", |c| c.host.as_str());
        beside.answers();
        fleet.answers_from("sib", "spare");
        if !(case.fault == Fault::Rebooted && ["small", "spare"].contains(&host)) {
            let lost = beside.lost_in_a_row();
            assert!(lost <= MAY_BE_LOST, "the sibling left {lost} pings in a row without an answer\n{}", last.all);
            assert_eq!(evidence::never_two(fleet, "sib"), ["spare"], "the sibling\n{}", last.all);
        }
        self.settled(reference, case, &told, &path)
    }

    /// Where the jail runs, and what is left on the hosts.
    fn settled(&self, reference: &Reference, case: &Case, told: &[Told], path: &[String]) -> Came {
        let fleet = &self.fleet;
        let last = told.last().expect("something ran");
        let outcome = reference::outcome(fleet);
        let moved = match outcome.as_str() {
            "moved" => true,
            "rolled-back" | "refused" => false,
            // The last command takes away the last that another machine could know, and nothing is left to do.
            "" if case.then == Then::RecoverElsewhere && case.step().number == reference.plan.steps.len() => {
                found_again(fleet.state.path(), self.lost.path());
                fleet.jailferry(&["recover"]).exits(0);
                true
            }
            // It had changed nothing, so there is no journal on this machine.
            "" if case.then == Then::RecoverElsewhere => false,
            other => panic!("the run ended as {other:?}\n{}", last.all),
        };
        if let Some(moves) = case.moves(&reference.plan) {
            assert_eq!(moved, moves, "moved, or not\n{}", last.all);
        }
        let allowed: &[i32] = match (told.len() > 1 || case.fault.kills(), outcome.as_str()) {
            (true, _) | (_, "moved") => &[0],
            (_, "refused") => &[3],
            _ => &[4],
        };
        assert!(allowed.contains(&last.status), "{outcome}, so expected {allowed:?}\n{}", last.all);
        let host = if moved { "big" } else { "spare" };
        assert_eq!(fleet.runs_on("web"), [host], "where the jail runs\n{}", last.all);
        claims(fleet, last);
        fleet.answers_from("web", host);
        assert_eq!(path.last().map(String::as_str), Some(host), "where the jail ran: {path:?}");
        if moved {
            reference::finalize(fleet);
            let difference = eventually(|| {
                let difference = reference::difference(&self.before, &fleet.states());
                unlike(&difference, &reference.moved)
            });
            assert!(
                difference.is_empty(),
                "unlike after a move without faults:\n{}\n{}",
                difference.join("\n"),
                last.all
            );
        } else {
            let difference = eventually(|| self.before.difference(&fleet.states()));
            assert!(difference.is_empty(), "unlike before:\n{}\n{}", difference.join("\n"), last.all);
        }
        let itself = told.len() == 1 && !case.fault.kills();
        Came {
            ending: if itself { Ending::Survived } else { Ending::Recovered },
            exits: told.iter().map(|t| t.status).collect(),
            outcome,
            note: String::new(),
            clean: !moved && case.fault != Fault::Rebooted,
        }
    }
}

/// Orders the fault for exactly this step.
fn order(lab: &Lab, plan: &Plan, step: &Step, fault: Fault) -> Vec<lab::Fault> {
    let (when, action) = match fault {
        Fault::FailsBefore => ("before", "fail:1:a fault before"),
        Fault::FailsAfter => ("after", "fail:1:a fault after"),
        Fault::KilledBefore => ("before", "hang"),
        Fault::KilledAfter => ("after", "hang"),
        Fault::CutOff => ("before", "drop-ssh"),
        Fault::Rebooted => ("after", "reboot"),
        Fault::Twice => ("before", "twice"),
    };
    let one = |command: &Command| {
        let file = lab.dir.join("fault-words");
        // Its end, since the scripts of a lease contain those of other steps, and lockf(1) and timeout(1) stand before a
        // stream's. What a plan prints as a placeholder (itself) is another text when it is sent.
        let words = match (command.is_script(), command.text.split_once(PLACEHOLDER)) {
            (true, Some((_, rest))) => format!("{rest}\n}}\nmain </dev/null\nexit\n"),
            (true, None) => format!("main() {{\n{}\n}}\nmain </dev/null\nexit\n", command.text),
            // A log of command lines has no quotes.
            (false, _) if command.is_stream() => command.text.replace('\'', ""),
            (false, _) => command.text.clone(),
        };
        fs::write(&file, words).expect("the lab's folder is writable");
        let nth = plan.occurrence(step, command).to_string();
        let file = file.display().to_string();
        let mut at = vec!["--match-file", &file, "--at-end", "--nth", &nth, "--when", when];
        // A shell that waits becomes a stream without being sent its line as a command.
        if !command.is_stream() {
            at.push("--script");
        }
        lab.fault(&command.host, &at, action)
    };
    fault.strikes(step).into_iter().map(one).collect()
}

/// Kills the run once its fault has struck.
fn killed(fleet: &Fleet, mut child: Child, faults: &[lab::Fault]) {
    let lab = fleet.in_lab();
    let end = Instant::now() + LONGEST;
    while faults.iter().any(|fault| lab.fired(fault) == 0) {
        if child.try_wait().expect("a child").is_some() {
            panic!("the run ended before the fault struck\n{}", fleet.finished(child, &MIGRATE).all);
        }
        assert!(Instant::now() < end, "the fault did not strike");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("a child can be killed");
    let _ = child.wait();
}

/// What a run said at its end.
fn ended(fleet: &Fleet, mut child: Child) -> Told {
    let end = Instant::now() + LONGEST;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            let said = fleet.finished(child, &MIGRATE).all;
            let lab = fs::read_to_string(fleet.in_lab().dir.join("lab.log")).unwrap_or_default();
            panic!("the run did not end\n{said}\nlab.log:\n{lab}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    fleet.finished(child, &MIGRATE)
}

/// When each fault struck: all of them, once.
fn strikes(lab: &Lab, faults: &[lab::Fault], told: &[Told]) -> Vec<f64> {
    let said = told.first().map_or("", |told| told.all.as_str());
    let one = |fault| {
        assert_eq!(lab.fired(fault), 1, "how often the fault struck: {}\n{said}", lab.told(fault));
        lab.struck(fault).expect("it struck")
    };
    faults.iter().map(one).collect()
}

/// What failed is the step that the fault was for.
fn aimed(journal: &[serde_json::Value], case: &Case, told: &Told) {
    let failed = evidence::steps(journal, "failed");
    match case.fault {
        fault if fault.passes_over(case.step()) => {
            assert!(failed.is_empty(), "steps that failed: {failed:?}\n{}", told.all);
        }
        Fault::FailsBefore | Fault::FailsAfter => {
            assert_eq!(failed, [case.step().number as u64], "steps that failed\n{}", told.all);
        }
        Fault::Twice => assert!(failed.is_empty(), "steps that failed: {failed:?}\n{}", told.all),
        // Others may fail too: a host that is gone takes away what runs beside.
        Fault::CutOff | Fault::Rebooted | Fault::KilledBefore | Fault::KilledAfter => {}
    }
}

/// The exit code that this fault allows at this step.
fn code(plan: &Plan, case: &Case, told: &Told) {
    let lasting = case.step().number > plan.undone;
    let allowed: &[i32] = match case.fault {
        Fault::Twice => &[0],
        fault if fault.passes_over(case.step()) => &[0],
        Fault::FailsBefore | Fault::FailsAfter if lasting => &[5],
        Fault::FailsBefore | Fault::FailsAfter => &[4],
        Fault::CutOff | Fault::Rebooted if lasting => &[0, 5],
        Fault::CutOff | Fault::Rebooted => &[0, 3, 4, 5],
        Fault::KilledBefore | Fault::KilledAfter => &[],
    };
    assert!(allowed.contains(&told.status), "expected one of {allowed:?}\n{}", told.all);
}

/// Wherever jailferry says that the jail runs, it runs there.
fn claims(fleet: &Fleet, told: &Told) {
    let said = format!("{}\n{}", told.stdout, told.stderr);
    let runs_on = fleet.runs_on("web");
    for claim in evidence::claims(&said, "web") {
        assert_eq!(runs_on, [claim], "where the jail runs, and where jailferry says\n{}", told.all);
    }
}

/// The machine is lost with its journals and its name, and another takes its place.
fn lose(folder: &Path, lost: &Path) {
    give(folder, lost);
}

/// The first machine is there again.
fn found_again(folder: &Path, lost: &Path) {
    give(lost, folder);
}

fn give(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::rename(entry.path(), to.join(entry.file_name()))
            .unwrap_or_else(|e| panic!("{}: {e}", entry.path().display()));
    }
}

/// All hosts have booted.
fn are_up(fleet: &Fleet) {
    for node in NODES {
        wait_until(&format!("{node} is up"), || fleet.try_sh(node, "true").status.success());
    }
}

/// Asks again for a while as long as there is something: what ends by itself is no leftover.
fn eventually(mut ask: impl FnMut() -> Vec<String>) -> Vec<String> {
    for _ in 0..4 {
        if ask().is_empty() {
            return Vec::new();
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    ask()
}

/// Lines that only one of the two has.
fn unlike(now: &[String], reference: &[String]) -> Vec<String> {
    let mut rest: Vec<&String> = reference.iter().collect();
    let mut all = Vec::new();
    for line in now {
        match rest.iter().position(|other| *other == line) {
            Some(at) => drop(rest.remove(at)),
            None => all.push(format!("only here: {line}")),
        }
    }
    all.extend(rest.into_iter().map(|line| format!("missing: {line}")));
    all
}
