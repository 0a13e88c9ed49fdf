//! `jailferry runs` and `jailferry show`: what the journals say.

use std::fmt::Write;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::output;
use crate::model::RunId;
use crate::plan::Plan;
use crate::saga::Record;
use crate::saga::RunRecord;
use crate::saga::StepState;
use crate::saga::journal;
use crate::saga::journal::FoundRun;
use crate::ui::sanitize;

pub(super) fn runs(global: &Global) -> Exit {
    let found = match list() {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    if global.json {
        let all: Vec<_> = found
            .iter()
            .map(|f| match &f.record {
                Ok(r) => serde_json::json!({
                    "run": f.run, "jail": r.header.jail, "from": r.header.from, "to": r.header.to,
                    "started": r.started.to_string(), "outcome": outcome(f, r),
                }),
                Err(error) => serde_json::json!({ "run": f.run, "error": error.to_string() }),
            })
            .collect();
        return if output::json(&all).is_ok() { Exit::Done } else { Exit::Internal };
    }
    if found.is_empty() {
        output::say("No runs yet.");
    }
    for f in &found {
        match &f.record {
            Ok(r) => output::say(&format!(
                "{}  {}  {} from {} to {}  {}",
                r.started.strftime("%Y-%m-%d %H:%M:%SZ"),
                f.run,
                r.header.jail,
                r.header.from,
                r.header.to,
                outcome(f, r)
            )),
            Err(error) => output::say(&format!("{}  {error}", f.run)),
        }
    }
    Exit::Done
}

pub(super) fn show(global: &Global, wanted: &str) -> Exit {
    let found = match list() {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let one = if wanted == "last" {
        found.into_iter().max_by_key(|f| f.record.as_ref().map(|r| r.started).unwrap_or_default())
    } else {
        match RunId::new(wanted) {
            Ok(id) => found.into_iter().find(|f| f.run == id),
            Err(error) => {
                output::complain(&error.to_string());
                return Exit::BadInput;
            }
        }
    };
    let Some(one) = one else {
        output::complain(&format!("no run {}; `jailferry runs` lists them", sanitize::line(wanted)));
        return Exit::BadInput;
    };
    let record = match &one.record {
        Ok(record) => record,
        Err(error) => {
            output::complain(&format!("{}: {error}", one.path.display()));
            return Exit::Internal;
        }
    };
    if global.json {
        return if output::json(&record.entries).is_ok() { Exit::Done } else { Exit::Internal };
    }
    output::say(&text(&one, record));
    Exit::Done
}

fn list() -> Result<Vec<FoundRun>, Exit> {
    let listed = journal::runs_directory().and_then(|folder| journal::list_runs(&folder));
    let mut found = listed.map_err(|error| {
        output::complain(&error.to_string());
        Exit::Internal
    })?;
    found.sort_by_key(|f| f.record.as_ref().map(|r| r.started).unwrap_or_default());
    Ok(found)
}

fn outcome(found: &FoundRun, record: &RunRecord) -> String {
    match (&record.finished, found.active) {
        (Some(finished), _) => finished.outcome.clone(),
        (None, true) => "running".into(),
        (None, false) => "interrupted".into(),
    }
}

fn text(found: &FoundRun, record: &RunRecord) -> String {
    let mut out = String::new();
    let header = &record.header;
    let _ = writeln!(
        out,
        "Run {}: jail {} from {} to {}: {}",
        header.run,
        header.jail,
        header.from,
        header.to,
        outcome(found, record)
    );
    let _ = writeln!(out, "  journal {}", found.path.display());
    let titles: Vec<String> = serde_json::from_value::<Plan>(header.plan.clone())
        .map(|plan| plan.steps.iter().map(|s| format!("{}: {}", s.host(), s.title)).collect())
        .unwrap_or_default();
    for (index, title) in titles.iter().enumerate() {
        let state = record.state(index + 1);
        if state != StepState::NeverStarted {
            let _ = writeln!(out, "{:>4}  {state:<13} {title}", index + 1);
        }
    }
    for entry in &record.entries {
        match &entry.what {
            Record::Command(c) => {
                let status = c.status.map_or_else(|| "no status".to_owned(), |s| format!("exit {s}"));
                let _ = writeln!(
                    out,
                    "{} {} {status} {} ms: {}",
                    entry.at.strftime("%H:%M:%S"),
                    c.host,
                    c.milliseconds,
                    sanitize::line(&c.line)
                );
                for line in c.stdin.iter().flat_map(|s| s.lines()) {
                    let _ = writeln!(out, "    | {}", sanitize::line(line));
                }
                for line in c.stdout.lines().chain(c.stderr.lines()) {
                    let _ = writeln!(out, "    > {}", sanitize::line(line));
                }
            }
            Record::Step(s) => {
                let reason = s.reason.as_deref().map(|r| format!(": {}", sanitize::line(r))).unwrap_or_default();
                let _ = writeln!(out, "{} step {} {}{reason}", entry.at.strftime("%H:%M:%S"), s.number, s.phase);
            }
            Record::Note(note) => {
                let _ = writeln!(out, "{} {}", entry.at.strftime("%H:%M:%S"), sanitize::line(&note.text));
            }
            Record::Plan(_) => {
                let _ = writeln!(out, "{} planned anew from here", entry.at.strftime("%H:%M:%S"));
            }
            Record::Header(_) | Record::Finished(_) => {}
        }
    }
    out
}
