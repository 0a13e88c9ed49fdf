//! What each effect means: fleet → fleet, without a host. The dry run's and the tests' oracle.
//!
//! A [`World`] is what the facts would tell of every host, and what they leave out: snapshots, properties with their
//! sources, files. [`World::apply`] refuses what the scripts refuse (somebody else changed it, it is not ours, it is in
//! the way) and, like them, finds done what is done already. Time, load and the packet filter's states do not exist
//! here.

mod canary;
mod contents;
mod edits;
mod evidence;
mod files;
pub mod invariants;
mod jails;
mod keys;
mod leases;
mod network;
pub(crate) mod pf;
mod storage;
mod streams;
mod understudy;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::effect::Effect;
use crate::effect::Newer;
use crate::effect::Probe;
use crate::effect::contents::Listing;
use crate::effect::lease::Lease;
use crate::effect::lease::Stage;
use crate::facts;
use crate::facts::HostFacts;
use crate::facts::TextFile;
use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::model::RunId;
use crate::model::SnapshotLabel;

/// Every host of a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The hosts by name.
    pub hosts: BTreeMap<NodeName, Host>,
    /// What is inside the jails, by name: addresses and gateways come up with the jail, wherever it starts.
    pub inside: BTreeMap<String, facts::RunningJail>,
    /// Number of the last snapshot or dataset made; gives GUIDs and transaction groups.
    clock: u64,
}

/// One host.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// What the first round of questions tells, but for datasets and configured jails, which are made from
    /// [`Host::storage`] and [`Host::files`] (configurations from files that are not known stay here).
    pub facts: HostFacts,
    /// Filesystems and volumes.
    pub storage: BTreeMap<DatasetName, Dataset>,
    /// Text files.
    pub files: BTreeMap<RemotePath, TextFile>,
    /// Our lines in the `[Interface]` section of WireGuard files.
    pub hooks: BTreeMap<RemotePath, Vec<String>>,
    /// SHA-256 of WireGuard files as each run found them.
    pub backups: BTreeMap<(RemotePath, RunId), String>,
    /// Which run moves which jail.
    pub locks: BTreeMap<JailName, RunId>,
    /// The run whose turn it is to change the network, on a hub.
    pub switching: Option<RunId>,
    /// How far runs are, where this host keeps their plans.
    pub stages: BTreeMap<RunId, Stage>,
    /// What it undoes by itself when nobody is heard, and whether it has, or has let go.
    pub leases: BTreeMap<RunId, (Lease, LeaseState)>,
    /// Runs whose key this host has.
    pub keys: BTreeSet<RunId>,
    /// Runs for which this host watches an address.
    pub watches: BTreeSet<RunId>,
    /// What it has listed for runs.
    pub listings: BTreeMap<RunId, Vec<u64>>,
}

/// One filesystem or volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What no effect changes: kind, sizes, encryption.
    pub like: facts::Dataset,
    /// Properties set on it.
    pub local: BTreeMap<String, String>,
    /// Properties that came with a stream.
    pub received: BTreeMap<String, String>,
    /// Mounted now.
    pub mounted: bool,
    /// What is written in it, as one number.
    pub content: u64,
    /// Its snapshots, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Its bookmarks.
    pub bookmarks: BTreeMap<SnapshotLabel, Guid>,
    /// The snapshot of which a broken receive has left a part (`receive_resume_token`).
    pub partial: Option<Guid>,
}

/// A snapshot with what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The part after '@'.
    pub label: SnapshotLabel,
    /// Same on both sides of a send.
    pub guid: Guid,
    /// Order of creation.
    pub createtxg: u64,
    /// Tags that keep it.
    pub holds: BTreeSet<SnapshotLabel>,
    /// What was written.
    pub content: u64,
}

/// Why an effect is refused, as its script would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// The world has no such host.
    #[error("no host {0}")]
    NoHost(NodeName),
    /// Exit status 20: somebody changed it since the plan.
    #[error("changed since the plan was made: {0}")]
    Changed(String),
    /// Exit status 21: it did not take.
    #[error("did not take: {0}")]
    NotTaken(String),
    /// Exit status 22: not ours to touch.
    #[error("not ours: {0}")]
    NotOurs(String),
    /// A FreeBSD tool refuses it.
    #[error("{0}")]
    Refused(String),
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// Goes back when nobody is heard.
    Armed,
    /// Has gone back.
    Lapsed,
    /// Does not go back any more.
    Released,
}

fn refused<T>(text: impl Into<String>) -> Result<T, SimulationError> {
    Err(SimulationError::Refused(text.into()))
}

impl World {
    /// The host of that name.
    ///
    /// # Errors
    /// [`SimulationError::NoHost`]
    pub fn host(&self, name: &NodeName) -> Result<&Host, SimulationError> {
        self.hosts.get(name).ok_or_else(|| SimulationError::NoHost(name.clone()))
    }

    fn host_mut(&mut self, name: &NodeName) -> Result<&mut Host, SimulationError> {
        self.hosts.get_mut(name).ok_or_else(|| SimulationError::NoHost(name.clone()))
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Carries out an effect.
    ///
    /// # Errors
    /// [`SimulationError`] where the script would fail. What it did before that point stays done, as on a host.
    pub fn apply(&mut self, effect: &Effect) -> Result<(), SimulationError> {
        match effect {
            Effect::Snapshot { host, dataset, label, known } => self.snapshot(host, dataset, label, known),
            Effect::DestroySnapshot { host, dataset, label, held_by } => {
                self.host_mut(host)?.destroy_snapshot(dataset, label, held_by.as_ref())
            }
            Effect::Hold { host, dataset, label, tag } => self.host_mut(host)?.hold(dataset, label, tag),
            Effect::HoldSnapshots { host, snapshots, tag } => self.host_mut(host)?.hold_snapshots(snapshots, tag),
            Effect::ReleaseSnapshots { host, snapshots, tag } => {
                self.host_mut(host)?.release_snapshots(snapshots, tag);
                Ok(())
            }
            Effect::MoveBookmark { host, datasets, bookmark, label } => {
                self.host_mut(host)?.move_bookmark(datasets, bookmark, label)
            }
            Effect::RemoveBookmark { host, datasets, bookmark } => {
                self.host_mut(host)?.remove_bookmark(datasets, bookmark);
                Ok(())
            }
            Effect::Transfer(transfer) => self.transfer(transfer),
            Effect::AdmitKey { direct, .. } => {
                self.host_mut(&direct.source)?.keys.insert(direct.run.clone());
                self.host_mut(&direct.target)?.keys.insert(direct.run.clone());
                Ok(())
            }
            Effect::TryKey { direct } => {
                let has = |node| self.host(node).map(|h| h.keys.contains(&direct.run));
                if has(&direct.source)? && has(&direct.target)? {
                    Ok(())
                } else {
                    refused("Permission denied (publickey)")
                }
            }
            Effect::RemoveKey { direct } => {
                self.host_mut(&direct.source)?.keys.remove(&direct.run);
                self.host_mut(&direct.target)?.keys.remove(&direct.run);
                Ok(())
            }
            Effect::RenameDataset { host, from, to } => self.host_mut(host)?.rename(from, to),
            Effect::DestroyParked { host, datasets, run, others } => {
                self.host_mut(host)?.destroy_parked(datasets, run, others)
            }
            Effect::ForgetBackups { host, run, .. } => {
                self.host_mut(host)?.backups.retain(|(_, of), _| of != run);
                Ok(())
            }
            Effect::DiscardReceived { host, datasets, run, .. } => self.host_mut(host)?.discard_received(datasets, run),
            Effect::RollBackReceived { host, dataset, base, run, arriving, newer } => {
                let fits = *newer != Newer::Stops;
                match self.host_mut(host)?.roll_back_received(dataset, base, run, arriving, fits) {
                    Err(SimulationError::NotOurs(_)) if *newer == Newer::Keeps => Ok(()),
                    done => done,
                }
            }
            Effect::CompareGuids { source, target, pairs, label } => self.compare_guids(source, target, pairs, label),
            Effect::ListContents(listing) => self.host_mut(&listing.host)?.list_contents(listing),
            Effect::CompareContents { source, target } => {
                let of = |listing: &Listing| self.host(&listing.host).map(|h| h.listings.get(&listing.run));
                let (left, right) = (of(source)?, of(target)?);
                if left.is_some() && left == right { Ok(()) } else { refused("the listings differ") }
            }
            Effect::ForgetListing(listing) => {
                self.host_mut(&listing.host)?.listings.remove(&listing.run);
                Ok(())
            }
            Effect::Park { host, datasets, run } => self.host_mut(host)?.park(datasets, run),
            Effect::Unpark { host, datasets } => self.host_mut(host)?.unpark(datasets),
            Effect::SetProperties { host, dataset, changes } => self.host_mut(host)?.set_properties(dataset, changes),
            Effect::Tidy { host, dataset, jail, keep, bases } => {
                self.host_mut(host)?.tidy(dataset, jail, |label| label == keep || bases.contains(label))
            }
            Effect::TryKeys { host, keys } => self.host(host)?.try_keys(keys),
            Effect::LoadKeys { host, keys } => self.host_mut(host)?.load_keys(keys),
            Effect::UnloadKeys { host, datasets } => self.host_mut(host)?.unload_keys(datasets),
            Effect::ClearMark { host, datasets } => self.host_mut(host)?.clear_mark(datasets),
            Effect::Declare { host, dataset, notice } => self.host_mut(host)?.declare(dataset, notice),
            Effect::Amend { host, dataset, notice } => self.host_mut(host)?.amend(dataset, notice),
            Effect::Withdraw { host, dataset, run } => {
                self.host_mut(host)?.withdraw(dataset, run);
                Ok(())
            }
            Effect::BringBack(back) => self.bring_back(back),
            Effect::KeepWayBack { host } => self.host(host).map(|_| ()),
            Effect::WriteFile { host, path, text, mode, replaces } => {
                self.host_mut(host)?.write_file(path, text, mode, replaces.as_deref())
            }
            Effect::RemoveFile { host, path, sha256 } => self.host_mut(host)?.remove_file(path, sha256),
            Effect::MoveFile { host, from, to } => self.host_mut(host)?.move_file(from, to),
            Effect::ForgetFile { host, path } => {
                self.host_mut(host)?.files.remove(path);
                Ok(())
            }
            Effect::CheckJailConfiguration { host, jail, file, expected } => {
                self.host(host)?.check_configuration(jail, file, expected)
            }
            Effect::StopJail(place) => self.host_mut(&place.host)?.stop(place),
            Effect::StartJail(place) => self.start(place),
            Effect::Edit { host, meaning, .. } => self.host_mut(host)?.edit(meaning),
            Effect::AddRoute(route) => self.host_mut(&route.host)?.add_route(route),
            Effect::DeleteRoute(route) | Effect::DeleteSubnetRoute(route) => {
                self.host_mut(&route.host)?.delete_route(route)
            }
            Effect::AddAlias { host, interface, address, length } => {
                self.host_mut(host)?.add_alias(interface, *address, *length)
            }
            Effect::RemoveAlias { host, interface, address, length, .. } => {
                self.host_mut(host)?.remove_alias(interface, *address, *length)
            }
            Effect::ProxyArp { host, on, .. } => {
                let value = u8::from(*on).to_string();
                self.host_mut(host)?.facts.sysctls.insert("net.link.ether.inet.proxyall".into(), value);
                Ok(())
            }
            // What is inside a jail goes with it; its tables are no part of a world.
            Effect::JailRoute { host, .. } => self.host(host).map(|_| ()),
            Effect::HandOver(hand_over) => self.host_mut(&hand_over.host)?.hand_over(hand_over),
            Effect::CheckAnchor { host, .. } => self.host(host).map(|_| ()),
            Effect::LoadAnchor { host, jail, before, rules } => self.host_mut(host)?.load_anchor(jail, before, rules),
            Effect::KeepAnchor { host, jail, rules, .. } => self.host_mut(host)?.keep_anchor(jail, rules),
            Effect::ChangeTable { host, table, add, remove } => self.host_mut(host)?.change_table(table, add, remove),
            // The packet filter's states and the neighbours' caches are no part of a world.
            Effect::KillStates { host, .. } | Effect::ForgetNeighbours { host, .. } | Effect::Announce { host, .. } => {
                self.host(host).map(|_| ())
            }
            Effect::Lock { host, jail, run, .. } => {
                let holder = self.host_mut(host)?.locks.entry(jail.clone()).or_insert_with(|| run.clone());
                if holder == run { Ok(()) } else { refused(format!("run {holder} moves jail {jail} now")) }
            }
            Effect::TakeNetwork { host, run, .. } => {
                let holder = self.host_mut(host)?.switching.get_or_insert_with(|| run.clone());
                if holder == run { Ok(()) } else { refused(format!("run {holder} changes the network now")) }
            }
            Effect::LeaveNetwork { host, run } => {
                self.host_mut(host)?.switching.take_if(|holder| holder == run);
                Ok(())
            }
            Effect::StorePlan { host, run } => {
                self.host_mut(host)?.stages.insert(run.clone(), Stage::Copying);
                Ok(())
            }
            Effect::Mark { host, run, stage } => {
                self.host_mut(host)?.stages.insert(run.clone(), *stage);
                Ok(())
            }
            Effect::Arm(lease) => self.host_mut(&lease.host)?.arm(lease),
            Effect::Release { host, run, .. } => self.host_mut(host)?.release(run),
            Effect::Disarm { host, run, .. } => {
                self.host_mut(host)?.leases.remove(run);
                Ok(())
            }
            Effect::Confirm { host } => self.host(host).map(|_| ()),
            Effect::Unlock { host, jail, run } => {
                self.host_mut(host)?.stages.remove(run);
                self.host_mut(host)?.locks.retain(|j, holder| j != jail || holder != run);
                Ok(())
            }
            Effect::MakeCanary(canary) => self.host_mut(&canary.host)?.make_canary(canary),
            Effect::RemoveCanary(canary) => {
                self.host_mut(&canary.host)?.remove_canary(canary);
                Ok(())
            }
            Effect::CloneForRehearsal(understudy) => self.clone_for_rehearsal(understudy),
            Effect::DiscardClones(understudy) => self.host_mut(&understudy.host)?.discard_clones(understudy),
            Effect::StartUnderstudy(understudy) => self.host_mut(&understudy.host)?.start_understudy(understudy),
            Effect::StopUnderstudy(understudy) => {
                self.host_mut(&understudy.host)?.stop_understudy(understudy);
                Ok(())
            }
            Effect::Watch { host, run, .. } => {
                self.host_mut(host)?.watches.insert(run.clone());
                Ok(())
            }
            Effect::Unwatch { host, run } => {
                self.host_mut(host)?.watches.remove(run);
                Ok(())
            }
            Effect::Probe { host, probe } => self.probe(host, probe),
        }
    }

    /// Addresses of jails must be reached; what a service answers is not known here.
    fn probe(&self, host: &NodeName, probe: &Probe) -> Result<(), SimulationError> {
        match probe {
            Probe::Ping { address, fib, .. } => self.reach(host, *fib, *address),
            Probe::Tcp { address, .. } => self.reach(host, 0, *address),
            // What runs on a host besides jails is no part of a world.
            Probe::Http { .. } | Probe::Unused { .. } => self.host(host).map(|_| ()),
            Probe::Trial(trial) => self.try_way(host, trial),
            Probe::Runs { jail, root } => match self.host(host)?.facts.jail(jail) {
                Some(running) if running.path == root.as_str() => Ok(()),
                _ => refused(format!("jail {jail} does not run from {root} on {host}")),
            },
            Probe::Inside { jail, .. } | Probe::PingFromInside { jail, .. } | Probe::Within { jail, .. } => {
                if self.host(host)?.facts.jail(jail).is_none() {
                    return refused(format!("jexec: jail {jail} not found on {host}"));
                }
                Ok(())
            }
        }
    }

    pub(super) fn answers(&self, from: &NodeName, address: std::net::IpAddr) -> bool {
        self.reach(from, 0, address).is_ok()
    }

    fn reach(&self, from: &NodeName, fib: u16, address: std::net::IpAddr) -> Result<(), SimulationError> {
        self.host(from)?;
        let known = |net: &IpNet| net.addr() == address;
        if !self.inside.values().any(|jail| jail.addresses.iter().any(known)) {
            return Ok(());
        }
        match invariants::way(self, from, fib, address) {
            Ok(_) => Ok(()),
            Err(lost) => Err(SimulationError::NotTaken(format!("{address} does not answer {from}: {lost}"))),
        }
    }
}

#[cfg(test)]
mod fleets;
#[cfg(test)]
mod interrupted_tests;
#[cfg(test)]
mod meantime_tests;
#[cfg(test)]
mod older_copy_tests;
#[cfg(test)]
mod reboot_tests;
#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
mod segment_tests;
#[cfg(test)]
mod somebody;
#[cfg(test)]
mod stage_tests;
#[cfg(test)]
mod strolls_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod ways_tests;
