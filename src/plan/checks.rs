//! What is asked of a jail after it has moved: the checks of fleet.yml and those that every jail gets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::effect::Effect;
use crate::effect::Probe;
use crate::facts::HostFacts;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::nat::Nat;
use crate::plan::situation::Situation;
use crate::plan::situation::hub_sources;
use crate::playbook;
use crate::playbook::Check;
use crate::playbook::HttpTarget;
use crate::playbook::Vantage;

/// A check as a step: its title and its probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// What is proven.
    pub title: String,
    /// How.
    pub effect: Effect,
}

/// Seconds that echo requests are tried where the jail runs already: the first may wait for a neighbour.
const AT_ONCE: u32 = 5;

/// Seconds a jail's services get to come up before a check counts as failed.
pub(super) const PATIENCE: u32 = 30;

/// After the start: reach and packet size from every hub, the jail's own way out, then the checks of fleet.yml.
#[must_use]
pub fn after_start(situation: &Situation, checks: &[Check], hub_addresses: &[IpAddr]) -> Vec<Examination> {
    let mut list = Vec::new();
    let answering = answering(situation);
    for (hub, address) in situation.hubs().flat_map(|hub| answering.iter().map(move |a| (hub, a))) {
        list.push(Examination {
            title: format!("{hub} reaches {address} with packets of {} bytes", situation.mtu),
            effect: probe(
                hub,
                Probe::Ping {
                    address: *address,
                    size: Some(situation.mtu),
                    fib: 0,
                    source: from_hub(situation, hub, *address),
                    seconds: PATIENCE,
                },
            ),
        });
    }
    for address in from_inside(situation, &answering, hub_addresses) {
        list.push(Examination {
            title: format!("jail {} reaches the hub ({address}) through the tunnel", situation.jail),
            effect: probe(
                &situation.target.node,
                Probe::PingFromInside {
                    jail: situation.jail.clone(),
                    address,
                    size: Some(situation.mtu),
                    seconds: PATIENCE,
                },
            ),
        });
    }
    for check in checks {
        let sources = |host: &NodeName| situation.sources_of_hub(host).to_vec();
        let seconds = check.timeout_seconds().max(PATIENCE);
        let there = Asked { place: &situation.target.node, seconds, sources: &sources };
        list.extend(examine(situation, check, &answering, &there));
    }
    list
}

/// Before anything is copied: the checks of fleet.yml where the jail runs, and the echo requests by which a move is proven.
/// It is up, so nothing is waited for beyond what the check itself takes. A whole URL may be one that only this move's rules
/// lead to the jail (`publish:`).
#[must_use]
pub fn beforehand(
    situation: &Situation,
    checks: &[Check],
    nat: &Nat,
    hosts: &BTreeMap<NodeName, HostFacts>,
    hub_addresses: &[IpAddr],
) -> Vec<Examination> {
    let (answering, source) = (answering(situation), &situation.source.node);
    let new_rules = !nat.anchors.is_empty() || !nat.tables.is_empty();
    let later =
        |check: &&Check| new_rules && matches!(check.probe, playbook::Probe::Http { target: HttpTarget::Url(_), .. });
    // The source answers for the gateway as the target will.
    let gateways: &[IpAddr] = if situation.is_bridged() { &[] } else { &situation.gateways };
    let sources = |host: &NodeName| match (hosts.get(host), hosts.get(source)) {
        (Some(hub), Some(here)) if situation.is_hub(host) => hub_sources(hub, here, gateways, host == source),
        _ => Vec::new(),
    };
    let here = |check: &Check| Asked { place: source, seconds: check.timeout_seconds(), sources: &sources };
    let asked = checks.iter().filter(|check| !later(check));
    let mut list: Vec<_> = asked.flat_map(|check| examine(situation, check, &answering, &here(check))).collect();
    let known = |list: &[Examination], title: &str| list.iter().any(|e| e.title == title);
    for address in &answering {
        let hub = &situation.hub;
        let title = format!("{address} answers {hub}");
        if !known(&list, &title) {
            let source = same_family(&sources(hub), *address);
            let ping = Probe::Ping { address: *address, size: None, fib: 0, source, seconds: AT_ONCE };
            list.push(Examination { title, effect: probe(hub, ping) });
        }
    }
    // Where there are two hubs, the jail need not reach the other one from here.
    let inner = if situation.hubs().count() == 1 { hub_addresses } else { &[] };
    for address in from_inside(situation, &answering, inner) {
        let ping = Probe::PingFromInside { jail: situation.jail.clone(), address, size: None, seconds: AT_ONCE };
        list.push(Examination {
            title: format!("jail {} reaches the hub ({address})", situation.jail),
            effect: probe(source, ping),
        });
    }
    list.into_iter().map(|e| Examination { title: format!("{}, with the jail on {source}", e.title), ..e }).collect()
}

/// The hub's addresses that the jail must reach from the target. On a segment the jail's answer to the hub has shown its way
/// out already: by its gateway, which need not answer itself (what asks from another FIB is answered in that FIB, contract
/// 1.7). A jail of one family has no way to an address of the other.
fn from_inside(situation: &Situation, answering: &[IpAddr], hub_addresses: &[IpAddr]) -> Vec<IpAddr> {
    if situation.is_hub(&situation.target.node) || situation.is_bridged() {
        return Vec::new();
    }
    let speaks = |address: &&IpAddr| answering.iter().any(|own| own.is_ipv4() == address.is_ipv4());
    hub_addresses.iter().filter(speaks).copied().collect()
}

/// Until the lock was there, somebody else may have moved it: what stands at the source then is a copy that must stay one.
#[must_use]
pub fn still_there(situation: &Situation) -> Step {
    let (host, jail, root) = (situation.source.node.clone(), situation.jail.clone(), situation.path.clone());
    Step::new(
        Phase::Copy,
        format!("jail {jail} still runs on {host}"),
        Effect::Probe { host, probe: Probe::Runs { jail, root } },
    )
}

/// The addresses at which the jail should answer: its own, those within what it owns.
pub(crate) fn answering(situation: &Situation) -> Vec<IpAddr> {
    situation.addresses.iter().copied().filter(|a| situation.prefixes.iter().any(|p| p.contains(*a))).collect()
}

fn probe(host: &NodeName, probe: Probe) -> Effect {
    Effect::Probe { host: host.clone(), probe }
}

fn vantage<'a>(situation: &'a Situation, from: &'a Vantage) -> &'a NodeName {
    match from {
        Vantage::Hub => &situation.hub,
        Vantage::Node(node) => node,
    }
}

pub(super) fn url(address: IpAddr, port: u16, path: &str) -> String {
    let port = if port == 80 { String::new() } else { format!(":{port}") };
    match address {
        IpAddr::V4(a) => format!("http://{a}{port}{path}"),
        IpAddr::V6(a) => format!("http://[{a}]{port}{path}"),
    }
}

/// Where a check is asked.
struct Asked<'a> {
    /// Where the jail is.
    place: &'a NodeName,
    /// How long it is tried.
    seconds: u32,
    /// Addresses that a hub must ask from.
    sources: &'a dyn Fn(&NodeName) -> Vec<IpAddr>,
}

/// One check of fleet.yml; without an address it is asked of each of the jail's.
fn examine(situation: &Situation, check: &Check, answering: &[IpAddr], asked: &Asked<'_>) -> Vec<Examination> {
    let Asked { place, seconds, sources } = *asked;
    let from_hub = |host: &NodeName, address| same_family(&sources(host), address);
    let each = |address: &Option<IpAddr>| match address {
        Some(address) => vec![*address],
        None => answering.to_vec(),
    };
    match &check.probe {
        playbook::Probe::Icmp { address, from } => each(address)
            .into_iter()
            .map(|address| {
                let host = vantage(situation, from);
                Examination {
                    title: format!("{address} answers {host}"),
                    effect: probe(
                        host,
                        Probe::Ping { address, size: None, fib: 0, source: from_hub(host, address), seconds },
                    ),
                }
            })
            .collect(),
        playbook::Probe::Tcp { address, port, from } => each(address)
            .into_iter()
            .map(|address| {
                let host = vantage(situation, from);
                Examination {
                    title: format!("{} accepts {host}", endpoint(address, *port)),
                    effect: probe(host, Probe::Tcp { address, port: *port, source: from_hub(host, address), seconds }),
                }
            })
            .collect(),
        playbook::Probe::Http { target, status, body, from } => {
            let urls = match target {
                HttpTarget::Url(url) => vec![(None, url.clone())],
                HttpTarget::Path { address, port, path } => {
                    each(address).into_iter().map(|a| (Some(a), url(a, *port, path))).collect()
                }
            };
            urls.into_iter()
                .map(|(address, url)| {
                    let host = vantage(situation, from);
                    let source = address.and_then(|a| from_hub(host, a));
                    let wanted = match body {
                        Some(text) => format!("status {status} and {text:?}"),
                        None => format!("status {status}"),
                    };
                    Examination {
                        title: format!("{url} answers {host} with {wanted}"),
                        effect: probe(host, Probe::Http { url, status: *status, body: body.clone(), source, seconds }),
                    }
                })
                .collect()
        }
        playbook::Probe::Command { run } => vec![Examination {
            title: format!("{} succeeds inside the jail", crate::effect::shell::line(run)),
            effect: probe(place, Probe::Inside { jail: situation.jail.clone(), argv: run.clone(), seconds }),
        }],
    }
}

/// The address a hub must ask from, where its usual one is a gateway of the jail: the target answers for that
/// gateway too, so the answers would never leave it.
pub(super) fn from_hub(situation: &Situation, host: &NodeName, address: IpAddr) -> Option<IpAddr> {
    same_family(situation.sources_of_hub(host), address)
}

fn same_family(addresses: &[IpAddr], address: IpAddr) -> Option<IpAddr> {
    addresses.iter().find(|s| s.is_ipv4() == address.is_ipv4()).copied()
}

pub(super) fn endpoint(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(a) => format!("{a}:{port}"),
        IpAddr::V6(a) => format!("[{a}]:{port}"),
    }
}

/// The hub's addresses inside the tunnel that the target's tunnel network covers.
#[must_use]
pub fn tunnel_addresses(hub: &crate::facts::HostFacts, wireguard: &crate::model::InterfaceName) -> Vec<IpAddr> {
    hub.interface(wireguard)
        .map(|i| i.addresses.iter().map(ipnet::IpNet::addr).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
        .filter(|a| !Prefix::host(*a).network().is_loopback())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::plan::advice;
    use crate::plan::assemble;
    use crate::plan::finding::Findings;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::plan::nat::AnchorChange;
    use crate::playbook::Options;

    #[test]
    fn a_jail_is_not_asked_for_a_family_that_it_does_not_speak() {
        let shape = Shape::testbed();
        let (_, situation, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
        let mut situation = situation.unwrap();
        let hub = ["10.77.0.1".parse().unwrap()];
        let asked = |situation: &Situation| {
            let all = after_start(situation, &[], &hub);
            all.iter().filter(|e| e.title.contains("reaches the hub")).count()
        };
        assert_eq!(asked(&situation), 1);
        situation.addresses.retain(IpAddr::is_ipv6);
        assert_eq!(asked(&situation), 0);
    }

    /// Two plans of one moment, of which only the one may still be carried out.
    #[test]
    fn a_jail_that_was_moved_since_the_plan_is_left_alone() {
        let shape = Shape::testbed();
        let mut world = shape.world();
        let plan = |salt: &str| {
            let (evidence, situation, findings) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
            let settings = Options::default().settle();
            assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), salt, findings).unwrap()
        };
        let (first, late) = (plan("1"), plan("2"));
        first.steps.iter().for_each(|step| world.apply(&step.effect).unwrap());
        let before = world.clone();
        let failed = late.steps.iter().position(|step| world.apply(&step.effect).is_err()).unwrap();
        assert!(matches!(&late.steps[failed].effect, Effect::Probe { probe: Probe::Runs { .. }, .. }), "step {failed}");
        for effect in late.steps[..failed].iter().rev().flat_map(|step| &step.undo) {
            world.apply(effect).unwrap();
        }
        assert!(world.hosts == before.hosts, "nothing but the lock had been touched");
    }

    #[test]
    fn a_narrow_jail_is_asked_with_packets_that_it_can_answer() {
        let shape = Shape::testbed();
        let size = |in_fleet: Option<u32>, inside: Option<u32>| {
            let mut fleet = shape.fleet();
            fleet.nodes.values_mut().for_each(|n| n.mtu = in_fleet);
            let mut world = shape.world();
            let web = &mut world.hosts.get_mut(&node("spare")).unwrap().facts.jails;
            web.iter_mut().filter(|j| j.name == "web").for_each(|j| j.smallest_mtu = inside);
            world.evidence(&fleet, &jail("web"), &node("big")).1.unwrap().mtu
        };
        assert_eq!(size(None, Some(1280)), 1280);
        assert_eq!(size(Some(1420), Some(1380)), 1380);
        assert_eq!(size(None, Some(1500)), 1380, "an epair's own, which the tunnel does not take");
        assert_eq!((size(None, None), size(Some(1300), None)), (1380, 1300));
        let mut narrow = shape.world();
        let interfaces = &mut narrow.hosts.get_mut(&node("big")).unwrap().facts.interfaces;
        interfaces.iter_mut().filter(|i| i.name.as_str() == "wg0").for_each(|i| i.mtu = 1280);
        let mut fleet = shape.fleet();
        fleet.nodes.values_mut().for_each(|n| n.mtu = None);
        assert_eq!(narrow.evidence(&fleet, &jail("web"), &node("big")).1.unwrap().mtu, 1280, "the tunnel's");
    }

    #[test]
    fn the_checks_are_asked_where_the_jail_is_before_anything_is_copied() {
        let shape = Shape::testbed();
        let (mut evidence, situation, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
        let situation = situation.unwrap();
        let probe = playbook::Probe::Icmp { address: None, from: Vantage::Hub };
        evidence.fleet.jails.get_mut(&jail("web")).unwrap().checks =
            vec![Check { probe, timeout: Check::DEFAULT_TIMEOUT }];
        let plan = |check_first: bool| {
            let settings = Options { check_first: Some(check_first), ..Options::default() }.settle();
            assemble::plan(&evidence, &situation, &settings, &tester(), "", Findings::default()).unwrap()
        };
        let titles = |plan: &Plan| {
            let asked = plan.steps.iter().enumerate().filter(|(_, step)| !advice::of(step, "").is_empty());
            asked.map(|(index, step)| (index, step.title.clone())).collect::<Vec<_>>()
        };
        let (with, without) = (plan(true), plan(false));
        assert!(matches!(with.steps[0].effect, Effect::Lock { .. }));
        let expected =
            ["192.168.123.50 answers small", "2001:db8:1:1::50 answers small", "jail web reaches the hub (10.77.0.1)"];
        let expected =
            expected.iter().enumerate().map(|(n, title)| (n + 3, format!("{title}, with the jail on spare")));
        assert_eq!(titles(&with), expected.collect::<Vec<_>>());
        // And before the jail stops, who else uses its datasets.
        let unused = |step: &&Step| matches!(&step.effect, Effect::Probe { probe: Probe::Unused { .. }, .. });
        assert_eq!((with.steps.iter().filter(unused).count(), without.steps.iter().find(unused)), (1, None));
        assert_eq!((titles(&without), without.steps.len()), (vec![], with.steps.len() - 4));
        // A jail without checks is asked for what proves every move.
        evidence.fleet.jails.get_mut(&jail("web")).unwrap().checks.clear();
        let settings = Options::default().settle();
        let bare = assemble::plan(&evidence, &situation, &settings, &tester(), "", Findings::default()).unwrap();
        assert_eq!(titles(&bare), titles(&with));
    }

    #[test]
    fn what_only_this_move_s_rules_lead_to_the_jail_is_asked_afterwards() {
        let shape = Shape::testbed();
        let (evidence, situation, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
        let http = |target| Check {
            probe: playbook::Probe::Http { target, status: 200, body: None, from: Vantage::Hub },
            timeout: Check::DEFAULT_TIMEOUT,
        };
        let own = HttpTarget::Path { address: Some("192.168.123.50".parse().unwrap()), port: 80, path: "/".into() };
        let checks = [http(HttpTarget::Url("http://203.0.113.1:8090/".into())), http(own)];
        let asked = |nat: &Nat| {
            let all = beforehand(situation.as_ref().unwrap(), &checks, nat, &evidence.hosts, &[]);
            all.iter().filter(|e| e.title.contains("http")).count()
        };
        let anchor = AnchorChange {
            host: node("small"),
            before: vec![],
            after: vec!["rdr".into()],
            main: crate::plan::fixture::path("/etc/pf.conf"),
        };
        let (old, new) = (Nat::default(), Nat { anchors: vec![anchor], ..Nat::default() });
        assert_eq!((asked(&old), asked(&new)), (2, 1));
    }
}
