//! A plan as people read it: where things are, what speaks against it, every step with its exact commands and its undo.

use std::fmt::Write;

use crate::effect::Effect;
use crate::effect::command::Command;
use crate::model::DatasetName;
use crate::model::SnapshotLabel;
use crate::plan::Finding;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::hooks::Call;
use crate::plan::leases;
use crate::plan::preflight::bytes;
use crate::ui::paint::Paint;
use crate::ui::sanitize;

/// The whole plan as text, ending with a newline.
#[must_use]
pub fn render(plan: &Plan, paint: Paint) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(paint.bold(&format!("Run {}: jail {} from {} to {}", plan.run, plan.jail, plan.source, plan.target)));
    line(String::new());
    for sentence in &plan.summary {
        line(format!("  {sentence}"));
    }
    line(format!("  {}", blackout(plan)));
    if !plan.findings.is_empty() {
        line(String::new());
        line(paint.bold("Findings"));
        line(findings(&plan.findings, paint).trim_end().to_owned());
    }
    let beats = leases::beats(&plan.steps);
    if !beats.is_empty() {
        line(String::new());
        line(format!("  While it runs, these hosts hear a sign of life every {} s:", plan.beat_seconds()));
        for command in beats.values() {
            line(listing(command, "$", paint));
        }
    }
    if !plan.hooks.is_empty() {
        line(String::new());
        line("  The playbook's hooks; nothing undoes them:".to_owned());
        for hook in &plan.hooks {
            let failure = if hook.can_stop() { "a failure takes the move back" } else { "a failure is only told" };
            line(format!("    {} (at most {} s; {failure})", hook.title(), hook.timeout));
            if let Call::There(command) = &hook.what {
                line(listing(command, "$", paint));
            }
        }
    }
    if plan.steps.iter().any(|s| s.alongside) {
        line(String::new());
        line("  ~ runs at the same time as the step before it; a host does one thing after the other".to_owned());
    }
    let mut phase: Option<Phase> = None;
    let mut told: Vec<(&DatasetName, usize, &SnapshotLabel)> = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if phase != Some(step.phase) {
            phase = Some(step.phase);
            line(String::new());
            line(paint.bold(step.phase.title()));
        }
        let mark = if step.alongside { '~' } else { ' ' };
        line(format!("{:>3}{mark} {}: {}", index + 1, step.host(), step.title));
        for change in &step.changes {
            if !change.before.is_empty() {
                line(format!("       {}", paint.red(&format!("- {}: {}", change.what, change.before))));
            }
            if !change.after.is_empty() {
                line(format!("       {}", paint.green(&format!("+ {}: {}", change.what, change.after))));
            }
        }
        let why = step.asks_why();
        for command in step.commands() {
            let mark = if Some(&command) == why.as_ref() { "if it fails, $" } else { "$" };
            line(listing(&command, mark, paint));
        }
        for command in step.asks_beside() {
            line(listing(&command, "beside it, $", paint));
        }
        if let Effect::Transfer(transfer) = &step.effect {
            // One listing a dataset: for its later snapshots the commands are the same but for the name. Of several in
            // one stream they are others.
            let alone = transfer.through.is_empty();
            match told.iter().find(|(into, ..)| alone && *into == &transfer.into) {
                Some((_, number, label)) => line(paint.dim(&format!(
                    "       if it breaks: as step {number}, with @{} in the place of @{label}",
                    transfer.label
                ))),
                None => {
                    for command in step.commands_behind_a_break() {
                        line(listing(&command, "if it breaks, $", paint));
                    }
                    if alone {
                        told.push((&transfer.into, index + 1, &transfer.label));
                    }
                }
            }
        }
        if step.undo.is_empty() {
            continue;
        }
        let undo = step.undo_commands();
        if step.phase == Phase::Persist {
            continue;
        }
        for command in undo {
            line(listing(&command, "undo", paint));
        }
    }
    out
}

/// Findings, one a paragraph.
#[must_use]
pub fn findings(findings: &[Finding], paint: Paint) -> String {
    let mut out = String::new();
    for finding in findings {
        let (mark, text) = match finding.severity {
            Severity::Error => ("error", paint.red(&format!("error[{}]", finding.code))),
            Severity::Warning => ("warning", paint.yellow(&format!("warning[{}]", finding.code))),
            Severity::Note => ("note", format!("note[{}]", finding.code)),
        };
        let host = finding.host.as_ref().map(|h| format!("{h}: ")).unwrap_or_default();
        let _ = writeln!(out, "  {text} {host}{}", sanitize::line(&finding.what));
        if !finding.fix.is_empty() {
            let label = if mark == "note" { "note" } else { "fix" };
            let _ = writeln!(out, "    {label}: {}", sanitize::line(&finding.fix));
        }
        out.push_str(&remedies(finding));
    }
    out
}

/// What to type and what to write, never broken into several lines.
#[must_use]
pub fn remedies(finding: &Finding) -> String {
    let mut out = String::new();
    for line in &finding.lines {
        let (file, place) = (sanitize::line(&line.file), sanitize::line(&line.place));
        let _ = writeln!(out, "      {}:{file}, {place}:\n        {}", line.host, sanitize::line(&line.line));
    }
    for remedy in &finding.commands {
        let _ = writeln!(out, "      {}# {}", remedy.host, sanitize::line(&remedy.command));
    }
    out
}

/// A command with its host, every line of it, so that nothing is hidden.
fn listing(command: &Command, mark: &str, paint: Paint) -> String {
    let text = command.text();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut out = paint.dim(&format!("       {mark} {}: {first}", command.host));
    for more in lines {
        out.push('\n');
        out.push_str(&paint.dim(&format!("         {more}")));
    }
    out
}

/// 3456 → `3.5 s`.
#[must_use]
pub fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// What a finished transfer looks like.
#[must_use]
pub fn rate(count: u64, milliseconds: u64) -> String {
    let per_second = count.saturating_mul(1000).checked_div(milliseconds.max(1)).unwrap_or(0);
    format!("{} in {} ({}/s)", bytes(count), seconds(milliseconds), bytes(per_second))
}

/// The plan without its commands, for the question before a run.
#[must_use]
pub fn essence(plan: &Plan, paint: Paint) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}",
        paint.bold(&format!("Run {}: jail {} from {} to {}", plan.run, plan.jail, plan.source, plan.target))
    );
    for sentence in &plan.summary {
        let _ = writeln!(out, "  {sentence}");
    }
    for change in plan.steps.iter().flat_map(|s| &s.changes) {
        let before = if change.before.is_empty() { "nothing" } else { &change.before };
        let after = if change.after.is_empty() { "nothing" } else { &change.after };
        let _ = writeln!(out, "  {}: {} → {}", change.what, paint.red(before), paint.green(after));
    }
    let _ = write!(out, "{}", findings(&plan.findings, paint));
    let _ = writeln!(out, "  {}; all commands: jailferry plan {} {}", blackout(plan), plan.jail, plan.target);
    out
}

/// What is expected, and why.
fn blackout(plan: &Plan) -> String {
    let forecast = &plan.forecast;
    let copy = |(rate, why): (u64, &str)| {
        let milliseconds = u128::from(plan.bytes) * 1000 / u128::from(rate.max(1));
        let length = seconds(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        format!("copy about {length} ({}/s, {why}), ", bytes(rate))
    };
    let measured = forecast.carries.map(|rate| (rate, "as before"));
    let limited = plan.rate_limit().map(|rate| (rate, "as `rate_limit` says"));
    let copy = measured.into_iter().chain(limited).min().map(copy).unwrap_or_default();
    format!("{copy}blackout about {} ({})", seconds(plan.predicted_blackout), forecast.why(&plan.jail))
}

/// The plan for machines: itself, with the exact commands of each step and its undo.
#[must_use]
pub fn machine(plan: &Plan) -> serde_json::Value {
    let commands = |commands: Vec<Command>| -> Vec<serde_json::Value> {
        commands
            .iter()
            .map(|c| serde_json::json!({ "host": c.host, "command": c.text(), "timeout_seconds": c.timeout }))
            .collect()
    };
    let steps: Vec<serde_json::Value> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let why = step.asks_why();
            serde_json::json!({
                "number": index + 1,
                "phase": step.phase,
                "host": step.host(),
                "title": step.title,
                "changes": step.changes,
                "commands": commands(step.commands().into_iter().filter(|c| Some(c) != why.as_ref()).collect()),
                "commands_beside": commands(step.asks_beside()),
                "commands_if_it_fails": commands(why.iter().cloned().collect()),
                "commands_if_it_breaks": commands(step.commands_behind_a_break()),
                "undo": commands(step.undo_commands()),
            })
        })
        .collect();
    serde_json::json!({
        "format": plan.format,
        "run": plan.run,
        "jail": plan.jail,
        "source": plan.source,
        "target": plan.target,
        "hub": plan.hub,
        "refused": plan.refused(),
        "summary": plan.summary,
        "findings": plan.findings,
        "bytes": plan.bytes,
        "predicted_blackout_milliseconds": plan.predicted_blackout,
        "forecast": plan.forecast,
        "point_of_no_return": plan.point_of_no_return() + 1,
        "owner": plan.owner,
        "lease_seconds": plan.lease,
        "beat_seconds": plan.beat_seconds(),
        "beats": commands(leases::beats(&plan.steps).into_values().collect()),
        "hooks": plan.hooks,
        "steps": steps,
    })
}
