//! Commit-confirmed: hub, source and target are armed before the jail stops, and let go in an order that keeps at most one
//! of them entitled to run the jail.
//!
//! Until the source lets go, silence takes everything back: first at the target and the hub, later at the source, which
//! then starts its copy again. Once the source has let go, only the target may run the jail, and nothing starts it at
//! the source but the operator or `recover`, which first stop the target's copy and bring home what was written in it.

use std::collections::BTreeMap;

use crate::effect::Effect;
use crate::effect::command::Guard;
use crate::effect::commands::lease;
use crate::effect::lease::Lease;
use crate::effect::lease::Stage;
use crate::effect::lease::Stays;
use crate::model::NodeName;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::checks;
use crate::plan::notices;

/// Steps that keep the plan and how far it is on the hub.
pub(super) fn store_the_plan(cast: &Cast<'_>) -> Step {
    let host = cast.situation.hub.clone();
    Step::new(
        Phase::Copy,
        format!("keep this plan on {host}, so that `recover` works from any machine"),
        Effect::StorePlan { host, run: cast.run.clone() },
    )
}

/// The hosts in the order in which they are armed.
fn hosts(cast: &Cast<'_>) -> Vec<NodeName> {
    let mut hosts = vec![cast.source()];
    let mesh = cast.mesh.iter().map(|h| h.host.clone());
    for host in std::iter::once(cast.target()).chain(cast.situation.hubs().cloned()).chain(mesh) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// Arms every host with the undo of what `cut` does to it.
pub(super) fn arm(cast: &Cast<'_>, cut: &[Step]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let source = cast.source();
    let lets_go = cut.iter().position(|s| matches!(&s.effect, Effect::Release { host, .. } if *host == source));
    for host in hosts(cast) {
        // What the source's host does after it has let go is not its to undo.
        let until = if host == source { lets_go.unwrap_or(cut.len()) } else { cut.len() };
        let reverts: Vec<Effect> = cut
            .iter()
            .take(until)
            .rev()
            .flat_map(|step| &step.undo)
            .filter(|effect| *effect.host() == host && goes_back(effect))
            .cloned()
            .collect();
        let silence = if host == source { cast.settings.lease.saturating_mul(2) } else { cast.settings.lease };
        let then = if host == source { "starts the jail again" } else { "takes its part of the move back" };
        let (jail, run) = (cast.situation.jail.clone(), cast.run.clone());
        let lease = Lease {
            host: host.clone(),
            jail: jail.clone(),
            run: run.clone(),
            owner: cast.owner.clone(),
            silence,
            reverts,
            stays: stays(cast, &host),
        };
        steps.push(
            Step::new(
                Phase::Arm,
                format!("arm {host}: when nobody is heard for {silence} s, it {then} by itself"),
                Effect::Arm(lease),
            )
            .undo(Effect::Disarm { host: host.clone(), jail, run })
            .change(Change::new(format!("lease on {host}"), "none", format!("{silence} s"))),
        );
    }
    let steps = steps.into_iter().enumerate();
    let mut steps: Vec<Step> = steps.map(|(at, step)| if at == 0 { step } else { step.alongside() }).collect();
    steps.push(mark(cast, Phase::Arm, Stage::CutOver, Stage::Copying));
    steps
}

/// When a host leaves things as they are although nobody is heard.
fn stays(cast: &Cast<'_>, host: &NodeName) -> Stays {
    if *host == cast.source() {
        return Stays::Never;
    }
    if *host == cast.target() {
        return Stays::WhileJailRuns;
    }
    match checks::answering(cast.situation).first() {
        Some(address) => {
            Stays::WhileAnswers { address: *address, source: checks::from_hub(cast.situation, host, *address) }
        }
        None => Stays::Never,
    }
}

/// Does a host undo this by itself? The network, and what makes the jail startable and starts it. Copies and what else
/// a run leaves can wait for `recover`.
fn goes_back(effect: &Effect) -> bool {
    match effect {
        Effect::StartJail(_)
        | Effect::Park { .. }
        | Effect::Unpark { .. }
        | Effect::ClearMark { .. }
        | Effect::MoveFile { .. }
        | Effect::Edit { .. }
        | Effect::AddRoute(_)
        | Effect::DeleteRoute(_)
        | Effect::DeleteSubnetRoute(_)
        | Effect::AddAlias { .. }
        | Effect::ProxyArp { .. }
        | Effect::JailRoute { .. }
        | Effect::RemoveAlias { .. }
        | Effect::HandOver(_)
        | Effect::LoadAnchor { .. }
        | Effect::ChangeTable { .. }
        | Effect::RemoveCanary(_)
        | Effect::ForgetNeighbours { .. }
        | Effect::Announce { .. } => true,
        // A target on which the jail runs keeps it.
        Effect::StopJail(_)
        | Effect::BringBack(_)
        | Effect::Snapshot { .. }
        | Effect::DestroySnapshot { .. }
        | Effect::Hold { .. }
        | Effect::HoldSnapshots { .. }
        | Effect::ReleaseSnapshots { .. }
        | Effect::MoveBookmark { .. }
        | Effect::RemoveBookmark { .. }
        | Effect::Transfer(_)
        | Effect::AdmitKey { .. }
        | Effect::TryKey { .. }
        | Effect::RemoveKey { .. }
        | Effect::RenameDataset { .. }
        | Effect::DiscardReceived { .. }
        | Effect::DestroyParked { .. }
        | Effect::ForgetBackups { .. }
        | Effect::RollBackReceived { .. }
        | Effect::SetProperties { .. }
        | Effect::CompareGuids { .. }
        | Effect::ListContents(_)
        | Effect::CompareContents { .. }
        | Effect::ForgetListing(_)
        | Effect::Tidy { .. }
        | Effect::TryKeys { .. }
        | Effect::LoadKeys { .. }
        | Effect::UnloadKeys { .. }
        | Effect::Declare { .. }
        | Effect::Amend { .. }
        | Effect::Withdraw { .. }
        | Effect::KeepWayBack { .. }
        | Effect::WriteFile { .. }
        | Effect::RemoveFile { .. }
        | Effect::ForgetFile { .. }
        | Effect::CheckJailConfiguration { .. }
        | Effect::KillStates { .. }
        | Effect::MakeCanary(_)
        | Effect::CloneForRehearsal(_)
        | Effect::DiscardClones(_)
        | Effect::StartUnderstudy(_)
        | Effect::StopUnderstudy(_)
        | Effect::CheckAnchor { .. }
        | Effect::KeepAnchor { .. }
        | Effect::Lock { .. }
        | Effect::TakeNetwork { .. }
        | Effect::LeaveNetwork { .. }
        | Effect::StorePlan { .. }
        | Effect::Mark { .. }
        | Effect::Arm(_)
        | Effect::Release { .. }
        | Effect::Disarm { .. }
        | Effect::Confirm { .. }
        | Effect::Unlock { .. }
        | Effect::Watch { .. }
        | Effect::Unwatch { .. }
        | Effect::Probe { .. } => false,
    }
}

/// The source gives its right to start the jail away. From here on the target is the only one that may run it.
pub(super) fn let_go_at_the_source(cast: &Cast<'_>) -> Step {
    let host = cast.source();
    Step::new(
        Phase::CutOver,
        format!("{host} lets go: from now on it does not start the jail by itself, so {} may", cast.target()),
        Effect::Release { host, jail: cast.situation.jail.clone(), run: cast.run.clone() },
    )
}

/// A fresh connection to every host whose network has changed.
pub(super) fn confirm(cast: &Cast<'_>) -> Vec<Step> {
    let confirmed = |host: NodeName| {
        Step::new(Phase::Prove, format!("{host} lets a fresh connection in"), Effect::Confirm { host: host.clone() })
    };
    hosts(cast).into_iter().map(confirmed).collect()
}

/// The same while the jail still runs: a key that the agent has forgotten since, or a server that lets nobody in any more, would
/// take the move back once the jail has been down.
pub(super) fn knock(cast: &Cast<'_>) -> Vec<Step> {
    let knocks = |(at, host): (usize, NodeName)| {
        let title = format!("a fresh connection to {host} still works");
        let step = Step::new(Phase::Arm, title, Effect::Confirm { host });
        if at == 0 { step } else { step.alongside() }
    };
    hosts(cast).into_iter().enumerate().map(knocks).collect()
}

/// The others let go, and the hub writes down that the move is accepted.
pub(super) fn accept(cast: &Cast<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for host in hosts(cast).into_iter().skip(1) {
        let step = Step::new(
            Phase::Prove,
            format!("{host} keeps the move, also when nobody is heard any more"),
            Effect::Release { host, jail: cast.situation.jail.clone(), run: cast.run.clone() },
        );
        steps.push(if steps.is_empty() { step } else { step.alongside() });
    }
    let arrived = notices::arrived(cast);
    steps.push(if steps.is_empty() { arrived } else { arrived.alongside() });
    steps.push(mark(cast, Phase::Prove, Stage::Accepted, Stage::CutOver));
    steps
}

fn mark(cast: &Cast<'_>, phase: Phase, stage: Stage, before: Stage) -> Step {
    let (host, run) = (cast.situation.hub.clone(), cast.run.clone());
    let title = match stage {
        Stage::Accepted => format!("{host} remembers that the move is accepted"),
        _ => format!("{host} remembers that the cut-over begins"),
    };
    Step::new(phase, title, Effect::Mark { host: host.clone(), run: run.clone(), stage }).undo(Effect::Mark {
        host,
        run,
        stage: before,
    })
}

/// What the leases left on the hosts goes.
pub(super) fn forget(cast: &Cast<'_>) -> Vec<Step> {
    let gone = |host: NodeName| {
        Step::new(
            Phase::Persist,
            format!("forget the lease on {host}"),
            Effect::Disarm { host, jail: cast.situation.jail.clone(), run: cast.run.clone() },
        )
    };
    hosts(cast).into_iter().map(gone).collect()
}

/// Lets every script from the lock on ask first whether the run is still ours, and those of the cut-over whether the host
/// has not gone back by itself.
pub(super) fn guard(cast: &Cast<'_>, steps: &mut [Step]) {
    for step in steps.iter_mut().filter(|s| !matches!(s.effect, Effect::Lock { .. })) {
        let lease = matches!(step.phase, Phase::Rehearse | Phase::CutOver);
        let (run, jail, owner) = (cast.run.clone(), cast.situation.jail.clone(), cast.owner.clone());
        step.guard = Some(Guard { run, jail, owner, lease });
    }
}

/// What each armed host hears while the run is alive, as it is executed.
#[must_use]
pub fn beats(steps: &[Step]) -> BTreeMap<NodeName, crate::effect::command::Command> {
    let mut beats = BTreeMap::new();
    for step in steps {
        let (host, run, owner) = match &step.effect {
            Effect::Lock { host, run, owner, .. } => (host, run, owner),
            Effect::Arm(lease) => (&lease.host, &lease.run, &lease.owner),
            _ => continue,
        };
        beats.insert(host.clone(), lease::beat(host, run, owner));
    }
    beats
}
