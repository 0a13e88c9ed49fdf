//! Letting go of what a successful run kept: the source's copy, the files put aside, the held snapshots, the backups.

use crate::effect::Effect;
use crate::plan::Plan;

/// What `finalize` does, in order: title and effect. Derived from the plan, so that nothing else is ever touched.
#[must_use]
pub fn finalize(plan: &Plan) -> Vec<(String, Effect)> {
    let mut list = Vec::new();
    for step in &plan.steps {
        match &step.effect {
            Effect::Park { host, datasets, run } if *host == plan.source => {
                let datasets: Vec<_> = datasets.iter().map(|p| p.dataset.clone()).collect();
                if let Some(root) = datasets.first() {
                    list.push((
                        format!("destroy the parked copy {root} on {host}, with its snapshots"),
                        Effect::DestroyParked { host: host.clone(), datasets, run: run.clone() },
                    ));
                }
            }
            Effect::MoveFile { host, to, .. } => {
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
    let mut hosts = vec![&plan.hub, &plan.source, &plan.target];
    hosts.sort();
    hosts.dedup();
    for host in hosts {
        list.push((
            format!("remove the backups that the run kept on {host}"),
            Effect::ForgetBackups { host: host.clone(), run: plan.run.clone() },
        ));
    }
    list
}
