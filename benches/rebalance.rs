//! How long the planner takes for large fleets, and how much memory. `make bench` runs it; it fails above its bounds.

use std::collections::BTreeSet;
use std::time::Instant;

use jailferry::model::JailName;
use jailferry::model::NodeName;
use jailferry::rebalance::Fleet;
use jailferry::rebalance::Goal;
use jailferry::rebalance::Jail;
use jailferry::rebalance::Load;
use jailferry::rebalance::Node;
use jailferry::rebalance::Options;
use jailferry::rebalance::plan;

const GIB: u64 = 1 << 30;

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn fleet(nodes: usize, jails: usize, emptied: usize) -> Fleet {
    let mut dice = Dice(42);
    let nodes: Vec<Node> = (0..nodes)
        .map(|n| Node {
            name: NodeName::new(format!("n{n}")).expect("a name"),
            capacity: Load { cpu: 32_000, memory: 128 * GIB },
            disk: 4096 * GIB,
            accepts: true,
            emptied: n < emptied,
            provides: BTreeSet::new(),
            release: 14,
        })
        .collect();
    let count = nodes.len() as u64;
    let jails = (0..jails).map(|j| {
        // Half of all nodes get two thirds of the jails.
        let at = if dice.roll(3) < 2 { dice.roll(count / 2) } else { dice.roll(count) };
        Jail {
            name: JailName::new(format!("j{j}")).expect("a name"),
            at: usize::try_from(at).expect("small"),
            samples: vec![Load { cpu: dice.roll(1500), memory: dice.roll(5 * GIB) }; 3],
            bytes: 20 * GIB,
            disk: (1 + dice.roll(40)) * GIB,
            blackout: 3000,
            stays: (dice.roll(100) == 0).then(|| "as asked".to_owned()),
            only: None,
            never: BTreeSet::new(),
            prefers: BTreeSet::new(),
            failed: BTreeSet::new(),
            needs: BTreeSet::new(),
        }
    });
    Fleet { jails: jails.collect(), nodes, groups: Vec::new() }
}

/// The most memory this process ever had, in MiB; nothing where /proc is not Linux's.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|k| k / 1024)
}

fn measure(what: &str, fleet: &Fleet, options: &Options, seconds: u64) -> bool {
    let started = Instant::now();
    let outcome = plan(fleet, options);
    let took = started.elapsed();
    let memory = peak();
    let told = memory.map_or_else(|| "unknown".to_owned(), |m| format!("{m} MiB"));
    println!(
        "{what}: {} nodes, {} jails: {} moves, {} refused, {:.2} s of {seconds} s, memory {told} of 1024 MiB; {}",
        fleet.nodes.len(),
        fleet.jails.len(),
        outcome.moves.len(),
        outcome.refused.len(),
        took.as_secs_f64(),
        outcome.summary
    );
    took.as_secs() < seconds && memory.is_none_or(|m| m < 1024)
}

fn main() -> std::process::ExitCode {
    let spread = Options { band: 100, ..Options::default() };
    let violations = Options { goal: Goal::Violations, ..Options::default() };
    let all = [
        measure("spread", &fleet(1000, 20_000, 0), &spread, 5),
        measure("drain of 250 nodes", &fleet(5000, 30_000, 250), &violations, 60),
    ];
    if all.contains(&false) {
        eprintln!("above its bounds");
        return std::process::ExitCode::FAILURE;
    }
    std::process::ExitCode::SUCCESS
}
