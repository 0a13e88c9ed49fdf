//! Listings: what snapshots hold, as numbers.

use crate::effect::contents::Listing;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::refused;

impl Host {
    pub(super) fn list_contents(&mut self, listing: &Listing) -> Result<(), SimulationError> {
        if self.listings.contains_key(&listing.run) {
            return Ok(());
        }
        let mut contents = Vec::new();
        for name in &listing.datasets {
            let dataset = self.dataset(name)?;
            let Some(snapshot) = dataset.at(&listing.label) else {
                return refused(format!("mount: {name}@{}: No such file or directory", listing.label));
            };
            if dataset.like.encrypted && !dataset.like.key_available {
                return refused(format!("mount: {name}@{}: Permission denied", listing.label));
            }
            contents.push(snapshot.content);
        }
        self.listings.insert(listing.run.clone(), contents);
        Ok(())
    }
}
