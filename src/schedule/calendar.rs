//! Which instants five fields mean in a time zone.
//!
//! A local time that the clocks leave out (spring) counts at the first instant after the gap. One that comes twice
//! (autumn) counts the first time only. With `*` for the hour the schedule is one of intervals, and both are otherwise:
//! nothing is added for the hour left out, and the hour that comes twice counts twice.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;
use jiff::tz::TimeZone;

use crate::schedule::cron::Cron;

/// Days that are looked through before giving up: 29 February comes after eight years at most.
const HORIZON_DAYS: i32 = 9 * 366;

/// What a local time is on the line of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One instant.
    Once(Timestamp),
    /// None; this is where the clocks went on.
    Gap(Timestamp),
    /// Two.
    Twice(Timestamp, Timestamp),
}

impl Place {
    /// The instant that stands for it where only one counts.
    #[must_use]
    pub fn first(self) -> Timestamp {
        match self {
            Place::Once(at) | Place::Gap(at) | Place::Twice(at, _) => at,
        }
    }
}

/// Where a local time is. `None` outside of the years that can be counted.
#[must_use]
pub fn place(zone: &TimeZone, local: DateTime) -> Option<Place> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok().map(Place::Once),
        AmbiguousOffset::Gap { before, .. } => {
            // Read with the offset of before, the local time lies behind the change of clocks.
            let behind = before.to_timestamp(local).ok()?;
            let change = zone.preceding(behind.checked_add(jiff::Span::new().nanoseconds(1)).ok()?).next()?;
            Some(Place::Gap(change.timestamp()))
        }
        AmbiguousOffset::Fold { before, after } => {
            Some(Place::Twice(before.to_timestamp(local).ok()?, after.to_timestamp(local).ok()?))
        }
    }
}

/// The instants after `after`, in order.
#[derive(Debug)]
pub struct Occurrences<'a> {
    cron: &'a Cron,
    zone: &'a TimeZone,
    after: Timestamp,
    found: BTreeSet<Timestamp>,
    /// The next day to look at.
    day: Date,
    days: i32,
}

/// The instants after `after` that the fields mean, ascending.
#[must_use]
pub fn occurrences<'a>(cron: &'a Cron, zone: &'a TimeZone, after: Timestamp) -> Occurrences<'a> {
    let today = zone.to_datetime(after).date();
    // What a gap or a second time moves to another day is found from the day before.
    let day = today.yesterday().unwrap_or(today);
    Occurrences { cron, zone, after, found: BTreeSet::new(), day, days: 0 }
}

impl Occurrences<'_> {
    fn look_at(&mut self, day: Date) {
        if !self.cron.on(day) {
            return;
        }
        let intervals = self.cron.hours.is_star();
        for hour in self.cron.hours.values() {
            for minute in self.cron.minutes.values() {
                let (Ok(hour), Ok(minute)) = (i8::try_from(hour), i8::try_from(minute)) else { continue };
                let Some(place) = place(self.zone, day.at(hour, minute, 0, 0)) else { continue };
                match place {
                    Place::Gap(_) if intervals => {}
                    Place::Twice(first, second) if intervals => self.found.extend([first, second]),
                    Place::Once(at) | Place::Gap(at) | Place::Twice(at, _) => _ = self.found.insert(at),
                }
            }
        }
    }
}

impl Iterator for Occurrences<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        loop {
            while self.found.first().is_some_and(|at| *at <= self.after) {
                self.found.pop_first();
            }
            // An instant is certain to be the next one when its local day and the one behind have been looked at.
            if let Some(first) = self.found.first()
                && self.zone.to_datetime(*first).date().tomorrow().is_ok_and(|t| t < self.day)
            {
                self.after = *first;
                self.days = 0;
                return self.found.pop_first();
            }
            if self.days > HORIZON_DAYS {
                return None;
            }
            let day = self.day;
            self.look_at(day);
            self.day = day.tomorrow().ok()?;
            self.days += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rome, by rule instead of by name: the test needs no time zone files.
    fn rome() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn next(text: &str, zone: &TimeZone, after: &str, count: usize) -> Vec<String> {
        let cron: Cron = text.parse().unwrap();
        let after: Timestamp = after.parse().unwrap();
        occurrences(&cron, zone, after)
            .take(count)
            .map(|t| t.to_zoned(zone.clone()).strftime("%m-%d %H:%M %z").to_string())
            .collect()
    }

    #[test]
    fn an_ordinary_night() {
        let found = next("30 2 * * *", &rome(), "2026-11-27T01:30:00Z", 2);
        // 02:30 itself is over.
        assert_eq!(found, ["11-28 02:30 +0100", "11-29 02:30 +0100"]);
        assert_eq!(next("0 0 29 2 *", &TimeZone::UTC, "2096-02-29T00:00:00Z", 1), ["02-29 00:00 +0000"]);
        assert_eq!(next("59 23 31 12 *", &TimeZone::UTC, "2026-12-31T23:58:59Z", 1), ["12-31 23:59 +0000"]);
    }

    #[test]
    fn the_hour_left_out_in_spring() {
        // 29 March 2026: 02:00 becomes 03:00.
        let before = "2026-03-29T00:00:00Z";
        assert_eq!(next("30 2 * * *", &rome(), before, 2), ["03-29 03:00 +0200", "03-30 02:30 +0200"]);
        // Several that fall into it are one.
        assert_eq!(next("0,20,40 2 * * *", &rome(), before, 2), ["03-29 03:00 +0200", "03-30 02:00 +0200"]);
        // Together with one that is due at that instant, too.
        assert_eq!(next("0 2,3 * * *", &rome(), before, 2), ["03-29 03:00 +0200", "03-30 02:00 +0200"]);
        // Intervals go on.
        let found = next("*/30 * * * *", &rome(), before, 4);
        assert_eq!(found, ["03-29 01:30 +0100", "03-29 03:00 +0200", "03-29 03:30 +0200", "03-29 04:00 +0200"]);
        assert_eq!(next("20 * * * *", &rome(), before, 2), ["03-29 01:20 +0100", "03-29 03:20 +0200"]);
    }

    #[test]
    fn the_hour_that_comes_twice_in_autumn() {
        // 25 October 2026: 03:00 becomes 02:00.
        let before = "2026-10-24T23:30:00Z";
        assert_eq!(next("30 2 * * *", &rome(), before, 2), ["10-25 02:30 +0200", "10-26 02:30 +0100"]);
        // A scheduler that begins between the two does not run the second.
        assert_eq!(next("30 2 * * *", &rome(), "2026-10-25T00:45:00Z", 1), ["10-26 02:30 +0100"]);
        let found = next("30 * * * *", &rome(), before, 4);
        assert_eq!(found, ["10-25 02:30 +0200", "10-25 02:30 +0100", "10-25 03:30 +0100", "10-25 04:30 +0100"]);
    }

    #[test]
    fn a_gap_and_a_fold_at_midnight() {
        // Clocks that change at midnight exist (Beirut, Havana).
        let zone = TimeZone::posix("EET-2EEST,M3.5.0/0,M10.5.0/0").unwrap();
        assert_eq!(next("15 0 * * *", &zone, "2026-03-28T12:00:00Z", 2), ["03-29 01:00 +0300", "03-30 00:15 +0300"]);
        // The evening before comes twice.
        assert_eq!(next("30 23 * * *", &zone, "2026-10-24T12:00:00Z", 2), ["10-24 23:30 +0300", "10-25 23:30 +0200"]);
        let twice = next("30 * * * *", &zone, "2026-10-24T20:00:00Z", 3);
        assert_eq!(twice, ["10-24 23:30 +0300", "10-24 23:30 +0200", "10-25 00:30 +0200"]);
    }

    proptest! {
        /// Against the plain way: look at every minute of three days around a change of clocks.
        #[test]
        fn every_minute_agrees(minute in 0..60_u32, hour in proptest::option::of(0..24_u32), start in 0..4320_i64, autumn: bool) {
            let zone = rome();
            let hour = hour.map_or("*".to_owned(), |h| h.to_string());
            let cron: Cron = format!("{minute} {hour} * * *").parse().unwrap();
            let day: Timestamp = if autumn { "2026-10-23T00:00:00Z" } else { "2026-03-27T00:00:00Z" }.parse().unwrap();
            let at = |m: i64| day + jiff::SignedDuration::from_mins(m);
            let after = at(start);
            let found: Vec<Timestamp> = occurrences(&cron, &zone, after).take_while(|t| *t <= at(start + 2880)).collect();
            let mut seen_locals = std::collections::BTreeSet::new();
            let mut wanted = Vec::new();
            for m in 0..=start + 2880 {
                let local = zone.to_datetime(at(m));
                let matches = cron.minutes.has(local.minute().unsigned_abs().into()) && cron.hours.has(local.hour().unsigned_abs().into());
                let again = !seen_locals.insert(local);
                let gap_end = !cron.hours.is_star() && cron.hours.has(2) && local == jiff::civil::datetime(2026, 3, 29, 3, 0, 0, 0);
                if ((matches && (!again || cron.hours.is_star())) || gap_end) && m > start {
                    wanted.push(at(m));
                }
            }
            prop_assert_eq!(found, wanted);
        }
    }
}
