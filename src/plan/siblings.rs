//! Jails that stay in the moved jail's own subnet: they look for it on their own link, and it for them.
//!
//! IPv4: proxy ARP on both hosts, with the /32 into the tunnel where they stay and the subnet into the tunnel where the
//! jail is (contract 6.4, 10.8). IPv6: proxy neighbour discovery does not work on 13.2, so a host route through the
//! gateway inside each of them (contract 10.9), which [`ways`] makes last.
//!
//! Where both hosts are parts of one layer-2 segment none of this is needed (see [`segment`](super::segment)).

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::effect::Effect;
use crate::effect::RouteSpec;
use crate::effect::commands::SUBNETS;
use crate::facts::HostFacts;
use crate::facts::RunningJail;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::checks;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::migrate::route_step;
use crate::plan::network;
use crate::plan::network::RouteChange;
use crate::plan::persist;
use crate::plan::preflight::Subject;
use crate::plan::situation::Situation;
use crate::plan::ways;

/// rc.conf(5)'s own variable, and ours that lists the jails for which we set it.
const PROXY: &str = "arpproxy_all";
const MARK: &str = "jailferry_arpproxy";

const SYSCTL: &str = "net.link.ether.inet.proxyall";

/// A pair of addresses on one subnet: the jail's and a sibling's.
pub(super) struct Pair {
    pub(super) jail: JailName,
    /// The sibling's address.
    pub(super) address: IpAddr,
    network: Prefix,
    /// The jail's own address in that network.
    pub(super) own: IpAddr,
    /// The sibling's default gateway in that family.
    pub(super) gateway: Option<IpAddr>,
}

/// The running jails of a host next to one of the jail's addresses.
pub(super) fn pairs(situation: &Situation, facts: &HostFacts) -> Vec<Pair> {
    let near = |jail: &RunningJail| {
        let Ok(name) = JailName::new(jail.name.as_str()) else { return Vec::new() };
        let gateway = |family| jail.gateways.iter().copied().find(|g| Family::of(*g) == family);
        let of = |net: &ipnet::IpNet| {
            let own = checks::answering(situation).into_iter().find(|a| net.contains(a))?;
            let network = Prefix::truncate(*net);
            // A network that moves as a whole has nobody left behind to look for it.
            let whole = situation.prefixes.iter().any(|p| p.covers(network));
            let gateway = gateway(Family::of(own));
            (!whole).then(|| Pair { jail: name.clone(), address: net.addr(), network, own, gateway })
        };
        jail.addresses.iter().filter_map(of).collect()
    };
    facts.jails.iter().filter(|j| j.name != situation.jail.as_str() && j.vnet && !j.dying).flat_map(near).collect()
}

/// Siblings on hosts other than the target, by host.
fn away<'a>(cast: &'a Cast<'_>) -> Vec<(&'a NodeName, &'a HostFacts, Vec<Pair>)> {
    cast.hosts
        .iter()
        .filter(|(node, _)| **node != cast.situation.target.node)
        .map(|(node, facts)| (node, facts, pairs(cast.situation, facts)))
        .filter(|(_, _, pairs)| !pairs.is_empty())
        .collect()
}

/// The hosts that must answer for others' IPv4 addresses once the jail has moved.
fn proxies(cast: &Cast<'_>) -> BTreeSet<NodeName> {
    let mut nodes: BTreeSet<NodeName> = away(cast)
        .into_iter()
        .filter(|(_, _, pairs)| pairs.iter().any(|p| p.own.is_ipv4()))
        .map(|(node, _, _)| node.clone())
        .collect();
    if !nodes.is_empty() {
        nodes.insert(cast.situation.target.node.clone());
    }
    nodes
}

/// The jails for which jailferry let a host answer, or the subnets that it routes.
fn marked(facts: &HostFacts, mark: &str) -> Vec<String> {
    let value = facts.rc.variables.get(mark);
    value.map(|v| v.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

/// What becomes of proxy ARP on a host: switched on, off, or only remembered.
struct Proxy {
    /// On or off now; `None`: as it is.
    switch: Option<bool>,
    /// The jails it is on for, before and after.
    before: Vec<String>,
    after: Vec<String>,
}

fn proxy(cast: &Cast<'_>, node: &NodeName, facts: &HostFacts, needed: bool) -> Proxy {
    let before = marked(facts, MARK);
    let jail = cast.situation.jail.to_string();
    let on = facts.sysctl(SYSCTL) == Some(1);
    let mut after: Vec<String> = before.iter().filter(|j| **j != jail && still_apart(cast, node, j)).cloned().collect();
    // Where somebody else has switched it on it is not ours to remember, nor to switch off.
    if needed && (!on || !before.is_empty()) {
        after.push(jail);
    }
    let switch = match (on, needed) {
        (false, true) => Some(true),
        (true, false) if !before.is_empty() && after.is_empty() => Some(false),
        _ => None,
    };
    Proxy { switch, before, after }
}

/// Will another moved jail still have a sibling elsewhere, one of the two being on that host? One that runs nowhere may
/// have.
fn still_apart(cast: &Cast<'_>, node: &NodeName, jail: &str) -> bool {
    let place = |host, other: &RunningJail| -> &NodeName {
        if other.name == cast.situation.jail.as_str() { &cast.situation.target.node } else { host }
    };
    let all = || {
        let jails = cast.hosts.iter().flat_map(|(host, facts)| facts.jails.iter().map(move |j| (host, j)));
        jails.filter(|(_, j)| j.vnet && !j.dying).map(|(host, j)| (place(host, j), j))
    };
    let Some((home, own)) = all().find(|(_, j)| j.name == jail) else { return true };
    let near = |other: &RunningJail| {
        let networks = || other.addresses.iter().filter(|net| net.addr().is_ipv4());
        networks().any(|net| own.addresses.iter().any(|a| net.contains(&a.addr())))
    };
    all().any(|(there, j)| j.name != jail && there != home && (home == node || there == node) && near(j))
}

/// Route changes of a host: the siblings' subnets lead into the tunnel where the jail is, and no longer where it was.
pub(super) fn routes(cast: &Cast<'_>, node: &NodeName, facts: &HostFacts) -> Vec<RouteChange> {
    let situation = cast.situation;
    if situation.is_hub(node) || situation.is_bridged() {
        return Vec::new();
    }
    let networks: BTreeSet<Prefix> =
        away(cast).into_iter().flat_map(|(_, _, pairs)| pairs.into_iter().map(|p| p.network)).collect();
    let tunnel: &InterfaceName = if *node == situation.target.node {
        &situation.target.wireguard
    } else if *node == situation.source.node {
        &situation.source.wireguard
    } else {
        return Vec::new();
    };
    let mut changes = Vec::new();
    for fib in network::lookup_fibs(facts, Some(tunnel)) {
        if *node == situation.target.node {
            for network in &networks {
                let table: Vec<_> = facts.routes(fib, network.family()).cloned().collect();
                // A bridge that has the subnet itself keeps it.
                let connected = table.iter().any(|r| r.destination == *network && !r.flags.contains('S'));
                if !connected {
                    changes.extend(network::route_changes(node, &table, *network, tunnel, fib));
                }
            }
            continue;
        }
        // Ours, and no other jail here looks for that subnet.
        let stopped = persist::stopped(facts, &situation.source.bridge, &situation.jail);
        for own in &situation.addresses {
            let known = marked(facts, SUBNETS);
            let ours = |r: &&crate::facts::Route| {
                r.interface == *tunnel && r.destination.contains(*own) && known.contains(&r.destination.to_string())
            };
            let used = |network: Prefix| {
                facts.jails.iter().any(|j| {
                    j.name != situation.jail.as_str() && j.addresses.iter().any(|a| network.contains(a.addr()))
                }) || stopped.iter().any(|prefix| network.covers(*prefix))
            };
            for route in facts.routes(fib, Family::of(*own)).filter(ours).filter(|r| !used(r.destination)) {
                let (host, prefix) = (node.clone(), route.destination);
                changes.push(RouteChange::Delete(RouteSpec { host, prefix, interface: tunnel.clone(), fib }));
            }
        }
    }
    changes
}

/// A route that jails of other runs may need too.
fn subnet_step(change: RouteChange) -> Step {
    let mut step = route_step(change);
    for effect in &mut step.undo {
        if let Effect::DeleteRoute(route) = effect {
            *effect = Effect::DeleteSubnetRoute(route.clone());
        }
    }
    step
}

/// Once the jail runs at the target and is reached from outside.
#[must_use]
pub fn meet(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    if situation.is_bridged() {
        return Vec::new();
    }
    let needed = proxies(cast);
    let mut steps = Vec::new();
    for (node, facts) in cast.hosts {
        steps.extend(routes(cast, node, facts).into_iter().map(subnet_step));
        if let Some(on) = proxy(cast, node, facts, needed.contains(node)).switch {
            let (title, before, after) = if on {
                (format!("{node} answers for jails that are elsewhere (proxy ARP)"), "0", "1")
            } else {
                (format!("{node} no longer answers for jails that are elsewhere (proxy ARP)"), "1", "0")
            };
            steps.push(
                Step::new(Phase::Prove, title, Effect::ProxyArp { host: node.clone(), on, unless_kept: false })
                    .undo(Effect::ProxyArp { host: node.clone(), on: !on, unless_kept: on })
                    .change(Change::new(format!("{SYSCTL} on {node}"), before, after)),
            );
        }
    }
    let target = &situation.target.node;
    for (node, _, pairs) in away(cast) {
        let jails: BTreeSet<JailName> = pairs.iter().map(|p| p.jail.clone()).collect();
        let names = jails.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        steps.push(Step::new(
            Phase::Prove,
            format!("{node} and {names} forget where the jail's addresses were"),
            Effect::ForgetNeighbours {
                host: node.clone(),
                addresses: situation.addresses.clone(),
                jails: jails.into_iter().collect(),
            },
        ));
        for pair in pairs.iter().filter(|p| p.own.is_ipv6()) {
            let step = pair.gateway.map(|gateway| jail_route(node, &pair.jail, pair.own, gateway, true));
            // On any other host than the source it had that route before, and needs it after a way back.
            let apart = *node != situation.source.node;
            steps.extend(step.map(|step| if apart { Step { undo: Vec::new(), ..step } } else { step }));
            let own_gateway = situation.gateways.iter().copied().find(IpAddr::is_ipv6);
            steps.extend(own_gateway.map(|g| jail_route(target, &situation.jail, pair.address, g, true)));
        }
    }
    let Some(facts) = cast.hosts.get(target) else { return steps };
    for pair in pairs(situation, facts).iter().filter(|p| p.own.is_ipv6()) {
        steps.extend(pair.gateway.map(|gateway| jail_route(target, &pair.jail, pair.own, gateway, false)));
    }
    steps.iter_mut().for_each(|s| s.phase = Phase::Prove);
    steps
}

fn jail_route(host: &NodeName, jail: &JailName, to: IpAddr, gateway: IpAddr, there: bool) -> Step {
    let effect = |there| Effect::JailRoute { host: host.clone(), jail: jail.clone(), to, gateway, there };
    let title = if there {
        format!("jail {jail} on {host} reaches {to} through {gateway}")
    } else {
        format!("jail {jail} on {host} looks for {to} on its own link again")
    };
    Step::new(Phase::Prove, title, effect(there)).undo(effect(!there))
}

/// rc.conf of the hosts follows.
pub(super) fn persist(cast: &Cast<'_>) -> Vec<Step> {
    if cast.situation.is_bridged() {
        return Vec::new();
    }
    let needed = proxies(cast);
    let mut steps = Vec::new();
    for (node, facts) in cast.hosts {
        let mut subnets: BTreeSet<String> = marked(facts, SUBNETS).into_iter().collect();
        for change in routes(cast, node, facts) {
            match change {
                RouteChange::Add { route, .. } => _ = subnets.insert(route.prefix.to_string()),
                RouteChange::Delete(route) => _ = subnets.remove(&route.prefix.to_string()),
            }
        }
        let new = (!subnets.is_empty()).then(|| subnets.into_iter().collect::<Vec<_>>().join(" "));
        let old = facts.rc.variables.get(SUBNETS);
        if old != new.as_ref() {
            steps.push(persist::edit_variable(node, SUBNETS, old.map(String::as_str), new.as_deref()));
        }
        let Proxy { before, after, .. } = proxy(cast, node, facts, needed.contains(node));
        if before == after {
            continue;
        }
        let text = |jails: &[String]| (!jails.is_empty()).then(|| jails.join(" "));
        let old = facts.rc.variables.get(PROXY).map(String::as_str);
        // A value of somebody else's stays, whatever it says.
        if before.is_empty() && old.is_none() {
            steps.push(persist::edit_variable(node, PROXY, None, Some("YES")));
        } else if after.is_empty() && old == Some("YES") {
            steps.push(persist::edit_variable(node, PROXY, Some("YES"), None));
        }
        steps.push(persist::edit_variable(
            node,
            MARK,
            facts.rc.variables.get(MARK).map(String::as_str),
            text(&after).as_deref(),
        ));
    }
    steps.extend(ways::persist(cast));
    steps
}

/// What the two will not have of each other.
pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    let situation = s.situation;
    if situation.is_bridged() {
        return;
    }
    let mut names = BTreeSet::new();
    let mut six = false;
    for (node, facts) in s.hosts.iter().filter(|(node, _)| **node != situation.target.node) {
        for jail in facts.jails.iter().filter(|j| j.name != situation.jail.as_str() && j.vnet && !j.dying) {
            for net in &jail.addresses {
                let near = checks::answering(situation).iter().any(|a| net.contains(a))
                    && !situation.prefixes.iter().any(|p| p.covers(Prefix::truncate(*net)));
                if near {
                    names.insert(format!("{} on {node}", jail.name));
                    six |= net.addr().is_ipv6();
                }
            }
        }
    }
    if names.is_empty() {
        return;
    }
    let who = names.into_iter().collect::<Vec<_>>().join(", ");
    findings.note(
        "siblings",
        &situation.target.node,
        format!(
            "{who} stays in the jail's own subnet: proxy ARP and routes let the two reach each other through the tunnel"
        ),
    );
    if six {
        ways::examine(situation, s.hosts, findings);
    }
    let places = [(&situation.target.node, s.target), (&situation.source.node, s.source)];
    for (node, facts) in s.hubs().into_iter().chain(places) {
        if facts.sysctl("net.inet.ip.redirect") == Some(1) {
            findings.warning(
                "redirects",
                node,
                format!("{node} sends ICMP redirects, which may teach jails a way that does not exist"),
                Fix::new("switch them off, now and at each boot")
                    .run("sysctl net.inet.ip.redirect=0 net.inet6.ip6.redirect=0")
                    .run("echo net.inet.ip.redirect=0 >> /etc/sysctl.conf")
                    .run("echo net.inet6.ip6.redirect=0 >> /etc/sysctl.conf"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulate::World;
    use crate::plan::Plan;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    fn plan(world: &World, shape: &Shape, target: &str) -> Plan {
        let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node(target));
        let settings = Options::default().settle();
        assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), target, findings).unwrap()
    }

    /// What is undone of the routes that siblings on spare get to the jail.
    fn undone(plan: &Plan) -> Vec<usize> {
        let of_sib = |e: &Effect| matches!(e, Effect::JailRoute { host, jail, there: true, .. } if host.as_str() == "spare" && jail.as_str() == "sib");
        plan.steps
            .iter()
            .filter(|step| step.phase == Phase::Prove && of_sib(&step.effect))
            .map(|step| step.undo.len())
            .collect()
    }

    #[test]
    fn a_way_back_leaves_a_sibling_the_route_that_it_had_before() {
        let shape = Shape::testbed();
        let mut world = shape.world();
        let out = plan(&world, &shape, "big");
        assert!(!undone(&out).is_empty() && undone(&out).iter().all(|n| *n == 1), "{:?}", undone(&out));
        out.steps.iter().for_each(|step| world.apply(&step.effect).unwrap());
        let further = plan(&world, &shape, "small");
        assert!(!undone(&further).is_empty() && undone(&further).iter().all(|n| *n == 0), "{:?}", undone(&further));
    }
}
