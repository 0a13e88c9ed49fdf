//! Nodes that are being emptied, as this machine remembers them: a small file each, beside the journals.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::cli::Exit;
use crate::cli::output;
use crate::model::NodeName;
use crate::saga::journal;

/// How a mark's file is called: the node and this.
const SUFFIX: &str = ".drained";

fn folder() -> Result<PathBuf, Exit> {
    let runs = journal::runs_directory().map_err(|error| failed(&error.to_string()))?;
    Ok(runs.parent().unwrap_or(&runs).join("drained"))
}

fn failed(message: &str) -> Exit {
    output::complain(message);
    Exit::Internal
}

/// All marked nodes, and since when.
///
/// # Errors
/// When the folder cannot be read; it has been said.
pub(super) fn all() -> Result<BTreeMap<NodeName, Timestamp>, Exit> {
    let folder = folder()?;
    let told = |error: io::Error| failed(&format!("{}: {error}", folder.display()));
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other.map_err(told)?,
    };
    let mut marks = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(told)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(SUFFIX));
        let Some(node) = name.and_then(|n| NodeName::new(n).ok()) else { continue };
        let text = fs::read_to_string(&path).map_err(told)?;
        let since = text.trim().parse().map_err(|error| failed(&format!("{}: {error}", path.display())))?;
        marks.insert(node, since);
    }
    Ok(marks)
}

/// Marks a node. One that is marked already stays marked since then.
///
/// # Errors
/// When that cannot be written; it has been said.
pub(super) fn set(node: &NodeName) -> Result<(), Exit> {
    if all()?.contains_key(node) {
        return Ok(());
    }
    let folder = folder()?;
    let path = folder.join(format!("{node}{SUFFIX}"));
    let write = || -> io::Result<()> {
        fs::create_dir_all(&folder)?;
        let mut new = tempfile::NamedTempFile::new_in(&folder)?;
        writeln!(new, "{}", Timestamp::now())?;
        new.as_file().sync_all()?;
        new.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| failed(&format!("{}: {error}", path.display())))
}

/// Takes the mark away.
///
/// # Errors
/// When that fails; it has been said.
pub(super) fn clear(node: &NodeName) -> Result<(), Exit> {
    let path = folder()?.join(format!("{node}{SUFFIX}"));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&format!("{}: {error}", path.display()))),
        _ => Ok(()),
    }
}
