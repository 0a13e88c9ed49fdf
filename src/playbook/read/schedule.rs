//! Reads `schedule:` of a playbook.

use std::fmt::Display;
use std::str::FromStr;

use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::read::options::duration;
use crate::playbook::reader::Fields;
use crate::playbook::reader::Problem;
use crate::playbook::reader::choice;
use crate::playbook::reader::list;
use crate::playbook::reader::scalar;
use crate::playbook::yaml::Located;
use crate::schedule::CatchUp;
use crate::schedule::Schedule;

const YES_OR_NO: &[(&str, bool)] = &[("true", true), ("false", false)];

/// The schedule of a playbook.
pub(crate) fn schedule(node: &Located, findings: &mut Findings) -> Option<Schedule> {
    const POLICIES: &[(&str, CatchUp)] = &[("none", CatchUp::None), ("once", CatchUp::Once)];
    let mut fields = Fields::of(node, "a schedule", findings)?;
    let cron = fields.require("cron", "when? such as `cron: \"30 2 * * *\"`", findings);
    let cron = cron.and_then(|n| parsed(n, "five fields of crontab(5)", findings));
    let time_zone = fields.get("time_zone").and_then(|n| parsed(n, "the name of a time zone", findings));
    let windows_at = fields.at("windows");
    let windows = fields.get("windows").and_then(|n| list(n, "a list of windows", findings)).unwrap_or_default();
    let windows = windows.iter().filter_map(|n| parsed(n, "a window", findings)).collect();
    let jitter = fields.get("jitter").and_then(|n| duration(n, findings));
    let skip_if_running = fields.get("skip_if_running").and_then(|n| choice(n, "true or false", YES_OR_NO, findings));
    let catch_up = fields.get("catch_up").map(|n| choice(n, "a policy for missed runs", POLICIES, findings));
    // What was written wrong has been said, and is no `none`.
    let catches_nothing = catch_up.is_none_or(|policy| policy == Some(CatchUp::None));
    let catch_up = catch_up.flatten().unwrap_or_default();
    let within_at = fields.at("catch_up_within");
    let catch_up_within = fields.get("catch_up_within").and_then(|n| duration(n, findings));
    let finalize = fields.get("finalize").and_then(|n| choice(n, "true or false", YES_OR_NO, findings));
    fields.finish(findings);
    if let (Some(_), Some(at), true) = (catch_up_within, within_at, catches_nothing) {
        let finding = Diagnostic::error("`catch_up_within` without catching up", at).label("nothing is made up for");
        findings.push(finding.hint("add `catch_up: once`, or take this line out"));
    }
    let schedule =
        Schedule { cron: cron?, time_zone, windows, jitter, skip_if_running, catch_up, catch_up_within, finalize };
    if let Some(at) = windows_at.filter(|_| !findings.refuse() && !schedule.can_ever_run()) {
        let label = format!("none of them is open at any time of `{}`", schedule.cron);
        let finding = Diagnostic::error("a schedule that never runs", at).label(label);
        findings.push(finding.hint("let a window hold the times of `cron`, with room for the jitter"));
    }
    Some(schedule)
}

/// One line that a type reads by itself.
fn parsed<T>(node: &Located, what: &str, findings: &mut Findings) -> Option<T>
where
    T: FromStr<Err: Display>,
{
    scalar(node, what, findings, |text| {
        text.parse().map_err(|error: T::Err| {
            let shown: String = text.chars().take(80).collect();
            Problem::new(format!("`{shown}` is not {what}"), error.to_string())
        })
    })
}
