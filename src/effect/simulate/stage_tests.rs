//! Fleets and plans for schedules, made from a number.

use super::tests;
use crate::effect::simulate::World;
use crate::effect::simulate::invariants::running_copies;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::plan::fixture::JailShape;
use crate::plan::fixture::NodeShape;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;

/// splitmix64: small, and the same everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(super) fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// A fleet, where one of its jails is, and the plan that moves it.
pub(super) struct Stage {
    pub(super) shape: Shape,
    /// The fleet as its files were before jailferry came.
    pub(super) pristine: World,
    pub(super) start: World,
    pub(super) plan: Plan,
}

pub(super) fn stage(dice: &mut Dice) -> Stage {
    let nodes = 2 + dice.below(3);
    let places = [("jfpool/jails", "/jf/jails"), ("tank/j", "/jf/jails"), ("tank/j", "/tank/j")];
    let all = ["small", "spare", "big", "tiny"].iter().take(nodes).enumerate().map(|(index, name)| {
        let (parent, mount) = dice.of(&places);
        let fib = if index == 0 { 0 } else { u16::from(dice.one_in(2)) };
        NodeShape { name, fib, bridge: dice.of(&["bridge0", "bridge1"]), parent, mount, quick: dice.one_in(2) }
    });
    let nodes: Vec<NodeShape> = all.collect();
    let jails = ["web", "sib", "db"].iter().take(1 + dice.below(3)).enumerate().map(|(index, name)| {
        let families = 1 + dice.below(3);
        JailShape {
            name,
            home: dice.below(nodes.len()),
            whole: dice.one_in(2).then_some(20 + u16::try_from(index).unwrap()),
            inet: families & 1 != 0,
            inet6: families & 2 != 0,
            unit: u32::try_from(index).unwrap(),
            autostart: !dice.one_in(3),
            data: dice.one_in(2),
            delegated: dice.one_in(3),
        }
    });
    let jails: Vec<JailShape> = jails.collect();
    let shape = Shape {
        nodes,
        jails,
        canary: Vec::new(),
        mesh: Vec::new(),
        all_fibs: false,
        bridged: Vec::new(),
        more_hubs: Vec::new(),
    };
    let moved = jail(dice.of(&shape.jails).name);
    let pristine = shape.world();
    let mut start = pristine.clone();
    // Sometimes it has moved before, so that copies, files and routes of ours are about.
    for salt in 0..u32::try_from(dice.below(3)).unwrap() {
        let plan = tests::plan(&start, &shape, &moved, &elsewhere(dice, &start, &shape, &moved), salt);
        plan.steps.iter().for_each(|s| start.apply(&s.effect).unwrap_or_else(|e| panic!("{}: {e}", s.title)));
    }
    let plan = tests::plan(&start, &shape, &moved, &elsewhere(dice, &start, &shape, &moved), 9);
    Stage { shape, pristine, start, plan }
}

fn elsewhere(dice: &mut Dice, world: &World, shape: &Shape, jail: &JailName) -> NodeName {
    let here = running_copies(world, jail);
    let others: Vec<NodeName> = shape.nodes.iter().map(|n| node(n.name)).filter(|n| !here.contains(n)).collect();
    dice.of(&others)
}
