//! Everything that would refuse or endanger a move, of all moves that a fleet allows: every jail to every other node.
//!
//! Each move is planned as if it were asked for, since what forbids it is what its plan says; a fault that several plans
//! name is told once, with the moves it affects. To that comes what is wrong with the hosts themselves.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::facts::HostFacts;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Finding;
use crate::plan::Severity;
use crate::plan::finding::Findings;
use crate::plan::preflight;
use crate::plan::rehearsal;
use crate::plan::upkeep;
use crate::plan::upkeep::Host;
use crate::playbook::Fleet;

/// A jail that could move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Move {
    /// Which one.
    pub jail: JailName,
    /// Where it runs, when it does.
    pub source: Option<NodeName>,
    /// Where it could go.
    pub target: NodeName,
}

/// A fault and what it stands in the way of.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// What is wrong, and how to put it right.
    #[serde(flatten)]
    pub finding: Finding,
    /// Moves whose plan says so; empty for a fault of a host as such.
    pub moves: BTreeSet<Move>,
}

/// What was looked at, and what was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Hosts that answered.
    pub examined: BTreeSet<NodeName>,
    /// Hosts that did not; what they lack is not known.
    pub unexamined: BTreeSet<NodeName>,
    /// Moves that were looked at.
    pub moves: BTreeSet<Move>,
    /// Those of which enough is known to plan them.
    pub planned: BTreeSet<Move>,
    /// Worst first, by host.
    pub faults: Vec<Fault>,
    /// Jails and nodes that were left out, and why.
    pub left_out: Vec<String>,
}

impl Report {
    /// Takes in what was found; notes tell of no fault.
    pub fn add(&mut self, found: Vec<Finding>, by: Option<&Move>) {
        for finding in found.into_iter().filter(|f| f.severity != Severity::Note) {
            let moves = by.cloned().into_iter();
            let same = |f: &&mut Fault| {
                let known = &f.finding;
                (&known.host, &known.code, &known.what) == (&finding.host, &finding.code, &finding.what)
            };
            match self.faults.iter_mut().find(same) {
                // What one move can do without, another cannot.
                Some(fault) => {
                    fault.finding.severity = fault.finding.severity.max(finding.severity);
                    fault.moves.extend(moves);
                }
                None => self.faults.push(Fault { finding, moves: moves.collect() }),
            }
        }
    }

    /// Host by host, those of no single host last; errors before warnings.
    pub fn sort(&mut self) {
        self.faults.sort_by(|a, b| {
            let key = |f: &Fault| {
                let f = &f.finding;
                (f.host.is_none(), f.host.clone(), std::cmp::Reverse(f.severity), f.code.clone(), f.what.clone())
            };
            key(a).cmp(&key(b))
        });
    }

    /// How many faults forbid a move, and how many may surprise.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let errors = self.faults.iter().filter(|f| f.finding.severity == Severity::Error).count();
        (errors, self.faults.len() - errors)
    }

    /// The moves that a fault affects, in the fewest words.
    #[must_use]
    pub fn affected(&self, fault: &Fault) -> String {
        let moves = &fault.moves;
        if moves.is_empty() {
            return String::new();
        }
        // Of moves that cannot even be planned, no other fault can be told.
        let all = if moves.is_subset(&self.planned) { &self.planned } else { &self.moves };
        if moves == all {
            return "every move".to_owned();
        }
        let same = |which: &dyn Fn(&Move) -> bool| {
            moves.len() > 1 && *moves == all.iter().filter(|m| which(m)).cloned().collect()
        };
        for node in &self.examined {
            let (to, from) = (|m: &Move| m.target == *node, |m: &Move| m.source.as_ref() == Some(node));
            if same(&to) {
                return format!("every move to {node}");
            }
            if same(&from) {
                return format!("every move from {node}");
            }
            if same(&|m| to(m) || from(m)) {
                return format!("every move to or from {node}");
            }
        }
        let jails: BTreeSet<&JailName> = moves.iter().map(|m| &m.jail).collect();
        if let (1, Some(jail)) = (jails.len(), jails.first())
            && same(&|m| m.jail == **jail)
        {
            return format!("every move of {jail}");
        }
        moves.iter().map(|m| format!("{} to {}", m.jail, m.target)).collect::<Vec<_>>().join(", ")
    }
}

/// What is wrong with hosts, whatever moves. The hosts' own identities come first: when they are in doubt, nothing else
/// that they say counts.
#[must_use]
pub fn of_hosts(
    fleet: &Fleet,
    hosts: &BTreeMap<NodeName, HostFacts>,
    only: &BTreeSet<NodeName>,
) -> (Vec<Finding>, bool) {
    let mut findings = Findings::default();
    preflight::hosts(hosts, &mut findings);
    let known = !findings.has_errors();
    upkeep::apart(hosts, &fleet.hub, &mut findings);
    for (node, facts) in hosts.iter().filter(|(node, _)| only.contains(*node)) {
        let (bridge, tunnel) = (bridge(fleet, node, facts), tunnel(fleet, node, facts));
        let host = Host { node, facts, bridge, tunnel, is_hub: fleet.is_hub(node), leaves: false };
        upkeep::needs(&host, &mut findings);
        upkeep::lasts(&host, &mut findings);
        if let Some(bridge) = bridge.filter(|_| !fleet.fabric(node).is_routed()) {
            preflight::segment::carrier(node, facts, bridge, &mut findings);
            preflight::segment::lasts(node, facts, bridge, &mut findings);
        }
    }
    (findings.into_sorted(), known)
}

/// The bridge that fleet.yml names, or the only one.
fn bridge<'a>(fleet: &'a Fleet, node: &NodeName, facts: &'a HostFacts) -> Option<&'a InterfaceName> {
    let named = fleet.nodes.get(node).and_then(|n| n.bridge.as_ref());
    let mut bridges = facts.interfaces.iter().filter(|i| i.groups.iter().any(|g| g == "bridge")).map(|i| &i.name);
    let first = bridges.next();
    named.or(if bridges.next().is_some() { None } else { first })
}

/// The tunnel that fleet.yml names, or the only one.
fn tunnel<'a>(fleet: &'a Fleet, node: &NodeName, facts: &'a HostFacts) -> Option<&'a InterfaceName> {
    let named = fleet.nodes.get(node).and_then(|n| n.wireguard.as_ref());
    let only = match facts.wireguard.as_slice() {
        [only] => Some(&only.interface),
        _ => None,
    };
    named.or(only)
}

/// The moves to look at, and who is left out: jails that are not on any host that answered, that share a host's network,
/// or that are our own; and moves between nodes that are not on one fabric.
#[must_use]
pub fn moves(
    fleet: &Fleet,
    hosts: &BTreeMap<NodeName, HostFacts>,
    only: &BTreeSet<NodeName>,
) -> (BTreeSet<Move>, Vec<String>) {
    let mut left_out = Vec::new();
    let mut jails: BTreeMap<JailName, Option<NodeName>> = fleet.jails.keys().map(|j| (j.clone(), None)).collect();
    for (node, facts) in hosts {
        for jail in facts.jails.iter().filter(|j| !j.dying) {
            let Ok(name) = JailName::new(jail.name.as_str()) else {
                left_out.push(format!("jail {:?} on {node}: its name is none that jailferry can move", jail.name));
                continue;
            };
            if rehearsal::is_ours(&name) {
                continue;
            }
            if jail.vnet || jails.contains_key(&name) {
                jails.insert(name, Some(node.clone()));
            } else {
                left_out.push(format!("jail {name} on {node}: it shares the host's network (no vnet)"));
            }
        }
    }
    let mut targets = Vec::new();
    for (node, facts) in hosts {
        // A hub may have no place for jails at all.
        let settings = fleet.nodes.get(node);
        let is_place = bridge(fleet, node, facts).is_some() || settings.is_some_and(|n| n.parent.is_some());
        if !fleet.is_hub(node) || is_place {
            targets.push(node);
        } else {
            left_out.push(format!("moves to {node}: the hub has no bridge for jails"));
        }
    }
    let mut moves = BTreeSet::new();
    let mut apart = BTreeSet::new();
    for (jail, source) in jails {
        for target in targets.iter().filter(|t| source.as_ref() != Some(**t)) {
            let concerned = only.contains(*target) || source.as_ref().is_some_and(|s| only.contains(s));
            if let Some(from) = source.as_ref().filter(|s| concerned && fleet.fabric(s) != fleet.fabric(target)) {
                let (here, there) = (fleet.fabric(from), fleet.fabric(target));
                apart.insert(format!(
                    "moves from {from} (fabric: {here}) to {target} (fabric: {there}): no jail is moved out of a layer-2 segment, or into one"
                ));
            } else if concerned {
                moves.insert(Move { jail: jail.clone(), source: source.clone(), target: (*target).clone() });
            }
        }
    }
    left_out.extend(apart);
    (moves, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    fn examined(change: impl Fn(&mut HostFacts)) -> Report {
        let mut world = Shape::testbed().world();
        let fleet = Shape::testbed().fleet();
        let mut report = Report::default();
        for host in world.hosts.values_mut() {
            change(&mut host.facts);
        }
        let hosts: BTreeMap<NodeName, HostFacts> =
            world.hosts.iter().map(|(name, host)| (name.clone(), host.facts.clone())).collect();
        let only: BTreeSet<NodeName> = hosts.keys().cloned().collect();
        report.examined = only.clone();
        let (of_hosts, known) = of_hosts(&fleet, &hosts, &only);
        assert!(known, "{of_hosts:?}");
        report.add(of_hosts, None);
        let (moves, left_out) = moves(&fleet, &hosts, &only);
        assert_eq!(left_out, Vec::<String>::new());
        for one in &moves {
            let (evidence, situation, findings) = world.evidence(&fleet, &one.jail, &one.target);
            let plan = crate::plan::assemble::plan(
                &evidence,
                &situation.unwrap(),
                &Options::default().settle(),
                &tester(),
                "doctor",
                findings,
            );
            report.planned.insert(one.clone());
            report.add(plan.unwrap().findings, Some(one));
        }
        report.moves = moves;
        report.sort();
        report
    }

    fn on(host: &str, change: impl Fn(&mut HostFacts)) -> Report {
        examined(|facts| {
            if facts.identity.hostname == host {
                change(facts);
            }
        })
    }

    fn told<'a>(report: &'a Report, code: &str) -> Vec<&'a Fault> {
        report.faults.iter().filter(|f| f.finding.code == code).collect()
    }

    #[test]
    fn a_sound_fleet_has_no_errors_and_every_jail_moves_everywhere() {
        let report = examined(|_| ());
        assert_eq!(report.count().0, 0, "{:#?}", report.faults);
        assert!(report.moves.iter().any(|m| m.jail == jail("web") && m.target == node("big")), "{:?}", report.moves);
        assert!(report.moves.iter().all(|m| m.source.as_ref() != Some(&m.target)));
    }

    #[test]
    fn a_fault_of_a_host_is_said_once_with_the_moves_it_affects() {
        let report = on("big", |facts| {
            facts.sysctls.insert("net.inet.ip.forwarding".into(), "0".into());
        });
        let [fault] = told(&report, "forwarding-off")[..] else { panic!("{:#?}", report.faults) };
        assert_eq!(report.affected(fault), "every move to big");
        let commands: Vec<&str> = fault.finding.commands.iter().map(|r| r.command.as_str()).collect();
        assert_eq!(commands, ["sysctl net.inet.ip.forwarding=1", "sysrc gateway_enable=YES"]);
        assert_eq!(fault.finding.commands[0].host, node("big"));
    }

    /// Each fault that the facts of one host can have, and the code that names it.
    #[test]
    fn faults_of_hosts_are_named() {
        type Change = fn(&mut HostFacts);
        let cases: [(&str, &str, Severity, Change); 22] = [
            ("big", "read-only", Severity::Error, |f| f.room.values_mut().for_each(|r| r.writable = false)),
            ("small", "full", Severity::Error, |f| f.room.values_mut().for_each(|r| r.free = 4096)),
            ("big", "securelevel", Severity::Warning, |f| {
                f.sysctls.insert("kern.securelevel".into(), "3".into());
                f.pf.enabled = Some(true);
            }),
            ("big", "in-a-jail", Severity::Warning, |f| {
                f.sysctls.insert("security.jail.jailed".into(), "1".into());
            }),
            ("big", "bridge-down", Severity::Error, |f| {
                f.interfaces.iter_mut().filter(|i| i.name.as_str() == "bridge0").for_each(|i| i.up = false);
            }),
            ("big", "no-link-local", Severity::Warning, |f| {
                let bridge = f.interfaces.iter_mut().find(|i| i.name.as_str() == "bridge0").unwrap();
                bridge.addresses.push("2001:db8:9::1/64".parse().unwrap());
            }),
            ("small", "tunnel-down", Severity::Error, |f| {
                f.interfaces.iter_mut().filter(|i| i.name.as_str() == "wg0").for_each(|i| i.up = false);
            }),
            ("big", "clocks-apart", Severity::Warning, |f| f.identity.clock += 3600),
            ("big", "unreadable", Severity::Warning, |f| {
                f.unreadable.insert("jail -e /etc/jail.conf.d/old.conf".into(), "syntax error".into());
            }),
            ("big", "forwarding-forgotten", Severity::Warning, |f| f.boot.tools.clear()),
            ("big", "fibs-forgotten", Severity::Warning, |f| {
                f.boot.tools.clear();
                f.boot.settings.clear();
            }),
            ("small", "pf-forgotten", Severity::Warning, |f| {
                f.boot.tools.clear();
                f.pf.enabled = Some(true);
            }),
            ("big", "tunnel-forgotten", Severity::Warning, |f| f.boot.tools.clear()),
            ("big", "bridge-forgotten", Severity::Warning, |f| f.boot.tools.clear()),
            ("big", "address-forgotten", Severity::Warning, |f| f.boot.tools.clear()),
            ("big", "route-forgotten", Severity::Warning, |f| f.boot.tools.clear()),
            ("big", "zfs-forgotten", Severity::Warning, |f| f.boot.tools.clear()),
            ("spare", "jails-off", Severity::Warning, |f| f.rc.jail_enable = false),
            ("small", "file-differs", Severity::Warning, |f| {
                f.wireguard_files[0].peers[0].1.clear();
            }),
            ("small", "peer-forgotten", Severity::Warning, |f| {
                f.wireguard_files[0].peers.remove(0);
            }),
            ("big", "pool-read-only", Severity::Error, |f| f.pools[0].readonly = true),
            ("big", "reboot-pending", Severity::Warning, |f| f.identity.installed = "13.2-RELEASE-p9".into()),
        ];
        for (host, code, severity, change) in cases {
            let report = on(host, change);
            let found = told(&report, code);
            assert!(!found.is_empty(), "{code}: {:#?}", report.faults);
            assert!(found.iter().all(|f| f.finding.severity == severity && !f.finding.fix.is_empty()), "{found:#?}");
            assert!(found.iter().all(|f| f.finding.host == Some(node(host))), "{found:#?}");
        }
    }
}
