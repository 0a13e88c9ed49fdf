//! Everything that can go wrong at every step of a move, and what the hosts look like afterwards.
//!
//! The cases are made from the plan (`jailferry plan web big --json`), so a new step is struck without anybody thinking
//! of it. `make test` takes a choice that strikes every phase in every way, `make faults` all of them. To run others:
//! `make faults FAULTS="42/killed-before 24/*"`; FAULTS=rest takes up an interrupted one.

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
use table::Rows;

#[test]
fn faults_at_every_phase() {
    let test = "faults_at_every_phase";
    let Some(fleet) = Fleet::lab(test) else { return };
    let reference = Reference::of(fleet);
    let wanted = std::env::var("JAILFERRY_FAULTS").ok();
    let (plan, rows) = (&reference.plan, Rows::file(matches!(wanted.as_deref(), Some("all" | "rest"))));
    if wanted.as_deref() == Some("rest") {
        rows.of_this_build();
    } else {
        rows.begin();
    }
    let cases = match wanted.as_deref() {
        Some("all") => matrix::all(plan),
        Some("rest") => {
            let done = rows.read();
            let is_done = |case: &matrix::Case| done.iter().any(|row| row.is_good() && row.is_of(case));
            matrix::all(plan).into_iter().filter(|case| !is_done(case)).collect()
        }
        Some(wanted) => matrix::named(plan, wanted),
        None => matrix::choice(plan),
    };
    workers::run(test, &reference, &cases, &rows);
    let rows = rows.read();
    table::print(&rows);
    table::require(&rows);
}
