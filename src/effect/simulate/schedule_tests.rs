//! Random schedules of faults: a run as the saga carries it out, in the simulator, with failures before and after an
//! effect, a control machine that dies and recovers by its journal, hosts that reboot, steps that run twice.
//!
//! A schedule is made from its seed alone. A seed that fails is printed; put into fixtures/schedules/seeds.txt it is
//! tried again by every `make test`. `JAILFERRY_SEEDS=5000..6000 cargo test schedules` tries others.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::reboot_tests::persistent;
use super::reboot_tests::reboot;
use super::stage_tests::Dice;
use super::stage_tests::Stage;
use super::stage_tests::stage;
use super::tests;
use crate::effect::Effect;
use crate::effect::simulate::World;
use crate::effect::simulate::invariants::running_copies;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::finalize;
use crate::saga::StepEvent;
use crate::saga::StepState;
use crate::saga::direction::Direction;
use crate::saga::direction::direction;
use crate::saga::lanes;
use crate::saga::undo::guards_the_source;

/// Schedules of one run of the tests.
const SCHEDULES: u64 = 1000;
/// Schedules that share a fleet and its plan, which take most of the time to make.
const A_FLEET: u64 = 2;

/// What goes wrong with an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    FailsBefore,
    FailsAfter,
    ControlDiesBefore,
    ControlDiesAfter,
    Twice,
    RebootBefore,
    RebootAfter,
}

const FAULTS: [Fault; 7] = [
    Fault::FailsBefore,
    Fault::FailsAfter,
    Fault::ControlDiesBefore,
    Fault::ControlDiesAfter,
    Fault::Twice,
    Fault::RebootBefore,
    Fault::RebootAfter,
];

/// How a process that drives the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Moved,
    Back,
    NeedsHuman,
    Died,
}

/// A run in the simulator.
struct Run<'a> {
    stage: &'a Stage,
    world: World,
    states: BTreeMap<usize, StepState>,
    dice: Dice,
    /// Faults that may still come.
    faults: usize,
    /// Hosts that have rebooted.
    rebooted: BTreeSet<NodeName>,
    /// Has something been left undone or unmade, so that what builds on it may fail too?
    excused: bool,
    /// What the last copy that ran has acknowledged.
    acknowledged: Vec<u64>,
    diary: Vec<String>,
}

type Checked<T> = Result<T, String>;

/// What became of one effect.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Done,
    Failed,
    Died,
}

/// A step of a lane.
struct InLane {
    at: usize,
    /// The steps behind it that have gone to the host with it.
    behind: Vec<usize>,
    /// Is it the first of those that go together?
    first: bool,
}

impl InLane {
    /// The steps of a lane, the last one first.
    fn backwards(plan: &Plan, lane: &[usize]) -> Vec<InLane> {
        let pieces = lanes::pieces(&plan.steps, lane);
        let steps = pieces.iter().flat_map(|piece| {
            let step = |(place, at): (usize, &usize)| InLane {
                at: *at,
                behind: piece[place + 1..].to_vec(),
                first: place == 0,
            };
            piece.iter().enumerate().map(step)
        });
        let mut steps: Vec<InLane> = steps.collect();
        steps.reverse();
        steps
    }
}

impl<'a> Run<'a> {
    fn new(stage: &'a Stage, dice: Dice) -> Run<'a> {
        let acknowledged = tests::written(&stage.start, &stage.plan.jail);
        let mut run = Run {
            stage,
            world: stage.start.clone(),
            states: BTreeMap::new(),
            dice,
            faults: 0,
            rebooted: BTreeSet::new(),
            excused: false,
            acknowledged,
            diary: Vec::new(),
        };
        run.faults = 1 + run.dice.below(4);
        run
    }

    fn note(&mut self, index: usize, event: StepEvent) -> Checked<()> {
        let state = self.states.entry(index + 1).or_default();
        *state = state.after(event).map_err(|e| format!("the journal refuses step {}: {e}", index + 1))?;
        Ok(())
    }

    fn draw(&mut self) -> Option<Fault> {
        // Most plans have 60 to 120 effects.
        if self.faults == 0 || !self.dice.one_in(40) {
            return None;
        }
        self.faults -= 1;
        Some(self.dice.of(&FAULTS))
    }

    /// One effect with what goes wrong, and what must hold afterwards.
    fn carry_out(&mut self, effect: &Effect, what: &str) -> Checked<Came> {
        let fault = self.draw();
        if let Some(fault) = fault {
            self.diary.push(format!("{fault:?} at {what}"));
        }
        if fault == Some(Fault::RebootBefore) {
            self.some_host_reboots()?;
        }
        if fault == Some(Fault::ControlDiesBefore) {
            return Ok(Came::Died);
        }
        if fault == Some(Fault::FailsBefore) {
            return Ok(Came::Failed);
        }
        let applied = self.world.apply(effect);
        if fault == Some(Fault::Twice) {
            let _ = self.world.apply(effect);
        }
        self.check(what)?;
        match (applied, fault) {
            (_, Some(Fault::ControlDiesAfter)) => Ok(Came::Died),
            (Err(error), _) => {
                self.diary.push(format!("{what}: {error}"));
                if self.rebooted.is_empty() && !self.excused && fault.is_none() {
                    return Err(format!("{what} fails without a reason: {error}"));
                }
                Ok(Came::Failed)
            }
            (Ok(()), Some(Fault::FailsAfter)) => Ok(Came::Failed),
            (Ok(()), Some(Fault::RebootAfter)) => self.some_host_reboots().map(|()| Came::Done),
            (Ok(()), _) => Ok(Came::Done),
        }
    }

    /// Holds at every instant; then the copy that runs, if any, acknowledges a write.
    fn check(&mut self, what: &str) -> Checked<()> {
        let (shape, plan) = (&self.stage.shape, &self.stage.plan);
        let addresses = tests::shape_of(shape, &plan.jail).addresses();
        tests::check_always(&self.world, plan, &addresses).map_err(|e| format!("after {what}: {e}"))?;
        if running_copies(&self.world, &plan.jail).is_empty() {
            return Ok(());
        }
        let now = tests::written(&self.world, &plan.jail);
        if now != self.acknowledged {
            return Err(format!("after {what}: acknowledged {:?}, the copy has {now:?}", self.acknowledged));
        }
        tests::write(&mut self.world, &plan.jail);
        self.acknowledged = tests::written(&self.world, &plan.jail);
        Ok(())
    }

    fn some_host_reboots(&mut self) -> Checked<()> {
        let hosts: Vec<NodeName> = self.world.hosts.keys().cloned().collect();
        let host = self.dice.of(&hosts);
        self.diary.push(format!("{host} reboots"));
        reboot(&mut self.world, &self.stage.pristine, &self.stage.plan, &host)?;
        self.rebooted.insert(host.clone());
        self.check(&format!("a reboot of {host}"))
    }

    /// `saga::run::Run::execute`.
    fn execute(&mut self) -> Checked<End> {
        let plan = &self.stage.plan;
        let no_return = plan.point_of_no_return();
        let rounds_until = 2 + u32::try_from(self.dice.below(4)).unwrap();
        let mut started: BTreeSet<usize> = BTreeSet::new();
        let mut index = 0;
        while index < no_return {
            if plan.steps[index].round.is_some_and(|round| round >= rounds_until) {
                self.note(index, StepEvent::Skipped)?;
                index += 1;
                continue;
            }
            let together = lanes::group(&plan.steps, index, no_return);
            let end = together.end;
            let lanes = lanes::lanes(&plan.steps, together);
            let mut lanes: Vec<Vec<InLane>> = lanes.iter().map(|lane| InLane::backwards(plan, lane)).collect();
            let mut failed = false;
            while lanes.iter().any(|lane| !lane.is_empty()) {
                let busy: Vec<usize> = (0..lanes.len()).filter(|l| !lanes[*l].is_empty()).collect();
                let lane = self.dice.of(&busy);
                let Some(step) = lanes[lane].pop() else { continue };
                let at = step.at;
                self.begin(&step, &mut started)?;
                match self.carry_out(&plan.steps[at].effect, &format!("step {} ({})", at + 1, plan.steps[at].title))? {
                    Came::Done => self.note(at, StepEvent::Done)?,
                    Came::Failed => {
                        self.note(at, StepEvent::Failed)?;
                        failed = true;
                        lanes[lane].clear();
                        // The host tells that it did not begin them, or nobody hears it and it goes on for a while.
                        if self.dice.one_in(3) {
                            self.goes_on_unseen(&step)?;
                        } else {
                            for behind in step.behind {
                                self.note(behind, StepEvent::Skipped)?;
                                started.remove(&behind);
                            }
                        }
                    }
                    Came::Died => {
                        self.goes_on_unseen(&step)?;
                        self.others_in_flight(&lanes, lane, &mut started)?;
                        return Ok(End::Died);
                    }
                }
            }
            if failed {
                let back: Vec<usize> = started.iter().rev().copied().collect();
                return self.go_back(&back);
            }
            index = end;
        }
        self.make_it_last(&(no_return..plan.steps.len()).collect::<Vec<_>>())
    }

    /// All that goes to the host with the first of them is intended at once.
    fn begin(&mut self, step: &InLane, started: &mut BTreeSet<usize>) -> Checked<()> {
        if step.first {
            for index in std::iter::once(step.at).chain(step.behind.iter().copied()) {
                started.insert(index);
                self.note(index, StepEvent::Intended)?;
            }
        }
        Ok(())
    }

    /// The host carries out some of what it was given, the first of it perhaps once more.
    fn goes_on_unseen(&mut self, step: &InLane) -> Checked<()> {
        let all: Vec<usize> = std::iter::once(step.at).chain(step.behind.iter().copied()).collect();
        let count = self.dice.below(all.len() + 1);
        for at in &all[..count] {
            if self.world.apply(&self.stage.plan.steps[*at].effect).is_err() {
                return Ok(());
            }
            self.check("what was in flight")?;
        }
        Ok(())
    }

    /// What the other lanes were doing when the control machine died: begun, and perhaps carried out all the same.
    fn others_in_flight(&mut self, lanes: &[Vec<InLane>], own: usize, started: &mut BTreeSet<usize>) -> Checked<()> {
        for (lane, steps) in lanes.iter().enumerate() {
            if let Some(step) = steps.last()
                && lane != own
                && (!step.first || self.dice.one_in(2))
            {
                self.begin(step, started)?;
                self.goes_on_unseen(step)?;
            }
        }
        Ok(())
    }

    /// `saga::run::Run::make_it_last`.
    fn make_it_last(&mut self, indexes: &[usize]) -> Checked<End> {
        let plan = &self.stage.plan;
        let mut left = false;
        for &index in indexes {
            let step = &plan.steps[index];
            if left && crate::saga::direction::closes(&step.effect) {
                continue;
            }
            self.note(index, StepEvent::Intended)?;
            match self.carry_out(&step.effect, &format!("step {} ({})", index + 1, step.title))? {
                Came::Done => self.note(index, StepEvent::Done)?,
                Came::Failed => {
                    self.note(index, StepEvent::Failed)?;
                    self.excused = true;
                    left = true;
                }
                Came::Died => return Ok(End::Died),
            }
        }
        Ok(if left { End::NeedsHuman } else { End::Moved })
    }

    /// `saga::run::Run::go_back`.
    fn go_back(&mut self, indexes: &[usize]) -> Checked<End> {
        let plan = &self.stage.plan;
        let mut left = false;
        'steps: for &index in indexes {
            let step = &plan.steps[index];
            if step.undo.is_empty() || left && matches!(step.effect, Effect::Lock { .. }) {
                continue;
            }
            self.note(index, StepEvent::Undoing)?;
            for effect in &step.undo {
                match self.carry_out(effect, &format!("the undo of step {} ({})", index + 1, step.title))? {
                    Came::Done => {}
                    Came::Died => return Ok(End::Died),
                    Came::Failed => {
                        self.note(index, StepEvent::Stuck)?;
                        self.excused = true;
                        if guards_the_source(effect) {
                            return Ok(End::NeedsHuman);
                        }
                        left = true;
                        continue 'steps;
                    }
                }
            }
            self.note(index, StepEvent::Undone)?;
        }
        Ok(if left { End::NeedsHuman } else { End::Back })
    }

    /// `jailferry recover`, as often as it takes; a person has mended the causes when it has failed often enough.
    fn until_it_ends(&mut self) -> Checked<End> {
        let mut end = self.execute()?;
        for _ in 0..12 {
            let outcome = match end {
                End::Moved | End::Back => return Ok(end),
                End::NeedsHuman => Some("needs-human"),
                End::Died => None,
            };
            if self.faults > 0 && self.dice.one_in(3) {
                self.faults -= 1;
                self.some_host_reboots()?;
            }
            self.diary.push("recover".into());
            end = match direction(&self.stage.plan, &self.states, outcome) {
                Direction::Nothing => End::Back,
                Direction::Forward(indexes) => self.make_it_last(&indexes)?,
                Direction::Back(indexes) => self.go_back(&indexes)?,
            };
        }
        Err(format!("no end after twelve recoveries: {end:?}"))
    }

    /// What must hold when it is over.
    fn judge(&mut self, end: End) -> Checked<()> {
        let Stage { shape, start, plan, .. } = self.stage;
        let jail = &plan.jail;
        match end {
            End::Moved => {
                // A jail that no host starts at boot is down after a reboot of its host, as it was before.
                let by_itself = shape.jails.iter().any(|j| j.name == jail.as_str() && j.autostart);
                if by_itself || !self.rebooted.contains(&plan.target) {
                    tests::check_at(&self.world, shape, jail, &plan.target)?;
                } else if running_copies(&self.world, jail).contains(&plan.source) {
                    return Err("moved, and runs at the source".into());
                }
                let kept = tests::contents(&self.world, &plan.target, jail);
                if kept != self.acknowledged {
                    return Err(format!("moved: acknowledged {:?}, kept {kept:?}", self.acknowledged));
                }
                for (title, effect) in finalize::finalize(plan, &[], false) {
                    self.world.apply(&effect).map_err(|e| format!("finalize: {title}: {e}"))?;
                }
                no_debris(&self.world, plan)
            }
            _ => {
                let kept = tests::contents(&self.world, &plan.source, jail);
                if kept != self.acknowledged {
                    return Err(format!("back: acknowledged {:?}, kept {kept:?}", self.acknowledged));
                }
                let mut back = self.world.clone();
                tests::set_contents(&mut back, &plan.source, jail, &tests::contents(start, &plan.source, jail));
                let (before, after) = if self.rebooted.is_empty() {
                    (start.hosts.clone(), back.hosts)
                } else {
                    (persistent(start), persistent(&back))
                };
                if before != after {
                    return Err(format!("not as at the start:\n{}", tests::difference(&before, &after)));
                }
                no_debris(&self.world, plan)
            }
        }
    }
}

/// Nothing carries the run's name any more.
fn no_debris(world: &World, plan: &Plan) -> Checked<()> {
    let name = plan.run.as_str();
    for (node, host) in &world.hosts {
        let runs = host.locks.values().chain(host.backups.keys().map(|(_, run)| run)).chain(&host.keys);
        if let Some(run) = runs.chain(&host.watches).chain(host.listings.keys()).find(|r| r.as_str() == name) {
            return Err(format!("a lock, backup, key, watch or listing of {run} is left on {node}"));
        }
        for (dataset, found) in &host.storage {
            let held: Vec<_> = found.snapshots.iter().map(|s| (&s.label, &s.holds)).collect();
            let text = format!("{:?} {:?} {held:?} {:?}", found.local, found.received, found.bookmarks);
            if text.contains(name) {
                return Err(format!("{dataset} on {node} still carries the run's name: {text}"));
            }
        }
    }
    Ok(())
}

/// One schedule.
fn schedule(stage: &Stage, seed: u64) -> Result<End, String> {
    let mut run = Run::new(stage, Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)));
    let judged = run.until_it_ends().and_then(|end| run.judge(end).map(|()| end));
    judged.map_err(|error| {
        let plan = &stage.plan;
        format!(
            "SEED {seed}: {} from {} to {}: {error}\nwhat happened:\n  {}\nput the seed into fixtures/schedules/seeds.txt",
            plan.jail,
            plan.source,
            plan.target,
            run.diary.join("\n  ")
        )
    })
}

fn try_seeds(seeds: impl Iterator<Item = u64>) {
    let mut last: Option<(u64, Stage)> = None;
    let (mut moved, mut back, mut failures) = (0_u32, 0_u32, Vec::new());
    for seed in seeds {
        let fleet = seed / A_FLEET;
        if last.as_ref().is_none_or(|(of, _)| *of != fleet) {
            last = Some((fleet, stage(&mut Dice(fleet))));
        }
        let Some((_, stage)) = &last else { unreachable!() };
        match schedule(stage, seed) {
            Ok(End::Moved) => moved += 1,
            Ok(_) => back += 1,
            Err(error) => failures.push(error),
        }
    }
    println!("{moved} moved, {back} went back");
    assert!(
        failures.is_empty(),
        "{} schedules failed:\n\n{}",
        failures.len(),
        failures.iter().take(5).cloned().collect::<Vec<_>>().join("\n\n")
    );
}

/// A part of this run's seeds, so that parts run at the same time.
fn part(number: u64) {
    let all = std::env::var("JAILFERRY_SEEDS").ok().and_then(|range| {
        let (from, to) = range.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let all = all.unwrap_or(0..SCHEDULES);
    println!("schedules of faults: seeds {}..{}, part {number} of 4", all.start, all.end);
    try_seeds(all.filter(|seed| seed / A_FLEET % 4 == number));
}

#[test]
fn schedules_part_0() {
    part(0);
}

#[test]
fn schedules_part_1() {
    part(1);
}

#[test]
fn schedules_part_2() {
    part(2);
}

#[test]
fn schedules_part_3() {
    part(3);
}

#[test]
fn schedules_that_once_failed() {
    let text = include_str!("../../../fixtures/schedules/seeds.txt");
    let seeds = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_whitespace().next()?.parse().ok());
    try_seeds(seeds);
}

/// A journal from the future, of another plan, or with holes: a direction, never a panic, and never steps that are not
/// in the plan's part that it names.
#[test]
fn any_states_have_a_direction() {
    const STATES: [StepState; 8] = [
        StepState::NeverStarted,
        StepState::Intended,
        StepState::Done,
        StepState::Failed,
        StepState::Skipped,
        StepState::Undoing,
        StepState::Undone,
        StepState::Stuck,
    ];
    let stage = stage(&mut Dice(7));
    let (plan, mut dice) = (&stage.plan, Dice(42));
    let no_return = plan.point_of_no_return();
    assert!(plan.steps[no_return].phase == Phase::Persist);
    for _ in 0..5000 {
        let count = dice.below(plan.steps.len() * 2);
        let states = (0..count).map(|_| (dice.below(plan.steps.len() * 2), dice.of(&STATES))).collect();
        let outcome =
            dice.of(&[None, Some("moved"), Some("rolled-back"), Some("needs-human"), Some("\u{1b}[2J"), Some("")]);
        match direction(plan, &states, outcome) {
            Direction::Nothing => {}
            Direction::Back(steps) => assert!(steps.iter().all(|i| *i < no_return)),
            Direction::Forward(steps) => assert!(steps.iter().all(|i| (no_return..plan.steps.len()).contains(i))),
        }
    }
}
