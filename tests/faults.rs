//! Everything that can go wrong at every step of a move, and what the hosts look like afterwards.
//!
//! The cases are made from the plan (`jailferry plan web big --json`), so a new step is struck without anybody thinking
//! of it. `make test` takes a choice that strikes every phase in every way, `make faults` all of them. To run others:
//! JAILFERRY_FAULTS="42/killed-before 24/*".

#![allow(dead_code, reason = "tests/fleet, whose modules these are, uses the rest of them")]

#[path = "fleet/bench.rs"]
mod bench;
#[path = "faults/case.rs"]
mod case;
#[path = "fleet/client.rs"]
mod client;
#[path = "faults/echoes.rs"]
mod echoes;
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
fn faults_at_every_phase() {
    run("faults_at_every_phase", |plan| match std::env::var("JAILFERRY_FAULTS").as_deref() {
        Ok("all") => matrix::all(plan),
        Ok(wanted) => matrix::named(plan, wanted),
        Err(_) => matrix::choice(plan),
    });
}

fn run(test: &str, select: fn(&matrix::Plan) -> Vec<matrix::Case>) {
    let Some(fleet) = Fleet::lab(test) else { return };
    let reference = Reference::of(fleet);
    let rows = workers::run(test, &reference, select(&reference.plan));
    table::print(&rows);
    table::write(&rows);
    table::require(&rows);
}
