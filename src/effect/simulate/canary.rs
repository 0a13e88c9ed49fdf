//! The canary: a jail that is there for a moment.

use ipnet::IpNet;

use crate::effect::canary::Canary;
use crate::effect::canary::Goal;
use crate::effect::canary::Trial;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::World;
use crate::effect::simulate::invariants;
use crate::effect::simulate::refused;
use crate::facts::Interface;
use crate::facts::RunningJail;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;

type Done = Result<(), SimulationError>;

/// Its end on the host.
fn end(canary: &Canary) -> Option<InterfaceName> {
    InterfaceName::new(format!("epair{}a", canary.unit)).ok()
}

impl Host {
    pub(super) fn make_canary(&mut self, canary: &Canary) -> Done {
        self.remove_canary(canary);
        let Some(name) = end(canary) else { return refused(format!("ifconfig: epair{}", canary.unit)) };
        if self.facts.interface(&name).is_some() {
            return refused(format!("{name} has come into being since the plan was made"));
        }
        let Some(bridge) = self.facts.interfaces.iter_mut().find(|i| i.name == canary.bridge) else {
            return refused(format!("ifconfig: interface {} does not exist", canary.bridge));
        };
        bridge.members.push(name.clone());
        bridge.members.sort();
        self.facts.interfaces.push(Interface {
            name,
            up: true,
            mtu: 1500,
            fib: canary.fib,
            addresses: Vec::new(),
            link_locals: vec![],
            members: Vec::new(),
            groups: vec!["epair".into()],
        });
        self.facts.interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        self.facts.jails.push(RunningJail {
            name: canary.jail.to_string(),
            jid: 0,
            path: "/".into(),
            vnet: true,
            dying: false,
            addresses: canary.ends.iter().filter_map(|e| IpNet::new(e.address, e.length).ok()).collect(),
            gateways: canary.ends.iter().map(|e| e.gateway).collect(),
            mtu: Some(canary.mtu),
            smallest_mtu: Some(canary.mtu),
        });
        self.facts.jails.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    pub(super) fn remove_canary(&mut self, canary: &Canary) {
        if self.facts.jail(&canary.jail).is_some() {
            self.facts.jails.retain(|j| j.name != canary.jail.as_str());
            end(canary).iter().for_each(|name| self.destroy_interface(name));
        }
    }
}

impl World {
    /// Packets must find their way there, and out by the tunnel; what answers outside is not known here.
    pub(super) fn try_way(&self, on: &NodeName, trial: &Trial) -> Done {
        let lost = |error: String| Err(SimulationError::NotTaken(error));
        let road = &trial.road;
        let host = self.host(&road.host)?;
        if let Some(jail) = &trial.jail
            && host.facts.jail(jail).is_none()
        {
            return refused(format!("jexec: jail {jail} not found on {}", road.host));
        }
        if trial.jail.is_some() && *on != road.host || matches!(trial.goal, Goal::Hub { .. } | Goal::Outside { .. }) {
            // Answers come from the hub.
            match invariants::way(self, &road.hub, 0, trial.address) {
                Ok(hops) if hops.last() == Some(&road.host) => {}
                Ok(hops) => return lost(format!("{} is reached on {hops:?}", trial.address)),
                Err(error) if trial.jail.is_some() => {
                    return lost(format!("{} is not reached: {error}", trial.address));
                }
                Err(_) => {}
            }
        }
        let to = match &trial.goal {
            Goal::Outside { landmark, .. } => landmark.address(),
            Goal::Hub { hub } => *hub,
            Goal::FromHub { .. } => return Ok(()),
        };
        let Some(tunnel) = &road.tunnel else { return Ok(()) };
        let table = host.facts.routes(road.fib, Prefix::host(to).family()).map(|r| (r.destination, &r.interface));
        match crate::model::longest_match(table, Prefix::host(to)) {
            Some((_, out)) if out == tunnel => Ok(()),
            _ => lost(format!("FIB {} of {} does not send {to} into {tunnel}", road.fib, road.host)),
        }
    }
}
