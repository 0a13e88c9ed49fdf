//! What belongs to whoever manages a jail: where its configuration is, which dataset is the jail's whole, how it comes up
//! at boot. Each manager is a file here that says what is different from plain jail.conf(5), and a line in
//! [`Manager::of`].

mod bastille;
mod plain;

pub(super) use plain::SHARED;

use crate::facts::Dataset;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::preflight::Subject;

/// Who manages the jail, told by where its configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manager {
    /// jail.conf(5) and rc.d/jail.
    Plain,
    /// `BastilleBSD`, with the folder of its jails.
    Bastille(RemotePath),
}

/// What a manager decides. What is not said is as for plain jail.conf(5).
pub(super) trait Manages {
    /// The dataset that is the jail's whole, given its root directory.
    fn dataset<'a>(&self, facts: &'a HostFacts, jail: &JailName, root: &RemotePath) -> Option<&'a Dataset> {
        let _ = jail;
        facts.dataset_at(root.as_str())
    }

    /// What to do when there is none.
    fn no_dataset(&self, jail: &JailName, root: &RemotePath) -> (String, String) {
        (
            format!("{root}, the root of jail {jail}, is not the mount point of a ZFS dataset of its own"),
            format!("move its files into a dataset mounted at {root}"),
        )
    }

    /// The dataset of the target that the jail's goes into, where that is not for fleet.yml to say. `Err` when there must be
    /// one and is not: what is wrong, and what to do.
    fn parent(&self, node: &NodeName, target: &HostFacts) -> Result<Option<DatasetName>, (String, String)> {
        let _ = (node, target);
        Ok(None)
    }

    /// The file that configures the jail at the target.
    fn file(&self, jail: &JailName, target: &HostFacts) -> Option<RemotePath>;

    /// Is that file, with all that belongs to the jail, inside the jail's datasets, so that it arrives with them?
    fn travels(&self) -> bool {
        false
    }

    /// Does the jail start at boot?
    fn starts_at_boot(&self, facts: &HostFacts, jail: &JailName, configuration: &JailConfiguration) -> bool;

    /// Before the stop: a reboot of the source starts it no more.
    fn autostart_off(&self, cast: &Cast<'_>) -> Vec<Step>;

    /// Accepted: a reboot of the target starts it.
    fn autostart_on(&self, cast: &Cast<'_>) -> Vec<Step>;

    /// What speaks against the move.
    fn examine(&self, subject: &Subject<'_>, findings: &mut Findings);

    /// What must be there at the target where the jail mounts this directory of the host.
    fn needs(&self, source: String) -> Vec<String> {
        vec![source]
    }

    /// How the target gets something that the jail mounts and that is not there.
    fn provide(&self, path: &RemotePath, node: &NodeName) -> String {
        let _ = path;
        format!("provide it on {node} (for a thin jail, the same release)")
    }
}

impl Manager {
    /// Whose the configuration is.
    #[must_use]
    pub fn of(jail: &JailName, configuration: &JailConfiguration) -> Manager {
        match bastille::jails_folder(jail, configuration) {
            Some(folder) => Manager::Bastille(folder),
            None => Manager::Plain,
        }
    }

    /// What must be there at the target where the jail mounts this directory of the host.
    #[must_use]
    pub fn needs(&self, source: String) -> Vec<String> {
        self.says().needs(source)
    }

    pub(super) fn says(&self) -> Box<dyn Manages + '_> {
        match self {
            Manager::Plain => Box::new(plain::Plain),
            Manager::Bastille(jails) => Box::new(bastille::Bastille { jails }),
        }
    }
}
