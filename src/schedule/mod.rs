//! When playbooks run: what a `schedule:` says, which instants it means, and what is to be done now. Pure: the time is an
//! argument, so that every odd hour (missed runs, daylight saving, clocks that jump) is tested without waiting for it.
//!
//! - [`cron`]: the five fields; [`window`]: the hours in which a run may begin;
//! - [`calendar`]: the instants that the fields mean in a time zone, through days with 23 or 25 hours;
//! - [`decide`](mod@decide): run, leave out, or wait, always with the reason;
//! - [`mod@print`]: the same schedule for cron(8), periodic(8) and systemd;
//! - [`standing`]: what is remembered between two looks, and told to people; [`metrics`]: to Prometheus.
//!
//! `cli::schedule` has the clock, the files and the processes.

pub mod calendar;
pub mod cron;
pub mod decide;
#[cfg(test)]
mod decide_tests;
pub mod metrics;
pub mod print;
pub mod rules;
pub mod standing;
pub mod window;

pub use cron::Cron;
pub use decide::Decision;
pub use decide::decide;
pub use rules::CatchUp;
pub use rules::Schedule;
pub use rules::ZoneName;
