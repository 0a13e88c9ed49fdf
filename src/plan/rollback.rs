//! Moving an accepted run back: a move like any other, from where the jail runs to where it came from, with the parked
//! copy as its base, so that only what was written since goes over. Here is what speaks against that.

use std::collections::BTreeMap;

use crate::effect::Base;
use crate::effect::Effect;
use crate::effect::Parked;
use crate::facts::HostFacts;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::plan::Plan;
use crate::plan::Step;
use crate::plan::finding::Findings;

/// A later run that moved the same jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterMove {
    /// Its id.
    pub run: RunId,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// The jail's top dataset there.
    pub dataset: Option<DatasetName>,
}

/// The jail's top dataset where the run has brought it.
#[must_use]
pub fn top_at_the_target(run: &Plan) -> Option<DatasetName> {
    run.steps.iter().find_map(|step| match &step.effect {
        Effect::Hold { host, dataset, .. } if *host == run.target => Some(dataset.clone()),
        _ => None,
    })
}

/// Where the jail runs now.
fn place(run: &Plan, hosts: &BTreeMap<NodeName, HostFacts>) -> Vec<NodeName> {
    hosts.iter().filter(|(_, facts)| facts.jail(&run.jail).is_some()).map(|(node, _)| node.clone()).collect()
}

/// The datasets that the run parked at the source, with the values that they have when live.
#[must_use]
pub fn parked(run: &Plan) -> Vec<Parked> {
    let at_source = run.steps.iter().find_map(|step| match &step.effect {
        Effect::Park { host, datasets, .. } if *host == run.source => Some(datasets.clone()),
        _ => None,
    });
    at_source.unwrap_or_default()
}

/// What forbids to move `run` back: the jail has moved on since, or the copy that the run parked is not there any more
/// as it was left. `later` are the moves of the same jail after this one, oldest first.
pub fn examine(run: &Plan, later: &[LaterMove], hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    let (jail, source, target) = (&run.jail, &run.source, &run.target);
    let full_move =
        format!("to move it there all the same, in full if need be: jailferry migrate {jail} {source} --dry-run");
    let running = place(run, hosts);
    if running.contains(source) {
        let by = later.iter().rev().find(|l| l.to == *source).map(|l| format!(" (run {} moved it)", l.run));
        findings.error(
            "back-already",
            source,
            format!("run {} is rolled back already: jail {jail} runs on {source}{}", run.run, by.unwrap_or_default()),
            "nothing to do",
        );
        return;
    }
    if let [elsewhere] = running.as_slice()
        && elsewhere != target
    {
        let newest = later.last().map_or_else(
            || full_move.clone(),
            |l| format!("roll back that move first: jailferry rollback {}; or {full_move}", l.run),
        );
        findings.error(
            "moved-on",
            elsewhere,
            format!("run {} moved jail {jail} to {target}, but it has moved on since and runs on {elsewhere}", run.run),
            newest,
        );
        return;
    }
    let Some(facts) = hosts.get(source) else {
        findings.fleet_error(
            "source-gone",
            format!("{source}, where jail {jail} came from, is not in fleet.yml any more"),
            format!("add it, or move the jail to another node: jailferry migrate {jail} NODE"),
        );
        return;
    };
    for dataset in parked(run).iter().map(|p| &p.dataset) {
        let problem = match facts.dataset(dataset) {
            None => Some("is gone: the run was finalized, or somebody destroyed it".to_owned()),
            Some(found) => match found.run.as_deref() {
                Some(mark) if mark != run.run.as_str() => Some(format!("belongs to run {} now", printable(mark))),
                None => Some(format!("does not carry the mark of run {} any more", run.run)),
                Some(_) if found.mounted => Some("is mounted, so that it may have changed".to_owned()),
                Some(_) if !found.readonly => Some("is not read-only any more, so that it may have changed".to_owned()),
                Some(_) => None,
            },
        };
        if let Some(problem) = problem {
            findings.error(
                "no-way-back",
                source,
                format!("{dataset} on {source}, the copy that run {} parked, {problem}", run.run),
                full_move.clone(),
            );
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What the plan of the way back would send in full although the run parked a copy of it: that is no rollback.
pub fn only_increments(run: &Plan, steps: &[Step], findings: &mut Findings) {
    let known = parked(run);
    for step in steps {
        if let Effect::Transfer(transfer) = &step.effect
            && transfer.base == Base::Nothing
            && known.iter().any(|p| p.dataset == transfer.into)
        {
            findings.error(
                "no-common-snapshot",
                &run.source,
                format!(
                    "{} on {} has no snapshot any more that {} on {} has too: going back would send it in full",
                    transfer.into, run.source, transfer.dataset, transfer.from
                ),
                format!("to move it in full: jailferry migrate {} {} --dry-run", run.jail, run.source),
            );
        }
    }
}

/// One sentence for the summary of the plan that goes back.
#[must_use]
pub fn summary(run: &Plan) -> String {
    format!(
        "takes run {} back: the copy that it parked on {} gets what was written since, nothing of it is lost",
        run.run, run.source
    )
}

#[cfg(test)]
#[path = "rollback_tests.rs"]
mod tests;
