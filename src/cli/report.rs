//! `jailferry report`: a run as one page, or as JSON.

use std::io;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::known;
use crate::cli::output;
use crate::model::RunId;
use crate::report::Report;
use crate::report::page::is_page;
use crate::report::page::page;
use crate::saga::journal::FoundRun;
use crate::ui::sanitize;

pub(super) fn report(global: &Global, wanted: &str, html: Option<&Path>, open: bool) -> Exit {
    if html.is_none() && !global.json {
        output::complain("say what to make: --html FILE, or --json");
        return Exit::BadInput;
    }
    let found = match find(wanted) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let record = match &found.record {
        Ok(record) => record,
        Err(error) => {
            output::complain(&error.to_string());
            return Exit::Internal;
        }
    };
    let report = Report::of(record, found.active);
    if let Some(path) = html {
        if let Err(message) = write(path, &page(&report)) {
            output::complain(&format!("the page cannot be written to {}: {message}", path.display()));
            return Exit::Internal;
        }
        // With --json nothing but JSON goes to standard output.
        if !global.json {
            output::say(&format!("wrote {}", path.display()));
        }
        if open && let Err(message) = show(path) {
            output::complain(&message);
            return Exit::Internal;
        }
    }
    if global.json && output::json(&report).is_err() {
        return Exit::Internal;
    }
    Exit::Done
}

/// Writes the page, for its owner only: it has every command of the run with its output. Only an earlier page is replaced,
/// and at once as a whole.
fn write(path: &Path, page: &str) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(text(error)),
        // A pipe or a terminal.
        Ok(there) if !there.is_file() => return std::fs::write(path, page).map_err(text),
        Ok(_) if is_page(&std::fs::read(path).map_err(text)?) => {}
        Ok(_) => return Err("there is a file that is no report; name another, or remove it".to_owned()),
    }
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A temporary file is its owner's alone (mode 0600), and stays so.
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(text)?;
    new.write_all(page.as_bytes()).map_err(text)?;
    new.persist(&path).map(|_| ()).map_err(|e| text(e.error))
}

fn find(wanted: &str) -> Result<FoundRun, Exit> {
    let runs = known::runs()?;
    let one = if wanted == "last" {
        runs.into_iter().next_back()
    } else {
        let id = RunId::new(wanted).map_err(|error| {
            output::complain(&error.to_string());
            Exit::BadInput
        })?;
        runs.into_iter().find(|f| f.run == id)
    };
    one.ok_or_else(|| {
        output::complain(&format!("no run {}; `jailferry runs` lists them", sanitize::line(wanted)));
        Exit::BadInput
    })
}

/// Hands the page to whatever shows pages here: `$BROWSER`, else what the desktop has.
fn show(path: &Path) -> Result<(), String> {
    let path = std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let own = std::env::var_os("BROWSER").filter(|b| !b.is_empty());
    let programs = own.into_iter().chain(["xdg-open", "open"].map(Into::into));
    for program in programs {
        let started =
            Command::new(&program).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match started {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", program.display())),
        }
    }
    Err(format!("nothing here shows pages (no $BROWSER, xdg-open or open): look at {}", path.display()))
}
