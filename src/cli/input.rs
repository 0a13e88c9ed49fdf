//! Finds and reads fleet.yml and playbooks.

use std::io::IsTerminal;
use std::path::Path;
use std::path::PathBuf;

use crate::cli::Global;
use crate::cli::output;
use crate::playbook::Fleet;
use crate::playbook::Playbook;
use crate::playbook::Reading;
use crate::playbook::read_fleet;
use crate::playbook::read_playbook;
use crate::playbook::render::Look;

/// Largest file that is read: a fleet of thousands of jails is far below it.
const LIMIT: u64 = 4 << 20;

/// The fleet, and where it came from.
#[derive(Debug)]
pub struct FleetFile {
    /// What it says.
    pub fleet: Fleet,
    /// The ssh_config to use, if any.
    pub ssh_config: Option<PathBuf>,
}

/// Where a fleet is looked for when nobody names one, in order.
#[must_use]
pub fn places() -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("fleet.yml")];
    let configuration = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    places.extend(configuration.map(|p| p.join("jailferry/fleet.yml")));
    places.push("/usr/local/etc/jailferry/fleet.yml".into());
    places.push("/etc/jailferry/fleet.yml".into());
    places
}

/// The fleet's file: the one named, else the first that exists.
///
/// # Errors
/// A message for people.
pub fn fleet_path(named: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let places = places();
    places.iter().find(|p| p.exists()).cloned().ok_or_else(|| {
        format!(
            "no fleet.yml found; looked for {}\nwrite one (see playbooks/fleet.example.yml) or name it with --fleet",
            places.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
        )
    })
}

/// Reads a file whole, refusing what no fleet can be.
///
/// # Errors
/// A message for people.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let size = std::fs::metadata(path).map_err(told)?.len();
    if size > LIMIT {
        return Err(format!("{} has {size} bytes; more than {LIMIT} is no fleet and no playbook", path.display()));
    }
    std::fs::read(path).map_err(told)
}

/// How findings are drawn: colours only where a person sees them.
#[must_use]
pub fn look() -> Look {
    Look { colour: output::colour(std::io::stderr().is_terminal()), ..Look::default() }
}

/// Reads the fleet; what is wrong with it goes to standard error.
///
/// # Errors
/// When there is none, or it is refused: everything has been said already.
pub fn fleet(global: &Global) -> Result<FleetFile, ()> {
    let path = fleet_path(global.fleet.as_deref()).map_err(|message| output::complain(&message))?;
    fleet_at(global, &path)
}

/// Reads the fleet of that file.
///
/// # Errors
/// As [`fleet`].
pub fn fleet_at(global: &Global, path: &Path) -> Result<FleetFile, ()> {
    let bytes = read(path).map_err(|message| output::complain(&message))?;
    let fleet = said(read_fleet(&path.display().to_string(), &bytes)).ok_or(())?;
    let beside = |config: &PathBuf| match path.parent() {
        Some(folder) if config.is_relative() => folder.join(config),
        _ => config.clone(),
    };
    let ssh_config = global.ssh_config.clone().or_else(|| fleet.ssh_config.as_ref().map(beside));
    Ok(FleetFile { fleet, ssh_config })
}

/// Reads a playbook and the fleet it names.
///
/// # Errors
/// As [`fleet`].
pub fn playbook(global: &Global, path: &Path) -> Result<(Playbook, FleetFile), ()> {
    let bytes = read(path).map_err(|message| output::complain(&message))?;
    let name = path.display().to_string();
    let alone = said(read_playbook(&name, &bytes, None)).ok_or(())?;
    let fleet_path = match (&global.fleet, &alone.fleet) {
        (Some(named), _) => named.clone(),
        (None, Some(beside)) => path.parent().map_or_else(|| beside.clone(), |folder| folder.join(beside)),
        (None, None) => fleet_path(None).map_err(|message| output::complain(&message))?,
    };
    let fleet = fleet_at(global, &fleet_path)?;
    let playbook = said(read_playbook(&name, &bytes, Some(&fleet.fleet))).ok_or(())?;
    Ok((playbook, fleet))
}

fn said<T>(reading: Reading<T>) -> Option<T> {
    if !reading.report.is_clean() {
        output::error(&reading.report.render(look()));
    }
    reading.value
}
