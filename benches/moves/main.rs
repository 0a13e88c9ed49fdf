//! How fast a move is, as ratios of things measured side by side in one run. `make bench` runs all of it, as root in the
//! lab; `cargo bench --bench moves -- blackout start_up` runs some. It prints tables and decides nothing:
//! docs/performance.md has the figures, what they are held to, and what they do not tell.
//!
//! The same program also runs inside the lab: as the jail's service, as the client that asks it, as the far end of a slow
//! line, and as a host that answers from a recording (`inside`).

mod blackout;
mod fleet_of_200;
mod inside;
mod methods;
mod round_trips;
mod stand;
mod start_up;
mod table;
mod throughput;

#[allow(dead_code, reason = "tests/fleet.rs, whose module this is, uses the rest")]
#[path = "../../tests/fleet/bench.rs"]
mod bench;
#[allow(dead_code, reason = "tests/fleet.rs, whose module this is, uses the rest")]
#[path = "../../tests/fleet/lab.rs"]
mod lab;
#[allow(dead_code, reason = "tests/fleet.rs, whose module this is, uses the rest")]
#[path = "../../tests/fleet/tool.rs"]
mod tool;

use std::process::Command;
use std::process::ExitCode;

/// What `lab up` prepares its hosts with.
const PREPARE: &str = "LAB_PREPARE";

/// The testbed with larger pools.
const TESTBED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/moves/testbed");

/// Name and program of each measurement, in the order in which they run.
const ALL: [(&str, fn()); 6] = [
    ("start_up", start_up::measure),
    ("throughput", throughput::measure),
    ("fleet_of_200", fleet_of_200::measure),
    ("round_trips", round_trips::measure),
    ("blackout", blackout::small),
    ("blackout_1g", blackout::large),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some((verb, rest)) = words.split_first()
        && inside::run(verb, rest)
    {
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = words.iter().find(|word| !ALL.iter().any(|(name, _)| name == word)) {
        eprintln!("no measurement {unknown:?}: {}", ALL.map(|(name, _)| name).join(", "));
        return ExitCode::FAILURE;
    }
    // The jails of the measurements are larger than those of the tests.
    if std::env::var_os(PREPARE).is_none() {
        let own = std::env::current_exe().expect("a program has a path");
        let status = Command::new(own).args(&words).env(PREPARE, TESTBED).status().expect("this program runs");
        return if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    println!("{}", table::machine());
    for (_, measure) in ALL.iter().filter(|(name, _)| words.is_empty() || words.iter().any(|word| word == name)) {
        measure();
    }
    ExitCode::SUCCESS
}
