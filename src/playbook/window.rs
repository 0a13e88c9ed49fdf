//! Windows: the hours of a week in which a cut-over may begin.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// The days as they are written, Monday first.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Hours on some days of the week, such as `Mon-Fri 22:00-05:00`; hours that go past midnight belong to the day on which
/// they begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// By weekday, Monday first.
    days: [bool; 7],
    /// Minute of the day at which it opens.
    from: u16,
    /// Minute of the day at which it closes; not later than `from` when it closes on the next day.
    to: u16,
    /// As it was written.
    text: String,
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    /// Not hours.
    #[error("{0:?} are no hours of a day, such as 22:00-05:00")]
    Hours(String),
    /// Not days.
    #[error("{0:?} are no days of the week, such as Mon-Fri or Sat,Sun")]
    Days(String),
}

impl Window {
    /// Is it open at that minute of that weekday (Monday is 0)?
    #[must_use]
    pub fn is_open(&self, weekday: usize, minute: u16) -> bool {
        let on = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        if self.from < self.to {
            return on(weekday) && (self.from..self.to).contains(&minute);
        }
        on(weekday) && minute >= self.from || on(weekday + 6) && minute < self.to
    }
}

impl Window {
    /// The minute at which it opens on that weekday (Monday is 0), if it does.
    #[must_use]
    pub fn opens_on(&self, weekday: usize) -> Option<u16> {
        self.days.get(weekday % 7).copied().unwrap_or(false).then_some(self.from)
    }
}

/// Minutes until one of the windows is open: 0 when one is; `None` when there are windows and none ever opens. Without any
/// window every minute is open.
#[must_use]
pub fn opens_in(windows: &[Window], weekday: usize, minute: u16) -> Option<u32> {
    if windows.is_empty() {
        return Some(0);
    }
    let day = u32::from(DAY);
    (0..7 * day).find(|ahead| {
        let at = u32::from(minute) + ahead;
        let (days, minute) = (at / day, at % day);
        let weekday = weekday + usize::try_from(days).unwrap_or(0);
        u16::try_from(minute).is_ok_and(|minute| windows.iter().any(|w| w.is_open(weekday % 7, minute)))
    })
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |t: &str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit());
    let (hour, minute): (u16, u16) =
        (digits(hour).then(|| hour.parse().ok())??, digits(minute).then(|| minute.parse().ok())??);
    let at = hour * 60 + minute;
    (minute < 60 && at <= DAY).then_some(at)
}

fn day(text: &str) -> Option<usize> {
    DAYS.iter().position(|d| d.eq_ignore_ascii_case(text))
}

fn days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let length = (last + 7 - first) % 7;
        for ahead in 0..=length {
            *days.get_mut((first + ahead) % 7)? = true;
        }
    }
    Some(days)
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Window, InvalidWindow> {
        let (on, hours) = match text.trim().rsplit_once(' ') {
            Some((on, hours)) => (Some(on.trim()), hours),
            None => (None, text.trim()),
        };
        let wrong = || InvalidWindow::Hours(hours.to_owned());
        let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?);
        if from == to || from == DAY {
            return Err(wrong());
        }
        let days = match on {
            None => [true; 7],
            Some(on) => days(on).ok_or_else(|| InvalidWindow::Days(on.to_owned()))?,
        };
        Ok(Window { days, from, to, text: text.trim().to_owned() })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Window {
    type Error = InvalidWindow;

    fn try_from(text: String) -> Result<Window, InvalidWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> String {
        window.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn w(text: &str) -> Window {
        text.parse().unwrap()
    }

    #[test]
    fn hours_past_midnight_belong_to_the_day_they_begin_on() {
        let nights = w("Mon-Fri 22:00-05:00");
        assert!(nights.is_open(0, 22 * 60) && nights.is_open(4, 23 * 60 + 59));
        // Saturday morning is Friday's night; Monday morning is Sunday's.
        assert!(nights.is_open(5, 4 * 60 + 59) && !nights.is_open(5, 5 * 60));
        assert!(!nights.is_open(0, 60) && !nights.is_open(5, 22 * 60));
        let whole = w("Sat,Sun 00:00-24:00");
        assert!(whole.is_open(5, 0) && whole.is_open(6, DAY - 1) && !whole.is_open(0, 0));
        assert!(w("fri-mon 01:00-02:00").is_open(6, 60) && !w("fri-mon 01:00-02:00").is_open(1, 60));
        assert!(w("22:00-24:00").is_open(3, DAY - 1) && !w("22:00-24:00").is_open(4, 0));
    }

    #[test]
    fn how_long_until_one_opens() {
        let windows = [w("Mon 02:00-03:00"), w("Wed 10:00-11:00")];
        assert_eq!(opens_in(&windows, 0, 120), Some(0));
        assert_eq!(opens_in(&windows, 0, 60), Some(60));
        assert_eq!(opens_in(&windows, 0, 180), Some(2 * 1440 + 10 * 60 - 180));
        assert_eq!(opens_in(&windows, 2, 11 * 60), Some(5 * 1440 + 120 - 11 * 60));
        assert_eq!(opens_in(&[], 2, 0), Some(0));
    }

    #[test]
    fn what_is_no_window() {
        for text in [
            "",
            "22-5",
            "22:00",
            "24:00-02:00",
            "25:00-26:00",
            "10:00-10:00",
            "1:00-2:00",
            "10:61-11:00",
            "+1:00-02:00",
        ] {
            assert!(matches!(text.parse::<Window>(), Err(InvalidWindow::Hours(_))), "{text}");
        }
        for text in ["Mo 10:00-11:00", "Mon,,Tue 10:00-11:00", "Mon- 10:00-11:00"] {
            assert!(matches!(text.parse::<Window>(), Err(InvalidWindow::Days(_))), "{text}");
        }
    }
}
