//! Holds a stream back to so many bytes a second.

use std::num::NonZeroU64;

use tokio::time::Duration;
use tokio::time::Instant;

/// What a stream that stood still may catch up with: no more than this is sent in one go.
const CATCH_UP: Duration = Duration::from_millis(250);

/// How often in a second a slow stream moves at least.
const PIECES: u64 = 8;

/// When the next bytes may go.
#[derive(Debug)]
pub(super) struct Pace {
    rate: NonZeroU64,
    free: Instant,
}

impl Pace {
    /// From now on.
    pub(super) fn new(rate: NonZeroU64, now: Instant) -> Pace {
        Pace { rate, free: now }
    }

    /// Bytes to be read at once, at most `most`.
    pub(super) fn piece(&self, most: usize) -> usize {
        usize::try_from(self.rate.get() / PIECES).unwrap_or(most).clamp(1, most)
    }

    /// So many bytes have gone; the time from which the next may.
    pub(super) fn sent(&mut self, bytes: u64, now: Instant) -> Instant {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate.get());
        let took = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.free = self.free.max(earliest) + took;
        self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_bytes_go_as_the_rate_says() {
        let begin = Instant::now();
        let mut pace = Pace::new(NonZeroU64::new(1000).unwrap(), begin);
        assert_eq!(pace.piece(256 << 10), 125);
        let mut now = begin;
        for _ in 0..100 {
            now = pace.sent(125, now).max(now);
        }
        assert_eq!(now - begin, Duration::from_millis(12_500));
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let begin = Instant::now();
        let mut pace = Pace::new(NonZeroU64::new(1000).unwrap(), begin);
        let late = begin + Duration::from_secs(100);
        assert_eq!(pace.sent(1000, late), late + Duration::from_millis(750));
        assert_eq!(pace.sent(1000, late), late + Duration::from_millis(1750));
    }

    #[test]
    fn the_slowest_moves_and_the_fastest_is_not_held() {
        let now = Instant::now();
        assert_eq!(Pace::new(NonZeroU64::MIN, now).piece(256 << 10), 1);
        let mut fast = Pace::new(NonZeroU64::MAX, now);
        assert_eq!((fast.piece(256 << 10), fast.sent(u64::from(u32::MAX), now)), (256 << 10, now));
    }
}
