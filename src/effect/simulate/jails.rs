//! jail(8): what starts, what it makes on the host, what goes with it: contract section 2.

use crate::effect::JailPlace;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::World;
use crate::effect::simulate::refused;
use crate::facts::Interface;
use crate::facts::JailConfiguration;
use crate::model::InterfaceName;

type Done = Result<(), SimulationError>;

impl Host {
    pub(super) fn stop(&mut self, place: &JailPlace) -> Done {
        if self.facts.jail(&place.jail).is_some() {
            // exec.poststop destroys what exec.prestart made.
            let made = self.configured(&place.jail, &place.file).map(|c| interfaces_of(&c)).unwrap_or_default();
            made.iter().for_each(|i| self.destroy_interface(&i.name));
        }
        self.facts.jails.retain(|j| j.name != place.jail.as_str());
        place.interfaces.iter().for_each(|i| self.destroy_interface(i));
        Ok(())
    }

    pub(super) fn destroy_interface(&mut self, name: &InterfaceName) {
        self.facts.interfaces.retain(|i| i.name != *name);
        self.facts.interfaces.iter_mut().for_each(|i| i.members.retain(|m| m != name));
    }

    /// Would rc(8) start it at boot, or `service jail start NAME` now?
    #[must_use]
    pub fn is_startable(&self, jail: &crate::model::JailName, path: &str) -> bool {
        let configured = self.all_configurations().iter().any(|c| c.name == jail.as_str());
        let mounted = self.storage.iter().any(|(name, d)| d.mounted && self.mountpoint(name) == path);
        configured && mounted
    }

    /// Would rc(8) start it at boot?
    #[must_use]
    pub fn starts_at_boot(&self, jail: &crate::model::JailName) -> bool {
        let rc = &self.facts.rc;
        rc.jail_enable && (rc.jail_list.is_empty() || rc.jail_list.iter().any(|j| j == jail.as_str()))
    }
}

impl World {
    pub(super) fn start(&mut self, place: &JailPlace) -> Done {
        let Some(inside) = self.inside.get(place.jail.as_str()).cloned() else {
            return refused(format!("nothing is known of jail {}", place.jail));
        };
        let host = self.host_mut(&place.host)?;
        if host.facts.jail(&place.jail).is_none() {
            place.interfaces.iter().for_each(|i| host.destroy_interface(i));
            let configuration = host.configured(&place.jail, &place.file)?;
            let Some(root) = configuration.value("path") else {
                return refused(format!("jail: {}: no path", place.jail));
            };
            let dataset = host.storage.iter().find(|(name, d)| d.mounted && host.mountpoint(name) == root);
            let Some((dataset, _)) = dataset else { return refused(format!("jail: {root}: no such directory")) };
            if host.is_readonly(dataset) {
                return refused(format!("jail {} cannot write to {root}: {dataset} is read-only", place.jail));
            }
            for interface in interfaces_of(&configuration) {
                if host.facts.interfaces.iter().any(|i| i.name == interface.name) {
                    return refused(format!("ifconfig: {} exists", interface.name));
                }
                for member in &interface.members {
                    let Some(bridge) = host.facts.interfaces.iter_mut().find(|i| i.name == *member) else {
                        return refused(format!("ifconfig: interface {member} does not exist"));
                    };
                    bridge.members.push(interface.name.clone());
                    bridge.members.sort();
                }
                host.facts.interfaces.push(Interface { members: Vec::new(), ..interface });
                host.facts.interfaces.sort_by(|a, b| a.name.cmp(&b.name));
            }
            host.facts.jails.push(crate::facts::RunningJail { path: root, ..inside });
            host.facts.jails.sort_by(|a, b| a.name.cmp(&b.name));
        }
        for name in &place.interfaces {
            if host.facts.interface(name).is_none_or(|i| i.fib != place.fib) {
                return Err(SimulationError::NotTaken(format!("{name} is not in FIB {}", place.fib)));
            }
            let bridge = place.bridge.as_ref().and_then(|b| host.facts.interface(b));
            if place.bridge.is_some() && bridge.is_none_or(|b| !b.members.contains(name)) {
                return Err(SimulationError::NotTaken(format!("{name} is not a member of its bridge")));
            }
        }
        Ok(())
    }
}

/// The host's ends that `ifconfig` lines of exec.prestart make; `members` are the bridges they are added to.
fn interfaces_of(configuration: &JailConfiguration) -> Vec<Interface> {
    let ends: Vec<InterfaceName> = configuration
        .values("vnet.interface")
        .unwrap_or_default()
        .iter()
        .flat_map(|v| v.split([' ', ',']))
        .filter_map(|name| InterfaceName::new(format!("{}a", name.strip_suffix('b')?)).ok())
        .collect();
    let commands: Vec<Vec<String>> = ["exec.prestart", "exec.created"]
        .iter()
        .flat_map(|p| configuration.values(p).unwrap_or_default())
        .flat_map(|value| {
            value.split("&&").map(|c| c.split_whitespace().map(str::to_owned).collect()).collect::<Vec<_>>()
        })
        .collect();
    let of = |interface: &str| {
        let interface = interface.to_owned();
        commands.iter().filter_map(move |words| {
            let (program, arguments) = words.split_first()?;
            let (name, rest) = arguments.split_first()?;
            (program.ends_with("ifconfig") && *name == interface).then_some(rest)
        })
    };
    let after =
        |words: &[String], key: &str| words.iter().position(|w| w == key).and_then(|at| words.get(at + 1)).cloned();
    ends.into_iter()
        .map(|name| {
            let bridges = commands.iter().filter(|words| after(words, "addm").is_some_and(|m| m == name.as_str()));
            Interface {
                fib: of(name.as_str())
                    .filter_map(|w| after(w, "fib"))
                    .next_back()
                    .and_then(|f| f.parse().ok())
                    .unwrap_or(0),
                members: bridges.filter_map(|w| InterfaceName::new(w.get(1)?.as_str()).ok()).collect(),
                name,
                up: true,
                mtu: 1500,
                addresses: Vec::new(),
                link_locals: vec![],
                groups: vec!["epair".into()],
            }
        })
        .collect()
}
