//! Finds and reads fleet.yml and playbooks.

use std::io::ErrorKind;
use std::io::IsTerminal;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::cli::Global;
use crate::cli::output;
use crate::playbook::Fleet;
use crate::playbook::Playbook;
use crate::playbook::Reading;
use crate::playbook::read_fleet;
use crate::playbook::read_playbook;
use crate::playbook::render::Look;
use crate::playbook::source::LONGEST_FILE;

/// The fleet, and where it came from.
#[derive(Debug)]
pub struct FleetFile {
    /// What it says.
    pub fleet: Fleet,
    /// Its file.
    pub path: PathBuf,
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
    // One that is there and cannot be read is the one that is meant: no other takes its place without a word.
    let absent = |p: &PathBuf| {
        std::fs::symlink_metadata(p).is_err_and(|e| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
    };
    places.iter().find(|p| !absent(p)).cloned().ok_or_else(|| {
        format!(
            "no fleet.yml found; looked for {}\nwrite one (see playbooks/fleet.example.yml) or name it with --fleet",
            places.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
        )
    })
}

/// Reads a file whole, but never more than the reader of fleets and playbooks takes: a device or a wrong file has no end.
///
/// # Errors
/// A message for people.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    let longest = u64::try_from(LONGEST_FILE).unwrap_or(u64::MAX);
    std::fs::File::open(path).map_err(told)?.take(longest + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() > LONGEST_FILE {
        return Err(format!(
            "{} is longer than the {LONGEST_FILE} bytes that are read: is this the right file?",
            path.display()
        ));
    }
    Ok(bytes)
}

/// A path that a file names: relative to that file's folder, `~/` being the home directory as in a shell.
#[must_use]
pub fn beside(file: &Path, named: &Path) -> PathBuf {
    if let (Ok(rest), Some(home)) = (named.strip_prefix("~"), std::env::var_os("HOME")) {
        return Path::new(&home).join(rest);
    }
    file.parent().unwrap_or(Path::new("")).join(named)
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
pub(super) fn fleet(global: &Global) -> Result<FleetFile, ()> {
    let path = fleet_path(global.fleet.as_deref()).map_err(|message| output::complain(&message))?;
    fleet_at(global, &path)
}

/// Reads the fleet of that file.
///
/// # Errors
/// As [`fleet`].
pub(super) fn fleet_at(global: &Global, path: &Path) -> Result<FleetFile, ()> {
    let bytes = read(path).map_err(|message| output::complain(&message))?;
    let fleet = said(read_fleet(&path.display().to_string(), &bytes)).ok_or(())?;
    let ssh_config = global.ssh_config.clone().or_else(|| fleet.ssh_config.as_ref().map(|named| beside(path, named)));
    if let Some(problem) = ssh_config.as_deref().and_then(unreadable) {
        output::complain(&problem);
        return Err(());
    }
    Ok(FleetFile { fleet, path: path.to_owned(), ssh_config })
}

/// Why ssh(1) would not read that configuration, on every host anew; `None` when it would.
pub(super) fn unreadable(ssh_config: &Path) -> Option<String> {
    let error = std::fs::File::open(ssh_config).err()?;
    Some(format!("ssh_config {} cannot be read: {error}", ssh_config.display()))
}

/// Reads a playbook and the fleet it names.
///
/// # Errors
/// As [`fleet`].
pub(super) fn playbook(global: &Global, path: &Path) -> Result<(Playbook, FleetFile), ()> {
    let bytes = read(path).map_err(|message| output::complain(&message))?;
    let name = path.display().to_string();
    let alone = said(read_playbook(&name, &bytes, None)).ok_or(())?;
    let fleet_path = match (&global.fleet, &alone.fleet) {
        (Some(named), _) => named.clone(),
        (None, Some(named)) => beside(path, named),
        (None, None) => fleet_path(None).map_err(|message| output::complain(&message))?,
    };
    let fleet = fleet_at(global, &fleet_path)?;
    let playbook = said(read_playbook(&name, &bytes, Some(&fleet.fleet))).ok_or(())?;
    if let Some(problem) = unknown_zone(&playbook) {
        output::complain(&format!("{name}: {problem}"));
        return Err(());
    }
    Ok((playbook, fleet))
}

/// What is wrong with the time zones that a playbook names: only the machine that runs it knows which there are.
pub(super) fn unknown_zone(playbook: &Playbook) -> Option<String> {
    let schedule = playbook.schedule.as_ref().and_then(|s| s.time_zone.as_ref()).map(ToString::to_string);
    let all = playbook.batch.time_zone.clone().into_iter().chain(schedule);
    all.into_iter().find_map(|name| zone(&name).err())
}

/// The time zone of that name.
///
/// # Errors
/// A message for people.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        format!("this machine knows no time zone {name} (is its name right? are the files of tzdata here?)")
    })
}

fn said<T>(reading: Reading<T>) -> Option<T> {
    if !reading.report.is_clean() {
        output::error(&reading.report.render(look()));
    }
    reading.value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_a_file_are_relative_to_it() {
        let file = Path::new("/etc/jailferry/fleet.yml");
        assert_eq!(beside(file, Path::new("ssh_config")), Path::new("/etc/jailferry/ssh_config"));
        assert_eq!(beside(file, Path::new("/root/c")), Path::new("/root/c"));
        assert_eq!(beside(Path::new("fleet.yml"), Path::new("c")), Path::new("c"));
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap();
        assert_eq!(beside(file, Path::new("~/.ssh/lab")), home.join(".ssh/lab"));
        // ~other is a shell's business; as a name it is just a file.
        assert_eq!(beside(file, Path::new("~other/c")), Path::new("/etc/jailferry/~other/c"));
    }

    #[test]
    fn a_zone_that_is_not_known_is_said() {
        let error = zone("Europe/Atlantis").unwrap_err();
        assert!(error.contains("Europe/Atlantis"), "{error}");
        assert!(zone("UTC").is_ok());
        let read = |text: &str| read_playbook("p.yml", text.as_bytes(), None).value.unwrap();
        let moves = "moves: [{jail: web, to: big}]\nwindows: [\"02:00-03:00\"]\n";
        for wrong in ["time_zone: Europe/Atlantis", "schedule: {cron: \"@daily\", time_zone: Europe/Atlantis}"] {
            let error = unknown_zone(&read(&format!("{moves}{wrong}\n"))).unwrap();
            assert!(error.contains("Europe/Atlantis"), "{error}");
        }
        assert_eq!(unknown_zone(&read(&format!("{moves}time_zone: UTC\n"))), None);
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert!(error.contains("/dev/zero is longer than"), "{error}");
    }
}
