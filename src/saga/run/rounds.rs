//! The rounds of copying while the jail runs: what each sent and how long it took, and what that says of the jail's pace
//! against the link's.

use std::time::Duration;

use crate::ui::text;

/// What a round came to.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    bytes: u64,
    took: Duration,
}

/// All rounds so far; 0 is the first copy.
#[derive(Debug, Default)]
pub(super) struct Rounds(Vec<Round>);

impl Rounds {
    /// A step of a round is done.
    pub(super) fn add(&mut self, round: u32, bytes: u64, took: Duration) {
        let Ok(round) = usize::try_from(round) else { return };
        if self.0.len() <= round {
            self.0.resize(round + 1, Round::default());
        }
        if let Some(sum) = self.0.get_mut(round) {
            sum.bytes = sum.bytes.saturating_add(bytes);
            sum.took += took;
        }
    }

    /// Why a round is left out; `until`: what a round may leave over.
    pub(super) fn not_needed(&self, round: u32, until: u64) -> Option<String> {
        let round = usize::try_from(round).ok()?;
        let sent = |round: usize| self.0.get(round).map(|r| r.bytes);
        match sent(round.checked_sub(1)?) {
            None => Some("an earlier round was left out".into()),
            Some(_) if sent(round).is_some() => None,
            Some(bytes) if round > 1 && bytes <= until => {
                Some(format!("the round before sent {}", crate::plan::preflight::bytes(bytes)))
            }
            Some(bytes) if round > 2 && sent(round - 2).is_some_and(|older| bytes > older / 10 * 9) => {
                Some("another round would not send less than the last".into())
            }
            Some(_) => None,
        }
    }

    /// Bytes and milliseconds of each.
    pub(super) fn measured(&self) -> Vec<(u64, u64)> {
        self.0.iter().map(|round| (round.bytes, text::milliseconds(round.took))).collect()
    }

    /// Where the copy stands before the jail stops, when the last round still sent more than it should have. What the
    /// last round sent was written while the one before it was on its way.
    /// `limit`: bytes a second that may go over.
    pub(super) fn behind(&self, until: u64, limit: Option<u64>) -> Option<Behind> {
        let [.., before, last] = self.0.as_slice() else { return None };
        if last.bytes <= until {
            return None;
        }
        let pace = |bytes: u64, took: Duration| {
            let milliseconds = u128::from(text::milliseconds(took).max(1));
            u64::try_from(u128::from(bytes) * 1000 / milliseconds).unwrap_or(u64::MAX)
        };
        Some(Behind {
            bytes: last.bytes,
            took: text::milliseconds(last.took),
            writes: pace(last.bytes, before.took),
            carries: pace(last.bytes, last.took),
            limit,
        })
    }
}

/// A copy that does not catch up with its jail.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Behind {
    /// What the last round sent.
    bytes: u64,
    /// Milliseconds that it took.
    took: u64,
    /// Bytes that the jail writes in a second.
    writes: u64,
    /// Bytes that go over in a second.
    carries: u64,
    /// Bytes that may, at most.
    limit: Option<u64>,
}

/// What an administrator can do about it. rctl(8) needs kern.racct.enable=1 in loader.conf(5).
const CHOICES: &str = "let the jail write less (rctl -a jail:NAME:writebps:throttle=AMOUNT on its host), choose a quieter hour or `transfer: direct`, allow other rounds (`precopy:` in fleet.yml)";

impl Behind {
    /// Milliseconds that what is left takes with the jail stopped: about as much as the last round sent, and without the
    /// limit. `carries`: bytes a second that went over in earlier moves.
    pub(super) fn left(&self, carries: Option<u64>) -> u64 {
        match (self.limit, carries) {
            (Some(_), Some(carries)) => (self.bytes.saturating_mul(1000) / carries.max(1)).min(self.took),
            _ => self.took,
        }
    }

    /// What to say before the jail stops.
    pub(super) fn told(&self, predicted: u64) -> String {
        format!(
            "{}. With the jail stopped about as much is left, so nobody will answer for about {}. You may let it go on; or end it with Ctrl-C, which takes everything back, and {CHOICES}",
            self.figures(),
            text::duration(predicted),
        )
    }

    /// Why the jail is not stopped.
    pub(super) fn too_long(&self, predicted: u64, accepted: u64) -> String {
        format!(
            "{}. With the jail stopped about as much would be left, so nobody would answer for about {}, and {} are accepted. The jail was not stopped. Either {CHOICES}; or accept it: `--accept-blackout`",
            self.figures(),
            text::duration(predicted),
            text::duration(accepted),
        )
    }

    fn figures(&self) -> String {
        let verdict = if self.writes >= self.carries {
            "faster than it goes over, so that more rounds would not help"
        } else {
            "slower than it goes over, so that more rounds would leave less"
        };
        let limit = match self.limit {
            Some(limit) => format!(" (`rate_limit` allows {}/s until the jail has stopped)", text::bytes(limit)),
            None => String::new(),
        };
        format!(
            "the last round still sent {} in {}: the jail writes about {}/s, and about {}/s go over{limit}; it writes {verdict}",
            text::bytes(self.bytes),
            text::duration(self.took),
            text::bytes(self.writes),
            text::bytes(self.carries),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(of: &[(u64, u64)]) -> Rounds {
        let mut rounds = Rounds::default();
        for (round, (mebibytes, seconds)) in of.iter().enumerate() {
            // Two datasets each.
            for _ in 0..2 {
                let round = u32::try_from(round).unwrap();
                rounds.add(round, (mebibytes << 20) / 2, Duration::from_secs(*seconds) / 2);
            }
        }
        rounds
    }

    #[test]
    fn a_round_is_left_out_when_it_is_not_worth_it() {
        let until = 16 << 20;
        assert_eq!(rounds(&[(400, 40)]).not_needed(1, until), None);
        assert_eq!(rounds(&[(400, 40), (80, 8)]).not_needed(2, until), None);
        let few = rounds(&[(400, 40), (10, 1)]).not_needed(2, until).unwrap();
        assert_eq!(few, "the round before sent 10.0 MiB");
        let as_many = rounds(&[(400, 40), (80, 8), (79, 8)]).not_needed(3, until).unwrap();
        assert!(as_many.contains("would not send less"), "{as_many}");
    }

    #[test]
    fn a_jail_that_writes_faster_than_the_link_is_told_with_figures() {
        let until = 16 << 20;
        assert_eq!(rounds(&[(400, 40)]).behind(until, None), None);
        assert_eq!(rounds(&[(400, 40), (10, 1)]).behind(until, None), None);
        let told = rounds(&[(400, 40), (480, 48), (600, 60)]).behind(until, None).unwrap().told(63_000);
        assert!(told.starts_with("the last round still sent 600.0 MiB in 1 min 00 s: the jail writes about 12.5 MiB/s, and about 10.0 MiB/s go over; it writes faster"), "{told}");
        let limited = rounds(&[(400, 40), (480, 48), (600, 60)]).behind(until, Some(10 << 20)).unwrap();
        assert!(
            limited.told(6_000).contains("go over (`rate_limit` allows 10.0 MiB/s until the jail has stopped); it")
        );
        assert_eq!((limited.left(None), limited.left(Some(100 << 20))), (60_000, 6_000));
        let slower = rounds(&[(400, 40), (80, 8), (40, 4)]).behind(until, None).unwrap().too_long(7_000, 5_000);
        assert!(slower.contains("for about 7.0 s, and 5.0 s are accepted. The jail was not stopped."), "{slower}");
        assert!(slower.contains("about 5.0 MiB/s, and about 10.0 MiB/s go over; it writes slower"), "{slower}");
    }
}
