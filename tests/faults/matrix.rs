//! Which cases there are: every step of a plan, times everything that can happen to it, times how it goes on.

use std::fmt;

use serde_json::Value;

/// A plan, as `jailferry plan --json` prints it.
pub struct Plan {
    pub run: String,
    pub steps: Vec<Step>,
    /// How many steps are before the point of no return.
    pub undone: usize,
}

/// One of its steps.
#[derive(Debug, Clone)]
pub struct Step {
    pub number: usize,
    pub phase: String,
    pub title: String,
    pub commands: Vec<Command>,
    /// A fault-free run left it out: a later round of copying with nothing to copy.
    pub left_out: bool,
    /// Between its lock and its turn to change the network: a run that is killed here can go on.
    pub of_the_copy: bool,
}

/// One command of a step.
#[derive(Debug, Clone)]
pub struct Command {
    pub host: String,
    pub text: String,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The first command fails and does nothing.
    FailsBefore,
    /// The last command fails when it has done everything.
    FailsAfter,
    /// SIGKILL for jailferry before the first command does anything; then it does all of it, unseen.
    KilledBefore,
    /// SIGKILL for jailferry when the last command has done everything.
    KilledAfter,
    /// The host's SSH connections are cut while the first command runs; it goes on.
    CutOff,
    /// The host loses its power when the last command has done everything.
    Rebooted,
    /// Every command runs two times, as it does when its answer is lost.
    Twice,
}

/// How it goes on after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The run goes on by itself, to its end or back.
    Itself,
    /// jailferry was killed: `jailferry recover`, at once, where it was killed.
    RecoverHere,
    /// jailferry was killed while it copied: `jailferry recover --continue`, at once, where it was killed.
    GoesOn,
    /// jailferry was killed and its machine is lost: `jailferry recover` from another one, once the hosts' leases are over.
    RecoverElsewhere,
}

/// One case: one run with faults in it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The steps that are struck: one, but for [`Fault::Twice`], which a run survives as often as it comes.
    pub steps: Vec<Step>,
    pub fault: Fault,
    pub then: Then,
}

pub const FAULTS: [Fault; 7] = [
    Fault::FailsBefore,
    Fault::FailsAfter,
    Fault::KilledBefore,
    Fault::KilledAfter,
    Fault::CutOff,
    Fault::Rebooted,
    Fault::Twice,
];

const PHASES: [&str; 7] = ["copy", "stage", "arm", "rehearse", "cut-over", "prove", "persist"];

impl Plan {
    pub fn read(plan: &Value, left_out: &[u64]) -> Plan {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
        let list = |value: &Value| value.as_array().unwrap_or_else(|| panic!("no list: {value}")).clone();
        let command = |c: &Value| Command { host: text(&c["host"]), text: text(&c["command"]) };
        let step = |s: &Value| {
            let number = s["number"].as_u64().expect("a step has a number");
            Step {
                number: usize::try_from(number).expect("a small number"),
                phase: text(&s["phase"]),
                title: text(&s["title"]),
                commands: list(&s["commands"]).iter().map(command).collect(),
                left_out: left_out.contains(&number),
                of_the_copy: false,
            }
        };
        let mut steps: Vec<Step> = list(&plan["steps"]).iter().map(step).collect();
        let place = |words: &str| {
            steps.iter().position(|s| s.title.contains(words)).unwrap_or_else(|| panic!("no step does: {words}"))
        };
        let (lock, turn) = (place("lock jail"), place("is this run's to change"));
        steps.iter_mut().take(turn).skip(lock + 1).for_each(|step| step.of_the_copy = true);
        let undone = steps.iter().take_while(|s| s.phase != "persist").count();
        assert!(steps.iter().all(|s| PHASES.contains(&s.phase.as_str())), "a phase that this test does not know");
        Plan { run: text(&plan["run"]), steps, undone }
    }

    /// The step with this number.
    pub fn step(&self, number: usize) -> &Step {
        &self.steps[number - 1]
    }

    /// How often the host has received exactly this when the step sends them for the first time, itself included.
    pub fn occurrence(&self, step: &Step, command: &Command) -> usize {
        let same = |c: &&Command| c.host == command.host && c.text == command.text;
        let before = self.steps.iter().filter(|s| s.number < step.number && !s.left_out).flat_map(|s| &s.commands);
        let earlier = step.commands.iter().take_while(|c| !std::ptr::eq(*c, command));
        1 + before.chain(earlier).filter(same).count()
    }
}

impl Command {
    /// A script, sent on standard input, not a program with its arguments. Those are streams, and a fresh connection.
    pub fn is_script(&self) -> bool {
        !self.is_stream() && self.text != "true"
    }

    /// Data goes through it, so nobody can repeat it.
    pub fn is_stream(&self) -> bool {
        !self.text.contains('\n') && (self.text.starts_with("zfs send ") || self.text.starts_with("zfs receive "))
    }
}

impl Fault {
    pub fn kills(self) -> bool {
        matches!(self, Fault::KilledBefore | Fault::KilledAfter)
    }

    /// The commands of the step that it strikes.
    pub fn strikes(self, step: &Step) -> Vec<&Command> {
        match self {
            Fault::FailsBefore | Fault::KilledBefore | Fault::CutOff => step.commands.first().into_iter().collect(),
            Fault::FailsAfter | Fault::KilledAfter | Fault::Rebooted => step.commands.last().into_iter().collect(),
            Fault::Twice => step.commands.iter().collect(),
        }
    }

    /// Is nothing lost by it? A stream that has arrived whole before its receive failed is found there, and the run goes on.
    pub fn passes_over(self, step: &Step) -> bool {
        self == Fault::FailsAfter && step.commands.last().is_some_and(Command::is_stream)
    }

    /// Can this happen to the step? A step without commands, one that a run leaves out, and a stream that nobody sends
    /// two times have nothing to strike.
    fn fits(self, step: &Step) -> bool {
        let streams = step.commands.iter().any(Command::is_stream);
        !(step.commands.is_empty() || step.left_out || self == Fault::Twice && streams)
    }
}

impl Case {
    fn of(step: &Step, fault: Fault) -> Vec<Case> {
        let case = |then| Case { steps: vec![step.clone()], fault, then };
        match fault {
            _ if !fault.fits(step) => Vec::new(),
            Fault::KilledBefore | Fault::KilledAfter if step.of_the_copy => {
                vec![case(Then::RecoverHere), case(Then::RecoverElsewhere), case(Then::GoesOn)]
            }
            Fault::KilledBefore | Fault::KilledAfter => vec![case(Then::RecoverHere), case(Then::RecoverElsewhere)],
            _ => vec![case(Then::Itself)],
        }
    }

    /// The step that is struck, the first of them if there are several.
    pub fn step(&self) -> &Step {
        &self.steps[0]
    }

    /// What must have become of the jail: `Some(true)` it moved, `Some(false)` it did not, `None` either.
    pub fn moves(&self, plan: &Plan) -> Option<bool> {
        let before = self.step().number <= plan.undone;
        match self.fault {
            _ if self.then == Then::GoesOn => Some(true),
            Fault::Twice => Some(true),
            fault if fault.passes_over(self.step()) => Some(true),
            _ if !before => Some(true),
            // Its effect is that the move is accepted, so it depends on who reads it.
            // The hub may have written down that the move is accepted, and another machine believes it.
            Fault::KilledBefore | Fault::KilledAfter
                if self.step().number == plan.undone && self.then == Then::RecoverElsewhere =>
            {
                None
            }
            Fault::FailsBefore | Fault::FailsAfter | Fault::KilledBefore | Fault::KilledAfter => Some(false),
            // Whether a connection can be had again decides.
            Fault::CutOff | Fault::Rebooted => None,
        }
    }
}

/// All steps that can be repeated, in one run.
fn twice(plan: &Plan) -> Case {
    let steps = plan.steps.iter().filter(|step| Fault::Twice.fits(step)).cloned().collect();
    Case { steps, fault: Fault::Twice, then: Then::Itself }
}

/// Every case.
pub fn all(plan: &Plan) -> Vec<Case> {
    let single = |step| FAULTS.into_iter().filter(|f| *f != Fault::Twice).flat_map(move |fault| Case::of(step, fault));
    std::iter::once(twice(plan)).chain(plan.steps.iter().flat_map(single)).collect()
}

/// Each fault at two phases, each phase under more than one fault; and a run that goes on with its copy.
pub fn choice(plan: &Plan) -> Vec<Case> {
    let mut cases = vec![twice(plan)];
    let single = FAULTS.into_iter().filter(|f| *f != Fault::Twice);
    for (turn, fault) in single.clone().chain(single).enumerate() {
        let phase = PHASES[(turn + turn / PHASES.len()) % PHASES.len()];
        let fit: Vec<Case> =
            plan.steps.iter().filter(|s| s.phase == phase).flat_map(|step| Case::of(step, fault)).collect();
        // Another step each time, so that together they are not all first ones.
        cases.extend(fit.get(turn * 5 % fit.len().max(1)).cloned());
    }
    let killed_in_a_stream =
        |case: &Case| case.then == Then::GoesOn && case.step().commands.iter().any(Command::is_stream);
    cases.extend(all(plan).into_iter().find(killed_in_a_stream));
    let struck = |phase: &str| cases.iter().any(|c| c.fault != Fault::Twice && c.step().phase == phase);
    assert!(PHASES.iter().all(|phase| struck(phase)), "a phase is left out");
    cases
}

/// Those that somebody asked for: `42/killed-before`, `42/*`, `*/twice`, `*/*/goes-on`, with a blank between.
pub fn named(plan: &Plan, wanted: &str) -> Vec<Case> {
    let fits = |case: &Case, pattern: &str| {
        let (step, fault) = pattern.split_once('/').unwrap_or((pattern, "*"));
        let (fault, then) = fault.split_once('/').unwrap_or((fault, "*"));
        let range = step.split_once('-').and_then(|(a, b)| Some(a.parse::<usize>().ok()?..=b.parse::<usize>().ok()?));
        let number = case.step().number;
        let step = step == "*" || step == number.to_string() || range.is_some_and(|range| range.contains(&number));
        step && (fault == "*" || fault == case.fault.to_string()) && (then == "*" || then == case.then.to_string())
    };
    all(plan).into_iter().filter(|case| wanted.split_whitespace().any(|pattern| fits(case, pattern))).collect()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Fault::FailsBefore => "fails-before",
            Fault::FailsAfter => "fails-after",
            Fault::KilledBefore => "killed-before",
            Fault::KilledAfter => "killed-after",
            Fault::CutOff => "cut-off",
            Fault::Rebooted => "rebooted",
            Fault::Twice => "twice",
        })
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Then::Itself => "itself",
            Then::RecoverHere => "recover-here",
            Then::GoesOn => "goes-on",
            Then::RecoverElsewhere => "recover-elsewhere",
        })
    }
}
