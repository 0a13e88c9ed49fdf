//! What jail(8) mounts for the jail when it starts: the lines of its fstab, and those of `mount` in its configuration.

use crate::configuration::fstab;
use crate::configuration::fstab::InvalidMount;
use crate::configuration::fstab::Mount;
use crate::facts::JailConfiguration;
use crate::facts::JailFacts;
use crate::model::RemotePath;
use crate::plan::situation::Situation;

/// A file with a line that jail(8) would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {line}")]
pub struct Invalid {
    /// The file.
    pub file: RemotePath,
    /// What is wrong.
    pub line: InvalidMount,
}

/// One of them, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailMount {
    /// The file.
    pub file: RemotePath,
    /// What it says.
    pub mount: Mount,
}

/// All of them; the variables of `mount` are resolved, as `jail -e` prints it.
///
/// # Errors
/// [`Invalid`]
pub fn of(jail: &JailFacts, configuration: Option<&JailConfiguration>) -> Result<Vec<JailMount>, Invalid> {
    let own =
        configuration.into_iter().flat_map(|c| c.values("mount").unwrap_or_default().into_iter().map(|v| (&c.file, v)));
    let fstab = jail.fstab.iter().map(|(path, file)| (path, file.text.clone()));
    let mut found = Vec::new();
    for (file, text) in own.chain(fstab) {
        let mounts = fstab::mounts(&text).map_err(|line| Invalid { file: file.clone(), line })?;
        found.extend(mounts.into_iter().map(|mount| JailMount { file: file.clone(), mount }));
    }
    Ok(found)
}

/// The directories outside of the jail's root that they show: the target must have them, too.
#[must_use]
pub fn directories(mounts: &[JailMount], situation: &Situation) -> Vec<String> {
    let inside = |path: &str| RemotePath::new(path).is_ok_and(|path| path.is_within(&situation.path));
    let mut all: Vec<String> = mounts
        .iter()
        .map(|m| &m.mount)
        .filter(|mount| mount.shows_a_directory() && !inside(&mount.source))
        .map(|mount| mount.source.clone())
        .collect();
    all.sort();
    all.dedup();
    all
}
