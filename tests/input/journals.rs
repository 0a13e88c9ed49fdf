//! Journals that were cut, put in another order, mixed up, or written by a later jailferry: read or refused by line, never
//! a panic, and never a step that was not in them.

use jailferry::saga::record;
use proptest::prelude::*;

/// The lines of a run that went back.
fn lines() -> Vec<String> {
    let line = |what: &str| format!("{{\"at\":\"2026-11-22T20:00:01Z\",\"what\":{what}}}");
    let step =
        |number: usize, phase: &str| line(&format!("{{\"step\":{{\"number\":{number},\"phase\":\"{phase}\"}}}}"));
    let mut all = vec![
        "{\"format\":1,\"at\":\"2026-11-22T20:00:00Z\",\"what\":{\"header\":{\"run\":\"web-0123abcd\",\"jail\":\"web\",\
         \"from\":\"spare\",\"to\":\"big\",\"plan\":{\"steps\":[]}}}}"
            .to_owned(),
    ];
    for number in 1..=3 {
        all.extend([step(number, "intended"), step(number, "done")]);
        all.push(line("{\"command\":{\"host\":\"big\",\"line\":\"exec true\",\"status\":0,\"milliseconds\":12}}"));
    }
    all.extend([step(4, "intended"), step(4, "failed"), line("{\"note\":{\"text\":\"unwinding\"}}")]);
    for number in (1..=4).rev() {
        all.extend([step(number, "undoing"), step(number, "undone")]);
    }
    all.push(line("{\"finished\":{\"outcome\":\"rolled-back\"}}"));
    all
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|l| format!("{l}\n")).collect()
}

/// What holds of whatever is read.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(run) = record::read(bytes) {
        prop_assert!(run.length <= bytes.len() as u64);
        let mentioned = String::from_utf8_lossy(bytes).matches("\"step\"").count();
        prop_assert!(run.steps.len() <= mentioned);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn another_order(order in Just((0..lines().len()).collect::<Vec<_>>()).prop_shuffle(), keep in 0..30usize) {
        let all = lines();
        let mixed: Vec<String> = order.iter().take(keep).map(|i| all[*i].clone()).collect();
        check(text(&mixed).as_bytes())?;
        // With the header in its place.
        let headed: Vec<String> = std::iter::once(all[0].clone()).chain(mixed).collect();
        check(text(&headed).as_bytes())?;
    }

    #[test]
    fn lines_missing_or_twice(changes in proptest::collection::vec((0..24usize, any::<bool>()), 1..5)) {
        let mut all = lines();
        for (at, twice) in changes {
            let at = at.min(all.len() - 1);
            if twice { all.insert(at, all[at].clone()) } else { drop(all.remove(at)) }
            if all.is_empty() { break }
        }
        check(text(&all).as_bytes())?;
    }

    #[test]
    fn damaged_bytes(at in 0..3000usize, bytes in proptest::collection::vec(any::<u8>(), 0..40), cut in any::<bool>()) {
        let mut whole = text(&lines()).into_bytes();
        let at = at.min(whole.len());
        if cut { whole.truncate(at) } else { whole.splice(at..at, bytes.iter().copied()).for_each(drop) }
        check(&whole)?;
    }
}

#[test]
fn from_the_future() {
    let all = lines();
    let newer = text(&all).replacen("\"format\":1", "\"format\":7", 1);
    assert!(record::read(newer.as_bytes()).unwrap_err().to_string().contains("format 7"));
    // Fields may be added within a format; another kind of record may not.
    let more = text(&all).replacen("\"number\":1,", "\"number\":1,\"lease\":{\"until\":9},", 1);
    assert!(record::read(more.as_bytes()).is_ok());
    let kind = text(&all).replacen("\"note\"", "\"prophecy\"", 1);
    assert!(record::read(kind.as_bytes()).unwrap_err().to_string().contains("is not a record"));
    let huge = text(&all).replace("\"number\":1,", "\"number\":18446744073709551615,");
    assert!(record::read(huge.as_bytes()).is_ok(), "a number beyond the plan is the plan's business");
}

#[test]
fn a_line_of_a_megabyte_and_deep_nesting() {
    let long = text(&lines()).replacen("unwinding", &"x\\u001b".repeat(1 << 18), 1);
    assert!(record::read(long.as_bytes()).is_ok());
    let deep = text(&lines()).replacen("{\"steps\":[]}", &"[".repeat(1 << 20), 1);
    assert!(record::read(deep.as_bytes()).is_err());
}
