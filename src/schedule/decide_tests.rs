//! A scheduler in front of a clock that the test turns.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::decide::Busy;
use super::decide::Decision;
use super::decide::Memory;
use super::decide::Plan;
use super::decide::Skip;
use super::decide::Wait;
use super::decide::decide;
use super::decide::mended;
use super::rules::CatchUp;
use super::rules::Schedule;
use super::rules::tests::every;
use super::standing::sentence;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan(schedule: Schedule) -> Plan {
    Plan { schedule, zone: TimeZone::UTC, salt: "here".into() }
}

/// Asks until it is told to wait, as the scheduler does.
fn look(plan: &Plan, memory: &mut Memory, now: Timestamp, busy: Option<&Busy>) -> Vec<Decision> {
    if let Some(mended) = mended(memory, now) {
        *memory = mended;
    }
    let mut all = Vec::new();
    loop {
        let decision = decide(plan, memory, now, busy);
        all.push(decision.clone());
        match decision {
            Decision::Run { due, .. } | Decision::Skip { due, .. } => {
                *memory = Memory { decided: due, admitted: None };
            }
            Decision::Wait { admitted, .. } => {
                memory.admitted = admitted;
                return all;
            }
        }
    }
}

fn told(plan: &Plan, since: &str, now: &str, busy: Option<&Busy>) -> Vec<String> {
    let mut memory = Memory { decided: at(since), admitted: None };
    look(plan, &mut memory, at(now), busy).iter().map(sentence).collect()
}

#[test]
fn a_run_at_its_time_and_only_once() {
    let plan = plan(every("30 2 * * *"));
    let mut memory = Memory { decided: at("2026-11-27T00:00:00Z"), admitted: None };
    assert!(
        matches!(look(&plan, &mut memory, at("2026-11-27T02:29:59Z"), None)[..], [Decision::Wait { until, .. }] if until == at("2026-11-27T02:30:00Z"))
    );
    let decisions = look(&plan, &mut memory, at("2026-11-27T02:30:03Z"), None);
    assert!(
        matches!(decisions[..], [Decision::Run { missed: 0, late: None, .. }, Decision::Wait { .. }]),
        "{decisions:?}"
    );
    // The same second again, and a clock that goes back over it.
    for now in ["2026-11-27T02:30:03Z", "2026-11-27T02:00:00Z", "2026-11-27T02:31:00Z"] {
        assert!(matches!(look(&plan, &mut memory, at(now), None)[..], [Decision::Wait { .. }]), "{now}");
    }
}

#[test]
fn missed_runs() {
    let nights = |catch_up, within: Option<i64>| {
        plan(Schedule { catch_up, catch_up_within: within.map(SignedDuration::from_hours), ..every("30 2 * * *") })
    };
    let (gone, back) = ("2026-11-24T12:00:00Z", "2026-11-27T09:00:00Z");
    insta::assert_debug_snapshot!(told(&nights(CatchUp::None, None), gone, back, None), @r#"
    [
        "left out, 3 runs, the last due 2026-11-27 02:30:00Z: nobody was there at its time, 6 h 30 min ago, and catch_up is none",
        "nothing is due before 2026-11-28 02:30:00Z",
    ]
    "#);
    insta::assert_debug_snapshot!(told(&nights(CatchUp::Once, None), gone, back, None), @r#"
    [
        "run, due 2026-11-27 02:30:00Z, 6 h 30 min late: catching up; stands for 2 earlier ones as well",
        "nothing is due before 2026-11-28 02:30:00Z",
    ]
    "#);
    let old = told(&nights(CatchUp::Once, Some(6)), gone, back, None);
    assert!(old[0].ends_with("missed 6 h 30 min ago, longer than catch_up_within"), "{old:?}");
    // A few minutes are no absence.
    assert!(told(&nights(CatchUp::None, None), gone, "2026-11-25T02:34:59Z", None)[0].starts_with("run, due"));
}

#[test]
fn windows() {
    let hourly = plan(Schedule {
        windows: vec!["mon-fri 01:00-03:00".parse().unwrap()],
        catch_up: CatchUp::Once,
        ..every("0 * * * *")
    });
    assert!(told(&hourly, "2026-11-27T01:30:00Z", "2026-11-27T02:00:01Z", None)[0].starts_with("run, due"));
    assert!(told(&hourly, "2026-11-27T02:30:00Z", "2026-11-27T03:00:01Z", None)[0].ends_with("outside its windows"));
    // What was missed over the weekend is made up for when the window opens.
    let said = told(&hourly, "2026-11-27T12:30:00Z", "2026-11-29T12:30:00Z", None);
    assert_eq!(said, ["missed 2026-11-29 12:00:00Z, waits for its window at 2026-11-30 01:00:00Z"]);
}

#[test]
fn overlapping_runs() {
    let since = at("2026-11-27T02:00:00Z");
    let (before, now) = ("2026-11-27T02:30:00Z", "2026-11-27T03:00:01Z");
    let skipping = plan(every("0 * * * *"));
    let same = Busy::Same { since };
    let said = told(&skipping, before, now, Some(&same));
    assert_eq!(said[0], "left out, due 2026-11-27 03:00:00Z: the run before is under way since 2026-11-27 02:00:00Z");
    let patient = plan(Schedule { skip_if_running: Some(false), ..every("0 * * * *") });
    let mut memory = Memory { decided: at(before), admitted: None };
    assert!(matches!(
        look(&patient, &mut memory, at(now), Some(&same))[..],
        [Decision::Wait { why: Wait::Turn { .. }, .. }]
    ));
    // It was on time when it came to wait, and stays so; a second one that comes meanwhile takes its place.
    let late = look(&patient, &mut memory.clone(), at("2026-11-27T03:40:00Z"), None);
    assert!(matches!(late[0], Decision::Run { late: None, missed: 0, .. }), "{late:?}");
    let later = look(&patient, &mut memory, at("2026-11-27T04:00:30Z"), None);
    assert!(matches!(later[0], Decision::Run { late: None, missed: 1, .. }), "{later:?}");
    // Another playbook's run is waited for whatever skip_if_running says.
    let other = Busy::Other { name: "weekly".into(), since };
    let said = told(&skipping, before, now, Some(&other));
    assert_eq!(said, ["due 2026-11-27 03:00:00Z, waits for the run of weekly, under way since 2026-11-27 02:00:00Z"]);
}

#[test]
fn jitter_is_the_same_whenever_it_is_asked_and_another_elsewhere() {
    let jittery = |salt: &str| Plan {
        salt: salt.into(),
        ..plan(Schedule { jitter: Some(SignedDuration::from_mins(30)), ..every("0 2 * * *") })
    };
    let due = at("2026-11-27T02:00:00Z");
    let here = jittery("here").jitter(due);
    assert_eq!(here, jittery("here").jitter(due));
    let many: BTreeSet<SignedDuration> = (0..100).map(|n| jittery(&n.to_string()).jitter(due)).collect();
    assert!(many.len() > 50 && many.iter().all(|j| (0..=1800).contains(&j.as_secs())), "{many:?}");
    let mut memory = Memory { decided: at("2026-11-27T00:00:00Z"), admitted: None };
    let waits = look(&jittery("here"), &mut memory, due, None);
    assert!(matches!(waits[..], [Decision::Wait { until, .. }] if until == due + here), "{waits:?}");
    assert!(matches!(look(&jittery("here"), &mut memory, due + here, None)[0], Decision::Run { late: None, .. }));
}

#[test]
fn clocks_that_jump() {
    let hourly = plan(every("0 * * * *"));
    // Forward over three of them, as after a night in a bag.
    let said = told(&hourly, "2026-11-27T02:30:00Z", "2026-11-27T05:40:00Z", None);
    assert!(said[0].starts_with("left out, 3 runs, the last due 2026-11-27 05:00:00Z: nobody was there"), "{said:?}");
    // Back by two hours: nothing runs twice.
    let mut memory = Memory { decided: at("2026-11-27T05:00:00Z"), admitted: None };
    let back = look(&hourly, &mut memory, at("2026-11-27T03:10:00Z"), None);
    assert!(
        matches!(back[..], [Decision::Wait { until, why: Wait::ClockBack { .. }, .. }] if until == at("2026-11-27T06:00:00Z")),
        "{back:?}"
    );
    // Back by years: the memory was that of a wrong clock.
    let mut memory = Memory { decided: at("2038-01-19T03:00:00Z"), admitted: None };
    let back = look(&hourly, &mut memory, at("2026-11-27T03:10:00Z"), None);
    assert!(
        matches!(back[..], [Decision::Wait { until, why: Wait::NotDue, .. }] if until == at("2026-11-27T04:00:00Z")),
        "{back:?}"
    );
}

#[test]
fn years_of_absence_are_counted_in_parts() {
    let minutely = plan(every("* * * * *"));
    let mut memory = Memory { decided: at("2024-11-27T00:00:00Z"), admitted: None };
    let decisions = look(&minutely, &mut memory, at("2026-11-27T00:00:30Z"), None);
    assert!((2..15).contains(&decisions.len()), "{}", decisions.len());
    assert!(matches!(decisions.last(), Some(Decision::Wait { why: Wait::NotDue, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever the clock does and whenever somebody looks: no time runs twice, none outside its window, none beside
    /// another run, and each is either run, left out, or still to come.
    #[test]
    fn whatever_the_clock_does(
        steps in proptest::collection::vec((-400_i64..2000, 0..4_u8), 1..60),
        patient: bool,
        once: bool,
        window: bool,
        jitter in 0..40_i64,
    ) {
        let plan = plan(Schedule {
            skip_if_running: Some(!patient),
            catch_up: if once { CatchUp::Once } else { CatchUp::None },
            windows: if window { vec!["06:00-18:30".parse().unwrap()] } else { vec![] },
            jitter: Some(SignedDuration::from_mins(jitter)),
            ..every("*/30 * * * *")
        });
        let mut now = at("2026-11-27T00:00:00Z");
        let mut memory = Memory { decided: now, admitted: None };
        let mut ran = BTreeSet::new();
        let mut latest = memory.decided;
        for (minutes, busy) in steps {
            now += SignedDuration::from_mins(minutes);
            let reset = mended(&memory, now).is_some();
            let busy = match busy {
                0 => Some(Busy::Same { since: now }),
                1 => Some(Busy::Other { name: "x".into(), since: now }),
                _ => None,
            };
            if reset {
                // Times of a clock that was wrong count for nothing.
                ran.clear();
                latest = now;
            }
            let decisions = look(&plan, &mut memory, now, busy.as_ref());
            for decision in &decisions {
                match decision {
                    Decision::Run { due, late, .. } => {
                        prop_assert!(ran.insert(*due), "{} ran twice", due);
                        prop_assert!(*due > latest && *due <= now && busy.is_none());
                        prop_assert!(now >= *due + plan.jitter(*due));
                        prop_assert!(late.is_none() || once);
                        prop_assert!(crate::schedule::window::any_open(&plan.schedule.windows, &plan.zone, now));
                        latest = *due;
                    }
                    Decision::Skip { due, count, why } => {
                        prop_assert!(*due > latest && *count > 0);
                        prop_assert!(!matches!(why, Skip::Running(_)) || (!patient && busy.is_some()));
                        latest = *due;
                    }
                    Decision::Wait { until, .. } => prop_assert!(*until > now, "waits for what is over"),
                }
            }
            prop_assert!(memory.decided >= latest || reset);
        }
    }
}
