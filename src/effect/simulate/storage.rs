//! zfs(8), as far as our scripts use it: contract section 5.

use crate::effect::Delegation;
use crate::effect::Others;
use crate::effect::Parked;
use crate::effect::PropertyChange;
use crate::effect::PropertyState;
use crate::effect::commands::OWNER_PROPERTY;
use crate::effect::commands::RUN_PROPERTY;
use crate::effect::commands::STATE_PROPERTY;
use crate::effect::properties::is_limit;
use crate::effect::simulate::Dataset;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::Snapshot;
use crate::effect::simulate::refused;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::Notice;
use crate::model::RunId;
use crate::model::SnapshotLabel;
use crate::model::SnapshotName;

pub(super) type Done = Result<(), SimulationError>;

impl Dataset {
    /// The snapshot of that name.
    #[must_use]
    pub fn at(&self, label: &SnapshotLabel) -> Option<&Snapshot> {
        self.snapshots.iter().find(|s| s.label == *label)
    }

    /// A property's own value, set or received.
    #[must_use]
    pub fn own(&self, property: &str) -> Option<&String> {
        self.local.get(property).or_else(|| self.received.get(property))
    }

    pub(super) fn destroy(&mut self, label: &SnapshotLabel) -> Done {
        match self.at(label) {
            Some(found) if !found.holds.is_empty() => refused(format!("{}@{label}: dataset is busy", self.like.name)),
            _ => {
                self.snapshots.retain(|s| s.label != *label);
                Ok(())
            }
        }
    }
}

impl Host {
    pub(super) fn dataset(&self, name: &DatasetName) -> Result<&Dataset, SimulationError> {
        self.storage.get(name).ok_or_else(|| no_dataset(name))
    }

    pub(super) fn dataset_mut(&mut self, name: &DatasetName) -> Result<&mut Dataset, SimulationError> {
        self.storage.get_mut(name).ok_or_else(|| no_dataset(name))
    }

    fn tree<'a>(&'a mut self, root: &'a DatasetName) -> impl Iterator<Item = &'a mut Dataset> {
        self.storage.iter_mut().filter(move |(name, _)| name.is_within(root)).map(|(_, dataset)| dataset)
    }

    /// An inheritable property's value for a dataset, from itself or the nearest above.
    pub(super) fn inherited(&self, name: &DatasetName, property: &str) -> Option<String> {
        let mut name = name.clone();
        loop {
            if let Some(value) = self.storage.get(&name).and_then(|d| d.own(property)) {
                return Some(value.clone());
            }
            name = name.parent()?;
        }
    }

    /// Where a filesystem is mounted when it is: its own value, or the parent's and its last component.
    pub(super) fn mountpoint(&self, name: &DatasetName) -> String {
        if let Some(value) = self.storage.get(name).and_then(|d| d.own("mountpoint")) {
            return value.clone();
        }
        match name.as_str().rsplit_once('/') {
            None => format!("/{name}"),
            Some((parent, last)) => match DatasetName::new(parent).map(|p| self.mountpoint(&p)) {
                Ok(above) if above.starts_with('/') => format!("{}/{last}", above.trim_end_matches('/')),
                Ok(above) => above,
                Err(_) => "none".to_owned(),
            },
        }
    }

    /// Is it read-only, by itself or from above?
    pub(super) fn is_readonly(&self, name: &DatasetName) -> bool {
        self.inherited(name, "readonly").as_deref() == Some("on")
    }

    pub(super) fn destroy_snapshot(
        &mut self,
        root: &DatasetName,
        label: &SnapshotLabel,
        held_by: Option<&SnapshotLabel>,
    ) -> Done {
        for dataset in self.tree(root) {
            if let Some(tag) = held_by {
                let found = dataset.snapshots.iter_mut().filter(|s| s.label == *label);
                found.for_each(|s| s.holds.retain(|t| t != tag));
            }
            dataset.destroy(label)?;
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, root: &DatasetName, label: &SnapshotLabel, tag: &SnapshotLabel) -> Done {
        // `zfs hold -r` is atomic: one snapshot that has the tag already stops all.
        let held = self.tree(root).any(|d| d.at(label).is_some_and(|s| s.holds.contains(tag)));
        if !held {
            for dataset in self.tree(root) {
                dataset.snapshots.iter_mut().filter(|s| s.label == *label).for_each(|s| {
                    s.holds.insert(tag.clone());
                });
            }
        }
        match self.dataset(root)?.at(label) {
            Some(found) if found.holds.contains(tag) => Ok(()),
            _ => Err(SimulationError::NotTaken(format!("hold {tag} on {root}@{label}"))),
        }
    }

    pub(super) fn hold_snapshots(&mut self, snapshots: &[SnapshotName], tag: &SnapshotLabel) -> Done {
        for name in snapshots {
            let dataset = self.dataset_mut(&name.dataset)?;
            let Some(found) = dataset.snapshots.iter_mut().find(|s| s.label == name.label) else {
                return no_snapshot(&name.dataset, &name.label);
            };
            found.holds.insert(tag.clone());
        }
        Ok(())
    }

    pub(super) fn release_snapshots(&mut self, snapshots: &[SnapshotName], tag: &SnapshotLabel) {
        for name in snapshots {
            let all = self.storage.get_mut(&name.dataset).into_iter().flat_map(|d| &mut d.snapshots);
            all.filter(|s| s.label == name.label).for_each(|s| _ = s.holds.remove(tag));
        }
    }

    pub(super) fn move_bookmark(
        &mut self,
        datasets: &[DatasetName],
        bookmark: &SnapshotLabel,
        label: &SnapshotLabel,
    ) -> Done {
        for name in datasets {
            let dataset = self.dataset_mut(name)?;
            dataset.bookmarks.remove(bookmark);
            let Some(guid) = dataset.at(label).map(|s| s.guid) else { return no_snapshot(name, label) };
            dataset.bookmarks.insert(bookmark.clone(), guid);
        }
        Ok(())
    }

    pub(super) fn remove_bookmark(&mut self, datasets: &[DatasetName], bookmark: &SnapshotLabel) {
        for name in datasets {
            if let Some(dataset) = self.storage.get_mut(name) {
                dataset.bookmarks.remove(bookmark);
            }
        }
    }

    /// `zfs receive -A` of a copy of ours: a dataset that never had a snapshot goes with what was kept.
    pub(super) fn abort_receive(&mut self, name: &DatasetName) -> Done {
        let dataset = self.dataset_mut(name)?;
        if dataset.own(RUN_PROPERTY).is_none() {
            return Err(SimulationError::NotOurs(format!("{name} is no copy of jailferry")));
        }
        dataset.partial = None;
        if dataset.snapshots.is_empty() {
            self.storage.remove(name);
        }
        Ok(())
    }

    pub(super) fn discard_received(&mut self, datasets: &[DatasetName], run: &RunId) -> Done {
        for name in datasets.iter().rev() {
            if !self.storage.contains_key(name) {
                continue;
            }
            if self.inherited(name, RUN_PROPERTY).as_deref() != Some(run.as_str()) {
                continue;
            }
            if self.tree(name).count() > 1 {
                return Err(SimulationError::NotOurs(format!("{name} has children")));
            }
            if self.has_a_rehearsal(name) {
                return refused(format!("cannot destroy '{name}': filesystem has dependent clones"));
            }
            self.free_to_unmount(name)?;
            if self.dataset(name)?.snapshots.iter().any(|s| !s.holds.is_empty()) {
                return refused(format!("{name}: dataset is busy"));
            }
            self.storage.remove(name);
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &DatasetName, to: &DatasetName) -> Done {
        if self.storage.contains_key(to) && !self.storage.contains_key(from) {
            return Ok(());
        }
        self.dataset(from)?;
        if self.storage.contains_key(to) {
            return refused(format!("cannot rename {from}: {to} exists"));
        }
        let names: Vec<DatasetName> = self.storage.keys().filter(|name| name.is_within(from)).cloned().collect();
        if let Some(name) = names.iter().find(|name| self.is_jailed(name)) {
            return refused(format!("cannot rename {from}: {name} is used in a non-global zone"));
        }
        for name in names {
            let Some(new) = name.rebase(from, to) else { continue };
            if let Some(mut dataset) = self.storage.remove(&name) {
                dataset.like.name = new.clone();
                self.storage.insert(new, dataset);
            }
        }
        Ok(())
    }

    pub(super) fn destroy_parked(&mut self, datasets: &[DatasetName], run: &RunId, others: &Others) -> Done {
        for name in datasets.iter().filter(|name| self.storage.contains_key(*name)) {
            if self.inherited(name, RUN_PROPERTY).as_deref() != Some(run.as_str()) {
                return Err(SimulationError::NotOurs(format!("{name} is not the copy that run {run} left")));
            }
            if self.dataset(name)?.mounted {
                return Err(SimulationError::NotOurs(format!("{name} is mounted")));
            }
            if let Some(other) = self.storage.keys().find(|n| n.is_within(name) && !datasets.contains(n)) {
                return Err(SimulationError::NotOurs(format!("{other} is not of run {run}")));
            }
        }
        if let Others::Sent { last, snapshots: sent } = others {
            for (name, dataset) in datasets.iter().filter_map(|name| self.storage.get_key_value(name)) {
                let before = dataset.snapshots.iter().take_while(|s| s.label != *last);
                let known = |label: &SnapshotLabel| sent.iter().any(|s| s.dataset == *name && s.label == *label);
                let only = before.map(|s| &s.label).find(|l| !l.as_str().starts_with("jailferry-") && !known(l));
                if let Some(label) = only {
                    return Err(SimulationError::NotOurs(format!("{name}@{label} is nowhere else")));
                }
            }
        }
        let tag = format!("jailferry-{run}");
        for name in datasets.iter().rev() {
            let ours =
                |s: &Snapshot, t: &str| t == tag || s.label.as_str().rsplit_once('-').is_some_and(|(run, _)| run == t);
            let held = |s: &Snapshot| s.holds.iter().any(|t| !ours(s, t.as_str()));
            if self.storage.get(name).is_some_and(|d| d.snapshots.iter().any(held)) {
                return refused(format!("{name}: dataset is busy"));
            }
            self.storage.remove(name);
        }
        Ok(())
    }

    /// A jail that lives there or a filesystem mounted below keeps it busy.
    pub(super) fn free_to_unmount(&self, name: &DatasetName) -> Done {
        if !self.dataset(name)?.mounted {
            return Ok(());
        }
        let path = self.mountpoint(name);
        let below = |other: &str| other.strip_prefix(&path).is_some_and(|rest| rest.starts_with('/'));
        let jail = self.facts.jails.iter().find(|j| j.path == path || below(&j.path) || path.starts_with(&j.path));
        if let Some(jail) = jail {
            return refused(format!("cannot unmount {path}: jail {} uses it", jail.name));
        }
        match self.storage.iter().find(|(other, d)| d.mounted && below(&self.mountpoint(other))) {
            Some((other, _)) => refused(format!("cannot unmount {path}: {other} is mounted below")),
            None => Ok(()),
        }
    }

    pub(super) fn park(&mut self, datasets: &[Parked], run: &RunId) -> Done {
        for parked in Parked::by_place(datasets).into_iter().rev() {
            if parked.mounted {
                self.free_to_unmount(&parked.dataset)?;
                self.dataset_mut(&parked.dataset)?.mounted = false;
            }
        }
        for parked in datasets.iter().rev() {
            let dataset = self.dataset_mut(&parked.dataset)?;
            dataset.local.insert("readonly".into(), "on".into());
            if !parked.volume {
                dataset.local.insert("canmount".into(), "noauto".into());
            }
            if parked.delegation == Delegation::Own {
                dataset.local.insert("jailed".into(), "off".into());
            }
            dataset.local.insert(RUN_PROPERTY.into(), run.to_string());
        }
        Ok(())
    }

    pub(super) fn unpark(&mut self, datasets: &[Parked]) -> Done {
        for parked in datasets {
            let jailed = self.is_jailed(&parked.dataset);
            let dataset = self.dataset_mut(&parked.dataset)?;
            let before = dataset.own("mountpoint").cloned();
            let mut restore = |property: &str, state: &PropertyState| match state {
                PropertyState::Local(value) => drop(dataset.local.insert(property.into(), value.clone())),
                PropertyState::Received => drop(dataset.local.remove(property)),
                PropertyState::Inherited => {
                    dataset.local.remove(property);
                    // canmount is reset by `inherit -S`, which leaves a received value in force.
                    if property != "canmount" {
                        dataset.received.remove(property);
                    }
                }
            };
            restore("readonly", &parked.readonly);
            if !parked.volume {
                restore("mountpoint", &parked.mountpoint);
                restore("canmount", &parked.canmount);
            }
            if jailed && dataset.own("mountpoint") != before.as_ref() {
                return refused(format!(
                    "{}: 'mountpoint' cannot be set on dataset in a non-global zone",
                    parked.dataset
                ));
            }
        }
        for parked in Parked::by_place(datasets) {
            if parked.mounted && parked.delegation == Delegation::None && !self.dataset(&parked.dataset)?.mounted {
                self.mount(&parked.dataset)?;
            }
        }
        for parked in datasets.iter().filter(|parked| parked.delegation == Delegation::Own) {
            self.dataset_mut(&parked.dataset)?.local.insert("jailed".into(), "on".into());
        }
        Ok(())
    }

    pub(super) fn set_properties(&mut self, name: &DatasetName, changes: &[PropertyChange]) -> Done {
        let dataset = self.dataset_mut(name)?;
        for PropertyChange { name, state } in changes {
            match state {
                PropertyState::Local(value) => drop(dataset.local.insert(name.clone(), value.clone())),
                PropertyState::Received => drop(dataset.local.remove(name)),
                PropertyState::Inherited => {
                    dataset.local.remove(name);
                    if !is_limit(name) {
                        dataset.received.remove(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// Only the jail mounts it, and nobody on the host changes its place or name.
    pub(super) fn is_jailed(&self, name: &DatasetName) -> bool {
        self.inherited(name, "jailed").is_some_and(|v| v == "on")
    }

    fn mount(&mut self, name: &DatasetName) -> Done {
        let path = self.mountpoint(name);
        if self.is_jailed(name) {
            return refused(format!("cannot mount {name}: dataset is exported to a local zone"));
        }
        if !path.starts_with('/') {
            return refused(format!("cannot mount {name}: mountpoint is {path}"));
        }
        if self.dataset(name)?.own("canmount").is_some_and(|v| v == "off") {
            return refused(format!("cannot mount {name}: canmount is off"));
        }
        let like = &self.dataset(name)?.like;
        if like.encrypted && !like.key_available {
            return refused(format!("cannot mount '{name}': encryption key not loaded"));
        }
        if let Some((other, _)) = self.storage.iter().find(|(o, d)| d.mounted && self.mountpoint(o) == path) {
            return refused(format!("cannot mount {name}: {other} is mounted at {path}"));
        }
        self.dataset_mut(name)?.mounted = true;
        Ok(())
    }

    pub(super) fn tidy(&mut self, root: &DatasetName, jail: &JailName, stays: impl Fn(&SnapshotLabel) -> bool) -> Done {
        self.dataset(root)?;
        for dataset in self.tree(root) {
            let ours: Vec<SnapshotLabel> =
                dataset.snapshots.iter().map(|s| &s.label).filter(|l| !stays(l) && is_ours(l, jail)).cloned().collect();
            for label in ours {
                let tag = label.as_str().rsplit_once('-').map(|(run, _)| run.to_owned()).unwrap_or_default();
                let found = dataset.snapshots.iter_mut().filter(|s| s.label == label);
                found.for_each(|s| s.holds.retain(|t| t.as_str() != tag));
                dataset.destroy(&label)?;
            }
        }
        Ok(())
    }

    pub(super) fn declare(&mut self, name: &DatasetName, notice: &Notice) -> Done {
        let dataset = self.dataset_mut(name)?;
        dataset.local.insert(STATE_PROPERTY.into(), notice.state());
        match &notice.owner {
            Some(owner) => drop(dataset.local.insert(OWNER_PROPERTY.into(), owner.to_string())),
            None => drop(dataset.local.remove(OWNER_PROPERTY)),
        }
        Ok(())
    }

    pub(super) fn amend(&mut self, name: &DatasetName, notice: &Notice) -> Done {
        let ours = format!("{}:", notice.run);
        match self.storage.get(name).and_then(|d| d.own(STATE_PROPERTY)) {
            Some(state) if state.starts_with(&ours) => self.declare(name, notice),
            _ => Ok(()),
        }
    }

    pub(super) fn withdraw(&mut self, name: &DatasetName, run: &RunId) {
        let Some(dataset) = self.storage.get_mut(name) else { return };
        if dataset.own(STATE_PROPERTY).is_some_and(|s| s.starts_with(&format!("{run}:"))) {
            // `zfs inherit` without -S hides a received value, too.
            for property in [STATE_PROPERTY, OWNER_PROPERTY] {
                dataset.local.remove(property);
                dataset.received.remove(property);
            }
        }
    }

    pub(super) fn clear_mark(&mut self, datasets: &[DatasetName]) -> Done {
        for name in datasets {
            let dataset = self.dataset_mut(name)?;
            dataset.local.remove(RUN_PROPERTY);
            dataset.received.remove(RUN_PROPERTY);
        }
        Ok(())
    }
}

/// `jailferry-JAIL-` and eight hexadecimal digits, then anything.
fn is_ours(label: &SnapshotLabel, jail: &JailName) -> bool {
    let rest = label.as_str().strip_prefix("jailferry-").and_then(|r| r.strip_prefix(jail.as_str()));
    let Some((digits, _)) = rest.and_then(|r| r.strip_prefix('-')).and_then(|r| r.split_once('-')) else {
        return false;
    };
    digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn no_dataset(name: &DatasetName) -> SimulationError {
    SimulationError::Refused(format!("cannot open '{name}': dataset does not exist"))
}

pub(super) fn no_snapshot<T>(name: &DatasetName, label: &SnapshotLabel) -> Result<T, SimulationError> {
    refused(format!("{name}@{label}: no such snapshot"))
}
