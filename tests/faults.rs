//! Everything that can go wrong at every step of a move, and what the hosts look like afterwards.
//!
//! The cases are made from the plan (`jailferry plan web big --json`), so a new step is struck without anybody thinking
//! of it. A choice of them is `some_faults_at_every_phase`, all are `make faults`; both are run by hand only. To run some: JAILFERRY_FAULTS="42/killed-before 24/*".

#![allow(dead_code, reason = "tests/fleet, whose modules these are, uses the rest of them")]

#[path = "fleet/bench.rs"]
mod bench;
#[path = "faults/case.rs"]
mod case;
#[path = "fleet/client.rs"]
mod client;
#[path = "faults/evidence.rs"]
mod evidence;
#[path = "fleet/lab.rs"]
mod lab;
#[path = "faults/matrix.rs"]
mod matrix;
#[path = "faults/reference.rs"]
mod reference;
#[path = "fleet/state.rs"]
mod state;
#[path = "faults/table.rs"]
mod table;
#[path = "fleet/tool.rs"]
mod tool;
#[path = "faults/workers.rs"]
mod workers;

use bench::Fleet;
use reference::Reference;

#[test]
fn some_faults_at_every_phase() {
    run("some_faults_at_every_phase", |plan| match std::env::var("JAILFERRY_FAULTS") {
        Ok(wanted) => matrix::named(plan, &wanted),
        Err(_) => matrix::choice(plan),
    });
}

#[test]
fn every_fault_at_every_step() {
    run("every_fault_at_every_step", matrix::all);
}

fn run(test: &str, select: fn(&matrix::Plan) -> Vec<matrix::Case>) {
    let Some(fleet) = Fleet::lab(test) else { return };
    let reference = Reference::of(fleet);
    let rows = workers::run(test, &reference, select(&reference.plan));
    table::print(&rows);
    table::write(&rows);
    table::require(&rows);
}
