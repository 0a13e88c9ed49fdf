//! Plans within one layer-2 segment, and what speaks against them.

use crate::effect::Effect;
use crate::effect::simulate::World;
use crate::facts::HostFacts;
use crate::facts::Route;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::plan::Finding;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::assemble;
use crate::plan::doctor;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;

/// spare and big are one segment; web goes along it.
fn shape() -> Shape {
    Shape { bridged: vec![1, 2], ..Shape::testbed() }
}

fn plan_of(world: &World, shape: &Shape, to: &str) -> Result<Plan, Vec<Finding>> {
    let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node(to));
    let Some(situation) = situation else { return Err(findings.into_sorted()) };
    assemble::plan(&evidence, &situation, &Options::default().settle(), &tester(), "", findings)
}

/// The plan with a host that is otherwise.
fn with(host: &str, change: impl Fn(&mut HostFacts)) -> Plan {
    let mut world = shape().world();
    change(&mut world.hosts.get_mut(&node(host)).unwrap().facts);
    plan_of(&world, &shape(), "big").unwrap()
}

fn codes(plan: &Plan, severity: Severity) -> Vec<(String, Option<NodeName>)> {
    let told = plan.findings.iter().filter(|f| f.severity == severity);
    told.map(|f| (f.code.clone(), f.host.clone())).collect()
}

fn interface<'a>(facts: &'a mut HostFacts, name: &str) -> &'a mut crate::facts::Interface {
    facts.interfaces.iter_mut().find(|i| i.name.as_str() == name).unwrap()
}

fn route(destination: &str, out: &str) -> Route {
    let interface = InterfaceName::new(out).unwrap();
    Route { destination: destination.parse().unwrap(), interface, gateway: None, flags: "UHS".into() }
}

#[test]
fn nothing_is_re_routed_and_everybody_on_the_segment_is_told() {
    let plan = with("big", |_| ());
    assert_eq!(codes(&plan, Severity::Error), []);
    for step in &plan.steps {
        for effect in std::iter::once(&step.effect).chain(&step.undo) {
            let re_routes = matches!(
                effect,
                Effect::HandOver(_)
                    | Effect::AddRoute(_)
                    | Effect::DeleteRoute(_)
                    | Effect::DeleteSubnetRoute(_)
                    | Effect::AddAlias { .. }
                    | Effect::RemoveAlias { .. }
                    | Effect::ProxyArp { .. }
                    | Effect::JailRoute { .. }
            );
            assert!(!re_routes, "{}: {effect:?}", step.title);
            assert!(
                !matches!(effect, Effect::Edit { what, .. } if what.contains("wg0") || what.contains("route")),
                "{effect:?}"
            );
        }
    }
    let cut = || plan.steps.iter().filter(|s| s.phase == Phase::CutOver);
    let told = cut().find_map(|s| match &s.effect {
        Effect::Announce { host, jail: _, neighbours } => Some((host.clone(), neighbours.clone())),
        _ => None,
    });
    let (host, neighbours) = told.unwrap();
    assert_eq!(host, node("big"));
    let texts: Vec<String> = neighbours.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["192.168.123.1", "2001:db8:1:1::1", "2001:db8:1:1::51"]);
    // The other end, with the jail that stayed there, and the target; the stop has the announcement as its last undo.
    let forget =
        |at: &str| cut().any(|s| matches!(&s.effect, Effect::ForgetNeighbours { host, .. } if *host == node(at)));
    assert!(forget("spare") && forget("big") && !forget("small"));
    let stop = cut().find(|s| matches!(s.effect, Effect::StopJail(_))).unwrap();
    assert!(
        matches!(stop.undo.last(), Some(Effect::Announce { host, .. }) if *host == node("spare")),
        "{:?}",
        stop.undo
    );
    // Armed as ever; the canary has the jail's own gateway.
    let armed: Vec<_> = plan.steps.iter().filter(|s| matches!(s.effect, Effect::Arm(_))).map(|s| s.host()).collect();
    assert_eq!(armed.len(), 3, "{armed:?}");
    let canary = plan.steps.iter().find_map(|s| match &s.effect {
        Effect::MakeCanary(canary) => Some(canary.clone()),
        _ => None,
    });
    let ends: Vec<String> =
        canary.unwrap().ends.iter().map(|e| format!("{}/{} {}", e.address, e.length, e.gateway)).collect();
    assert_eq!(ends, ["192.168.123.10/24 192.168.123.1", "2001:db8:1:1::a/72 2001:db8:1:1::1"]);
    assert!(!plan.steps.iter().any(|s| s.title.contains("through the tunnel")));
}

#[test]
fn a_segment_needs_no_wireguard() {
    let shape = Shape { bridged: vec![0, 1, 2], ..Shape::testbed() };
    let mut world = shape.world();
    for host in world.hosts.values_mut() {
        host.facts.wireguard.clear();
        host.facts.wireguard_files.clear();
        host.facts.interfaces.retain(|i| i.name.as_str() != "wg0");
        for table in host.facts.routes.values_mut() {
            table.retain(|r| r.interface.as_str() != "wg0");
        }
    }
    let hub = &mut world.hosts.get_mut(&node("small")).unwrap().facts;
    for (destination, family) in [("192.168.123.0/24", "192.168.123.2/24"), ("2001:db8:1:1::/72", "2001:db8:1:1::2/72")]
    {
        interface(hub, "bridge0").addresses.push(family.parse().unwrap());
        hub.routes.get_mut(&0).unwrap().push(route(destination, "bridge0"));
    }
    let plan = plan_of(&world, &shape, "big").unwrap();
    assert_eq!(codes(&plan, Severity::Error), [], "{:#?}", plan.findings);
    // The hub has neighbours' caches too.
    let hub =
        |s: &crate::plan::Step| matches!(&s.effect, Effect::ForgetNeighbours { host, .. } if *host == node("small"));
    assert!(plan.steps.iter().any(hub));
}

#[test]
fn out_of_a_segment_and_into_one_is_refused_with_the_reason() {
    for (from_segment, word) in
        [(true, "move it within its segment (attic)"), (false, "move it to a node that is routed too")]
    {
        let mut shape = Shape::testbed();
        let mut attic = shape.nodes[2].clone();
        attic.name = "attic";
        shape.nodes.push(attic);
        shape.bridged = if from_segment { vec![1, 3] } else { vec![2, 3] };
        let findings = plan_of(&shape.world(), &shape, "big").unwrap_err();
        let told = findings.iter().find(|f| f.code == "fabric-differs").unwrap();
        assert!(told.severity == Severity::Error && told.host == Some(node("big")), "{told:?}");
        assert!(told.what.contains("fabric: bridged") && told.what.contains("fabric: routed"), "{told:?}");
        assert!(told.fix.contains(word), "{told:?}");
        // Not a fault of the fleet: doctor leaves such moves out, and says so.
        let hosts = shape.world().hosts.into_iter().map(|(n, h)| (n, h.facts)).collect();
        let all = shape.nodes.iter().map(|n| node(n.name)).collect();
        let (moves, left_out) = doctor::moves(&shape.fleet(), &hosts, &all);
        assert!(!moves.iter().any(|m| m.jail == jail("web") && m.target == node("big")));
        assert!(left_out.iter().any(|l| l.starts_with("moves from spare") && l.contains("to big")), "{left_out:?}");
    }
}

#[test]
fn what_is_no_part_of_the_segment_is_found() {
    let part = |plan: Plan, code: &str, host: &str| {
        let errors = codes(&plan, Severity::Error);
        assert_eq!(errors, [(code.to_owned(), Some(node(host)))], "{:#?}", plan.findings);
        plan
    };
    // A bridge with jails only, an interface beside it, a carrier that is down.
    let plan = with("big", |f| interface(f, "bridge0").members.retain(|m| m.as_str() != "vxlan0"));
    let plan = part(plan, "no-carrier", "big");
    let fix = &plan.findings.iter().find(|f| f.code == "no-carrier").unwrap().commands[0].command;
    assert_eq!(fix, "ifconfig bridge0 addm vxlan0");
    part(with("spare", |f| interface(f, "vxlan0").up = false), "carrier-down", "spare");
    // The hub leads it to somebody else, or the node of the segment leads it back.
    let astray = with("small", |f| {
        let peers = &mut f.wireguard[0].peers;
        peers.iter_mut().for_each(|p| p.allowed.retain(|a| a.to_string() != "192.168.123.0/24"));
    });
    part(astray, "segment-astray", "small");
    let back = with("spare", |f| f.routes.get_mut(&0).unwrap().push(route("192.168.123.50/32", "wg0")));
    part(back, "segment-astray", "spare");
    // A third host answers for it.
    let proxied = with("big", |f| {
        drop(f.sysctls.insert("net.link.ether.inet.proxyall".into(), "1".into()));
        interface(f, "bridge0").addresses.push("192.168.123.20/24".parse().unwrap());
        f.routes.get_mut(&0).unwrap().push(route("192.168.123.50/32", "wg0"));
    });
    part(proxied, "segment-proxied", "big");
    // The gateway is on a host that is no part of it.
    let mut world = shape().world();
    let gateway =
        |f: &mut HostFacts| interface(f, "bridge0").addresses.retain(|a| a.addr().to_string() != "192.168.123.1");
    gateway(&mut world.hosts.get_mut(&node("spare")).unwrap().facts);
    interface(&mut world.hosts.get_mut(&node("small")).unwrap().facts, "vtnet0")
        .addresses
        .push("192.168.123.1/24".parse().unwrap());
    let plan = plan_of(&world, &shape(), "big").unwrap();
    assert!(codes(&plan, Severity::Error).contains(&("gateway-elsewhere".into(), Some(node("small")))));
    // Two have it, as earlier, routed moves leave it; a bridge that is narrower than the jail.
    let twice = with("big", |f| interface(f, "bridge0").addresses.push("192.168.123.1/32".parse().unwrap()));
    assert!(codes(&twice, Severity::Warning).iter().any(|(code, _)| code == "gateway-twice"), "{:#?}", twice.findings);
    let narrow = with("big", |f| interface(f, "vxlan0").mtu = 1370);
    assert!(codes(&narrow, Severity::Warning).iter().any(|(code, _)| code == "mtu-large"), "{:#?}", narrow.findings);
}

#[test]
fn doctor_tells_of_bridges_without_their_segment_now_and_after_a_boot() {
    let told = |change: &dyn Fn(&mut HostFacts)| {
        let mut hosts: std::collections::BTreeMap<_, _> =
            shape().world().hosts.into_iter().map(|(n, h)| (n, h.facts)).collect();
        change(hosts.get_mut(&node("big")).unwrap());
        let (found, _) = doctor::of_hosts(&shape().fleet(), &hosts, &[node("big")].into());
        found.into_iter().map(|f| f.code).filter(|c| c.contains("carrier")).collect::<Vec<_>>()
    };
    assert_eq!(told(&|_| ()), Vec::<String>::new());
    assert_eq!(told(&|f| interface(f, "bridge0").members.clear()), ["no-carrier"]);
    assert_eq!(told(&|f| f.boot.tools.clear()), ["carrier-forgotten"]);
    assert_eq!(
        told(&|f| {
            f.boot.tools.clear();
            drop(f.rc.variables.insert("ifconfig_bridge0".into(), "up addm vxlan0".into()));
        }),
        Vec::<String>::new()
    );
}

#[test]
fn a_canary_off_the_jail_s_link_is_left_out_with_the_reason() {
    let shape = Shape { canary: vec!["192.168.200.8/30", "2001:db8:1:1::8/126"], ..shape() };
    let plan = plan_of(&shape.world(), &shape, "big").unwrap();
    assert_eq!(codes(&plan, Severity::Error), []);
    assert!(plan.findings.iter().any(|f| f.code == "no-canary" && f.what.contains("192.168.200.8/30")));
    let canaries = plan.steps.iter().filter_map(|s| match &s.effect {
        Effect::MakeCanary(canary) => Some(canary.ends.len()),
        _ => None,
    });
    assert_eq!(canaries.collect::<Vec<_>>(), [1]);
}
