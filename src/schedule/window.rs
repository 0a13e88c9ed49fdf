//! The hours in which a run may begin (`Mon-Fri 01:00-05:00`), on the clocks of a time zone.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::playbook::window::Window;
use crate::schedule::calendar::place;

/// Is one of the windows open? Without any, always.
#[must_use]
pub fn any_open(windows: &[Window], zone: &TimeZone, at: Timestamp) -> bool {
    any_open_at(windows, zone.to_datetime(at))
}

/// Is one of the windows open at that local time? Without any, always.
#[must_use]
pub fn any_open_at(windows: &[Window], local: DateTime) -> bool {
    let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
    windows.is_empty() || windows.iter().any(|w| w.is_open(weekday(local), minute))
}

/// When the first of them opens, after `at`.
#[must_use]
pub fn next_opening(windows: &[Window], zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
    windows.iter().filter_map(|w| opens(w, zone, at)).min()
}

fn opens(window: &Window, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
    let mut day = zone.to_datetime(at).date();
    // A week, and a day more when today's opening is over.
    for _ in 0..9 {
        if let Some(minute) = window.opens_on(weekday(day.at(0, 0, 0, 0))) {
            let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
            let opens = place(zone, day.at(hour, minute, 0, 0))?.first();
            if opens > at {
                return Some(opens);
            }
        }
        day = day.tomorrow().ok()?;
    }
    None
}

/// Monday is 0.
fn weekday(local: DateTime) -> usize {
    usize::from(local.weekday().to_monday_zero_offset().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Window {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn hours_and_days() {
        let zone = TimeZone::UTC;
        // 27 November 2026 is a Friday.
        let nights = window("mon-fri 22:00-04:00");
        for (time, open) in [
            ("2026-11-27T21:59:59Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T03:59:59Z", true),
            ("2026-11-28T04:00:00Z", false),
            ("2026-11-28T22:00:00Z", false),
            // Monday before dawn belongs to Sunday.
            ("2026-11-30T02:00:00Z", false),
        ] {
            assert_eq!(any_open(std::slice::from_ref(&nights), &zone, at(time)), open, "{time}");
        }
        assert_eq!(opens(&nights, &zone, at("2026-11-27T22:00:00Z")), Some(at("2026-11-30T22:00:00Z")));
        assert_eq!(opens(&nights, &zone, at("2026-11-27T03:00:00Z")), Some(at("2026-11-27T22:00:00Z")));
        let always = window("00:00-24:00");
        assert!(any_open(&[always], &zone, at("2026-11-27T23:59:59Z")));
        assert!(any_open(&[window("fri-mon 01:00-02:00")], &zone, at("2026-11-29T01:30:00Z")));
        assert_eq!(
            next_opening(&[nights, window("sat 10:00-11:00")], &zone, at("2026-11-28T04:00:00Z")),
            Some(at("2026-11-28T10:00:00Z"))
        );
        assert!(any_open(&[], &zone, at("2026-11-28T04:00:00Z")));
    }

    #[test]
    fn clocks_that_go_on_open_it_when_they_have() {
        let rome = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let early = window("02:30-04:00");
        assert_eq!(opens(&early, &rome, at("2026-03-29T00:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        assert!(
            any_open(std::slice::from_ref(&early), &rome, at("2026-03-29T01:00:00Z"))
                && !any_open(std::slice::from_ref(&early), &rome, at("2026-03-29T00:59:59Z"))
        );
    }
}
