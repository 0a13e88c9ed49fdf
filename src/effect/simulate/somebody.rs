//! Somebody who changes properties of a jail's datasets between moves; they must follow it.

use std::collections::BTreeSet;

use crate::effect::properties;
use crate::effect::simulate::World;
use crate::effect::simulate::invariants::running_copies;
use crate::effect::simulate::tests::is_of;
use crate::model::JailName;

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
