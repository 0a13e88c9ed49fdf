//! route(8), ifconfig(8) and wg(8): contract sections 1 and 3.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::effect::RouteSpec;
use crate::effect::hand_over::HandOver;
use crate::effect::hand_over::Moved;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::refused;
use crate::facts::Interface;
use crate::facts::Peer;
use crate::facts::Route;
use crate::model::InterfaceName;
use crate::model::Prefix;

type Done = Result<(), SimulationError>;

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

impl Host {
    fn table(&mut self, fib: u16) -> &mut Vec<Route> {
        self.facts.routes.entry(fib).or_default()
    }

    fn seen(&self, route: &RouteSpec) -> Option<&InterfaceName> {
        let table = self.facts.routes.get(&route.fib)?;
        table.iter().find(|r| r.destination == route.prefix).map(|r| &r.interface)
    }

    fn put_route(&mut self, fib: u16, route: Route) {
        let table = self.table(fib);
        table.push(route);
        table.sort_by(|a, b| (a.destination, &a.interface).cmp(&(b.destination, &b.interface)));
    }

    pub(super) fn add_route(&mut self, route: &RouteSpec) -> Done {
        if self.seen(route) == Some(&route.interface) {
            return Ok(());
        }
        if self.facts.interface(&route.interface).is_none() {
            return refused(format!("route: {} does not exist", route.interface));
        }
        if !self.facts.routes.contains_key(&route.fib) {
            return refused(format!("route: no FIB {}", route.fib));
        }
        self.table(route.fib).retain(|r| r.destination != route.prefix);
        let flags = if route.prefix.is_host() { "UHS" } else { "US" };
        let (destination, interface) = (route.prefix, route.interface.clone());
        self.put_route(route.fib, Route { destination, interface, gateway: None, flags: flags.into() });
        Ok(())
    }

    pub(super) fn delete_route(&mut self, route: &RouteSpec) -> Done {
        if self.seen(route) == Some(&route.interface) {
            self.table(route.fib).retain(|r| r.destination != route.prefix);
        }
        Ok(())
    }

    /// The FIBs that get an interface's connected routes: all of them with net.add_addr_allfibs=1 (contract 1.6).
    fn fibs_of_addresses(&self, own: u16) -> Vec<u16> {
        if self.facts.sysctl("net.add_addr_allfibs") == Some(1) {
            self.facts.routes.keys().copied().collect()
        } else {
            vec![own]
        }
    }

    fn interface_mut(&mut self, name: &InterfaceName) -> Result<&mut Interface, SimulationError> {
        let found = self.facts.interfaces.iter_mut().find(|i| i.name == *name);
        found.ok_or_else(|| SimulationError::Refused(format!("ifconfig: interface {name} does not exist")))
    }

    /// The address, and the route of the network that it connects. A static route of that network gives way to it
    /// (sys/net/route/route_ctl.c: a pinned route replaces one that is not).
    pub(super) fn add_alias(&mut self, interface: &InterfaceName, address: IpAddr, length: u8) -> Done {
        let Ok(net) = IpNet::new(address, length) else { return refused(format!("ifconfig: {address}/{length}")) };
        let found = self.interface_mut(interface)?;
        if is_link_local(address) {
            if found.link_locals.iter().any(|a| a.addr() == address && *a != net) {
                return refused(format!("ifconfig: ioctl (SIOCAIFADDR): the length of {address} may not change"));
            }
            found.link_locals.retain(|a| *a != net);
            found.link_locals.push(net);
            found.link_locals.sort();
            return Ok(());
        }
        if found.addresses.contains(&net) {
            return Ok(());
        }
        found.addresses.retain(|a| a.addr() != address);
        found.addresses.push(net);
        found.addresses.sort();
        let fib = found.fib;
        let network = Prefix::truncate(net);
        if !network.is_host() {
            for fib in self.fibs_of_addresses(fib) {
                self.table(fib).retain(|r| r.destination != network);
                let interface = interface.clone();
                self.put_route(fib, Route { destination: network, interface, gateway: None, flags: "U".into() });
            }
        }
        Ok(())
    }

    pub(super) fn remove_alias(&mut self, interface: &InterfaceName, address: IpAddr, length: u8) -> Done {
        let Ok(net) = IpNet::new(address, length) else { return refused(format!("ifconfig: {address}/{length}")) };
        let found = self.interface_mut(interface)?;
        if is_link_local(address) {
            found.link_locals.retain(|a| *a != net);
            return Ok(());
        }
        if !found.addresses.contains(&net) {
            return Ok(());
        }
        found.addresses.retain(|a| *a != net);
        let (fib, network) = (found.fib, Prefix::truncate(net));
        let other = found.addresses.iter().any(|a| Prefix::truncate(*a) == network);
        if !network.is_host() && !other {
            let connected = |r: &Route| r.destination == network && r.interface == *interface && !r.flags.contains('S');
            for fib in self.fibs_of_addresses(fib) {
                self.table(fib).retain(|r| !connected(r));
            }
        }
        Ok(())
    }

    pub(super) fn hand_over(&mut self, change: &HandOver) -> Done {
        let found = self.facts.wireguard.iter_mut().find(|w| w.interface == change.interface);
        let Some(interface) = found else { return refused(format!("wg: {} does not exist", change.interface)) };
        if let Some(gone) = change.peers.iter().find(|p| !interface.peers.iter().any(|q| q.public_key == p.public_key))
        {
            return Err(SimulationError::Changed(format!("peer {} is not there", gone.public_key)));
        }
        let moved = change.moved();
        let owner = |peers: &[Peer], prefix: &Prefix| {
            peers.iter().find(|p| p.allowed.contains(prefix)).map(|p| p.public_key.clone())
        };
        if moved.iter().all(|m| owner(&interface.peers, &m.prefix).as_ref() == m.after) {
            return Ok(());
        }
        if let Some(other) = moved.iter().find(|m| owner(&interface.peers, &m.prefix).as_ref() != m.before) {
            return Err(SimulationError::Changed(format!("AllowedIPs: who has {}", other.prefix)));
        }
        for Moved { prefix, after, .. } in &moved {
            // A prefix has one peer; the last one that claims it gets it (wg(8)).
            for peer in &mut interface.peers {
                if Some(&peer.public_key) == *after {
                    peer.allowed.insert(*prefix);
                } else {
                    peer.allowed.remove(prefix);
                }
            }
        }
        Ok(())
    }
}
