//! Snapshots of trees, streams between hosts, and the proof that they arrived.

use crate::effect::Base;
use crate::effect::BringBack;
use crate::effect::Transfer;
use crate::effect::commands::OWNER_PROPERTY;
use crate::effect::commands::RUN_PROPERTY;
use crate::effect::commands::STATE_PROPERTY;
use crate::effect::simulate::Dataset;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::Snapshot;
use crate::effect::simulate::World;
use crate::effect::simulate::refused;
use crate::effect::simulate::storage::Done;
use crate::effect::simulate::storage::no_snapshot;
use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::NodeName;
use crate::model::Notice;
use crate::model::RunId;
use crate::model::SnapshotLabel;
use crate::model::SnapshotName;
use crate::model::Standing;

impl World {
    pub(super) fn snapshot(
        &mut self,
        host: &NodeName,
        root: &DatasetName,
        label: &SnapshotLabel,
        known: &[DatasetName],
    ) -> Done {
        self.snapshot_all(host, root, label)?;
        match self.host(host)?.storage.keys().find(|name| name.is_within(root) && !known.contains(name)) {
            Some(name) if !known.is_empty() => {
                Err(SimulationError::NotOurs(format!("{name} was made since the plan was")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn snapshot_all(&mut self, host: &NodeName, root: &DatasetName, label: &SnapshotLabel) -> Done {
        if self.host(host)?.dataset(root)?.at(label).is_some() {
            return Ok(());
        }
        let tree = || self.hosts.get(host).into_iter().flat_map(|h| &h.storage).filter(|(n, _)| n.is_within(root));
        if let Some((name, _)) = tree().find(|(_, dataset)| dataset.at(label).is_some()) {
            return refused(format!("{name}@{label}: dataset already exists"));
        }
        let names: Vec<DatasetName> = tree().map(|(name, _)| name.clone()).collect();
        for name in names {
            let number = self.tick();
            let dataset = self.host_mut(host)?.dataset_mut(&name)?;
            dataset.snapshots.push(Snapshot {
                label: label.clone(),
                guid: Guid(0x5000_0000 + number),
                createtxg: number,
                holds: Default::default(),
                content: dataset.content,
            });
        }
        Ok(())
    }

    pub(super) fn transfer(&mut self, transfer: &Transfer) -> Done {
        self.carries_just_that(transfer)?;
        let mut base = transfer.base.clone();
        for label in transfer.through.iter().chain([&transfer.label]) {
            if transfer.through.contains(label) && self.is_there(transfer, label)? {
                base = Base::Snapshot(label.clone());
                continue;
            }
            let (from, into) = ((&transfer.from, &transfer.dataset), (&transfer.to, &transfer.into));
            self.send(from, into, &base, label, Some(transfer), transfer.raw)?;
            base = Base::Snapshot(label.clone());
        }
        Ok(())
    }

    /// A stream of several carries all that lies between its ends (zfs-send(8), -I): that must be what the plan says.
    fn carries_just_that(&self, transfer: &Transfer) -> Done {
        let (Base::Snapshot(base), false) = (&transfer.base, transfer.through.is_empty()) else { return Ok(()) };
        let source = self.host(&transfer.from)?.dataset(&transfer.dataset)?;
        let (Some(begin), Some(end)) = (source.at(base), source.at(&transfer.label)) else { return Ok(()) };
        let mut between: Vec<&Snapshot> = source.snapshots.iter().collect();
        between.retain(|s| s.createtxg > begin.createtxg && s.createtxg < end.createtxg);
        between.sort_by_key(|s| s.createtxg);
        if between.iter().map(|s| &s.label).eq(&transfer.through) {
            return Ok(());
        }
        let labels: Vec<&str> = between.iter().map(|s| s.label.as_str()).collect();
        refused(format!("{}@{} would bring {}", transfer.dataset, transfer.label, labels.join(", ")))
    }

    /// Of several snapshots in one stream, one that has arrived is read and forgotten.
    fn is_there(&self, transfer: &Transfer, label: &SnapshotLabel) -> Result<bool, SimulationError> {
        let guid = self.host(&transfer.from)?.dataset(&transfer.dataset)?.at(label).map(|s| s.guid);
        let there = self.host(&transfer.to)?.storage.get(&transfer.into);
        Ok(guid.is_some() && there.is_some_and(|d| d.snapshots.iter().any(|s| Some(s.guid) == guid)))
    }

    /// The same, but the stream breaks when so many of its snapshots and a part of the next have arrived.
    #[cfg(test)]
    pub(super) fn break_off(&mut self, transfer: &Transfer, whole: usize) -> Done {
        let mut base = transfer.base.clone();
        if let Some((last, through)) = transfer.through[..whole].split_last() {
            let part = Transfer { through: through.to_vec(), label: last.clone(), ..transfer.clone() };
            self.transfer(&part)?;
            base = Base::Snapshot(last.clone());
        }
        let label = transfer.through.get(whole).unwrap_or(&transfer.label).clone();
        let (clock, before) = (self.clock, self.host(&transfer.to)?.storage.get(&transfer.into).cloned());
        self.transfer(&Transfer { through: vec![], label, base, ..transfer.clone() })?;
        self.clock = clock;
        let host = self.host_mut(&transfer.to)?;
        let dataset = host.dataset_mut(&transfer.into)?;
        let Some(arriving) = dataset.snapshots.pop() else { return Ok(()) };
        dataset.content = before.map_or(0, |b| b.content);
        dataset.partial = Some(arriving.guid);
        Ok(())
    }

    fn send(
        &mut self,
        (from, name): (&NodeName, &DatasetName),
        (to, into): (&NodeName, &DatasetName),
        base: &Base,
        label: &SnapshotLabel,
        transfer: Option<&Transfer>,
        raw: bool,
    ) -> Done {
        let source = self.host(from)?.dataset(name)?.clone();
        let Some(sent) = source.at(label) else { return no_snapshot(name, label) };
        let origin = match base {
            Base::Origin { here, there } => {
                let guid = |host: &Host, name: &SnapshotName| {
                    host.storage.get(&name.dataset).and_then(|d| d.at(&name.label)).map(|s| s.guid)
                };
                let (ours, theirs) = (guid(self.host(from)?, here), guid(self.host(to)?, there));
                if ours.is_none() || ours != theirs {
                    return refused(format!("local origin for clone {into} does not exist"));
                }
                Some(there.to_string())
            }
            Base::Nothing | Base::Snapshot(_) | Base::Bookmark(_) => None,
        };
        let base = match base {
            Base::Nothing | Base::Origin { .. } => None,
            Base::Snapshot(base) => match source.at(base) {
                Some(found) => Some(found.guid),
                None => return no_snapshot(name, base),
            },
            Base::Bookmark(base) => match source.bookmarks.get(base) {
                Some(guid) => Some(*guid),
                None => return refused(format!("{name}#{base}: no such bookmark")),
            },
        };
        let number = self.tick();
        let arrived = Snapshot { createtxg: number, holds: Default::default(), ..sent.clone() };
        let host = self.host_mut(to)?;
        if transfer.is_some() && host.storage.get(into).is_some_and(|d| d.partial.is_some_and(|p| p != sent.guid)) {
            host.abort_receive(into)?;
        }
        let Some(base) = base else {
            if let Some(dataset) = host.storage.get_mut(into) {
                if dataset.partial != Some(arrived.guid) {
                    return refused(format!("destination {into} exists"));
                }
                dataset.partial = None;
                dataset.content = arrived.content;
                dataset.snapshots.push(arrived);
                return Ok(());
            }
            if into.parent().is_none_or(|p| !host.storage.contains_key(&p)) {
                return refused(format!("parent of {into} does not exist"));
            }
            let mut received = source.received.clone();
            received.extend(source.local.clone());
            received.remove("mountpoint");
            if transfer.is_some_and(|t| t.unlimited) {
                received.remove("refquota");
            }
            let mut local = std::collections::BTreeMap::new();
            local.insert("readonly".to_owned(), "on".to_owned());
            if source.like.kind == crate::facts::DatasetKind::Filesystem {
                local.insert("canmount".to_owned(), "noauto".to_owned());
            }
            if transfer.is_some_and(|t| t.delegated) {
                local.insert("jailed".to_owned(), "off".to_owned());
            }
            if let Some(Transfer { run, owner, from, .. }) = transfer {
                local.insert(RUN_PROPERTY.to_owned(), run.to_string());
                if let Some(owner) = owner {
                    let (standing, peer) = (Standing::Arriving, Some(from.clone()));
                    let notice = Notice { run: run.clone(), owner: None, standing, peer };
                    local.insert(STATE_PROPERTY.to_owned(), notice.state());
                    local.insert(OWNER_PROPERTY.to_owned(), owner.to_string());
                }
            }
            let (name, guid) = (into.clone(), Guid(0x6000_0000 + number));
            // What is received encrypted is locked until its key is loaded.
            let key_available = !raw;
            let like = crate::facts::Dataset { name, guid, key_available, origin, ..source.like };
            let content = arrived.content;
            let new = Dataset {
                like,
                local,
                received,
                mounted: false,
                content,
                snapshots: vec![arrived],
                bookmarks: Default::default(),
                partial: None,
            };
            host.storage.insert(into.clone(), new);
            return Ok(());
        };
        let dataset = host.dataset_mut(into)?;
        if let Some(refquota) = transfer.and_then(|t| t.refquota.clone()) {
            dataset.local.insert("refquota".to_owned(), refquota);
        }
        dataset.partial = None;
        let Some(found) = dataset.snapshots.iter().find(|s| s.guid == base) else {
            return refused(format!("most recent snapshot of {into} does not match incremental source"));
        };
        // Later ones that show nothing new are no change, but to a raw stream.
        let last = dataset.snapshots.last().is_some_and(|last| last.guid == base);
        if dataset.content != found.content || (raw && !last) {
            return refused(format!("destination {into} has been modified since most recent snapshot"));
        }
        dataset.content = arrived.content;
        dataset.snapshots.push(arrived);
        Ok(())
    }

    pub(super) fn compare_guids(
        &self,
        source: &NodeName,
        target: &NodeName,
        pairs: &[(DatasetName, DatasetName)],
        label: &SnapshotLabel,
    ) -> Done {
        for (ours, theirs) in pairs {
            let left = self.host(source)?.dataset(ours)?.at(label).map(|s| s.guid);
            let right = self.host(target)?.dataset(theirs)?.at(label).map(|s| s.guid);
            if left.is_none() || left != right {
                return refused(format!("{ours} and {theirs} differ at @{label}"));
            }
        }
        Ok(())
    }

    pub(super) fn bring_back(&mut self, back: &BringBack) -> Done {
        let Some((root, _)) = back.pairs.first() else { return Ok(()) };
        self.snapshot_all(&back.from, root, &back.label)?;
        for (dataset, into) in &back.pairs {
            self.host_mut(&back.to)?.back_to(into, &back.base, |label| label == back.label.as_str(), !back.raw)?;
            let base = Base::Snapshot(back.base.clone());
            self.send((&back.from, dataset), (&back.to, into), &base, &back.label, None, back.raw)?;
        }
        for (_, into) in &back.pairs {
            self.host_mut(&back.to)?.dataset_mut(into)?.destroy(&back.label)?;
        }
        Ok(())
    }
}

impl Host {
    pub(super) fn roll_back_received(
        &mut self,
        name: &DatasetName,
        base: &SnapshotLabel,
        run: &RunId,
        arriving: &[SnapshotLabel],
        fits: bool,
    ) -> Done {
        let ours = format!("jailferry-{run}-");
        self.back_to(name, base, |label| label.starts_with(&ours) || arriving.iter().any(|a| a.as_str() == label), fits)
    }

    /// `ours`: the labels that may go; `stays`: does somebody's that shows nothing new stay?
    pub(super) fn back_to(
        &mut self,
        name: &DatasetName,
        base: &SnapshotLabel,
        ours: impl Fn(&str) -> bool,
        stays: bool,
    ) -> Done {
        let dataset = self.dataset(name)?;
        let Some(mut position) = dataset.snapshots.iter().position(|s| s.label == *base) else {
            return no_snapshot(name, base);
        };
        let same = |s: &Snapshot| dataset.at(base).is_some_and(|base| base.content == s.content);
        while stays && dataset.snapshots.get(position + 1).is_some_and(|s| !ours(s.label.as_str()) && same(s)) {
            position += 1;
        }
        let newer = dataset.snapshots.get(position + 1..).unwrap_or_default();
        if self.has_a_rehearsal(name) {
            return refused(format!("cannot rollback to '{name}@{base}': clones of previous snapshots exist"));
        }
        if let Some(foreign) = newer.iter().find(|s| !ours(s.label.as_str())) {
            return Err(SimulationError::NotOurs(format!(
                "{name}@{} is newer than @{base} and not ours",
                foreign.label
            )));
        }
        if newer.iter().any(|s| !s.holds.is_empty()) {
            return refused(format!("{name}: dataset is busy"));
        }
        self.free_to_unmount(name)?;
        let dataset = self.dataset_mut(name)?;
        dataset.mounted = false;
        dataset.partial = None;
        dataset.snapshots.truncate(position + 1);
        dataset.content = dataset.snapshots.last().map_or(0, |s| s.content);
        Ok(())
    }
}
