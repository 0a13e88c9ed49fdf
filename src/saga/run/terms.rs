//! How long each term of the blackout took, by this machine's monotonic clock.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::plan::Step;
use crate::plan::forecast::Term;
use crate::plan::forecast::Terms;
use crate::ui::text::milliseconds;

/// The terms so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    begun: BTreeMap<Term, Instant>,
    answered: Option<Instant>,
}

impl Watch {
    /// This step began then. A term begins with the first of its steps.
    pub(super) fn begins(&mut self, step: &Step, then: Instant) {
        if let Some(term) = Term::of(step) {
            self.begun.entry(term).and_modify(|first| *first = then.min(*first)).or_insert(then);
        }
    }

    /// A proof is through; the first one counts.
    pub(super) fn answered(&mut self, now: Instant) {
        self.answered.get_or_insert(now);
    }

    /// From the stop to the first proof, or to now.
    pub(super) fn whole(&self, now: Instant) -> Option<Duration> {
        self.begun.get(&Term::Stop).map(|stop| self.answered.unwrap_or(now).duration_since(*stop))
    }

    /// How long each took; nothing before a proof is through, and nothing of a run that did not begin with the stop.
    pub(super) fn terms(&self) -> Option<Terms> {
        let answered = self.answered.filter(|_| self.begun.contains_key(&Term::Stop))?;
        let ends = self.begun.values().skip(1).copied().chain([answered]);
        let length = |((term, from), to): ((&Term, &Instant), Instant)| (*term, milliseconds(to.duration_since(*from)));
        Some(Terms(self.begun.iter().zip(ends).map(length).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JailName;
    use crate::model::NodeName;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    #[test]
    fn the_terms_of_a_whole_plan_follow_each_other() {
        let (jail, target) = (JailName::new("web").unwrap(), NodeName::new("big").unwrap());
        let (evidence, situation, findings) =
            Shape::testbed().world().evidence(&Shape::testbed().fleet(), &jail, &target);
        let settings = Options::default().settle();
        let plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "0", findings).unwrap();
        let (start, mut watch) = (Instant::now(), Watch::default());
        assert_eq!((watch.terms(), watch.whole(start)), (None, None));
        // In whatever order they are told of.
        for (index, step) in plan.steps.iter().enumerate().rev() {
            watch.begins(step, start + Duration::from_secs(index as u64));
        }
        assert_eq!(watch.terms(), None, "no proof yet");
        let proof = plan.steps.iter().position(|s| Term::of(s) == Some(Term::Answer)).unwrap() as u64 + 1;
        watch.answered(start + Duration::from_secs(proof));
        watch.answered(start + Duration::from_secs(proof + 9));
        let terms = watch.terms().unwrap();
        assert_eq!(
            terms.0.keys().copied().collect::<Vec<_>>(),
            [Term::Stop, Term::Snapshot, Term::Data, Term::Start, Term::Answer]
        );
        let whole = watch.whole(start + Duration::from_secs(999)).unwrap();
        assert_eq!(u128::from(terms.0.values().sum::<u64>()), whole.as_millis());
        assert_eq!(terms.get(Term::Answer), 1_000);
    }
}
