//! The understudy: clones, and a jail in them that nobody reaches.

use std::collections::BTreeMap;

use crate::effect::commands::RUN_PROPERTY;
use crate::effect::simulate::Dataset;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::World;
use crate::effect::simulate::refused;
use crate::effect::understudy::Understudy;
use crate::facts;
use crate::facts::RunningJail;
use crate::model::DatasetName;
use crate::model::Guid;

type Done = Result<(), SimulationError>;

impl World {
    pub(super) fn clone_for_rehearsal(&mut self, understudy: &Understudy) -> Done {
        let ours = format!("jailferry-{}-", understudy.run);
        for clone in &understudy.clones {
            let number = self.tick();
            let host = self.host_mut(&understudy.host)?;
            if host.storage.contains_key(&clone.dataset) {
                if !host.is_of(&clone.dataset, understudy) {
                    return Err(SimulationError::NotOurs(format!(
                        "{} is not of run {}",
                        clone.dataset, understudy.run
                    )));
                }
                continue;
            }
            let origin = host.dataset(&clone.origin)?;
            let Some(snapshot) = origin.snapshots.iter().rev().find(|s| s.label.as_str().starts_with(&ours)) else {
                return Err(SimulationError::NotTaken(format!("no snapshot of {} has arrived", understudy.run)));
            };
            if origin.like.encrypted && !origin.like.key_available {
                return refused(format!("cannot mount '{}': encryption key not loaded", clone.dataset));
            }
            let place = clone.mountpoint.as_ref().map_or("none", |path| path.as_str());
            let readonly = if clone.readonly { "on" } else { "off" };
            let local = [
                ("canmount", "noauto"),
                ("mountpoint", place),
                ("readonly", readonly),
                (RUN_PROPERTY, understudy.run.as_str()),
            ];
            let like = facts::Dataset {
                name: clone.dataset.clone(),
                guid: Guid(0x7000_0000 + number),
                origin: Some(format!("{}@{}", clone.origin, snapshot.label)),
                ..origin.like.clone()
            };
            let dataset = Dataset {
                like,
                local: local.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                received: BTreeMap::new(),
                mounted: clone.mountpoint.is_some(),
                content: snapshot.content,
                snapshots: Vec::new(),
                bookmarks: BTreeMap::new(),
                partial: None,
            };
            host.storage.insert(clone.dataset.clone(), dataset);
        }
        Ok(())
    }
}

impl Host {
    fn is_of(&self, name: &DatasetName, understudy: &Understudy) -> bool {
        self.inherited(name, RUN_PROPERTY).as_deref() == Some(understudy.run.as_str())
    }

    pub(super) fn discard_clones(&mut self, understudy: &Understudy) -> Done {
        for clone in understudy.clones.iter().rev() {
            if !self.storage.contains_key(&clone.dataset) {
                continue;
            }
            if !self.is_of(&clone.dataset, understudy) {
                return Err(SimulationError::NotOurs(format!("{} is not of run {}", clone.dataset, understudy.run)));
            }
            if self.facts.jail(&understudy.jail).is_some() {
                return refused(format!("cannot unmount '{}': jail {} lives in it", clone.dataset, understudy.jail));
            }
            self.storage.remove(&clone.dataset);
        }
        Ok(())
    }

    /// Is a snapshot of it the origin of a clone of ours?
    pub(super) fn has_a_rehearsal(&self, name: &DatasetName) -> bool {
        let of = format!("{name}@jailferry-");
        self.storage.values().any(|d| d.like.origin.as_ref().is_some_and(|origin| origin.starts_with(&of)))
    }

    pub(super) fn start_understudy(&mut self, understudy: &Understudy) -> Done {
        if self.facts.jail(&understudy.jail).is_some() {
            return Ok(());
        }
        let lives = |d: &Dataset| d.mounted && d.own("mountpoint").is_some_and(|m| m == understudy.place.as_str());
        if !self.storage.values().any(lives) {
            return refused(format!("jail: {}: no such directory", understudy.root));
        }
        if let Some(missing) = understudy.fstab.iter().find(|path| !self.files.contains_key(*path)) {
            return refused(format!("jail: {missing}: No such file or directory"));
        }
        self.facts.jails.push(RunningJail {
            name: understudy.jail.to_string(),
            jid: 0,
            path: understudy.root.to_string(),
            vnet: true,
            dying: false,
            addresses: Vec::new(),
            gateways: Vec::new(),
            mtu: None,
            smallest_mtu: None,
        });
        self.facts.jails.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    pub(super) fn stop_understudy(&mut self, understudy: &Understudy) {
        self.facts.jails.retain(|j| j.name != understudy.jail.as_str());
    }
}
