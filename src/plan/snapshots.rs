//! Snapshots of the jail's datasets that travel along, oldest first, those that follow each other in one stream. They are
//! somebody's: backups, most of them; what cannot travel stays on the source's copy, and the plan says so. And of ours
//! those at which a copy of the jail on a third node stands: without them the jail could go there again only in full.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::Base;
use crate::effect::Effect;
use crate::facts::Dataset;
use crate::facts::DatasetKind;
use crate::facts::HostFacts;
use crate::facts::JailDataset;
use crate::facts::JailFacts;
use crate::model::NodeName;
use crate::model::RunId;
use crate::model::Snapshot;
use crate::model::SnapshotLabel;
use crate::model::SnapshotName;
use crate::model::common_base;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::datasets::DatasetMove;
use crate::plan::finding::Findings;
use crate::plan::naming::bookmark;
use crate::plan::naming::label;
use crate::plan::situation::Situation;

/// The snapshots of ours at which copies of the jail stand that earlier runs have left on other nodes than these two.
#[must_use]
pub fn bases_elsewhere(situation: &Situation, hosts: &BTreeMap<NodeName, HostFacts>) -> BTreeSet<SnapshotLabel> {
    let ends = [&situation.source.node, &situation.target.node];
    let elsewhere = hosts.iter().filter(|(node, _)| !ends.contains(node));
    let runs = elsewhere.flat_map(|(_, facts)| &facts.datasets).filter_map(|d| RunId::new(d.run.as_deref()?).ok());
    let of_the_jail = |run: &RunId| run.jail() == situation.jail.as_str();
    runs.filter(of_the_jail).map(|run| label(&run, "final")).collect()
}

/// Those of a plan.
#[must_use]
pub fn bases_of(plan: &Plan) -> BTreeSet<SnapshotLabel> {
    let kept = |step: &Step| match &step.effect {
        Effect::Tidy { bases, .. } => bases.clone(),
        _ => Vec::new(),
    };
    plan.steps.iter().flat_map(kept).collect()
}

/// Of a dataset's snapshots at the source: those to be sent, stream by stream, and those that the target has already.
/// `bases`: of ours, those that go along.
#[must_use]
pub fn of(
    dataset: &JailDataset,
    base: &Base,
    existing: Option<&JailDataset>,
    bases: &BTreeSet<SnapshotLabel>,
) -> (Vec<Vec<SnapshotLabel>>, Vec<SnapshotLabel>) {
    let begin = match base {
        Base::Snapshot(label) | Base::Bookmark(label) => {
            dataset.snapshots.iter().find(|s| s.label == *label).map(|s| s.createtxg)
        }
        Base::Nothing | Base::Origin { .. } => None,
    };
    // Whoever takes snapshots of everything on both hosts gives them the same names (zfs-receive(8): a name is there once).
    let taken = |s: &Snapshot| {
        let there = existing.map_or(&[][..], |e| &e.snapshots);
        there.iter().any(|t| t.label == s.label && t.guid != s.guid)
    };
    let goes_along = |s: &&Snapshot| (!s.label.is_ours() || bases.contains(&s.label)) && !taken(s);
    let (mut along, others): (Vec<&Snapshot>, Vec<&Snapshot>) = dataset.snapshots.iter().partition(goes_along);
    along.sort_by_key(|s| s.createtxg);
    let (later, earlier): (Vec<&Snapshot>, Vec<&Snapshot>) =
        along.into_iter().partition(|s| begin.is_none_or(|begin| s.createtxg > begin));
    let there = |s: &&Snapshot| existing.is_some_and(|e| e.snapshots.iter().any(|t| t.guid == s.guid));
    let known = earlier.into_iter().filter(there).map(|s| s.label.clone()).collect();
    (streams(dataset, base, &later, &others), known)
}

/// Those that follow each other go in one stream. It carries everything between its ends (zfs-send(8), -I), so it must
/// not go past one of the `others`; and its beginning must be a snapshot of the same dataset.
fn streams(dataset: &JailDataset, base: &Base, along: &[&Snapshot], others: &[&Snapshot]) -> Vec<Vec<SnapshotLabel>> {
    let begin = match base {
        Base::Snapshot(label) => dataset.snapshots.iter().find(|s| s.label == *label).map(|s| s.createtxg),
        Base::Bookmark(_) | Base::Nothing | Base::Origin { .. } => None,
    };
    let mut streams: Vec<Vec<SnapshotLabel>> = Vec::new();
    let (mut last, mut open) = (begin, false);
    for snapshot in along {
        let between = |last: u64| others.iter().any(|o| o.createtxg > last && o.createtxg < snapshot.createtxg);
        let follows = last.is_some_and(|last| !between(last));
        match streams.last_mut() {
            Some(stream) if open && follows => stream.push(snapshot.label.clone()),
            _ => streams.push(vec![snapshot.label.clone()]),
        }
        // What begins a dataset, or behind a bookmark or one of ours, is by itself.
        (last, open) = (Some(snapshot.createtxg), follows);
    }
    streams
}

/// Bytes of a dataset with all its snapshots, without its children. A volume's `used` counts what is reserved for it, too.
#[must_use]
pub fn size(facts: &Dataset, host: &HostFacts) -> u64 {
    if facts.kind == DatasetKind::Volume {
        return facts.referenced;
    }
    let child = |d: &&Dataset| d.name.as_str().rsplit_once('/').is_some_and(|(p, _)| p == facts.name.as_str());
    let below: u64 = host.datasets.iter().filter(child).map(|d| d.used).sum();
    facts.used.saturating_sub(below).max(facts.referenced)
}

/// Is an older copy too far away to be brought up to date? It has no snapshot that the source has, too; or only somebody's
/// from before the run that left it, whose own last one the source has not.
#[must_use]
pub fn apart(source: &[Snapshot], copy: &[Snapshot], left_by: &str) -> bool {
    let Some(base) = common_base(source, copy) else { return true };
    let theirs = copy.iter().find(|s| s.guid == base.guid).map_or(0, |s| s.createtxg);
    let mut newer = copy.iter().filter(|s| s.createtxg > theirs).peekable();
    let run = format!("jailferry-{left_by}-");
    newer.peek().is_some() && newer.all(|s| s.label.as_str().starts_with(&run))
}

/// What a copy has behind the base that an increment does not fit behind: everything, where one of them shows something or
/// is ours, and of an encrypted dataset in any case (dmu_recv.c, recv_begin_check_existing_impl). Others do no harm: whoever
/// takes snapshots of everything on a host takes them of a parked copy, too.
#[must_use]
pub fn in_the_way<'a>(copy: &'a [Snapshot], base: &Snapshot, raw: bool) -> Vec<&'a Snapshot> {
    let theirs = copy.iter().find(|s| s.guid == base.guid).map(|s| s.createtxg);
    let behind: Vec<&Snapshot> = copy.iter().filter(|s| theirs.is_some_and(|t| s.createtxg > t)).collect();
    let harmless = |s: &&Snapshot| !raw && s.written == Some(0) && !s.label.is_ours();
    if behind.iter().all(harmless) { Vec::new() } else { behind }
}

/// Everything of somebody's at the source that is at the target when the run is over.
#[must_use]
pub fn at_the_target(moving: &[DatasetMove]) -> BTreeSet<SnapshotName> {
    let of = |m: &DatasetMove| {
        let dataset = m.source.dataset.clone();
        let labels = m.there.iter().chain(m.history.iter().flatten()).filter(|label| !label.is_ours());
        labels
            .cloned()
            .collect::<Vec<_>>()
            .into_iter()
            .map(move |label| SnapshotName { dataset: dataset.clone(), label })
    };
    moving.iter().flat_map(of).collect()
}

/// Forgets somebody's snapshots that an earlier plan does not send: what was taken since then stays at the source, and is
/// no reason to plan otherwise.
pub fn forget_newer(jail: &mut JailFacts, plan: &Plan) {
    for JailDataset { name, snapshots, .. } in &mut jail.datasets {
        let planned =
            |s: &Snapshot| plan.snapshots.contains(&SnapshotName { dataset: name.clone(), label: s.label.clone() });
        snapshots.retain(|s| s.label.is_ours() || planned(s));
    }
}

/// Those that stay behind: older than what the target has of the dataset, which nothing can be put in front of, or of a name
/// that another one has there.
pub fn examine(situation: &Situation, jail: &JailFacts, moving: &[DatasetMove], findings: &mut Findings) {
    let travel = at_the_target(moving);
    let mut stay: Vec<SnapshotName> = Vec::new();
    for dataset in &jail.datasets {
        let name = |s: &Snapshot| SnapshotName { dataset: dataset.name.clone(), label: s.label.clone() };
        stay.extend(dataset.snapshots.iter().filter(|s| !s.label.is_ours()).map(name).filter(|s| !travel.contains(s)));
    }
    let Some(first) = stay.first() else { return };
    let (source, target) = (&situation.source.node, &situation.target.node);
    findings.warning(
        "snapshots-stay",
        source,
        format!(
            "{} of your snapshots stay on {source}, such as {first}: they are older than what {target} has of the dataset, or it has others of the same names",
            stay.len()
        ),
        "`jailferry finalize` keeps the copy as long as they are there; to let go of them too: --discard-snapshots",
    );
}

/// How many travel along, for the summary.
#[must_use]
pub fn summary(situation: &Situation, moving: &[DatasetMove]) -> Option<String> {
    let theirs = |m: &DatasetMove| m.history.iter().flatten().filter(|label| !label.is_ours()).count();
    let count: usize = moving.iter().map(theirs).sum();
    let what = if count == 1 { "one snapshot" } else { "snapshots" };
    let many = if count == 1 { String::new() } else { format!("{count} ") };
    (count > 0).then(|| {
        format!("{many}{what} of yours on {} will be on {}, too", situation.source.node, situation.target.node)
    })
}

/// Of somebody's; ours nobody else thins out.
fn travelling(cast: &Cast<'_>) -> Vec<SnapshotName> {
    let of = |m: &DatasetMove| {
        let dataset = m.source.dataset.clone();
        m.history
            .concat()
            .into_iter()
            .filter(|label| !label.is_ours())
            .map(move |label| SnapshotName { dataset: dataset.clone(), label })
    };
    cast.datasets.iter().flat_map(of).collect()
}

/// Held while they are sent, which may take longer than whoever thins them out waits.
#[must_use]
pub fn hold(cast: &Cast<'_>) -> Option<Step> {
    let (host, snapshots, tag) = (cast.source(), travelling(cast), bookmark(cast.run));
    let first = snapshots.first()?.clone();
    let what = match snapshots.len() {
        1 => first.to_string(),
        more => format!("{more} snapshots of yours, from {first} on"),
    };
    let release = Effect::ReleaseSnapshots { host: host.clone(), snapshots: snapshots.clone(), tag: tag.clone() };
    let title = format!("hold {what}, on {host} until they are sent");
    Some(Step::new(Phase::Copy, title, Effect::HoldSnapshots { host, snapshots, tag }).undo(release))
}

/// The end of that.
#[must_use]
pub fn let_go(cast: &Cast<'_>) -> Option<Step> {
    let (host, snapshots, tag) = (cast.source(), travelling(cast), bookmark(cast.run));
    (!snapshots.is_empty()).then(|| {
        let title = format!("let go of your snapshots on {host}: they are sent");
        Step::new(Phase::Copy, title, Effect::ReleaseSnapshots { host, snapshots, tag })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulate::World;
    use crate::model::DatasetName;
    use crate::plan::assemble;
    use crate::plan::finalize;
    use crate::plan::fixture::NodeShape;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    const WEB: &str = "jfpool/jails/web";
    const DATA: &str = "jfpool/jails/web/data";

    fn name(text: &str) -> DatasetName {
        DatasetName::new(text).unwrap()
    }

    fn shape() -> Shape {
        let mut shape = Shape::testbed();
        shape.nodes.push(NodeShape { name: "tiny", ..shape.nodes[2].clone() });
        shape
    }

    fn take(world: &mut World, host: &str, dataset: &str, label: &str) {
        let label = SnapshotLabel::new(label).unwrap();
        let known = vec![name(WEB), name(DATA)];
        world.apply(&Effect::Snapshot { host: node(host), dataset: name(dataset), label, known }).unwrap();
    }

    fn plan(world: &World, to: &str, salt: &str) -> Plan {
        let (evidence, situation, findings) = world.evidence(&shape().fleet(), &jail("web"), &node(to));
        let settings = Options::default().settle();
        assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), salt, findings).unwrap()
    }

    fn carry_out(world: &mut World, plan: &Plan) {
        assert!(plan.findings.iter().all(|f| f.severity != crate::plan::Severity::Error), "{:?}", plan.findings);
        plan.steps.iter().for_each(|s| world.apply(&s.effect).unwrap_or_else(|e| panic!("{}: {e}", s.title)));
    }

    /// Somebody's snapshots, with what identifies them.
    fn theirs(world: &World, host: &str, dataset: &str) -> Vec<(String, u64)> {
        let all = &world.hosts[&node(host)].storage[&name(dataset)].snapshots;
        let theirs = all.iter().filter(|s| !s.label.is_ours());
        theirs.map(|s| (s.label.to_string(), s.guid.0)).collect()
    }

    fn held(world: &World, host: &str, label: &str) -> bool {
        let all = world.hosts[&node(host)].storage.values().flat_map(|d| &d.snapshots);
        all.filter(|s| s.label.as_str() == label).any(|s| !s.holds.is_empty())
    }

    fn let_go(world: &mut World, run: &Plan, discard: bool) -> Result<(), String> {
        let steps = finalize::finalize(run, &[], discard);
        steps.iter().try_for_each(|(title, effect)| world.apply(effect).map_err(|e| format!("{title}: {e}")))
    }

    #[test]
    fn they_travel_along_and_come_home_with_those_taken_elsewhere() {
        let mut world = shape().world();
        take(&mut world, "spare", WEB, "daily-1");
        take(&mut world, "spare", DATA, "only-data");
        take(&mut world, "spare", WEB, "daily-2");
        let (root, data) = (theirs(&world, "spare", WEB), theirs(&world, "spare", DATA));
        assert_eq!((root.len(), data.len()), (2, 3));
        let out = plan(&world, "big", "1");
        assert!(out.summary.iter().any(|line| line.contains("5 snapshots of yours")), "{:?}", out.summary);
        carry_out(&mut world, &out);
        assert_eq!((theirs(&world, "big", WEB), theirs(&world, "big", DATA)), (root.clone(), data.clone()));
        assert!(!held(&world, "spare", "daily-1") && !held(&world, "big", "daily-1"));
        take(&mut world, "big", WEB, "daily-3");
        let home = plan(&world, "spare", "2");
        carry_out(&mut world, &home);
        assert_eq!(theirs(&world, "spare", WEB), theirs(&world, "big", WEB));
        assert_eq!(theirs(&world, "spare", DATA).len(), 4);
        assert_eq!(let_go(&mut world, &home, false), Ok(()));
    }

    /// A stream of several carries all that lies between its ends.
    #[test]
    fn those_that_follow_each_other_go_in_one_stream() {
        let snapshots: Vec<Snapshot> = ["a", "b", "c", "jailferry-web-0123abcd-final", "d", "e", "f"]
            .iter()
            .zip(1u64..)
            .map(|(label, number)| Snapshot {
                label: SnapshotLabel::new(*label).unwrap(),
                guid: crate::model::Guid(number),
                createtxg: number,
                userrefs: 0,
                written: None,
            })
            .collect();
        let dataset =
            JailDataset { name: name(WEB), snapshots, properties: Default::default(), received: Default::default() };
        let label = |label: &str| SnapshotLabel::new(label).unwrap();
        let streams = |base: Base| {
            let (streams, _) = of(&dataset, &base, None, &BTreeSet::new());
            let words = |stream: &Vec<SnapshotLabel>| stream.iter().map(SnapshotLabel::as_str).collect::<String>();
            streams.iter().map(words).collect::<Vec<_>>()
        };
        assert_eq!(streams(Base::Nothing), ["a", "bc", "d", "ef"]);
        assert_eq!(streams(Base::Snapshot(label("a"))), ["bc", "d", "ef"]);
        assert_eq!(streams(Base::Snapshot(label("c"))), ["d", "ef"]);
        assert_eq!(streams(Base::Snapshot(label("jailferry-web-0123abcd-final"))), ["def"]);
        assert_eq!(streams(Base::Snapshot(label("f"))), Vec::<String>::new());
    }

    #[test]
    fn what_was_not_sent_keeps_the_copy_until_somebody_says_otherwise() {
        let mut world = shape().world();
        take(&mut world, "spare", WEB, "daily-1");
        let out = plan(&world, "big", "1");
        // While it is copied, by whoever takes them.
        take(&mut world, "spare", DATA, "hourly-7");
        carry_out(&mut world, &out);
        // Of the copy that is parked: it shows nothing new.
        take(&mut world, "spare", WEB, "hourly-8");
        let refused = let_go(&mut world, &out, false).unwrap_err();
        assert!(refused.contains("jfpool/jails/web/data@hourly-7"), "{refused}");
        assert_eq!(let_go(&mut world, &out, true), Ok(()));
        assert!(!world.hosts[&node("spare")].storage.contains_key(&name(WEB)));
    }

    #[test]
    fn a_copy_goes_back_to_what_it_was_when_the_move_fails() {
        let mut world = shape().world();
        take(&mut world, "spare", WEB, "daily-1");
        let out = plan(&world, "big", "1");
        carry_out(&mut world, &out);
        take(&mut world, "big", WEB, "daily-2");
        let before = format!("{:?}", world.hosts);
        let home = plan(&world, "spare", "2");
        let copied = home.steps.iter().take_while(|s| s.phase == Phase::Copy).count();
        assert!(home.steps[..copied].iter().any(|s| s.title.contains("web@daily-2 since @")), "it is sent by itself");
        for done in 1..=copied {
            let mut tried = world.clone();
            home.steps[..done].iter().for_each(|s| tried.apply(&s.effect).unwrap());
            for effect in home.steps[..done].iter().rev().flat_map(|s| &s.undo) {
                tried.apply(effect).unwrap();
            }
            assert_eq!(format!("{:?}", tried.hosts), before, "undone behind {}", home.steps[done - 1].title);
        }
    }

    /// The copy that the first move left has, with the third place, only what was there before it.
    #[test]
    fn a_way_over_three_nodes_ends_as_without_them() {
        let mut world = shape().world();
        take(&mut world, "spare", WEB, "daily-1");
        for (to, salt) in [("big", "1"), ("tiny", "2"), ("spare", "3")] {
            let next = plan(&world, to, salt);
            carry_out(&mut world, &next);
        }
        assert_eq!(theirs(&world, "spare", WEB).len(), 1);
        assert_eq!(theirs(&world, "spare", WEB), theirs(&world, "tiny", WEB));
    }

    /// Of ours, on whatever dataset of the jail, with the number of datasets that have it.
    fn ours(world: &World, host: &str) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        let of_the_jail = world.hosts[&node(host)].storage.iter().filter(|(name, _)| name.as_str().starts_with(WEB));
        for snapshot in of_the_jail.flat_map(|(_, dataset)| &dataset.snapshots).filter(|s| s.label.is_ours()) {
            *found.entry(snapshot.label.to_string()).or_default() += 1;
        }
        found
    }

    /// Every node has a copy of its own age, and whichever comes next gets no more than what changed since.
    #[test]
    fn each_of_three_nodes_is_come_to_again_with_what_changed() {
        for way in [["tiny", "spare", "big"], ["tiny", "big", "spare"], ["spare", "tiny", "big"]] {
            let mut world = shape().world();
            take(&mut world, "spare", WEB, "daily-0");
            let first = plan(&world, "big", "first");
            carry_out(&mut world, &first);
            let mut known = BTreeSet::from(["spare", "big"]);
            for (to, number) in way.into_iter().chain(way).chain(way).zip(2..) {
                let from = here(&world);
                take(&mut world, &from, WEB, &format!("daily-{number}"));
                let next = plan(&world, to, &format!("{number}"));
                let full = next.steps.iter().any(|s| match &s.effect {
                    Effect::Transfer(transfer) => transfer.base.makes_a_dataset(),
                    Effect::RenameDataset { .. } => true,
                    _ => false,
                });
                assert_eq!(full, !known.contains(to), "{way:?}: {number} to {to}");
                carry_out(&mut world, &next);
                known.insert(to);
                // On the live one no more than the copies need, on every dataset.
                let kept = ours(&world, to);
                assert!(
                    kept.len() < 3 && kept.values().all(|count| *count == 2),
                    "{way:?}: {number} to {to}: {kept:?}"
                );
                assert_eq!(theirs(&world, to, WEB).len(), number, "{way:?}");
            }
        }
    }

    /// Where the jail runs.
    fn here(world: &World) -> String {
        let runs = world.hosts.iter().find(|(_, host)| host.facts.jail(&jail("web")).is_some());
        runs.map(|(node, _)| node.to_string()).unwrap()
    }

    #[test]
    fn a_copy_elsewhere_that_was_let_go_of_needs_nothing_any_more() {
        let mut world = shape().world();
        let out = plan(&world, "big", "1");
        carry_out(&mut world, &out);
        assert_eq!(let_go(&mut world, &out, false), Ok(()));
        let on = plan(&world, "tiny", "2");
        assert!(on.steps.iter().all(|s| !format!("{:?}", s.effect).contains(out.run.as_str())), "{:#?}", on.steps);
    }
}
