//! A run that has copied its jail and waits for its turn to cut over is planned anew from there: others may have changed
//! the hub's AllowedIPs, rc.conf and routes meanwhile, and its steps compare before they write.
//!
//! What the run itself has changed so far (snapshots, the copy at the target, its lock) is known; of that the facts from
//! before count. Of everything else the new ones do.

use serde::Deserialize;
use serde::Serialize;

use crate::effect::Effect;
use crate::facts::Dataset;
use crate::facts::JailDataset;
use crate::facts::Mount;
use crate::facts::Pool;
use crate::model::NodeName;
use crate::model::RunId;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Step;
use crate::plan::finding::Finding;
use crate::plan::leases;
use crate::plan::situation::Evidence;
use crate::plan::situation::Situation;
use crate::plan::snapshots;
use crate::playbook::Settings;

/// The index of the first step behind the copy of everything, which takes the turn: from there on a run must not wait, so
/// this is where it does.
#[must_use]
pub fn seed(plan: &Plan) -> usize {
    let takes = |step: &Step| matches!(step.effect, Effect::TakeNetwork { .. });
    let behind = |step: &Step| step.round.is_some() || step.phase != Phase::Copy;
    // A plan that an older version made takes no turn.
    let seed = plan.steps.iter().position(takes).or_else(|| plan.steps.iter().position(behind));
    seed.unwrap_or(plan.steps.len())
}

/// What a run needs to be planned anew from behind its copy, besides its plan: what was so before it changed anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// The options it was made with.
    pub settings: Settings,
    /// Was it agreed to as it stands, so that no other plan may take its place?
    pub as_it_stands: bool,
    /// Were others changing the hub's network when the hosts were asked?
    pub others: bool,
    /// Datasets and pools of source and target.
    storage: Vec<(NodeName, Vec<Dataset>, Vec<Pool>)>,
    /// The jail's datasets and mounts.
    jail: Option<(Vec<JailDataset>, Vec<Mount>)>,
    /// What was at the target's place.
    there: Option<Vec<JailDataset>>,
}

impl Begun {
    /// Of a move that has just been planned.
    #[must_use]
    pub fn of(evidence: &Evidence, situation: &Situation, settings: &Settings, as_it_stands: bool) -> Begun {
        let storage = [&situation.source.node, &situation.target.node].into_iter().filter_map(|node| {
            let facts = evidence.hosts.get(node)?;
            Some((node.clone(), facts.datasets.clone(), facts.pools.clone()))
        });
        let hub = evidence.hosts.get(&situation.hub);
        Begun {
            settings: settings.clone(),
            as_it_stands,
            others: hub.is_some_and(|facts| facts.moving.keys().any(|jail| jail.as_str() != situation.jail.as_str())),
            storage: storage.collect(),
            jail: evidence.jail.as_ref().map(|jail| (jail.datasets.clone(), jail.mounts.clone())),
            there: evidence.target.as_ref().map(|target| target.datasets.clone()),
        }
    }
}

/// The facts to plan the rest of `plan` with.
#[must_use]
pub fn refreshed(before: &Begun, mut now: Evidence, plan: &Plan) -> Evidence {
    let (jail, run) = (&plan.jail, &plan.run);
    for (node, datasets, pools) in &before.storage {
        if let Some(new) = now.hosts.get_mut(node) {
            new.datasets.clone_from(datasets);
            new.pools.clone_from(pools);
        }
    }
    let ours = format!("{run} ");
    for facts in now.hosts.values_mut() {
        facts.moving.retain(|moving, lock| *moving != jail.as_str() || !lock.starts_with(&ours));
    }
    if let (Some((datasets, mounts)), Some(new)) = (&before.jail, &mut now.jail) {
        new.datasets.clone_from(datasets);
        new.mounts.clone_from(mounts);
    }
    if let (Some(datasets), Some(new)) = (&before.there, &mut now.target) {
        new.datasets.clone_from(datasets);
    }
    now.bases = Some(snapshots::bases_of(plan));
    now
}

/// Does a finding say no more than that the run itself is under way?
#[must_use]
pub fn is_itself(finding: &Finding, run: &RunId) -> bool {
    finding.code == "moving" && finding.what.contains(&format!("by run {run} "))
}

/// A step, but for what only says how much there is to send.
fn comparable(plan: &Plan, index: usize) -> Option<Step> {
    plan.steps.get(index).map(|step| {
        let mut step = step.clone();
        if let Effect::Transfer(transfer) = &mut step.effect {
            transfer.estimate = None;
        }
        step
    })
}

/// Has a step been carried out that would do now? A probe has changed nothing and been passed; that it would be asked from
/// another address now, since another jail came or went meanwhile, is no reason to begin anew. What must hold at the end is
/// asked after the turn, as the new plan says.
fn serves(old: &Plan, new: &Plan, index: usize) -> bool {
    let (old, new) = (comparable(old, index), comparable(new, index));
    match (&old, &new) {
        (Some(was), Some(is)) => match (&was.effect, &is.effect) {
            (Effect::Probe { host: asked, .. }, Effect::Probe { host, .. }) => asked == host && was.phase == is.phase,
            _ => was == is,
        },
        _ => old == new,
    }
}

/// Is what a plan has behind its first `done` steps in the other just so?
///
/// # Errors
/// The first step that is another.
pub fn stands(old: &Plan, new: &Plan, done: usize) -> Result<(), String> {
    let length = old.steps.len().max(new.steps.len());
    match (done..length).find(|index| comparable(old, *index) != comparable(new, *index)) {
        None => Ok(()),
        Some(index) => {
            let title = old.steps.get(index).or(new.steps.get(index)).map_or("", |s| s.title.as_str());
            Err(format!("step {} ({title}) would be another now", index + 1))
        }
    }
}

/// Can a run that has carried out the first `done` steps of one plan go on with the other? Only when it has done exactly
/// what the other begins with, and the same hosts hear from it.
///
/// # Errors
/// What is different.
pub fn goes_on(old: &Plan, new: &Plan, done: usize) -> Result<(), String> {
    if old.run != new.run || old.source != new.source || old.target != new.target || old.hub != new.hub {
        return Err("the jail is not where it was".to_owned());
    }
    if seed(new) != done {
        return Err("its datasets are not those that were copied".to_owned());
    }
    if let Some(index) = (0..done).find(|index| !serves(old, new, *index)) {
        let title = old.steps.get(index).map_or("", |s| s.title.as_str());
        return Err(format!("step {} ({title}) would be another now", index + 1));
    }
    if leases::beats(&old.steps) != leases::beats(&new.steps) {
        return Err("other hosts take part now".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulate::World;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    fn drawn(world: &World, name: &str, to: &str) -> (Evidence, Situation, Plan) {
        let (evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail(name), &node(to));
        let (situation, settings) = (situation.unwrap(), Options::default().settle());
        let plan = assemble::plan(&evidence, &situation, &settings, &tester(), "", findings).unwrap();
        (evidence, situation, plan)
    }

    /// Two moves to one node: both copy, one cuts over, and the other goes on with a plan that knows it.
    #[test]
    fn the_rest_is_planned_with_what_another_move_has_changed() {
        let mut world = Shape::testbed().world();
        let (before, situation, web) = drawn(&world, "web", "big");
        let done = seed(&web);
        assert!(done > 3 && matches!(web.steps[done].effect, Effect::TakeNetwork { .. }), "{done}");
        assert_eq!(web.steps[done + 1].round, Some(1));
        let (_, _, db) = drawn(&world, "db", "big");
        web.steps[..done].iter().for_each(|s| world.apply(&s.effect).unwrap());
        db.steps.iter().for_each(|s| world.apply(&s.effect).unwrap());
        // As it was planned it would not do: what it hands over is not there any more.
        let mut stale = world.clone();
        assert!(web.steps[done..].iter().any(|s| stale.apply(&s.effect).is_err()));

        let (now, found, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big"));
        let begun = Begun::of(&before, &situation, &Options::default().settle(), false);
        // As it comes back from a journal.
        let begun: Begun = serde_json::from_str(&serde_json::to_string(&begun).unwrap()).unwrap();
        let now = refreshed(&begun, now, &web);
        let mut findings_now = crate::plan::finding::Findings::default();
        drop(findings);
        let again = crate::plan::situation::resolve(&now, &jail("web"), &node("big"), &mut findings_now).unwrap();
        assert!(found.is_some());
        let settings = Options::default().settle();
        let rest = assemble::plan_as(&now, &again, &settings, &tester(), &web.run, findings_now).unwrap();
        assert!(!rest.refused(), "{:?}", rest.findings);
        assert_eq!(goes_on(&web, &rest, done), Ok(()));
        // Who agreed to the plan as it stands is told where it no longer does.
        assert_eq!(stands(&web, &web, done), Ok(()));
        assert!(stands(&web, &rest, done).unwrap_err().contains("would be another now"));
        rest.steps[done..].iter().for_each(|s| world.apply(&s.effect).unwrap());
        let (evidence, _, _) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("spare"));
        assert!(evidence.hosts[&node("big")].jail(&jail("web")).is_some());
        assert!(evidence.hosts[&node("big")].jail(&jail("db")).is_some());
    }

    /// web is asked where it is by the hub; then mail comes to that node, which from now on answers for an address of the
    /// hub's own, so that the hub would have to ask from another one.
    #[test]
    fn a_check_that_was_passed_is_not_asked_again_from_another_address() {
        let mut fleet = Shape::testbed().fleet();
        let probe = crate::playbook::Probe::Icmp { address: None, from: crate::playbook::Vantage::Hub };
        fleet.jails.get_mut(&jail("web")).unwrap().checks =
            vec![crate::playbook::Check { probe, timeout: crate::playbook::Check::DEFAULT_TIMEOUT }];
        let (mut world, settings) = (Shape::testbed().world(), Options::default().settle());
        let (before, situation, findings) = world.evidence(&fleet, &jail("web"), &node("big"));
        let situation = situation.unwrap();
        let web = assemble::plan(&before, &situation, &settings, &tester(), "", findings).unwrap();
        let done = seed(&web);
        web.steps[..done].iter().for_each(|s| world.apply(&s.effect).unwrap());
        let (_, _, mail) = drawn(&world, "mail", "spare");
        mail.steps.iter().for_each(|s| world.apply(&s.effect).unwrap());

        let (now, _, _) = world.evidence(&fleet, &jail("web"), &node("big"));
        let now = refreshed(&Begun::of(&before, &situation, &settings, false), now, &web);
        let mut findings = crate::plan::finding::Findings::default();
        let again = crate::plan::situation::resolve(&now, &jail("web"), &node("big"), &mut findings).unwrap();
        let rest = assemble::plan_as(&now, &again, &settings, &tester(), &web.run, findings).unwrap();
        assert!(!rest.refused(), "{:?}", rest.findings);
        assert!((0..done).any(|index| comparable(&web, index) != comparable(&rest, index)), "the address is the same");
        assert_eq!(goes_on(&web, &rest, done), Ok(()));
        rest.steps[done..].iter().for_each(|s| world.apply(&s.effect).unwrap());
    }

    /// The first move's copy is let go of by hand while the second one copies: what was to go along for it still does.
    #[test]
    fn a_copy_elsewhere_that_goes_meanwhile_is_no_reason_to_begin_anew() {
        let mut world = Shape::testbed().world();
        let (_, _, first) = drawn(&world, "web", "small");
        first.steps.iter().for_each(|s| world.apply(&s.effect).unwrap());
        let (before, situation, web) = drawn(&world, "web", "big");
        assert_eq!(snapshots::bases_of(&web).len(), 1);
        let done = seed(&web);
        web.steps[..done].iter().for_each(|s| world.apply(&s.effect).unwrap());
        let copy = &mut world.hosts.get_mut(&node("spare")).unwrap().storage;
        copy.retain(|name, _| !name.as_str().starts_with("jfpool/jails/web"));
        let settings = Options::default().settle();
        let (now, _, _) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big"));
        let now = refreshed(&Begun::of(&before, &situation, &settings, false), now, &web);
        let mut findings = crate::plan::finding::Findings::default();
        let again = crate::plan::situation::resolve(&now, &jail("web"), &node("big"), &mut findings).unwrap();
        let rest = assemble::plan_as(&now, &again, &settings, &tester(), &web.run, findings).unwrap();
        assert_eq!((goes_on(&web, &rest, done), stands(&web, &rest, done)), (Ok(()), Ok(())));
        rest.steps[done..].iter().for_each(|s| world.apply(&s.effect).unwrap());
    }

    #[test]
    fn a_jail_that_changed_meanwhile_does_not_go_on() {
        let world = Shape::testbed().world();
        let (_, _, web) = drawn(&world, "web", "big");
        let done = seed(&web);
        let mut other = web.clone();
        other.steps.remove(2);
        assert!(goes_on(&web, &other, done).is_err());
        let mut elsewhere = web.clone();
        elsewhere.target = node("small");
        assert!(goes_on(&web, &elsewhere, done).is_err());
        let mut renamed = web.clone();
        renamed.steps[1].title.push('!');
        assert!(goes_on(&web, &renamed, done).unwrap_err().contains("step 2"));
    }
}
