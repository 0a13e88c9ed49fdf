//! The five fields of crontab(5): minute, hour, day of the month, month, day of the week.
//!
//! The crates that read them count in other time libraries, or need the time zone inside the text; what is left without
//! time is small enough to be ours.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::Deserialize;
use serde::Serialize;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A text that means no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCron(pub String);

/// One field: the values it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Bit N: the value N.
    values: u64,
    /// Does it begin with `*`? crontab(5) asks for that with the two fields of days.
    star: bool,
    low: u32,
    high: u32,
}

impl Field {
    /// Does it take that value?
    #[must_use]
    pub fn has(self, value: u32) -> bool {
        value < 64 && self.values & (1 << value) != 0
    }

    /// Its values, ascending.
    pub fn values(self) -> impl Iterator<Item = u32> {
        (self.low..=self.high).filter(move |v| self.has(*v))
    }

    /// Does it take every value?
    #[must_use]
    pub fn is_full(self) -> bool {
        (self.low..=self.high).all(|v| self.has(v))
    }

    /// Does it begin with `*`?
    #[must_use]
    pub fn is_star(self) -> bool {
        self.star
    }
}

/// Five fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    /// Minutes of the hour.
    pub minutes: Field,
    /// Hours of the day.
    pub hours: Field,
    /// Days of the month.
    pub days: Field,
    /// Months.
    pub months: Field,
    /// Days of the week, Sunday is 0.
    pub weekdays: Field,
}

impl Cron {
    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Does it mean that day? As crontab(5): with both fields of days restricted, either is enough.
    #[must_use]
    pub fn on(&self, date: Date) -> bool {
        let day = self.days.has(u32::from(date.day().unsigned_abs()));
        let weekday = self.weekdays.has(u32::from(date.weekday().to_sunday_zero_offset().unsigned_abs()));
        let either = !self.days.star && !self.weekdays.star;
        self.months.has(u32::from(date.month().unsigned_abs())) && if either { day || weekday } else { day && weekday }
    }

    /// Is there any day that it means? `0 0 31 2 *` has none.
    fn has_a_day(&self) -> bool {
        let longest = |month: u32| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let by_day = self.months.values().any(|m| self.days.values().any(|d| d <= longest(m)));
        by_day || (!self.days.star && !self.weekdays.star)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> String {
        cron.text
    }
}

impl TryFrom<String> for Cron {
    type Error = BadCron;
    fn try_from(text: String) -> Result<Cron, BadCron> {
        text.parse()
    }
}

impl FromStr for Cron {
    type Err = BadCron;
    fn from_str(written: &str) -> Result<Cron, BadCron> {
        let bad = |why: String| Err(BadCron(why));
        let text = written.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        if text.len() > 200 {
            return bad("longer than any five fields".into());
        }
        let fields = match text.as_str() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@reboot" => return bad("a scheduler's start is no time of day".into()),
            other => other,
        };
        let words: Vec<&str> = fields.split(' ').collect();
        let [minute, hour, day, month, weekday] = words.as_slice() else {
            return bad(format!(
                "five fields: minute, hour, day of the month, month, day of the week; this has {}",
                words.iter().filter(|w| !w.is_empty()).count()
            ));
        };
        let mut weekdays = field(weekday, "day of the week", 0, 7, &WEEKDAYS, 0)?;
        // Sunday is 0 and 7.
        if weekdays.has(7) {
            weekdays.values = (weekdays.values & 0x7f) | 1;
        }
        weekdays.high = 6;
        let cron = Cron {
            minutes: field(minute, "minute", 0, 59, &[], 0)?,
            hours: field(hour, "hour", 0, 23, &[], 0)?,
            days: field(day, "day of the month", 1, 31, &[], 0)?,
            months: field(month, "month", 1, 12, &MONTHS, 1)?,
            weekdays,
            text,
        };
        if cron.has_a_day() { Ok(cron) } else { bad("no month that it names has such a day".into()) }
    }
}

/// One field: a list of `*`, a value or a range, each range perhaps with a step. `first` is the value of the first name.
fn field(text: &str, what: &str, low: u32, high: u32, names: &[&str], first: u32) -> Result<Field, BadCron> {
    let mut values = 0_u64;
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let (from, to) = match range.split_once('-') {
            // All days of a week are seven, not eight.
            _ if range == "*" => (low, if high == 7 { 6 } else { high }),
            Some((from, to)) => {
                (value(from, what, low, high, names, first)?, value(to, what, low, high, names, first)?)
            }
            None => {
                let one = value(range, what, low, high, names, first)?;
                if step.is_some() {
                    return Err(BadCron(format!("{what}: a step needs a range or `*` before it, such as `*/15`")));
                }
                (one, one)
            }
        };
        if from > to {
            return Err(BadCron(format!("{what}: `{range}` runs backwards; write it as two ranges")));
        }
        let step = match step.map(str::parse::<u32>) {
            None => 1,
            Some(Ok(step)) if (1..=high).contains(&step) => step,
            Some(_) => return Err(BadCron(format!("{what}: a step is a number from 1 to {high}"))),
        };
        let mut at = from;
        while at <= to {
            values |= 1 << at;
            at += step;
        }
    }
    Ok(Field { values, star: text.starts_with('*'), low, high })
}

fn value(text: &str, what: &str, low: u32, high: u32, names: &[&str], first: u32) -> Result<u32, BadCron> {
    let lower = text.to_ascii_lowercase();
    if let Some(index) = names.iter().position(|n| *n == lower) {
        return Ok(first + u32::try_from(index).unwrap_or(0));
    }
    let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(number) if digits && (low..=high).contains(&number) => Ok(number),
        _ => {
            let or = if names.is_empty() { String::new() } else { format!(" or a name such as `{}`", names[0]) };
            Err(BadCron(format!("{what}: `{text}` is not a number from {low} to {high}{or}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn cron(text: &str) -> Cron {
        text.parse().unwrap()
    }

    #[test]
    fn fields_are_those_of_crontab() {
        let c = cron("*/15 1-5,22 1 JAN-mar mon,7");
        assert_eq!(c.minutes.values().collect::<Vec<_>>(), [0, 15, 30, 45]);
        assert_eq!(c.hours.values().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 22]);
        assert_eq!(c.months.values().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(c.weekdays.values().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(cron("10-30/10 * * * *").minutes.values().collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(cron("0 0 * * 5-7").weekdays.values().collect::<Vec<_>>(), [0, 5, 6]);
        assert!(cron("0 0 * * *").weekdays.is_full() && cron("0 0 * * 0-7").weekdays.is_full());
        assert_eq!(cron("  30\t2  * * * ").text(), "30 2 * * *");
        assert!(cron("@daily").hours.has(0) && !cron("@daily").hours.has(1));
    }

    #[test]
    fn either_day_is_enough_when_both_are_named() {
        // Friday the 13th is not what crontab(5) makes of this.
        let both = cron("0 0 13 * fri");
        assert!(both.on(date(2026, 11, 13)) && both.on(date(2026, 11, 20)) && both.on(date(2026, 12, 13)));
        assert!(!both.on(date(2026, 12, 14)));
        // `*/2` begins with a star, so that both must hold.
        let stepped = cron("0 0 */2 * mon");
        assert!(stepped.on(date(2026, 11, 9)) && !stepped.on(date(2026, 11, 16)) && !stepped.on(date(2026, 11, 11)));
        assert!(cron("0 0 * * sun").on(date(2026, 11, 29)) && !cron("0 0 * * sun").on(date(2026, 11, 30)));
    }

    #[test]
    fn what_means_no_time_is_refused_by_name() {
        for (text, word) in [
            ("", "this has 0"),
            ("30 2 * *", "this has 4"),
            ("0 30 2 * * *", "this has 6"),
            ("60 2 * * *", "minute: `60` is not a number from 0 to 59"),
            ("0 24 * * *", "hour"),
            ("0 0 0 * *", "day of the month"),
            ("0 0 * 13 *", "or a name such as `jan`"),
            ("0 0 * * 8", "day of the week"),
            ("0 0 * * monday", "`monday`"),
            ("5/15 * * * *", "a step needs a range"),
            ("*/0 * * * *", "a step is a number"),
            ("22-4 * * * *", "runs backwards"),
            ("1,,2 * * * *", "minute: ``"),
            ("0 0 31 2,4 *", "has such a day"),
            ("@reboot", "no time of day"),
            ("@often * * * *", "minute: `@often`"),
            ("+5 * * * *", "`+5`"),
        ] {
            let said = text.parse::<Cron>().unwrap_err().to_string();
            assert!(said.contains(word), "{text}: {said}");
        }
        assert!("0 0 29 2 *".parse::<Cron>().is_ok() && "0 0 31 2 fri".parse::<Cron>().is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9*/,@a-z -]{0,40}") {
            if let Ok(cron) = text.parse::<Cron>() {
                prop_assert_eq!(cron.text().parse::<Cron>().unwrap(), cron);
            }
        }
    }
}
