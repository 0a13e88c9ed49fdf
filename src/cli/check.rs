//! `jailferry check`: are the files right? No host is asked.

use std::path::Path;
use std::path::PathBuf;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::output;
use crate::playbook::Fleet;
use crate::playbook::Kind;
use crate::playbook::Report;
use crate::playbook::kind_of;
use crate::playbook::read_fleet;
use crate::playbook::read_playbook;

/// What came of one file: its findings, and what kept it from being checked whole.
struct Checked {
    name: String,
    report: Option<Report>,
    problem: Option<String>,
}

pub(super) fn check(global: &Global, files: &[PathBuf]) -> Exit {
    let files = match (files, input::fleet_path(global.fleet.as_deref())) {
        ([], Ok(path)) => vec![path],
        ([], Err(message)) => {
            output::complain(&message);
            return Exit::BadInput;
        }
        (files, _) => files.to_vec(),
    };
    let all = check_all(global.fleet.as_deref(), &files);
    let shown = if global.json { machine(&all) } else { people(&all) };
    match shown {
        Err(()) => Exit::Internal,
        Ok(()) if all.iter().all(Checked::is_fine) => Exit::Done,
        Ok(()) => Exit::BadInput,
    }
}

/// Fleets first: playbooks are checked against the fleet that `--fleet` names, else their own, else one of `files`, else
/// that of the usual places, as `jailferry run` would.
fn check_all(named: Option<&Path>, files: &[PathBuf]) -> Vec<Checked> {
    let mut all = Vec::new();
    let mut playbooks = Vec::new();
    let mut beside: Option<Fleet> = None;
    for path in files {
        let name = path.display().to_string();
        match input::read(path) {
            Err(problem) => all.push(Checked { name, report: None, problem: Some(problem) }),
            Ok(bytes) if kind_of(&bytes) == Kind::Playbook => playbooks.push((path, name, bytes)),
            Ok(bytes) => {
                let reading = read_fleet(&name, &bytes);
                let named = reading.value.as_ref().and_then(|fleet| fleet.ssh_config.as_ref());
                let problem = named.and_then(|named| input::unreadable(&input::beside(path, named)));
                let problem = problem.map(|problem| format!("{name}: {problem}"));
                beside = reading.value.or(beside);
                all.push(Checked { name, report: Some(reading.report), problem });
            }
        }
    }
    for (path, name, bytes) in playbooks {
        let own = read_playbook(&name, &bytes, None).value.and_then(|p| p.fleet);
        let fleet = match (named, own) {
            (Some(fleet), _) => fleet_of(fleet).map(Some),
            (None, Some(own)) => fleet_of(&input::beside(path, &own)).map(Some),
            (None, None) if beside.is_some() => Ok(beside.clone()),
            (None, None) => input::fleet_path(None).and_then(|usual| fleet_of(&usual)).map(Some),
        };
        let (fleet, problem) = match fleet {
            Ok(fleet) => (fleet, None),
            Err(problem) => (None, Some(format!("{name}: its jails and nodes cannot be checked: {problem}"))),
        };
        let reading = read_playbook(&name, &bytes, fleet.as_ref());
        let unknown = reading.value.as_ref().and_then(input::unknown_zone).map(|error| format!("{name}: {error}"));
        all.push(Checked { report: Some(reading.report), name, problem: problem.or(unknown) });
    }
    all
}

fn fleet_of(path: &Path) -> Result<Fleet, String> {
    let name = path.display().to_string();
    read_fleet(&name, &input::read(path)?)
        .value
        .ok_or_else(|| format!("{name} is not valid; `jailferry check {name}` says why"))
}

impl Checked {
    fn is_fine(&self) -> bool {
        self.problem.is_none() && self.report.as_ref().is_none_or(|r| r.errors() == 0)
    }
}

fn machine(all: &[Checked]) -> Result<(), ()> {
    let mut findings = Vec::new();
    for one in all {
        for finding in one.report.iter().flat_map(Report::json) {
            findings.push(serde_json::to_value(finding).map_err(|_| ())?);
        }
        if let Some(problem) = &one.problem {
            findings.push(serde_json::json!({ "file": one.name, "severity": "error", "message": problem }));
        }
    }
    output::json(&findings).map_err(|_| ())
}

fn people(all: &[Checked]) -> Result<(), ()> {
    for one in all {
        if let Some(problem) = &one.problem {
            output::complain(problem);
        }
        match &one.report {
            Some(report) if !report.is_clean() => {
                output::error(&report.render(input::look()));
                output::error(&format!("{}: {} errors, {} warnings", one.name, report.errors(), report.warnings()));
            }
            Some(_) if one.problem.is_none() => output::say(&format!("{}: ok", one.name)),
            _ => {}
        }
    }
    Ok(())
}
