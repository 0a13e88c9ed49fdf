//! What a run writes on the jail's top dataset at both ends, so that either host alone can tell which run moves it and
//! whose that is. None of it is written while nobody answers.

use crate::effect::Effect;
use crate::facts::HostFacts;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::Notice;
use crate::model::Standing;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::situation::Situation;

fn notice(cast: &Cast<'_>, standing: Standing) -> Notice {
    let peer = match standing {
        Standing::Leaving | Standing::Parked => cast.target(),
        Standing::Arriving | Standing::Arrived => cast.source(),
    };
    Notice { run: cast.run.clone(), owner: Some(cast.owner.clone()), standing, peer: Some(peer) }
}

fn declare(cast: &Cast<'_>, standing: Standing) -> (NodeName, DatasetName, Effect) {
    let (host, dataset) = match standing {
        Standing::Leaving | Standing::Parked => (cast.source(), cast.situation.source.dataset.clone()),
        Standing::Arriving | Standing::Arrived => (cast.target(), cast.situation.target.dataset.clone()),
    };
    let effect = Effect::Declare { host: host.clone(), dataset: dataset.clone(), notice: notice(cast, standing) };
    (host, dataset, effect)
}

/// A run that has not ended is written there: usually its lock stops the new one, but a hub may have lost its disk.
pub fn examine(situation: &Situation, source: &HostFacts, target: &HostFacts, findings: &mut Findings) {
    for (place, facts) in [(&situation.source, source), (&situation.target, target)] {
        let (node, dataset) = (&place.node, &place.dataset);
        let Some(notice) = facts.dataset(dataset).and_then(|d| d.notice.as_ref()) else { continue };
        if notice.standing != Standing::Parked {
            findings.warning(
                "run-noted",
                node,
                format!("{dataset} on {node} says: {}", notice.told()),
                format!("if that run was interrupted: jailferry recover {}; if nothing is left of it: zfs inherit org.jailferry:state {dataset}", notice.run),
            );
        }
    }
}

/// Before anything is copied.
pub(super) fn leaving(cast: &Cast<'_>) -> Step {
    let (host, dataset, effect) = declare(cast, Standing::Leaving);
    Step::new(Phase::Copy, format!("write on {dataset} on {host} which run moves it, and whose that is"), effect)
        .undo(Effect::Withdraw { host, dataset, run: cast.run.clone() })
}

/// On an older copy that is brought up to date; a new one has its notice from the first byte on. Going back, it is the
/// older run's copy again.
pub(super) fn arriving(cast: &Cast<'_>) -> Step {
    let (host, dataset, effect) = declare(cast, Standing::Arriving);
    let title = format!("write on {dataset} on {host} which run brings it up to date");
    let undo = match cast.target_facts().dataset(&dataset).and_then(|d| d.notice.clone()) {
        Some(notice) => Effect::Declare { host, dataset, notice },
        None => Effect::Withdraw { host, dataset, run: cast.run.clone() },
    };
    Step::new(Phase::Copy, title, effect).undo(undo)
}

/// With the acceptance.
pub(super) fn arrived(cast: &Cast<'_>) -> Step {
    let (host, dataset, effect) = declare(cast, Standing::Arrived);
    let notice = notice(cast, Standing::Arriving);
    let before = Effect::Amend { host: host.clone(), dataset: dataset.clone(), notice };
    Step::new(Phase::Prove, format!("write on {dataset} on {host} that it is the live copy"), effect).undo(before)
}

/// The target's dataset is like any other again; the source's copy says whose it is until `finalize`.
pub(super) fn settled(cast: &Cast<'_>) -> Vec<Step> {
    let (host, dataset, parked) = declare(cast, Standing::Parked);
    let (to, live) = (cast.target(), cast.situation.target.dataset.clone());
    vec![
        Step::new(Phase::Persist, format!("write on {dataset} on {host} which run left this copy"), parked),
        Step::new(
            Phase::Persist,
            format!("nothing of the run stays written on {live} on {to}"),
            Effect::Withdraw { host: to, dataset: live, run: cast.run.clone() },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::commands::OWNER_PROPERTY;
    use crate::effect::commands::STATE_PROPERTY;
    use crate::effect::simulate::World;
    use crate::plan::Plan;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    fn written(world: &World, host: &str, dataset: &str) -> Option<Notice> {
        let found = world.hosts[&node(host)].storage.get(&DatasetName::new(dataset).unwrap())?;
        let own = |property: &str| found.own(property).cloned().unwrap_or_default();
        Notice::read(&own(STATE_PROPERTY), &own(OWNER_PROPERTY))
    }

    fn planned(world: &World, to: &str, salt: &str) -> Plan {
        let (evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node(to));
        assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), salt, findings).unwrap()
    }

    /// Either host alone tells run, owner and standing at every step, there and back.
    #[test]
    fn both_ends_say_whose_they_are_until_nothing_is_left() {
        let mut world = Shape::testbed().world();
        let mut earlier = None;
        for (from, to) in [("spare", "big"), ("big", "spare")] {
            let plan = planned(&world, to, from);
            let root = "jfpool/jails/web";
            let no_return = plan.point_of_no_return();
            let mut copied = false;
            for (index, step) in plan.steps.iter().enumerate() {
                world.apply(&step.effect).unwrap();
                copied |= matches!(&step.effect, Effect::Transfer(t) if t.into.as_str() == root);
                let declared = plan.steps.iter().take(index + 1).any(|s| matches!(s.effect, Effect::Declare { .. }));
                if declared && index < no_return {
                    let source = written(&world, from, root).unwrap();
                    assert_eq!((&source.run, source.owner.as_ref()), (&plan.run, Some(&tester())), "{}", step.title);
                    assert_eq!(source.peer, Some(node(to)));
                    if copied {
                        let target = written(&world, to, root).unwrap();
                        assert_eq!(
                            (&target.run, target.owner.as_ref()),
                            (&plan.run, Some(&tester())),
                            "{}",
                            step.title
                        );
                        assert_eq!(target.peer, Some(node(from)));
                    }
                }
            }
            assert_eq!(
                written(&world, from, root).map(|n| (n.run, n.standing)),
                Some((plan.run.clone(), Standing::Parked))
            );
            assert_eq!(written(&world, to, root), None);
            earlier = Some(plan.run);
        }
        // A run that stopped behind its first note: whoever plans anew reads of it.
        let stopped = planned(&world, "big", "stopped");
        assert!(!stopped.findings.iter().any(|f| f.code == "run-noted"), "{:?}", stopped.findings);
        let first = stopped.steps.iter().find(|s| matches!(s.effect, Effect::Declare { .. })).unwrap();
        world.apply(&first.effect).unwrap();
        let another = planned(&world, "big", "another");
        let told = another.findings.iter().find(|f| f.code == "run-noted").unwrap();
        assert!(told.what.contains(stopped.run.as_str()) && told.what.contains("tests@here-0"), "{}", told.what);
        first.undo.iter().for_each(|effect| world.apply(effect).unwrap());
        // Going back from the middle of a third move leaves the older copy's word.
        let plan = planned(&world, "big", "again");
        let steps = &plan.steps[..plan.point_of_no_return()];
        steps.iter().for_each(|s| world.apply(&s.effect).unwrap());
        let undo = steps.iter().rev().flat_map(|s| &s.undo);
        undo.for_each(|effect| world.apply(effect).unwrap());
        assert_eq!(written(&world, "spare", "jfpool/jails/web"), None);
        let older = written(&world, "big", "jfpool/jails/web").unwrap();
        assert_eq!((Some(older.run), older.standing, older.owner), (earlier, Standing::Parked, Some(tester())));
    }
}
