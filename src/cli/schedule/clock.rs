//! The clock that a scheduler looks at: the machine's, or for tests one that runs faster.

use std::time::Duration;
use std::time::Instant;

use jiff::SignedDuration;
use jiff::Timestamp;

/// More than this between the two clocks is a jump: somebody set the one, or the machine slept.
const JUMP: SignedDuration = SignedDuration::from_secs(5);

/// Tells the time.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// Where a clock of tests began, and how many of its seconds pass in one.
    pretended: Option<(Timestamp, u32)>,
    began: Instant,
}

impl Clock {
    /// The machine's.
    pub(super) fn real() -> Clock {
        Clock { pretended: None, began: Instant::now() }
    }

    /// `START*RATE`, such as `2026-11-27T02:29:00Z*60`; `now*60` begins now.
    pub(super) fn pretended(text: &str) -> Option<Clock> {
        let (start, rate) = text.split_once('*')?;
        let start = if start == "now" { Timestamp::now() } else { start.parse().ok()? };
        let rate = rate.parse().ok().filter(|r| (1..=100_000).contains(r))?;
        Some(Clock { pretended: Some((start, rate)), began: Instant::now() })
    }

    pub(super) fn now(&self) -> Timestamp {
        match self.pretended {
            None => Timestamp::now(),
            Some((start, rate)) => {
                let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
                passed
                    .checked_mul(i32::try_from(rate).unwrap_or(1))
                    .and_then(|p| start.checked_add(p).ok())
                    .unwrap_or(start)
            }
        }
    }

    /// How long to sleep for so much of this clock's time.
    pub(super) fn sleep(&self, length: SignedDuration) -> Duration {
        let length = Duration::try_from(length).unwrap_or_default();
        match self.pretended {
            None => length,
            Some((_, rate)) => length / rate,
        }
    }

    fn monotonic(&self) -> SignedDuration {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        let rate = self.pretended.map_or(1, |(_, rate)| rate);
        passed.checked_mul(i32::try_from(rate).unwrap_or(1)).unwrap_or(SignedDuration::MAX)
    }
}

/// Sees when the clock jumps.
#[derive(Debug)]
pub(super) struct Jumps {
    last: (Timestamp, SignedDuration),
}

impl Jumps {
    pub(super) fn new(clock: &Clock) -> Jumps {
        Jumps { last: (clock.now(), clock.monotonic()) }
    }

    /// By how much the clock jumped since the last question, if it did.
    pub(super) fn since_last(&mut self, clock: &Clock) -> Option<SignedDuration> {
        let now = (clock.now(), clock.monotonic());
        let jump = jump(self.last, now);
        self.last = now;
        jump
    }
}

fn jump(last: (Timestamp, SignedDuration), now: (Timestamp, SignedDuration)) -> Option<SignedDuration> {
    let passed = now.1.checked_sub(last.1)?;
    let jump = now.0.duration_since(last.0).checked_sub(passed)?;
    (jump.abs() > JUMP).then_some(jump)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_or_slept_has_jumped() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (noon, seconds) = (at("2026-11-27T12:00:00Z"), SignedDuration::from_secs);
        assert_eq!(jump((noon, seconds(10)), (noon + seconds(30), seconds(40))), None);
        assert_eq!(jump((noon, seconds(10)), (noon + seconds(3630), seconds(40))), Some(seconds(3600)));
        assert_eq!(jump((noon, seconds(10)), (noon - seconds(570), seconds(40))), Some(seconds(-600)));
    }

    #[test]
    fn a_clock_for_tests_runs_faster() {
        let clock = Clock::pretended("2026-11-27T02:29:00Z*60").unwrap();
        assert!(clock.now() >= "2026-11-27T02:29:00Z".parse().unwrap());
        assert_eq!(clock.sleep(SignedDuration::from_mins(10)), Duration::from_secs(10));
        for bad in ["", "now", "now*0", "now*x", "yesterday*2"] {
            assert!(Clock::pretended(bad).is_none(), "{bad}");
        }
    }
}
