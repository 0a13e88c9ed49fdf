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

pub(super) fn check(global: &Global, files: &[PathBuf]) -> Exit {
    let files = if files.is_empty() {
        match input::fleet_path(global.fleet.as_deref()) {
            Ok(path) => vec![path],
            Err(message) => {
                output::complain(&message);
                return Exit::BadInput;
            }
        }
    } else {
        files.to_vec()
    };
    // Playbooks are checked against the fleet that is named or checked with them, so that unknown nodes are found.
    let mut fleet: Option<Fleet> = global.fleet.as_deref().and_then(|path| {
        let bytes = input::read(path).ok()?;
        read_fleet(&path.display().to_string(), &bytes).value
    });
    let mut read = Vec::new();
    let mut unreadable = false;
    for path in files {
        match input::read(&path) {
            Ok(bytes) => read.push((path.display().to_string(), bytes)),
            Err(message) => {
                output::complain(&message);
                unreadable = true;
            }
        }
    }
    read.sort_by_key(|(_, bytes)| kind_of(bytes) == Kind::Playbook);
    let mut reports: Vec<(String, Report)> = Vec::new();
    for (name, bytes) in read {
        match kind_of(&bytes) {
            Kind::Fleet => {
                let reading = read_fleet(&name, &bytes);
                fleet = reading.value.or(fleet);
                reports.push((name, reading.report));
            }
            Kind::Playbook => {
                let own = named_fleet(&name, &bytes).unwrap_or_else(|message| {
                    output::complain(&message);
                    unreadable = true;
                    None
                });
                reports.push((name.clone(), read_playbook(&name, &bytes, own.as_ref().or(fleet.as_ref())).report));
            }
        }
    }
    let errors: usize = reports.iter().map(|(_, r)| r.errors()).sum();
    if global.json {
        let all: Vec<_> = reports.iter().flat_map(|(_, r)| r.json()).collect();
        if output::json(&all).is_err() {
            return Exit::Internal;
        }
    } else {
        for (name, report) in &reports {
            if report.is_clean() {
                output::say(&format!("{name}: ok"));
            } else {
                output::error(&report.render(input::look()));
                output::error(&format!("{name}: {} errors, {} warnings", report.errors(), report.warnings()));
            }
        }
    }
    if errors > 0 || unreadable { Exit::BadInput } else { Exit::Done }
}

/// The fleet that a playbook names, relative to the playbook; `None` when it names none.
fn named_fleet(playbook: &str, bytes: &[u8]) -> Result<Option<Fleet>, String> {
    let Some(named) = read_playbook(playbook, bytes, None).value.and_then(|p| p.fleet) else { return Ok(None) };
    let path = Path::new(playbook).parent().unwrap_or(Path::new("")).join(named);
    let shown = path.display().to_string();
    match read_fleet(&shown, &input::read(&path)?).value {
        Some(fleet) => Ok(Some(fleet)),
        None => Err(format!("{playbook} names {shown}, which is not valid: jailferry check {shown}")),
    }
}
