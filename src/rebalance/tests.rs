//! What holds for every fleet.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::exact;
use super::model::*;
use super::objective::State;
use super::plan;
use crate::model::JailName;
use crate::model::NodeName;

const GIB: u64 = 1 << 30;

pub(super) fn node(name: &str, cpu: u64, memory: u64, disk: u64) -> Node {
    Node {
        name: NodeName::new(name).unwrap(),
        capacity: Load { cpu: cpu * 1000, memory: memory * GIB },
        disk: disk * GIB,
        accepts: true,
        emptied: false,
        provides: BTreeSet::new(),
        release: 14,
    }
}

pub(super) fn jail(name: &str, at: usize, cpu: u64, memory: u64, disk: u64) -> Jail {
    Jail {
        name: JailName::new(name).unwrap(),
        at,
        samples: vec![Load { cpu: cpu * 100, memory: memory * GIB / 4 }],
        bytes: disk * GIB,
        disk: disk * GIB,
        blackout: 3000,
        stays: None,
        only: None,
        never: BTreeSet::new(),
        prefers: BTreeSet::new(),
        failed: BTreeSet::new(),
        needs: BTreeSet::new(),
    }
}

fn any_jail(nodes: usize) -> impl Strategy<Value = Jail> {
    let rules = (0..12_u8, 0..nodes, 0..12_u8);
    (0..nodes, 1..12_u64, 1..16_u64, 1..8_u64, rules).prop_map(|(at, cpu, memory, disk, (rule, other, release))| {
        let mut one = jail("x", at, cpu, memory, disk);
        match rule {
            0 => one.stays = Some("as asked".into()),
            1 => drop(one.never.insert(other)),
            2 => one.only = Some(BTreeSet::from([other, at])),
            3 => drop(one.prefers.insert(other)),
            4 => drop(one.failed.insert(other)),
            5 => drop(one.needs.insert("ssd".into())),
            _ => {}
        }
        if release == 0 {
            let first = one.samples[0];
            one.samples = vec![first, Load { cpu: first.cpu / 2, ..first }, first];
        }
        one
    })
}

fn any_node() -> impl Strategy<Value = Node> {
    (1..8_u64, 4..24_u64, 0..40_u64, 0..10_u8).prop_map(|(cpu, memory, disk, kind)| {
        let mut one = node("x", cpu, memory, disk);
        match kind {
            0 => one.accepts = false,
            1 => one.emptied = true,
            2 => one.release = 13,
            3 | 4 => drop(one.provides.insert("ssd".into())),
            _ => {}
        }
        one
    })
}

fn any_fleet(most_nodes: usize, most_jails: usize) -> impl Strategy<Value = Fleet> {
    (2..=most_nodes).prop_flat_map(move |count| {
        let nodes = prop::collection::vec(any_node(), count);
        let jails = prop::collection::vec(any_jail(count), 1..=most_jails);
        let groups = prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::collection::btree_set(0..most_jails, 2..4)),
            0..2,
        );
        (nodes, jails, groups).prop_map(|(mut nodes, mut jails, groups)| {
            for (index, one) in nodes.iter_mut().enumerate() {
                one.name = NodeName::new(format!("n{index}")).unwrap();
            }
            for (index, one) in jails.iter_mut().enumerate() {
                one.name = JailName::new(format!("j{index}")).unwrap();
            }
            let groups = groups.into_iter().filter(|(.., set)| set.iter().all(|j| *j < jails.len()));
            let groups = groups.map(|(together, hard, set)| Group { jails: set.into_iter().collect(), together, hard });
            let groups = groups.collect();
            Fleet { nodes, jails, groups }
        })
    })
}

fn any_options() -> impl Strategy<Value = Options> {
    let goals = prop_oneof![Just(Goal::Spread), Just(Goal::Spread), Just(Goal::Consolidate), Just(Goal::Violations)];
    (goals, 20..400_u64, 500..1000_u64, 0..9_u64).prop_map(|(goal, band, limit, seed)| Options {
        goal,
        band,
        limit,
        seed,
        ..Options::default()
    })
}

/// Looks at every move with eyes of its own: none of the planner's sums is used.
pub(super) fn follow(fleet: &Fleet, options: &Options, outcome: &Outcome) -> Result<Vec<usize>, String> {
    let node_at = |name: &NodeName| fleet.nodes.iter().position(|n| n.name == *name).unwrap();
    let jail_at = |name: &JailName| fleet.jails.iter().position(|j| j.name == *name).unwrap();
    let mut place: Vec<usize> = fleet.jails.iter().map(|j| j.at).collect();
    let mut disk: Vec<u64> = fleet.nodes.iter().map(|n| n.disk).collect();
    let load = |jail: usize| {
        let mut cpu: Vec<u64> = fleet.jails[jail].samples.iter().map(|s| s.cpu).collect();
        let mut memory: Vec<u64> = fleet.jails[jail].samples.iter().map(|s| s.memory).collect();
        cpu.sort_unstable();
        memory.sort_unstable();
        (cpu[cpu.len() / 2], memory[memory.len() / 2])
    };
    let mut hops: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for one in &outcome.moves {
        let (jail, from, to) = (jail_at(&one.jail), node_at(&one.from), node_at(&one.to));
        let (spec, there) = (&fleet.jails[jail], &fleet.nodes[to]);
        let fault = |what: &str| Err(format!("{} to {}: {what}", one.jail, one.to));
        if place[jail] != from {
            return fault("is not where the move begins");
        }
        if spec.stays.is_some() || spec.never.contains(&to) || spec.failed.contains(&to) {
            return fault("is forbidden");
        }
        if spec.only.as_ref().is_some_and(|o| !o.contains(&to)) || !spec.needs.is_subset(&there.provides) {
            return fault("is forbidden");
        }
        if !there.accepts || there.emptied || there.release < fleet.nodes[from].release {
            return fault("takes no such jail");
        }
        if disk[to] < spec.disk {
            return fault("has no disk");
        }
        disk[to] -= spec.disk;
        place[jail] = to;
        let on = |n: usize| {
            (0..place.len()).filter(|j| place[*j] == n).map(load).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
        };
        let (cpu, memory) = on(to);
        if cpu * 1000 > there.capacity.cpu * options.limit || memory * 1000 > there.capacity.memory * options.limit {
            return fault("is above the limit");
        }
        for group in fleet.groups.iter().filter(|g| g.hard && !g.together && g.jails.contains(&jail)) {
            let mates = |n: usize| group.jails.iter().filter(|m| **m != jail && place[**m] == n).count();
            if mates(to) > mates(from) {
                return fault("breaks a rule between jails");
            }
        }
        hops.entry(jail).or_default().push(to);
        if one.why.is_empty() {
            return fault("has no reason");
        }
    }
    for (jail, hops) in &hops {
        if hops.last() == Some(&fleet.jails[*jail].at) || hops.len() > 2 {
            return Err(format!("{} is moved round", fleet.jails[*jail].name));
        }
    }
    for group in fleet.groups.iter().filter(|g| g.hard && g.together) {
        let spread =
            |place: &dyn Fn(usize) -> usize| group.jails.iter().map(|j| place(*j)).collect::<BTreeSet<_>>().len();
        if spread(&|j| fleet.jails[j].at) == 1 && spread(&|j| place[j]) > 1 {
            return Err("what is together was torn".into());
        }
    }
    Ok(place)
}

/// The fleet as the moves leave it, as the next run would find it.
fn afterwards(fleet: &Fleet, outcome: &Outcome, place: &[usize]) -> Fleet {
    let mut next = fleet.clone();
    for (index, one) in next.nodes.iter_mut().enumerate() {
        one.disk = outcome.after[index].disk;
    }
    for (index, one) in next.jails.iter_mut().enumerate() {
        if one.at != place[index] {
            one.at = place[index];
            one.stays = Some("it has moved lately".into());
        }
    }
    next
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_rule_is_broken_at_any_instant_and_the_next_run_does_nothing(
        (fleet, options) in (any_fleet(6, 14), any_options()),
        fate in prop::collection::vec(prop::bool::weighted(0.3), 5),
    ) {
        let outcome = plan(&fleet, &options);
        let place = follow(&fleet, &options, &outcome).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&plan(&fleet, &options), &outcome, "the same input, another plan");
        // Some of the moves fail, and what comes after them is not tried: what is made is allowed all the same.
        let mut lost: BTreeSet<&JailName> = BTreeSet::new();
        let mut some = outcome.clone();
        some.moves.clear();
        for (one, fails) in outcome.moves.iter().zip(fate.iter().cycle()) {
            if *fails || lost.contains(&one.jail) || one.after.iter().any(|a| lost.contains(a)) {
                lost.insert(&one.jail);
            } else {
                some.moves.push(one.clone());
            }
        }
        if fleet.groups.iter().all(|g| !g.together) {
            let made = follow(&fleet, &options, &some);
            prop_assert!(
                made.is_ok() || made.as_ref().is_err_and(|e| e.contains("moved round")),
                "{made:?} of {:#?}",
                outcome.moves
            );
        }
        // Never dearer than before: a round is worth its price. (The next one judges by where jails are then.)
        let begin = State::new(&fleet, &options);
        let (_, first) = super::round(&begin, usize::MAX);
        if options.goal != Goal::Consolidate && !first.moves.is_empty() {
            prop_assert!(first.end.worth(&begin) < begin.cost(), "no gain");
        }
        let next = afterwards(&fleet, &outcome, &place);
        let again = plan(&next, &options);
        prop_assert!(again.moves.is_empty(), "moved again: {:?}", again.moves);
    }

    #[test]
    fn a_cut_short_search_is_still_allowed((fleet, mut options, budget) in (any_fleet(6, 14), any_options(), 1..60_u64)) {
        options.budget = budget;
        follow(&fleet, &options, &plan(&fleet, &options)).map_err(TestCaseError::fail)?;
        options.most_moves = 2;
        let few = plan(&fleet, &options);
        prop_assert!(few.moves.len() <= 2);
        follow(&fleet, &options, &few).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    // Each tries up to 5^8 distributions.
    #![proptest_config(always_the_same(4))]

    #[test]
    fn nearly_as_good_as_trying_everything_with_eight_jails(
        (fleet, options) in (any_fleet(5, 8), any_options().prop_map(by_cost))
    ) {
        let (rules, shares) = gap(&fleet, &options);
        prop_assert!(rules <= 0, "{rules} rules more are broken than need be");
        prop_assert!(rules < 0 || shares <= 50, "{shares} thousandths worse than the best");
    }
}

/// Consolidation empties nodes whatever single moves cost.
fn by_cost(options: Options) -> Options {
    let goal = if options.goal == Goal::Consolidate { Goal::Violations } else { options.goal };
    Options { goal, ..options }
}

/// So that the same code always has the same verdict, the cases are always the same; for others, another seed.
fn always_the_same(cases: u32) -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(7), ..ProptestConfig::with_cases(cases) }
}

/// What a round reaches against the best there is: the gap in thousandths of a node, rules counted apart. One round, since
/// the next one judges by where jails are then.
fn gap(fleet: &Fleet, options: &Options) -> (i64, i64) {
    let begin = State::new(fleet, options);
    let (_, ordered) = super::round(&begin, usize::MAX);
    let (ours, best) = (ordered.end.worth(&begin), exact::least(fleet, options));
    let wrong = super::objective::WRONG;
    (ours / wrong - best / wrong, ours % wrong - best % wrong)
}

proptest! {
    #![proptest_config(always_the_same(300))]

    #[test]
    fn nearly_as_good_as_trying_everything((fleet, options) in (any_fleet(5, 6), any_options().prop_map(by_cost))) {
        let (rules, shares) = gap(&fleet, &options);
        prop_assert!(rules <= 0, "{rules} rules more are broken than need be");
        prop_assert!(rules < 0 || shares <= 50, "{shares} thousandths worse than the best");
    }
}
