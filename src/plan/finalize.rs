//! Letting go of what a successful run kept: the source's copy, the files put aside, the held snapshots, the backups.

use std::collections::BTreeSet;

use crate::effect::Effect;
use crate::effect::Others;
use crate::effect::meaning::Meaning;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::model::SnapshotName;
use crate::plan::Plan;
use crate::plan::datasets::stale_name;
use crate::plan::naming::label;
use crate::plan::rollback::LaterMove;
use crate::plan::rollback::top_at_the_target;

/// What `finalize` does, in order: title and effect. Derived from the plan, so that nothing else is ever touched; what a
/// later move of the jail has taken over is left to it. `discard`: somebody's snapshots that were not sent go, too. The first is the jail's lock, the last gives it back.
#[must_use]
pub fn finalize(plan: &Plan, later: &[LaterMove], discard: bool) -> Vec<(String, Effect)> {
    let (jail, run, hub) = (&plan.jail, &plan.run, &plan.hub);
    let mut list = vec![(
        format!("lock jail {jail} on {hub}, so that no run uses what goes"),
        Effect::Lock { host: hub.clone(), jail: jail.clone(), run: run.clone(), owner: plan.owner.clone() },
    )];
    // The copy became the live one again when the jail came home, and another run's when it left once more.
    let copy_is_of_this_run = later.iter().all(|l| l.from != plan.source && l.to != plan.source);
    let files_are_of_this_run = later.iter().all(|l| l.from != plan.source);
    for step in &plan.steps {
        match &step.effect {
            Effect::Park { host, datasets, run } if *host == plan.source => {
                let mut datasets: Vec<_> = datasets.iter().map(|p| p.dataset.clone()).collect();
                let mut what = "the parked copy";
                let mut sent: Vec<SnapshotName> = plan.snapshots.iter().cloned().collect();
                if !copy_is_of_this_run {
                    // A later move may have put it aside, when it could not bring it up to date.
                    let Some(root) = datasets.first().cloned() else { continue };
                    let Some(aside) = stale_name(&root, run) else { continue };
                    datasets = datasets.iter().filter_map(|d| d.rebase(&root, &aside)).collect();
                    sent.iter_mut()
                        .for_each(|s| s.dataset = s.dataset.rebase(&root, &aside).unwrap_or(s.dataset.clone()));
                    what = "the outdated copy, if it was put aside as";
                }
                let others = match discard {
                    true => Others::Discard,
                    false => Others::Sent { last: label(run, "final"), snapshots: sent },
                };
                if let Some(root) = datasets.first() {
                    list.push((
                        format!("destroy {what} {root} on {host}, with its snapshots"),
                        Effect::DestroyParked { host: host.clone(), datasets, run: run.clone(), others },
                    ));
                }
            }
            Effect::MoveFile { host, to, .. } if files_are_of_this_run => {
                let effect = Effect::ForgetFile { host: host.clone(), path: to.clone() };
                list.push((format!("remove {to} on {host}"), effect));
            }
            Effect::Hold { host, dataset, label, tag } if *host == plan.target => list.push((
                format!("release and destroy @{label} of {dataset} on {host}"),
                Effect::DestroySnapshot {
                    host: host.clone(),
                    dataset: dataset.clone(),
                    label: label.clone(),
                    held_by: Some(tag.clone()),
                },
            )),
            _ => {}
        }
    }
    // It went along as long as the copy was there that could be brought up to date from it.
    let last = label(run, "final");
    let known = top_at_the_target(plan).map(|dataset| (plan.target.clone(), dataset));
    let there = later.iter().filter_map(|l| Some((l.to.clone(), l.dataset.clone()?))).collect::<BTreeSet<_>>();
    for (host, dataset) in there.into_iter().filter(|place| known.as_ref() != Some(place)) {
        list.push((
            format!("destroy @{last} of {dataset} on {host}, if it went along"),
            Effect::DestroySnapshot { host, dataset, label: last.clone(), held_by: None },
        ));
    }
    for host in hosts(plan) {
        list.push((
            format!("remove the backups that the run kept on {host}"),
            Effect::ForgetBackups { files: edited(plan, &host), host, run: run.clone() },
        ));
    }
    list.push((
        format!("unlock jail {jail} on {hub}"),
        Effect::Unlock { host: hub.clone(), jail: jail.clone(), run: run.clone() },
    ));
    list
}

/// Every host on which the run kept something: hub, source, target, and each whose WireGuard file it edited.
#[must_use]
pub fn hosts(plan: &Plan) -> BTreeSet<NodeName> {
    let edited = edits(plan).map(|(host, _)| host);
    [&plan.hub, &plan.source, &plan.target].into_iter().chain(edited).cloned().collect()
}

/// WireGuard's files that the run edited, and where.
fn edits(plan: &Plan) -> impl Iterator<Item = (&NodeName, &RemotePath)> {
    plan.steps.iter().filter_map(|step| match &step.effect {
        Effect::Edit { host, meaning: Meaning::AllowedIps { path, .. } | Meaning::Hooks { path, .. }, .. } => {
            Some((host, path))
        }
        _ => None,
    })
}

/// Those of one host, each once.
fn edited(plan: &Plan, host: &NodeName) -> Vec<RemotePath> {
    let files: BTreeSet<&RemotePath> = edits(plan).filter(|(node, _)| *node == host).map(|(_, path)| path).collect();
    files.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulate::World;
    use crate::plan::assemble;
    use crate::plan::fixture::NodeShape;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    /// The testbed with one node more, all of them with wg-quick(8): routes are kept in files on every host.
    fn shape() -> Shape {
        let mut shape = Shape::testbed();
        shape.nodes.push(NodeShape { name: "tiny", ..shape.nodes[2].clone() });
        shape.nodes.iter_mut().for_each(|n| n.quick = true);
        // Not tiny's own network.
        shape.jails[2].whole = Some(30);
        shape
    }

    fn moved(world: &mut World, to: &str, salt: u32) -> Plan {
        let (evidence, situation, findings) = world.evidence(&shape().fleet(), &jail("db"), &node(to));
        let settings = Options::default().settle();
        let plan =
            assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), &salt.to_string(), findings).unwrap();
        plan.steps.iter().for_each(|s| world.apply(&s.effect).unwrap_or_else(|e| panic!("{}: {e}", s.title)));
        plan
    }

    fn later(plan: &Plan) -> LaterMove {
        LaterMove {
            run: plan.run.clone(),
            from: plan.source.clone(),
            to: plan.target.clone(),
            dataset: top_at_the_target(plan),
        }
    }

    /// What is left that carries the name of a run, on any host.
    fn traces(world: &World, run: &Plan) -> Vec<String> {
        let name = run.run.as_str();
        let mut left = Vec::new();
        for (node, host) in &world.hosts {
            left.extend(host.backups.keys().filter(|(_, r)| r.as_str() == name).map(|(p, _)| format!("{node} {p}")));
            left.extend(host.locks.values().filter(|r| r.as_str() == name).map(|r| format!("{node} lock {r}")));
            for (dataset, found) in &host.storage {
                let text =
                    format!("{:?} {:?} {:?} {:?}", found.local, found.received, found.snapshots, found.bookmarks);
                left.extend(text.contains(name).then(|| format!("{node} {dataset}")));
            }
        }
        left
    }

    /// A backup holds the private key.
    #[test]
    fn backups_go_wherever_the_file_is_that_they_are_of() {
        let mut world = shape().world();
        let place = crate::plan::fixture::path("/root/wg0.conf");
        let hub = world.hosts.get_mut(&node("small")).unwrap();
        hub.facts.wireguard_files.iter_mut().for_each(|file| file.path = place.clone());
        let plan = moved(&mut world, "big", 0);
        let forgotten = finalize(&plan, &[], false).into_iter().find_map(|(_, effect)| match effect {
            Effect::ForgetBackups { host, files, .. } if host == node("small") => Some(files),
            _ => None,
        });
        assert_eq!(forgotten.unwrap(), [place]);
    }

    #[test]
    fn finalized_in_any_order_no_run_leaves_anything() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut world = shape().world();
            // Out, on, home: then the first run's copy is the live one again.
            let runs: Vec<Plan> =
                ["big", "tiny", "spare"].iter().zip(0..).map(|(to, salt)| moved(&mut world, to, salt)).collect();
            for which in order {
                let later: Vec<LaterMove> = runs.iter().skip(which + 1).map(later).collect();
                for (title, effect) in finalize(&runs[which], &later, false) {
                    world.apply(&effect).unwrap_or_else(|e| panic!("{order:?}: {title}: {e}"));
                }
            }
            for run in &runs {
                assert_eq!(traces(&world, run), Vec::<String>::new(), "{order:?}");
            }
            let aside: Vec<_> = world.hosts.values().flat_map(|h| h.files.keys()).collect();
            assert!(aside.iter().all(|p| !p.as_str().ends_with(".jailferry")), "{aside:?}");
            assert!(world.hosts[&node("spare")].facts.jail(&jail("db")).is_some());
            assert!(world.hosts[&node("spare")].storage.keys().any(|d| d.as_str().ends_with("/db/data")));
        }
    }
}
