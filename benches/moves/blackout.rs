//! How long nobody answers: jailferry against an expert's script, and against the usual ways, for jails that write.

use crate::methods::Method;
use crate::methods::Scripted;
use crate::stand::Stand;
use crate::table::Figures;
use crate::table::head;
use crate::table::repetitions;
use crate::table::row;
use crate::table::title;

/// Repetitions; an even number, so that the jail comes home.
const REPETITIONS: usize = 6;

/// MB a second.
const RATES: [usize; 3] = [0, 1, 10];

/// The ways, jailferry first.
const OTHERS: [Method; 3] = [Method::Floor, Method::NearLive, Method::Archive];

/// 100 MiB.
pub fn small() {
    measure(100);
}

/// A gigabyte.
pub fn large() {
    measure(1024);
}

fn measure(size: usize) {
    let Some(ours) = Stand::raise("moves-ours") else { return };
    let Some(theirs) = Stand::raise("moves-theirs") else { return };
    let theirs = Scripted::new(theirs);
    let repetitions = repetitions(REPETITIONS);
    title(
        &format!("Blackout of a jail of {size} MiB"),
        "By a client outside that asks every 10 ms. Ratio to the floor: at most 1.10.",
        repetitions,
    );
    head(&[
        "writes",
        "jailferry",
        "floor",
        "near-live by hand",
        "stop and archive",
        "jailferry / floor",
        "near-live / jailferry",
        "archive / jailferry",
    ]);
    ours.fill("spare", size);
    theirs.stand.fill("spare", size);
    for rate in RATES {
        let mut own = Figures::default();
        let mut other = OTHERS.map(|_| Figures::default());
        let mut here = "spare";
        let mut there = "spare";
        ours.write(here, rate * 1_000_000);
        theirs.stand.write(there, rate * 1_000_000);
        for _ in 0..repetitions {
            let to = elsewhere(here);
            own.took(ours.jailferry(&ours.fleet.file, here, to));
            here = to;
            for (method, figures) in OTHERS.into_iter().zip(&mut other) {
                let to = elsewhere(there);
                figures.took(theirs.moves(method, there, to));
                there = to;
            }
        }
        assert_eq!([here, there], ["spare"; 2], "an even number of moves has brought both home");
        let [floor, near_live, archive] = &other;
        let ratio = |a: &Figures, b: &Figures| format!("{:.2}", a.median() / b.median());
        row(&[
            &format!("{rate} MB/s"),
            &own.told("ms"),
            &floor.told("ms"),
            &near_live.told("ms"),
            &archive.told("ms"),
            &ratio(&own, floor),
            &ratio(near_live, &own),
            &ratio(archive, &own),
        ]);
    }
}

/// The other node.
pub fn elsewhere(node: &str) -> &'static str {
    if node == "spare" { "big" } else { "spare" }
}
