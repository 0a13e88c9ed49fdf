//! How long nobody will answer, term by term: what earlier moves between the two hosts took, and without any, what a move
//! by hand took on three FreeBSD 13.2 hosts (contract 10.6, 10.11).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::Effect;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Step;

/// Moves that are looked at, the youngest ones: hosts change.
const MOST: usize = 5;

/// Milliseconds without any history.
const STOP: u64 = 600;
const SNAPSHOT: u64 = 300;
const DATASET: u64 = 400;
const START: u64 = 1_500;

/// A part of the time in which nobody answers. They follow each other, and each lasts until the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// The jail stops.
    Stop,
    /// What it has written is in a snapshot.
    Snapshot,
    /// The rest goes over and is compared, the source lets go.
    Data,
    /// The prefixes are handed over and the jail starts.
    Start,
    /// It answers.
    Answer,
}

impl Term {
    /// The term that begins with this step.
    #[must_use]
    pub fn of(step: &Step) -> Option<Term> {
        match (&step.effect, step.phase) {
            (Effect::StopJail(_), Phase::CutOver) => Some(Term::Stop),
            (Effect::Snapshot { .. }, Phase::CutOver) => Some(Term::Snapshot),
            (Effect::Transfer(_), Phase::CutOver) => Some(Term::Data),
            (Effect::StartJail(_), Phase::CutOver) => Some(Term::Start),
            (_, Phase::Prove) => Some(Term::Answer),
            _ => None,
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Term::Stop => "stop",
            Term::Snapshot => "snapshot",
            Term::Data => "rest of the data",
            Term::Start => "start and hand-over",
            Term::Answer => "until it answers",
        })
    }
}

/// Milliseconds of each term.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Terms(pub BTreeMap<Term, u64>);

impl Terms {
    /// One of them; 0 when it is not there.
    #[must_use]
    pub fn get(&self, term: Term) -> u64 {
        self.0.get(&term).copied().unwrap_or_default()
    }

    fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, ms| sum.saturating_add(*ms))
    }
}

/// What a move that ended well took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastMove {
    /// Its jail.
    pub jail: JailName,
    /// The source.
    pub from: NodeName,
    /// The target.
    pub to: NodeName,
    /// Datasets that moved.
    pub datasets: u64,
    /// Milliseconds in which nobody answered.
    pub blackout: u64,
    /// Those of our own clock.
    pub terms: Terms,
    /// Bytes of the first copy and milliseconds that they took.
    pub copied: (u64, u64),
}

/// What a forecast rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Basis {
    /// A move by hand, elsewhere.
    #[default]
    Elsewhere,
    /// Moves of this jail between the two hosts.
    ThisJail {
        /// How many.
        moves: usize,
        /// The same way; otherwise the other way.
        same_way: bool,
    },
    /// Moves of other jails between the two hosts.
    OtherJails {
        /// How many.
        moves: usize,
        /// The same way; otherwise the other way.
        same_way: bool,
    },
}

/// What is expected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Milliseconds in which nobody answers.
    pub blackout: u64,
    /// Its parts, by our own clock.
    pub terms: Terms,
    /// Bytes a second of the first copy, when a copy between the two has been measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carries: Option<u64>,
    /// What it rests on.
    pub basis: Basis,
}

impl Forecast {
    /// What is expected when the rest of the data takes this long, in milliseconds.
    #[must_use]
    pub fn with_data(&self, milliseconds: u64) -> u64 {
        let data = self.terms.get(Term::Data);
        self.blackout.saturating_sub(data).saturating_add(milliseconds.max(data))
    }

    /// What it rests on, in words.
    #[must_use]
    pub fn why(&self, jail: &JailName) -> String {
        let (moves, of, same_way) = match self.basis {
            Basis::Elsewhere => return "no history of this pair yet".into(),
            Basis::ThisJail { moves, same_way } => (moves, jail.to_string(), same_way),
            Basis::OtherJails { moves, same_way } => (moves, "other jails".to_owned(), same_way),
        };
        let moves = if moves == 1 { "move".to_owned() } else { format!("{moves} moves") };
        format!("as the last {moves} of {of}{}", if same_way { "" } else { " the other way" })
    }
}

/// How long nobody will answer for `jail` with so many datasets. `past`: moves that ended well, the oldest first.
#[must_use]
pub fn forecast(past: &[PastMove], jail: &JailName, (from, to): (&NodeName, &NodeName), datasets: u64) -> Forecast {
    // How near a move is to this one; the nearest that there are count, and no others.
    let near = |one: &PastMove| {
        let same_way = (&one.from, &one.to) == (from, to);
        let between = same_way || (&one.from, &one.to) == (to, from);
        between.then_some((one.jail != *jail, !same_way))
    };
    let Some(nearest) = past.iter().filter_map(near).min() else { return elsewhere(datasets) };
    let chosen: Vec<&PastMove> = past.iter().rev().filter(|one| near(one) == Some(nearest)).take(MOST).collect();
    let data = |one: &PastMove| scaled(one.terms.get(Term::Data), datasets, one.datasets);
    let mut terms = Terms::default();
    for term in [Term::Stop, Term::Snapshot, Term::Data, Term::Start, Term::Answer] {
        let took = |one: &&PastMove| if term == Term::Data { data(one) } else { one.terms.get(term) };
        terms.0.insert(term, median(chosen.iter().map(took)));
    }
    let whole = |one: &&PastMove| {
        one.blackout.saturating_sub(one.terms.get(Term::Data).min(one.blackout)).saturating_add(data(one))
    };
    let (moves, same_way) = (chosen.len(), !nearest.1);
    Forecast {
        blackout: median(chosen.iter().map(whole)),
        terms,
        carries: carries(past, (from, to)),
        basis: match nearest.0 {
            false => Basis::ThisJail { moves, same_way },
            true => Basis::OtherJails { moves, same_way },
        },
    }
}

fn elsewhere(datasets: u64) -> Forecast {
    let terms = Terms(BTreeMap::from([
        (Term::Stop, STOP),
        (Term::Snapshot, SNAPSHOT),
        (Term::Data, DATASET.saturating_mul(datasets)),
        (Term::Start, START),
    ]));
    Forecast { blackout: terms.total(), terms, carries: None, basis: Basis::Elsewhere }
}

/// Bytes a second that went over in first copies, whichever jail's: one of a few bytes tells nothing.
fn carries(past: &[PastMove], (from, to): (&NodeName, &NodeName)) -> Option<u64> {
    const ENOUGH: u64 = 16 << 20;
    let measured = past.iter().rev().filter(|one| (&one.from, &one.to) == (from, to) && one.copied.0 >= ENOUGH);
    let rates: Vec<u64> = measured.take(MOST).map(|one| scaled(one.copied.0, 1000, one.copied.1)).collect();
    (!rates.is_empty()).then(|| median(rates.into_iter()))
}

/// `value` × `of` / `by`.
fn scaled(value: u64, of: u64, by: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(of) / u128::from(by.max(1))).unwrap_or(u64::MAX)
}

/// The middle one, the greater of the two middle ones; 0 of none.
fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn past(jail: &str, from: &str, to: &str, data: u64) -> PastMove {
        let terms =
            [(Term::Stop, 100), (Term::Snapshot, 50), (Term::Data, data), (Term::Start, 300), (Term::Answer, 10)];
        PastMove {
            jail: JailName::new(jail).unwrap(),
            from: NodeName::new(from).unwrap(),
            to: NodeName::new(to).unwrap(),
            datasets: 2,
            blackout: 440 + data,
            terms: Terms(terms.into()),
            copied: (64 << 20, 2_000),
        }
    }

    fn of(past: &[PastMove], datasets: u64) -> Forecast {
        let name = |name: &str| NodeName::new(name).unwrap();
        forecast(past, &JailName::new("web").unwrap(), (&name("a"), &name("b")), datasets)
    }

    #[test]
    fn without_history_it_is_what_a_move_by_hand_took() {
        for foreign in [vec![], vec![past("web", "a", "c", 1)], vec![past("web", "c", "b", 1)]] {
            let told = of(&foreign, 2);
            assert_eq!((told.blackout, told.basis, told.carries), (3_200, Basis::Elsewhere, None));
            assert_eq!(told.why(&JailName::new("web").unwrap()), "no history of this pair yet");
        }
    }

    #[test]
    fn the_nearest_moves_count_and_no_others() {
        let mut all = vec![past("db", "b", "a", 7_000)];
        let why = |f: &Forecast| f.why(&JailName::new("web").unwrap());
        assert_eq!(why(&of(&all, 2)), "as the last move of other jails the other way");
        all.extend([past("db", "a", "b", 100), past("db", "a", "b", 300), past("db", "a", "b", 200)]);
        let told = of(&all, 4);
        assert_eq!(why(&told), "as the last 3 moves of other jails");
        // Twice as many datasets, twice as long for the data.
        assert_eq!((told.terms.get(Term::Data), told.blackout), (400, 840));
        all.push(past("web", "b", "a", 900));
        assert_eq!(
            (why(&of(&all, 2)).as_str(), of(&all, 2).blackout),
            ("as the last move of web the other way", 1_340)
        );
        all.push(past("web", "a", "b", 60));
        let told = of(&all, 2);
        assert_eq!((why(&told).as_str(), told.blackout), ("as the last move of web", 500));
        assert_eq!(told.carries, Some(32 << 20));
        // Of many only the youngest.
        all.extend((0..9).map(|_| past("web", "a", "b", 1_000)));
        assert_eq!(of(&all, 2).basis, Basis::ThisJail { moves: 5, same_way: true });
        assert_eq!(of(&all, 2).blackout, 1_440);
    }

    #[test]
    fn data_that_takes_longer_makes_it_longer() {
        let told = of(&[past("web", "a", "b", 100)], 2);
        assert_eq!((told.with_data(0), told.with_data(100), told.with_data(5_000)), (540, 540, 5_440));
    }

    proptest! {
        #[test]
        fn no_figures_make_it_panic(numbers in prop::collection::vec(any::<u64>(), 10), datasets in any::<u64>()) {
            let mut one = past("web", "a", "b", numbers[0]);
            for (term, ms) in [Term::Stop, Term::Snapshot, Term::Data, Term::Start, Term::Answer].iter().zip(&numbers[1..]) {
                one.terms.0.insert(*term, *ms);
            }
            (one.blackout, one.datasets, one.copied) = (numbers[6], numbers[7], (numbers[8], numbers[9]));
            let told = of(&[one.clone(), one], datasets);
            let _ = told.with_data(u64::MAX);
        }
    }
}
