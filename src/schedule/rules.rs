//! `schedule:` of a playbook, as a value.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::Date;
use serde::Deserialize;
use serde::Serialize;

use crate::playbook::DurationText;
use crate::playbook::batch::WindowText;
use crate::playbook::window::Window;
use crate::schedule::cron::Cron;
use crate::schedule::window;

/// When `jailferry schedule` runs this playbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Schedule {
    /// The five fields of crontab(5): minute, hour, day of the month, month, day of the week, such as `30 2 * * *`; or
    /// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[schemars(with = "String")]
    pub cron: Cron,
    /// The time zone whose clocks these fields and the windows mean, such as `Europe/Rome`. Without it, that of the
    /// machine which runs `jailferry schedule`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub time_zone: Option<ZoneName>,
    /// Hours in which a run may begin, such as `mon-fri 01:00-05:00`. A run that is under way when they end goes on.
    /// Without them, any time.
    #[serde(default)]
    #[schemars(with = "Option<Vec<WindowText>>")]
    pub windows: Vec<Window>,
    /// Begin up to that much later, by a length that differs from machine to machine and from run to run, such as
    /// `10 min`. Without it, none.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub jitter: Option<SignedDuration>,
    /// When the run before is still under way: `true` leaves this one out, `false` lets it wait. Without it, `true`.
    #[serde(default)]
    pub skip_if_running: Option<bool>,
    /// Runs that were missed, since nobody was there at their time: `none` leaves them out, `once` makes up for all of
    /// them with one run. Without it, `none`.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Missed runs older than this are not made up for, such as `12h`. Without it, only the next run ends it.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub catch_up_within: Option<SignedDuration>,
    /// After each run, `jailferry finalize` the runs that this schedule started and that are older than `keep`: the
    /// copies they left behind are destroyed. Without it, `false`.
    #[serde(default)]
    pub finalize: Option<bool>,
}

/// What becomes of missed runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// They are left out.
    #[default]
    None,
    /// One run makes up for all of them.
    Once,
}

impl Schedule {
    /// Is a run left out while the one before is under way?
    #[must_use]
    pub fn skips_if_running(&self) -> bool {
        self.skip_if_running.unwrap_or(true)
    }

    /// Does any instant of the fields lie in a window? By civil time, so without asking which time zone it is.
    #[must_use]
    pub fn can_ever_run(&self) -> bool {
        if self.windows.is_empty() {
            return true;
        }
        // 28 years hold every date on every day of the week.
        let mut day = Date::constant(2024, 1, 1);
        for _ in 0..28 * 366 {
            if self.cron.on(day) {
                for hour in self.cron.hours.values() {
                    for minute in self.cron.minutes.values() {
                        let (Ok(h), Ok(m)) = (i8::try_from(hour), i8::try_from(minute)) else { continue };
                        if window::any_open_at(&self.windows, day.at(h, m, 0, 0)) {
                            return true;
                        }
                    }
                }
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        false
    }
}

/// The name of a time zone as tz(5)'s database has it. Whether this machine knows it is asked where it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneName(String);

impl ZoneName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("such as Europe/Rome, America/New_York or UTC")]
pub struct BadZone;

impl FromStr for ZoneName {
    type Err = BadZone;
    fn from_str(text: &str) -> Result<ZoneName, BadZone> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
        let parts =
            text.split('/').all(|part| part.chars().all(plain) && part.starts_with(|c: char| c.is_ascii_alphabetic()));
        // `CET-1CEST` is a rule, and `+02:00` knows no summer.
        if parts && text.len() <= 64 { Ok(ZoneName(text.to_owned())) } else { Err(BadZone) }
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<ZoneName> for String {
    fn from(name: ZoneName) -> String {
        name.0
    }
}

impl TryFrom<String> for ZoneName {
    type Error = BadZone;
    fn try_from(text: String) -> Result<ZoneName, BadZone> {
        text.parse()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn every(cron: &str) -> Schedule {
        Schedule {
            cron: cron.parse().unwrap(),
            time_zone: None,
            windows: vec![],
            jitter: None,
            skip_if_running: None,
            catch_up: CatchUp::None,
            catch_up_within: None,
            finalize: None,
        }
    }

    #[test]
    fn windows_that_no_run_can_meet_are_seen() {
        let with = |cron: &str, window: &str| Schedule { windows: vec![window.parse().unwrap()], ..every(cron) };
        assert!(with("30 2 * * *", "mon-fri 01:00-05:00").can_ever_run());
        assert!(!with("30 6 * * *", "mon-fri 01:00-05:00").can_ever_run());
        assert!(!with("30 2 * * sun", "mon-fri 01:00-05:00").can_ever_run());
        // 29 February is a Saturday in 2048.
        assert!(with("30 2 29 2 *", "sat 01:00-05:00").can_ever_run());
        assert!(with("0 0 * * *", "22:00-04:00").can_ever_run());
    }

    #[test]
    fn names_of_time_zones() {
        for good in ["UTC", "Europe/Rome", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(good.parse::<ZoneName>().is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "Europe//Rome", "+02:00", "Europe/Rome\n", "a b", "-x"] {
            assert!(bad.parse::<ZoneName>().is_err(), "{bad}");
        }
    }
}
