//! Somebody who changes properties of a jail's datasets between moves, and takes snapshots of them; they must follow it.

use std::collections::BTreeSet;

use crate::effect::Effect;
use crate::effect::properties;
use crate::effect::simulate::World;
use crate::effect::simulate::invariants::running_copies;
use crate::effect::simulate::tests::is_of;
use crate::effect::simulate::tests::write;
use crate::model::Guid;
use crate::model::JailName;
use crate::model::SnapshotLabel;

/// How the names of snapshots that somebody takes begin.
pub(super) const SOMEBODYS_SNAPSHOT: &str = "somebody";

/// A property that somebody sets.
pub(super) const SOMEBODYS: &str = "org.example:stop";

/// A value of his own at every stop, a limit at every other one.
pub(super) fn change_properties(world: &mut World, jail: &JailName, stop: usize) {
    for node in running_copies(world, jail) {
        let storage = &mut world.hosts.get_mut(&node).unwrap().storage;
        for (_, dataset) in storage.iter_mut().filter(|(name, _)| is_of(jail, name)) {
            dataset.local.insert(SOMEBODYS.to_owned(), stop.to_string());
            dataset.local.insert("quota".to_owned(), if stop.is_multiple_of(2) { "0" } else { "1000" }.to_owned());
        }
    }
}

/// Snapshots of his own of all of a jail's datasets, none to three at a stop.
pub(super) fn take_snapshots(world: &mut World, jail: &JailName, stop: usize) {
    for host in running_copies(world, jail) {
        let of_jail = world.hosts[&host].storage.keys().filter(|name| is_of(jail, name));
        let Some(dataset) = of_jail.min_by_key(|name| name.as_str().len()).cloned() else { continue };
        for number in 0..(stop + 3) % 4 {
            write(world, jail);
            let label = SnapshotLabel::new(format!("{SOMEBODYS_SNAPSHOT}-{stop}-{number}")).unwrap();
            let (host, dataset) = (host.clone(), dataset.clone());
            world.apply(&Effect::Snapshot { host, dataset, label, known: vec![] }).unwrap();
        }
    }
}

/// His snapshots of a jail where it runs, with what identifies them.
pub(super) fn snapshots(world: &World, jail: &JailName) -> Vec<Vec<(String, Guid)>> {
    let running = running_copies(world, jail);
    let datasets = running.iter().flat_map(|node| &world.hosts[node].storage).filter(|(name, _)| is_of(jail, name));
    let his = datasets.map(|(_, dataset)| {
        let his = dataset.snapshots.iter().filter(|s| !s.label.is_ours());
        his.map(|s| (s.label.to_string(), s.guid)).collect()
    });
    his.collect()
}

/// The values of their own that the datasets of a jail have where it runs, but for what tells copies apart.
pub(super) fn own_values(world: &World, jail: &JailName) -> Vec<Vec<(String, String)>> {
    let running = running_copies(world, jail);
    let datasets = running.iter().flat_map(|node| &world.hosts[node].storage).filter(|(name, _)| is_of(jail, name));
    let values = datasets.map(|(_, dataset)| {
        let names: BTreeSet<&String> = dataset.local.keys().chain(dataset.received.keys()).collect();
        let travelling = names.into_iter().filter(|name| properties::travels(name));
        let values = travelling.filter_map(|name| Some((name.clone(), dataset.own(name)?.clone())));
        values.filter(|(name, value)| !properties::is_no_limit(name, value)).collect()
    });
    values.collect()
}
