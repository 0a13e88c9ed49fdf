//! Hooks: what a playbook lets run before and after the phases of a move, as part of the plan.
//!
//! They are its author's, not ours: nothing undoes them, and `recover` does not run them again. What a hook needs to know
//! is in its environment.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::Effect;
use crate::effect::command::Command;
use crate::effect::command::Guard;
use crate::effect::shell;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::playbook::batch::Called;
use crate::playbook::batch::Edge;
use crate::playbook::batch::Hook;
use crate::playbook::batch::HookHost;

/// A hook of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCall {
    /// Of which phase.
    pub phase: Phase,
    /// Before or after it.
    pub edge: Edge,
    /// What runs.
    pub what: Call,
    /// The facts of the run.
    pub environment: BTreeMap<String, String>,
    /// Seconds that it may take.
    pub timeout: u32,
    /// Does its failure take the move back?
    pub stops: bool,
}

/// What runs where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// A program on the machine that drives the run.
    Here(Vec<String>),
    /// A script on a host, as it is executed.
    There(Command),
}

impl HookCall {
    /// Where it stands in a run.
    #[must_use]
    pub fn place(&self) -> (Phase, Edge) {
        (self.phase, self.edge)
    }

    /// For people: when, and what.
    #[must_use]
    pub fn title(&self) -> String {
        let what = match &self.what {
            Call::Here(words) => match words.as_slice() {
                [sh, c, text] if sh == "/bin/sh" && c == "-c" => format!("here: {text}"),
                words => format!("here: {}", shell::line(words)),
            },
            Call::There(command) => format!("a script on {}", command.host),
        };
        format!("hook {} {}, {what}", self.edge.as_str(), self.phase.name())
    }

    /// Can its failure still take the move back? Once the jail is to be proven at the target, only proofs do.
    #[must_use]
    pub fn can_stop(&self) -> bool {
        self.stops && self.place() <= (Phase::Prove, Edge::Before)
    }
}

/// The hooks of a plan, in the order of their places.
#[must_use]
pub fn calls(plan: &Plan, hooks: &[Hook]) -> Vec<HookCall> {
    let mut calls: Vec<HookCall> = hooks.iter().map(|hook| call(plan, hook)).collect();
    calls.sort_by_key(HookCall::place);
    calls
}

fn call(plan: &Plan, hook: &Hook) -> HookCall {
    let mut environment = facts(plan);
    environment.insert("JAILFERRY_PHASE".into(), hook.phase.name().into());
    environment.insert("JAILFERRY_WHEN".into(), hook.edge.as_str().into());
    let timeout = u32::try_from(hook.timeout.as_secs()).unwrap_or(u32::MAX).max(1);
    let what = match &hook.what {
        Called::Command(words) => Call::Here(words.clone()),
        Called::Script { on, text } => {
            let host = match on {
                HookHost::Source => &plan.source,
                HookHost::Target => &plan.target,
                HookHost::Hub => &plan.hub,
                HookHost::Node(node) => node,
            };
            Call::There(script(plan, host, timeout, &environment, text))
        }
    };
    HookCall { phase: hook.phase, edge: hook.edge, what, environment, timeout, stops: hook.stops }
}

/// Refused on a host where another machine drives the run, like every other script of it.
fn script(plan: &Plan, host: &NodeName, timeout: u32, environment: &BTreeMap<String, String>, text: &str) -> Command {
    let mut body = String::new();
    for (name, value) in environment {
        body.push_str(&format!("{name}={}; export {name}\n", shell::word(value)));
    }
    // A shell of its own: `set -e`, functions and an `exit` in it are its author's.
    body.push_str(&format!("/bin/sh -c {}", shell::word(text)));
    let (run, jail, owner) = (plan.run.clone(), plan.jail.clone(), plan.owner.clone());
    Command::script(host, timeout, body).guarded(&Guard { run, jail, owner, lease: false })
}

/// What a hook can know of a run before it has ended.
#[must_use]
pub fn facts(plan: &Plan) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut set = |name: &str, value: String| facts.insert(format!("JAILFERRY_{name}"), value);
    set("RUN", plan.run.to_string());
    set("JAIL", plan.jail.to_string());
    set("SOURCE", plan.source.to_string());
    set("TARGET", plan.target.to_string());
    set("HUB", plan.hub.to_string());
    set("BYTES", plan.bytes.to_string());
    set("PREDICTED_BLACKOUT_MS", plan.predicted_blackout.to_string());
    let join = |items: Vec<String>| items.join(" ");
    for step in &plan.steps {
        match &step.effect {
            Effect::KillStates { host, prefixes } if *host == plan.hub => {
                set("PREFIXES", join(prefixes.iter().map(ToString::to_string).collect()));
            }
            Effect::Park { host, datasets, .. } if *host == plan.source => {
                set("SOURCE_DATASETS", join(datasets.iter().map(|d| d.dataset.to_string()).collect()));
            }
            Effect::Unpark { host, datasets } if *host == plan.target => {
                set("TARGET_DATASETS", join(datasets.iter().map(|d| d.dataset.to_string()).collect()));
            }
            _ => {}
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    #[test]
    fn hooks_know_the_run_and_come_in_order() {
        let (evidence, situation, findings) =
            Shape::testbed().world().evidence(&Shape::testbed().fleet(), &jail("web"), &node("big"));
        let settings = Options::default().settle();
        let plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap();
        let hook = |phase, edge, what, stops| Hook { phase, edge, what, timeout: SignedDuration::from_secs(9), stops };
        let text = "echo \"it's $JAILFERRY_JAIL\"\nexit 3".to_owned();
        let hooks = [
            hook(Phase::Persist, Edge::After, Called::Command(vec!["/bin/true".into()]), true),
            hook(Phase::CutOver, Edge::Before, Called::Script { on: HookHost::Target, text }, true),
            hook(Phase::Copy, Edge::After, Called::Command(vec!["/bin/true".into()]), false),
        ];
        let calls = calls(&plan, &hooks);
        let places: Vec<_> = calls.iter().map(HookCall::place).collect();
        assert_eq!(places, [(Phase::Copy, Edge::After), (Phase::CutOver, Edge::Before), (Phase::Persist, Edge::After)]);
        assert_eq!(calls.iter().map(HookCall::can_stop).collect::<Vec<_>>(), [false, true, false]);
        let facts = &calls[1].environment;
        for (name, value) in [
            ("JAIL", "web"),
            ("SOURCE", "spare"),
            ("TARGET", "big"),
            ("HUB", "small"),
            ("PHASE", "cut-over"),
            ("WHEN", "before"),
        ] {
            assert_eq!(facts[&format!("JAILFERRY_{name}")], value);
        }
        assert!(facts["JAILFERRY_PREFIXES"].contains("/32"), "{facts:?}");
        assert!(facts["JAILFERRY_SOURCE_DATASETS"].starts_with("jfpool/jails/web"), "{facts:?}");
        // The script as a shell runs it, here.
        let Call::There(command) = &calls[1].what else { panic!("on a host") };
        let said = std::process::Command::new("/bin/sh").args(["-c", &command.text()]).output().unwrap();
        assert_eq!((String::from_utf8_lossy(&said.stdout).trim(), said.status.code()), ("it's web", Some(3)));
        assert_eq!(command.guard.as_ref().map(|g| g.run.clone()), Some(plan.run.clone()));
    }
}
