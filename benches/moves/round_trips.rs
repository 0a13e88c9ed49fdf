//! Round trips while nobody answers: the same moves over a line on which each takes 50 ms longer.

use std::path::Path;
use std::time::Instant;

use crate::blackout::elsewhere;
use crate::methods::Scripted;
use crate::stand::Stand;
use crate::table::Figures;
use crate::table::head;
use crate::table::repetitions;
use crate::table::row;
use crate::table::title;

const REPETITIONS: usize = 6;

/// Milliseconds.
const LONGER: f64 = 50.0;

pub fn measure() {
    let Some(ours) = Stand::raise("moves-ours") else { return };
    let Some(theirs) = Stand::raise("moves-theirs") else { return };
    let theirs = Scripted::new(theirs);
    let program = std::env::current_exe().expect("a program has a path");
    let line = |hosts: &str| format!("Host {hosts}\n  ProxyCommand {} slow-line %h %p\n", program.display());
    // `big` is behind a jump host, whose line is the slow one.
    let slow = ours.configured("slow", &line("small spare"));
    let slow_fleet = ours.fleet_over(&slow);
    let (quick_floor, slow_floor) = (theirs.warm_over("quick", ""), theirs.warm_over("slow", &line("small spare")));
    planning(&ours, &slow_fleet);
    let mut figures = [(); 4].map(|()| Figures::default());
    let mut here = "spare";
    // There and back by the same way, so that the direction is in both.
    for turn in 0..2 * repetitions(REPETITIONS) {
        let to = elsewhere(here);
        let (fleet, floor, at) = match turn / 2 % 2 {
            0 => (&ours.fleet.file, &quick_floor, 0),
            _ => (&slow_fleet, &slow_floor, 1),
        };
        figures[at].took(ours.jailferry(fleet, here, to));
        figures[at + 2].took(theirs.floor_over(floor, here, to));
        here = to;
    }
    title(
        "Round trips in the blackout",
        "50 ms more for each round trip over SSH may cost the blackout at most three of them.",
        repetitions(REPETITIONS),
    );
    head(&["way", "as it is", "50 ms more", "longer by", "round trips"]);
    let [quick, slow, quick_floor, slow_floor] = &figures;
    for (name, quick, slow) in [("jailferry", quick, slow), ("floor", quick_floor, slow_floor)] {
        let longer = slow.median() - quick.median();
        row(&[
            name,
            &quick.told("ms"),
            &slow.told("ms"),
            &format!("{longer:.0} ms"),
            &format!("{:.1}", longer / LONGER),
        ]);
    }
}

/// What a plan costs beyond the answers of the slowest host.
fn planning(stand: &Stand, slow_fleet: &Path) {
    let asked: [&[&str]; 2] = [&["facts"], &["plan", "web", "big"]];
    let mut figures = [(); 4].map(|()| Figures::default());
    for _ in 0..repetitions(REPETITIONS) {
        for (line, fleet) in [&stand.fleet.file, slow_fleet].into_iter().enumerate() {
            for (what, words) in asked.into_iter().enumerate() {
                let started = Instant::now();
                stand.fleet.jailferry_with(fleet, words).exits(0);
                figures[2 * line + what].took(started.elapsed());
            }
        }
    }
    title(
        "A plan beyond the facts of the slowest host",
        "At most two round trips: what 50 ms more cost a plan beyond what they cost the facts.",
        repetitions(REPETITIONS),
    );
    head(&["", "as it is", "50 ms more", "longer by"]);
    let [facts, plan, slow_facts, slow_plan] = &figures;
    let longer = |quick: &Figures, slow: &Figures| slow.median() - quick.median();
    let (of_facts, of_plan) = (longer(facts, slow_facts), longer(plan, slow_plan));
    row(&["facts of all hosts", &facts.told("ms"), &slow_facts.told("ms"), &format!("{of_facts:.0} ms")]);
    row(&["plan of one move", &plan.told("ms"), &slow_plan.told("ms"), &format!("{of_plan:.0} ms")]);
    row(&["round trips of the plan beyond", "", "", &format!("{:.1}", (of_plan - of_facts) / LONGER)]);
}
