//! Chapters of the data: snapshots, what is sent of them, and the proof that everything arrived.

use std::collections::BTreeMap;

use crate::effect::Base;
use crate::effect::Delegation;
use crate::effect::Effect;
use crate::effect::Newer;
use crate::effect::Parked;
use crate::effect::Transfer;
use crate::effect::Way;
use crate::model::DatasetName;
use crate::model::RunId;
use crate::model::SnapshotLabel;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::datasets::DatasetMove;
use crate::plan::keys;
use crate::plan::migrate::at_once;
use crate::plan::naming::bookmark;
use crate::plan::naming::label;
use crate::plan::notices;
use crate::plan::properties;
use crate::plan::snapshots;

/// One atomic snapshot of all datasets, and each of them in full (or from the snapshot that an earlier run left).
pub(super) fn copy_everything(cast: &Cast<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some((from, to)) = cast.stale_copy {
        let host = cast.target();
        steps.push(
            Step::new(
                Phase::Copy,
                format!("put the outdated copy {from} on {host} aside"),
                Effect::RenameDataset { host: host.clone(), from: from.clone(), to: to.clone() },
            )
            .undo(Effect::RenameDataset { host: host.clone(), from: to.clone(), to: from.clone() })
            .change(Change::new(format!("dataset on {host}"), from, to)),
        );
    }
    steps.push(snapshot(cast, Phase::Copy, &label(cast.run, "0"), None));
    steps.extend(snapshots::hold(cast));
    // A new dataset needs the one above it, so each level of the tree follows the level above; the large ones of a level,
    // then the small ones.
    let (mut streams, mut afterwards) = (BTreeMap::<(usize, bool), Vec<Step>>::new(), Vec::new());
    for moving in cast.datasets {
        let (source, target) = (&moving.source.dataset, &moving.target.dataset);
        let (title, undo) = match &moving.older {
            None => (
                match &moving.base {
                    Base::Origin { there, .. } => format!("send {source} as a clone of {there} on {}", cast.target()),
                    Base::Nothing | Base::Snapshot(_) | Base::Bookmark(_) => format!("send {source} in full"),
                },
                Effect::DiscardReceived {
                    host: cast.target(),
                    datasets: vec![target.clone()],
                    run: cast.run.clone(),
                    arriving: moving.history.concat(),
                },
            ),
            Some((base, _)) => (
                format!("send {source} since {}", base_name(&moving.base)),
                Effect::RollBackReceived {
                    host: cast.target(),
                    dataset: target.clone(),
                    base: base.clone(),
                    run: cast.run.clone(),
                    arriving: moving.history.concat(),
                    newer: Newer::Keeps,
                },
            ),
        };
        let change = match moving.base {
            Base::Nothing | Base::Origin { .. } => Change::new(target, "absent", "a copy, unmounted and read-only"),
            _ => Change::new(target, "an older copy", "a newer copy, unmounted and read-only"),
        };
        let mut as_it_was = undo.clone();
        if let Effect::RollBackReceived { base, newer, .. } = &mut as_it_was {
            *newer = if moving.raw { Newer::Stops } else { Newer::Fits };
            // Nothing to undo: what goes was in no snapshot of a copy that nobody used.
            let title = format!("make sure that {target} on {} is as it was at @{base}", cast.target());
            steps.push(Step::new(Phase::Copy, title, as_it_was));
        }
        if moving.older.is_some() && *target == cast.situation.target.dataset {
            steps.push(notices::arriving(cast));
        }
        steps.extend(properties::make_room(cast, moving));
        let small = moving.estimate <= SMALL;
        let level = streams.entry((source.as_str().matches('/').count(), small)).or_default();
        let mut base = moving.base.clone();
        let mut first = Some((undo, change));
        for stream in &moving.history {
            let Some((label, through)) = stream.split_last() else { continue };
            let since = match &base {
                Base::Nothing | Base::Origin { .. } => String::new(),
                known => format!(" since {}", base_name(known)),
            };
            let title = match through.first() {
                None => format!("send {source}@{label}{since}"),
                Some(first) => format!("send {source}@{first} to @{label}, {} snapshots{since}", stream.len()),
            };
            // What its quota is today an older snapshot may be above.
            let transfer = Transfer {
                through: through.to_vec(),
                refquota: None,
                unlimited: moving.refquota.is_some() && base.makes_a_dataset(),
                ..transfer(cast, moving, base, label.clone(), Some(0))
            };
            let step = Step::new(Phase::Copy, title, Effect::Transfer(transfer));
            level.push(match first.take() {
                Some((undo, change)) => step.undo(undo).change(change),
                None => step,
            });
            base = Base::Snapshot(label.clone());
        }
        let title = match moving.history.last().and_then(|stream| stream.last()) {
            Some(last) => format!("send {source} since @{last}"),
            None => title,
        };
        let mut last = transfer(cast, moving, base, label(cast.run, "0"), Some(0));
        if moving.base.makes_a_dataset() {
            last.refquota.clone_from(&moving.refquota);
        }
        let step = Step::new(Phase::Copy, title, Effect::Transfer(last));
        level.push(match first {
            Some((undo, change)) => step.undo(undo).change(change),
            None => step,
        });
        afterwards.extend(properties::follow(cast, moving));
    }
    steps.extend(streams.into_iter().flat_map(|((_, small), level)| match small {
        true => side_by_side(cast, level),
        false => level,
    }));
    steps.extend(afterwards);
    steps.extend(snapshots::let_go(cast));
    steps.push(remember_sent(cast, Phase::Copy, "0"));
    steps.extend(keys::tried(cast));
    steps
}

/// What was written meanwhile, while the jail keeps running. Left out when the round before had little to send.
pub(super) fn catch_up(cast: &Cast<'_>, round: u32) -> Vec<Step> {
    let name = round.to_string();
    let mut steps = vec![snapshot(cast, Phase::Copy, &label(cast.run, &name), None)];
    let streams = cast.datasets.iter().map(|moving| {
        let transfer = transfer(cast, moving, Base::Bookmark(bookmark(cast.run)), label(cast.run, &name), Some(round));
        // Nothing to undo: the undo of the first copy takes the dataset, or rolls it back, as a whole.
        Step::new(
            Phase::Copy,
            format!("send what changed in {} meanwhile (round {round})", moving.source.dataset),
            Effect::Transfer(transfer),
        )
    });
    steps.extend(side_by_side(cast, streams.collect()));
    steps.push(remember_sent(cast, Phase::Copy, &name));
    for step in &mut steps {
        step.round = Some(round);
    }
    steps
}

/// Bytes up to which a dataset is small. Larger ones would compete for the line, and for the heads of a spinning disk.
const SMALL: u64 = 64 << 20;

/// Streams of several datasets at the same time: small ones wait for their ends most of the time, and for the target's disks
/// after each snapshot. Under a limit, which is each stream's own, they go one after the other.
fn side_by_side(cast: &Cast<'_>, streams: Vec<Step>) -> Vec<Step> {
    if cast.settings.rate_limit.is_some() { streams } else { at_once([streams]) }
}

/// Taken after the stop, so nothing that was acknowledged is missing from it.
pub(super) fn final_snapshot(cast: &Cast<'_>) -> Vec<Step> {
    vec![snapshot(cast, Phase::CutOver, &label(cast.run, "final"), None)]
}

/// What was written since the last round.
pub(super) fn send_the_rest(cast: &Cast<'_>) -> Vec<Step> {
    let last = label(cast.run, "final");
    let send = |moving: &DatasetMove| {
        let transfer = transfer(cast, moving, Base::Bookmark(bookmark(cast.run)), last.clone(), None);
        let title = format!("send the rest of {}", moving.source.dataset);
        Step::new(Phase::CutOver, title, Effect::Transfer(transfer))
    };
    cast.datasets.iter().map(send).collect()
}

/// The proof that everything arrived.
pub(super) fn compare(cast: &Cast<'_>) -> Vec<Step> {
    vec![Step::new(
        Phase::CutOver,
        format!("every dataset's snapshot has the same GUID on {} and {}", cast.source(), cast.target()),
        Effect::CompareGuids {
            source: cast.source(),
            target: cast.target(),
            pairs: cast.pairs(),
            label: label(cast.run, "final"),
        },
    )]
}

fn base_name(base: &Base) -> String {
    match base {
        Base::Nothing => "the beginning".into(),
        Base::Origin { here, .. } => here.to_string(),
        Base::Snapshot(label) => format!("@{label}"),
        Base::Bookmark(label) => format!("#{label}"),
    }
}

fn snapshot(cast: &Cast<'_>, phase: Phase, label: &SnapshotLabel, held_by: Option<SnapshotLabel>) -> Step {
    let dataset = cast.situation.source.dataset.clone();
    let known = cast.datasets.iter().map(|d| d.source.dataset.clone()).collect();
    Step::new(
        phase,
        format!("snapshot {dataset} and all below it as @{label}"),
        Effect::Snapshot { host: cast.source(), dataset: dataset.clone(), label: label.clone(), known },
    )
    .undo(Effect::DestroySnapshot { host: cast.source(), dataset, label: label.clone(), held_by })
}

fn remember_sent(cast: &Cast<'_>, phase: Phase, round: &str) -> Step {
    let datasets: Vec<DatasetName> = cast.datasets.iter().map(|d| d.source.dataset.clone()).collect();
    Step::new(
        phase,
        format!("remember @{} as the base of the next increment", label(cast.run, round)),
        Effect::MoveBookmark {
            host: cast.source(),
            datasets: datasets.clone(),
            bookmark: bookmark(cast.run),
            label: label(cast.run, round),
        },
    )
    .undo(Effect::RemoveBookmark { host: cast.source(), datasets, bookmark: bookmark(cast.run) })
}

fn transfer(cast: &Cast<'_>, moving: &DatasetMove, base: Base, label: SnapshotLabel, round: Option<u32>) -> Transfer {
    Transfer {
        from: cast.source(),
        to: cast.target(),
        dataset: moving.source.dataset.clone(),
        into: moving.target.dataset.clone(),
        // Of all snapshots together, if there are several.
        estimate: (base.makes_a_dataset() && moving.history.is_empty()).then_some(moving.estimate),
        refquota: moving.refquota.clone().filter(|_| base.makes_a_dataset()),
        unlimited: false,
        label,
        base,
        through: Vec::new(),
        run: cast.run.clone(),
        owner: (moving.target.dataset == cast.situation.target.dataset).then(|| cast.owner.clone()),
        raw: moving.raw,
        round,
        // With the jail stopped every second counts.
        rate: round.and(cast.settings.rate_limit),
        way: Way::Relay,
        volume: moving.source.volume,
        delegated: moving.source.delegation == Delegation::Own,
    }
}

/// The copy as it was: each of its datasets with the mark of the run that made it, or brought it up to date last. A child
/// that is new at the source arrives below an older copy, and is this run's to discard.
pub(super) fn park_the_copy(cast: &Cast<'_>, datasets: impl Fn(&DatasetMove) -> Parked) -> Vec<Effect> {
    let mut marked: Vec<(RunId, Vec<Parked>)> = Vec::new();
    for moving in cast.datasets {
        let run = moving.older.as_ref().map_or(cast.run, |(_, run)| run);
        match marked.iter_mut().find(|(known, _)| known == run) {
            Some((_, parked)) => parked.push(datasets(moving)),
            None => marked.push((run.clone(), vec![datasets(moving)])),
        }
    }
    // What is mounted inside another one goes first; the root is among the first.
    let parks = marked.into_iter().rev();
    parks.map(|(run, datasets)| Effect::Park { host: cast.target(), datasets, run }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::assemble;
    use crate::plan::finding::Findings;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    /// Titles of the first copy's streams; `~` before one that goes beside the one before it.
    fn streams(options: Options) -> Vec<String> {
        let shape = Shape::testbed();
        let (mut evidence, situation, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
        let data = DatasetName::new("jfpool/jails/web/data").unwrap();
        for (name, size) in [("data/deep", 1), ("large", SMALL + 1), ("small", SMALL)] {
            let name = DatasetName::new(format!("jfpool/jails/web/{name}")).unwrap();
            let told = evidence.hosts.get_mut(&node("spare")).unwrap();
            let mut facts = told.datasets.iter().find(|d| d.name == data).unwrap().clone();
            (facts.name, facts.referenced) = (name.clone(), size);
            facts.mountpoint = format!("/jf{}", name.as_str().trim_start_matches("jfpool"));
            told.datasets.push(facts);
            let asked = &mut evidence.jail.as_mut().unwrap().datasets;
            let mut one = asked.iter().find(|d| d.name == data).unwrap().clone();
            one.name = name;
            asked.push(one);
        }
        let plan =
            assemble::plan(&evidence, &situation.unwrap(), &options.settle(), &tester(), "", Findings::default());
        let steps = plan.unwrap().steps;
        let first = steps.iter().filter(|s| matches!(&s.effect, Effect::Transfer(t) if t.round == Some(0)));
        first.map(|s| format!("{}{}", if s.alongside { "~" } else { "" }, s.title)).collect()
    }

    #[test]
    fn small_datasets_go_side_by_side_below_the_one_above_them() {
        let expected = ["web", "web/large", "web/data", "~web/small", "web/data/deep"];
        let expected: Vec<String> = expected
            .iter()
            .map(|name| match name.strip_prefix('~') {
                Some(name) => format!("~send jfpool/jails/{name} in full"),
                None => format!("send jfpool/jails/{name} in full"),
            })
            .collect();
        assert_eq!(streams(Options::default()), expected);
        let limited = streams(Options { rate_limit: Some(std::num::NonZeroU64::MIN), ..Options::default() });
        let expected: Vec<String> = expected.iter().map(|title| title.trim_start_matches('~').to_owned()).collect();
        assert_eq!(limited, expected);
    }

    /// An older snapshot may refer to more than the quota of today allows.
    #[test]
    fn a_quota_is_set_when_the_last_of_the_first_copy_has_arrived() {
        let quotas = |snapshots: &[&str]| {
            let shape = Shape::testbed();
            let (mut evidence, situation, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
            let web = &mut evidence.jail.as_mut().unwrap().datasets[0];
            let quota = crate::facts::PropertyValue { value: "5".to_owned(), source: "local".to_owned() };
            web.properties.insert("refquota".to_owned(), quota);
            web.snapshots.extend(snapshots.iter().zip(1..).map(|(label, number)| crate::model::Snapshot {
                label: SnapshotLabel::new(*label).unwrap(),
                guid: crate::model::Guid(number),
                createtxg: number,
                userrefs: 0,
                written: None,
            }));
            let (situation, settings) = (situation.unwrap(), Options::default().settle());
            let plan = assemble::plan(&evidence, &situation, &settings, &tester(), "", Findings::default()).unwrap();
            let of_web = plan.steps.into_iter().filter_map(|step| match step.effect {
                Effect::Transfer(t) if t.round.is_none_or(|r| r == 0) && !t.dataset.as_str().ends_with("/data") => {
                    Some(t)
                }
                _ => None,
            });
            of_web.map(|t| (t.unlimited, t.refquota)).collect::<Vec<_>>()
        };
        let quota = Some("5".to_owned());
        assert_eq!(quotas(&[]), [(false, quota.clone()), (false, None)]);
        assert_eq!(quotas(&["a", "b"]), [(true, None), (false, None), (false, quota), (false, None)]);
    }
}
