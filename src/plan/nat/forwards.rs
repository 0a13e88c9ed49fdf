//! The port forwards of `publish:` on the host by which the jail leaves.

use std::net::IpAddr;

use super::Subject;
use super::rules::Forward;
use super::way_out;
use crate::facts::HostFacts;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::plan::checks;
use crate::plan::finding::Findings;
use crate::plan::tunnels::Tunnels;
use crate::playbook::Egress;
use crate::playbook::Outside;
use crate::playbook::Proto;
use crate::playbook::Publish;

/// The rules that the jail's anchor needs: none for what a rule of pf.conf forwards already.
pub(super) fn wanted(s: &Subject<'_>, host: &NodeName, facts: &HostFacts, findings: &mut Findings) -> Vec<String> {
    let mut wanted = Vec::new();
    for publish in s.publish {
        let Some(forward) = resolve(s, host, facts, publish, findings) else { continue };
        if let Some(rule) = facts.pf.nat.iter().find(|r| forward.taken_by(r)) {
            if forward.same_place(rule) {
                findings.note("forwarded", host, format!("port forward: nothing to do, `{rule}` leads to the jail"));
            } else {
                taken(s, host, publish, &format!("`{rule}`"), findings);
            }
            continue;
        }
        if let Some(by) = other_jail(s, host, facts, publish, &forward) {
            taken(s, host, publish, &by, findings);
            continue;
        }
        dangerous(s, host, facts, publish, findings);
        wanted.push(forward.rule());
    }
    wanted
}

fn taken(s: &Subject<'_>, host: &NodeName, publish: &Publish, by: &str, findings: &mut Findings) {
    findings.error(
        "port-taken",
        host,
        format!("{} port {} of {host} leads elsewhere already, by {by}", publish.proto, publish.port),
        format!("publish another port of jail {} in fleet.yml, or end the other forward", s.situation.jail),
    );
}

/// Another jail's anchor on this host, or another jail whose `publish:` ends up here too.
fn other_jail(
    s: &Subject<'_>,
    host: &NodeName,
    facts: &HostFacts,
    publish: &Publish,
    forward: &Forward,
) -> Option<String> {
    let others = facts.pf.of_jails.iter().filter(|(jail, _)| **jail != s.situation.jail);
    for (jail, rules) in others {
        if let Some(rule) = rules.iter().find(|r| forward.taken_by(r)) {
            return Some(format!("jail {jail}: `{rule}`"));
        }
    }
    let same = |other: &&Publish| {
        (other.proto, other.port) == (publish.proto, publish.port)
            && (other.on == publish.on || other.on.is_none() || publish.on.is_none())
    };
    s.fleet
        .jails
        .iter()
        .filter(|(jail, _)| **jail != s.situation.jail)
        .filter(|(jail, _)| s.hosts.iter().any(|(node, f)| f.jail(jail).is_some() && leaves_by(s, node) == *host))
        .find(|(_, spec)| spec.publish.iter().any(|p| same(&p)))
        .map(|(jail, _)| format!("`publish:` of jail {jail} in fleet.yml"))
}

fn leaves_by(s: &Subject<'_>, node: &NodeName) -> NodeName {
    match s.fleet.nodes.get(node).map(|n| n.egress) {
        Some(Egress::Node) => node.clone(),
        _ if s.situation.more_hubs.is_empty() => s.situation.hub.clone(),
        _ => {
            let tunnel = s.fleet.nodes.get(node).and_then(|n| n.wireguard.as_ref());
            let found = Tunnels::new(s.hosts, s.situation.hubs()).hub_of(node, tunnel);
            found.unwrap_or_else(|| s.situation.hub.clone())
        }
    }
}

/// A forward that takes the host's own services away from it.
fn dangerous(s: &Subject<'_>, host: &NodeName, facts: &HostFacts, publish: &Publish, findings: &mut Findings) {
    let tunnel = facts.wireguard.iter().find(|w| w.listen_port == publish.port);
    if let (Proto::Udp, Some(tunnel)) = (publish.proto, tunnel) {
        findings.error(
            "port-of-the-tunnel",
            host,
            format!(
                "udp port {} of {host} is the one that {} listens on: forwarding it would cut the tunnel",
                publish.port, tunnel.interface
            ),
            format!("publish another port of jail {} in fleet.yml", s.situation.jail),
        );
    }
    if (publish.proto, publish.port) == (Proto::Tcp, 22) {
        findings.warning(
            "port-of-ssh",
            host,
            format!("tcp port 22 of {host} will lead to the jail: if sshd(8) of {host} is reached there, it no longer will be"),
            "publish another port, or `on:` an address that sshd(8) does not need",
        );
    }
}

fn resolve(
    s: &Subject<'_>,
    host: &NodeName,
    facts: &HostFacts,
    publish: &Publish,
    findings: &mut Findings,
) -> Option<Forward> {
    let on = match &publish.on {
        Some(on) => on.clone(),
        None => Outside::Interface(way_out(facts, host, &s.situation.target, findings)?),
    };
    let v4 = match &on {
        Outside::Address(address) => address.is_ipv4(),
        Outside::Interface(_) => true,
    };
    let interface = interface(s, host, facts, &on, findings)?;
    let Some(address) = inside(s, v4) else {
        findings.error(
            "publish-nowhere",
            host,
            format!(
                "{} port {} shall lead to jail {}, which has no {} address",
                publish.proto,
                publish.port,
                s.situation.jail,
                if v4 { "IPv4" } else { "IPv6" }
            ),
            "correct `publish:`, or give the jail such an address",
        );
        return None;
    };
    Some(Forward { proto: publish.proto, interface, on, port: publish.port, address, to: publish.to })
}

/// The jail's first address of the family.
fn inside(s: &Subject<'_>, v4: bool) -> Option<IpAddr> {
    checks::answering(s.situation).into_iter().find(|a| a.is_ipv4() == v4)
}

fn interface(
    s: &Subject<'_>,
    host: &NodeName,
    facts: &HostFacts,
    on: &Outside,
    findings: &mut Findings,
) -> Option<InterfaceName> {
    let found = match on {
        Outside::Interface(name) => facts.interface(name).map(|i| i.name.clone()),
        Outside::Address(address) => {
            let has = |i: &&crate::facts::Interface| i.addresses.iter().any(|a| a.addr() == *address);
            facts.interfaces.iter().find(has).map(|i| i.name.clone())
        }
    };
    if found.is_none() {
        findings.error(
            "publish-on",
            host,
            format!("jail {} shall be published on {on}, which {host} does not have", s.situation.jail),
            format!("correct `on:`; without it, the interface of {host}'s NAT rules or default route is taken"),
        );
    }
    found
}
