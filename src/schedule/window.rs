//! Hours in which a run may begin: `mon-fri 01:00-05:00`, `sat,sun 22:00-08:00`, `00:00-06:00`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::Serialize;

use crate::schedule::calendar::place;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadWindow(pub String);

/// Hours of some days of the week. Past midnight they belong to the day on which they begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    text: String,
    /// Bit 0: Monday.
    days: u8,
    /// Minute of the day.
    from: u16,
    /// Minutes that it is open.
    length: u16,
}

impl Window {
    /// Is it open on the clocks of that zone?
    #[must_use]
    pub fn is_open(&self, zone: &TimeZone, at: Timestamp) -> bool {
        let local = zone.to_datetime(at);
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let today = self.on(local.date()) && minute >= self.from && minute - self.from < self.length;
        let yesterday = local.date().yesterday().is_ok_and(|d| self.on(d));
        today || (yesterday && minute + DAY >= self.from && minute + DAY - self.from < self.length)
    }

    /// When it opens next, after `at`.
    #[must_use]
    pub fn opens(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let mut day = zone.to_datetime(at).date();
        // A week, and a day more when today's opening is over.
        for _ in 0..9 {
            if self.on(day) {
                let hour = i8::try_from(self.from / 60).ok()?;
                let minute = i8::try_from(self.from % 60).ok()?;
                let opens = place(zone, day.at(hour, minute, 0, 0))?.first();
                if opens > at {
                    return Some(opens);
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn on(&self, date: Date) -> bool {
        self.days & (1 << date.weekday().to_monday_zero_offset()) != 0
    }
}

/// Is one of the windows open? Without any, always.
#[must_use]
pub fn any_open(windows: &[Window], zone: &TimeZone, at: Timestamp) -> bool {
    windows.is_empty() || windows.iter().any(|w| w.is_open(zone, at))
}

/// When the first of them opens, after `at`.
#[must_use]
pub fn next_opening(windows: &[Window], zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
    windows.iter().filter_map(|w| w.opens(zone, at)).min()
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl From<Window> for String {
    fn from(window: Window) -> String {
        window.text
    }
}

impl TryFrom<String> for Window {
    type Error = BadWindow;
    fn try_from(text: String) -> Result<Window, BadWindow> {
        text.parse()
    }
}

impl FromStr for Window {
    type Err = BadWindow;
    fn from_str(written: &str) -> Result<Window, BadWindow> {
        let text = written.split_ascii_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        let shape = || BadWindow("such as `mon-fri 01:00-05:00`, `sat,sun 22:00-08:00` or `00:00-06:00`".into());
        let (days, hours) = match text.split_once(' ') {
            Some((days, hours)) => (days_of(days)?, hours),
            None => (0x7f, text.as_str()),
        };
        let (from, to) = hours.split_once('-').ok_or_else(shape)?;
        let (from, to) = (minute_of(from).ok_or_else(shape)?, minute_of(to).ok_or_else(shape)?);
        if from == DAY {
            return Err(BadWindow("a window begins at 23:59 at the latest; 24:00 is the next day's 00:00".into()));
        }
        if from == to {
            return Err(BadWindow("it begins when it ends; a whole day is 00:00-24:00".into()));
        }
        let length = if to > from { to - from } else { to + DAY - from };
        Ok(Window { text, days, from, length })
    }
}

/// `mon-fri`, `sat,sun`, `fri-mon`.
fn days_of(text: &str) -> Result<u8, BadWindow> {
    let day = |name: &str| {
        WEEKDAYS
            .iter()
            .position(|d| *d == name)
            .ok_or_else(|| BadWindow(format!("`{name}` is not a day of the week; they are {}", WEEKDAYS.join(", "))))
    };
    let mut days = 0;
    for item in text.split(',') {
        let (from, to) = item.split_once('-').unwrap_or((item, item));
        let (mut at, to) = (day(from)?, day(to)?);
        days |= 1 << at;
        while at != to {
            at = (at + 1) % 7;
            days |= 1 << at;
        }
    }
    Ok(days)
}

/// `05:00` to minutes; `24:00` is the end of the day.
fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |t: &str| if t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()) { t.parse().ok() } else { None };
    let (hour, minute): (u16, u16) = (number(hour)?, number(minute)?);
    ((hour < 24 && minute < 60) || (hour, minute) == (24, 0)).then_some(hour * 60 + minute)
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
            assert_eq!(nights.is_open(&zone, at(time)), open, "{time}");
        }
        assert_eq!(nights.opens(&zone, at("2026-11-27T22:00:00Z")), Some(at("2026-11-30T22:00:00Z")));
        assert_eq!(nights.opens(&zone, at("2026-11-27T03:00:00Z")), Some(at("2026-11-27T22:00:00Z")));
        let always = window("00:00-24:00");
        assert!(always.is_open(&zone, at("2026-11-27T23:59:59Z")));
        assert!(window("fri-mon 01:00-02:00").is_open(&zone, at("2026-11-29T01:30:00Z")));
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
        assert_eq!(early.opens(&rome, at("2026-03-29T00:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        assert!(early.is_open(&rome, at("2026-03-29T01:00:00Z")) && !early.is_open(&rome, at("2026-03-29T00:59:59Z")));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "mon",
            "1:00-5:00",
            "01:00-25:00",
            "01:00",
            "monday 01:00-02:00",
            "mon 01:00-01:00",
            "24:00-02:00",
            "mon 01:00 -02:00",
            "01:60-02:00",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }
}
