//! Leases: what a host does when nobody is heard.

use crate::effect::lease::Lease;
use crate::effect::lease::Stays;
use crate::effect::simulate::Host;
use crate::effect::simulate::LeaseState;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::World;
use crate::effect::simulate::refused;
use crate::model::NodeName;
use crate::model::RunId;

impl Host {
    pub(super) fn arm(&mut self, lease: &Lease) -> Result<(), SimulationError> {
        match self.leases.get(&lease.run) {
            Some((_, LeaseState::Lapsed)) => refused("this host has gone back by itself"),
            Some((_, LeaseState::Armed)) => Ok(()),
            Some((_, LeaseState::Released)) | None => {
                self.leases.insert(lease.run.clone(), (lease.clone(), LeaseState::Armed));
                Ok(())
            }
        }
    }

    pub(super) fn release(&mut self, run: &RunId) -> Result<(), SimulationError> {
        match self.leases.get_mut(run) {
            Some((_, LeaseState::Lapsed)) => refused("this host has gone back by itself"),
            Some((_, state)) => {
                *state = LeaseState::Released;
                Ok(())
            }
            None => Err(SimulationError::NotTaken("this host is not armed".to_owned())),
        }
    }
}

impl World {
    /// Nobody was heard for too long: the host undoes its part, or leaves it, as its lease says. What fails is left as it
    /// is, but nothing starts the jail then.
    pub fn lapse(&mut self, node: &NodeName, run: &RunId) {
        let Some((lease, LeaseState::Armed)) = self.hosts.get(node).and_then(|h| h.leases.get(run)).cloned() else {
            return;
        };
        let stays = match &lease.stays {
            Stays::Never => false,
            Stays::WhileJailRuns => self.hosts.get(node).is_some_and(|h| h.facts.jail(&lease.jail).is_some()),
            Stays::WhileAnswers { address, .. } => self.answers(node, *address),
        };
        if stays {
            return;
        }
        if let Some((_, state)) = self.hosts.get_mut(node).and_then(|h| h.leases.get_mut(run)) {
            *state = LeaseState::Lapsed;
        }
        let mut safe = true;
        for effect in &lease.reverts {
            let guards = matches!(
                effect,
                crate::effect::Effect::Unpark { .. }
                    | crate::effect::Effect::MoveFile { .. }
                    | crate::effect::Effect::StartJail(_)
            );
            if guards && !safe {
                continue;
            }
            safe &= self.apply(effect).is_ok() || !guards;
        }
    }

    /// The watcher of a lease does not survive a reboot.
    pub fn forget_watchers(&mut self, node: &NodeName) {
        if let Some(host) = self.hosts.get_mut(node) {
            host.leases
                .values_mut()
                .filter(|(_, s)| *s == LeaseState::Armed)
                .for_each(|(_, s)| *s = LeaseState::Released);
        }
    }
}
