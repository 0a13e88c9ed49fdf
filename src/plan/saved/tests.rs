//! What makes a saved plan stale, each by its name, and what does not.

use crate::effect::simulate::World;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::model::Guid;
use crate::model::Prefix;
use crate::model::Snapshot;
use crate::model::SnapshotLabel;
use crate::plan::assemble;
use crate::plan::finding::Findings;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::path;
use crate::plan::fixture::tester;
use crate::plan::saved::BadPlan;
use crate::plan::saved::Difference;
use crate::plan::saved::SavedPlan;
use crate::plan::saved::matters;
use crate::plan::situation::Evidence;
use crate::plan::situation::resolve;
use crate::playbook::Options;

fn evidence() -> Evidence {
    Shape::testbed().world().evidence(&Shape::testbed().fleet(), &jail("web"), &node("big")).0
}

/// As `evidence` lists it: how the plan was saved.
fn saved(evidence: &Evidence) -> SavedPlan {
    let settings = Options::default().settle();
    let mut findings = Findings::default();
    let situation = resolve(evidence, &jail("web"), &node("big"), &mut findings).unwrap();
    let plan = assemble::plan(evidence, &situation, &settings, &tester(), "0", findings).unwrap();
    assert!(!plan.refused(), "{:?}", plan.findings);
    let fields = matters(evidence, &situation, &settings);
    SavedPlan::new(plan, Options::default(), settings, fields, "2026-11-27T17:00:00Z".into())
}

/// What `apply` finds with these facts.
fn found(saved: &SavedPlan, evidence: &Evidence) -> Vec<Difference> {
    let mut findings = Findings::default();
    let Some(situation) = resolve(evidence, &jail("web"), &node("big"), &mut findings) else {
        return saved.stale(&saved.evidence, &findings.into_sorted());
    };
    let fields = matters(evidence, &situation, &saved.settings);
    let plan = &saved.plan;
    let evidence = &saved.planned_from(evidence.clone());
    let now = assemble::plan_as(evidence, &situation, &saved.settings, &plan.owner, &plan.run, findings).unwrap();
    let mut all = saved.stale(&fields, &now.findings);
    all.extend(saved.other_steps(&now));
    all
}

fn host<'a>(evidence: &'a mut Evidence, name: &str) -> &'a mut HostFacts {
    evidence.hosts.get_mut(&node(name)).unwrap()
}

fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

#[test]
fn nothing_changed_is_not_stale_and_the_file_reads_back() {
    let evidence = evidence();
    let plan = saved(&evidence);
    assert_eq!(found(&plan, &evidence), []);
    let bytes = serde_json::to_vec_pretty(&plan).unwrap();
    assert_eq!(SavedPlan::read(&bytes).unwrap(), plan);
}

#[test]
fn every_change_that_matters_is_named() {
    type Change = fn(&mut Evidence);
    let changes: [(&str, Change); 26] = [
        ("small/wg0/prefixes of big", |e| {
            host(e, "small").wireguard[0].peers[1].allowed.extend([p("192.168.77.0/24")]);
        }),
        ("small/wg0/prefixes of spare", |e| {
            host(e, "small").wireguard[0].peers[0].allowed.extend([p("192.168.123.50/32")]);
        }),
        ("small//usr/local/etc/wireguard/wg0.conf", |e| {
            host(e, "small").wireguard_files[0].sha256 = "0".repeat(64);
        }),
        ("big/routes in FIB 1", |e| {
            host(e, "big").routes.get_mut(&1).unwrap().remove(0);
        }),
        ("spare/routes in FIB 0", |e| {
            let facts = host(e, "spare");
            let mut route = facts.routes[&0][0].clone();
            route.destination = p("192.168.123.50/32");
            facts.routes.get_mut(&0).unwrap().push(route);
        }),
        ("small/pf translation", |e| host(e, "small").pf.nat.push("nat on vtnet0 all -> (vtnet0)".into())),
        ("small/pf", |e| host(e, "small").pf.enabled = Some(false)),
        ("small/pf anchor of web", |e| {
            host(e, "small").pf.of_jails.insert(jail("web"), vec!["rdr pass inet all -> 192.168.123.50".into()]);
        }),
        ("spare//etc/jail.conf.d/web.conf", |e| e.jail.as_mut().unwrap().configuration.sha256 = "1".repeat(64)),
        ("spare/jail configuration of web", |e| {
            let facts = host(e, "spare");
            let web = facts.jail_configurations.iter_mut().find(|c| c.name == "web").unwrap();
            web.parameters.push(("enforce_statfs".into(), Some("1".into())));
        }),
        ("big/jail configuration of web", |e| {
            let configuration =
                JailConfiguration { name: "web".into(), file: path("/etc/jail.conf.d/web.conf"), parameters: vec![] };
            host(e, "big").jail_configurations.push(configuration);
        }),
        ("big/versions", |e| host(e, "big").identity.userland = "14.1-RELEASE".into()),
        ("spare/sysctl net.fibs", |e| drop(host(e, "spare").sysctls.insert("net.fibs".into(), "3".into()))),
        ("small/sysctl net.inet.ip.forwarding", |e| {
            host(e, "small").sysctls.insert("net.inet.ip.forwarding".into(), "0".into());
        }),
        ("spare/jail web", |e| {
            let web = host(e, "spare").jails.iter_mut().find(|j| j.name == "web").unwrap();
            web.addresses.pop();
        }),
        ("finding runs-twice", |e| {
            let web = host(e, "spare").jails.iter().find(|j| j.name == "web").unwrap().clone();
            host(e, "big").jails.push(web);
        }),
        ("big/finding already-there", |e| {
            let web = host(e, "spare").jails.iter().position(|j| j.name == "web").unwrap();
            let web = host(e, "spare").jails.remove(web);
            host(e, "big").jails.push(web);
        }),
        ("small/finding moving", |e| {
            host(e, "small").moving.insert("web".into(), "web-12345678 ann@laptop-1 1 since noon".into());
        }),
        ("spare/rc.conf jail_list", |e| host(e, "spare").rc.jail_list_text = Some("other web".into())),
        ("spare/dataset jfpool/jails/web", |e| {
            let facts = host(e, "spare");
            facts.datasets.iter_mut().find(|d| d.name.as_str().ends_with("/web")).unwrap().guid = Guid(77);
        }),
        ("big/finding no-space", |e| {
            for dataset in &mut host(e, "big").datasets {
                dataset.available = 1;
            }
        }),
        ("pool", |e| host(e, "big").pools[0].health = "DEGRADED".into()),
        ("big/interface wg0", |e| {
            host(e, "big").interfaces.iter_mut().find(|i| i.name.as_str() == "wg0").unwrap().mtu = 1300
        }),
        ("neighbours in its subnets", |e| {
            let facts = host(e, "spare");
            let mut near = facts.jails.iter().find(|j| j.name == "web").unwrap().clone();
            near.name = "near".into();
            near.addresses = vec!["192.168.1.77/24".parse().unwrap()];
            let own = facts.jails.iter().find(|j| j.name == "web").unwrap().addresses[0];
            near.addresses.push(ipnet::IpNet::new(own.addr(), 24).unwrap());
            facts.jails.push(near);
        }),
        ("fleet.yml/node big/fib", |e| e.fleet.nodes.get_mut(&node("big")).unwrap().fib = Some(0)),
        ("fleet.yml/jail web/prefixes", |e| {
            e.fleet.jails.entry(jail("web")).or_default().prefixes = vec![p("192.168.123.50/32")];
        }),
    ];
    let before = evidence();
    let plan = saved(&before);
    let mut silent = Vec::new();
    for (field, change) in changes {
        let mut now = before.clone();
        change(&mut now);
        let names: Vec<String> = found(&plan, &now).into_iter().map(|d| d.field).collect();
        if !names.iter().any(|name| name.contains(field)) {
            silent.push(format!("{field}: {names:?}"));
        }
    }
    assert!(silent.is_empty(), "not named:\n{}", silent.join("\n"));
}

#[test]
fn what_does_not_matter_is_let_pass() {
    type Change = fn(&mut Evidence);
    let snapshot = |name: &str| Snapshot {
        label: SnapshotLabel::new(name).unwrap(),
        guid: Guid(4711),
        createtxg: 4711,
        userrefs: 0,
        written: None,
    };
    let before = evidence();
    let plan = saved(&before);
    let mut with_snapshot = before.clone();
    with_snapshot.jail.as_mut().unwrap().datasets[0].snapshots.push(snapshot("daily-2026-11-27"));
    assert_eq!(found(&plan, &with_snapshot), []);
    let with_it = saved(&with_snapshot);
    assert_eq!(found(&with_it, &with_snapshot), []);
    let gone: Vec<String> = found(&with_it, &before).into_iter().filter_map(|d| d.before).collect();
    assert!(gone.iter().any(|step| step.contains("daily-2026-11-27")), "{gone:?}");
    let changes: [(&str, Change); 10] = [
        ("a feature of the pool that is used by now", |e| {
            host(e, "big").pools[0].features.insert("lz4_compress".into(), "active".into());
        }),
        ("a blocklist of pf", |e| {
            let table = crate::model::TableName::new("blocked").unwrap();
            host(e, "small").pf.tables.insert(table, [p("198.51.100.7/32")].into());
        }),
        ("clocks", |e| e.hosts.values_mut().for_each(|f| f.identity.clock += 40)),
        ("traffic", |e| {
            for peer in &mut host(e, "small").wireguard[0].peers {
                peer.latest_handshake += 30;
                peer.endpoint = Some("203.0.113.9:4711".into());
            }
        }),
        ("what was written", |e| {
            for facts in e.hosts.values_mut() {
                facts.datasets.iter_mut().for_each(|d| {
                    d.used += 1 << 20;
                    d.referenced += 1 << 20;
                    d.available -= 1 << 20;
                });
                facts.pools.iter_mut().for_each(|p| p.free -= 1 << 20);
            }
        }),
        ("another jail elsewhere", |e| {
            let mut other = host(e, "spare").jails[0].clone();
            other.name = "elsewhere".into();
            other.addresses = vec!["10.200.0.5/24".parse().unwrap()];
            host(e, "big").jails.push(other);
        }),
        ("a restart of the jail", |e| host(e, "spare").jails.iter_mut().for_each(|j| j.jid += 10)),
        ("a route elsewhere", |e| {
            let facts = host(e, "big");
            let mut route = facts.routes[&0][0].clone();
            route.destination = p("172.16.0.0/16");
            facts.routes.get_mut(&0).unwrap().push(route);
        }),
        ("another order", |e| {
            host(e, "small").wireguard[0].peers.reverse();
            host(e, "spare").interfaces.reverse();
            host(e, "spare").jails.reverse();
        }),
        ("another jail is moved", |e| {
            host(e, "small").moving.insert("elsewhere".into(), "elsewhere-12345678 ann@laptop-1 1 since noon".into());
        }),
    ];
    for (what, change) in changes {
        let mut now = before.clone();
        change(&mut now);
        assert_eq!(found(&plan, &now), [], "{what}");
    }
}

/// Once it has run, the facts speak against it too.
#[test]
fn a_plan_that_was_carried_out_is_stale() {
    let mut world: World = Shape::testbed().world();
    let before = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big")).0;
    let plan = saved(&before);
    plan.plan.steps.iter().for_each(|s| world.apply(&s.effect).unwrap());
    let now = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big")).0;
    let fields: Vec<String> = found(&plan, &now).into_iter().map(|d| d.field).collect();
    assert_eq!(fields, ["big/finding already-there"]);
}

#[test]
fn a_file_that_was_changed_is_refused() {
    let plan = saved(&evidence());
    let text = serde_json::to_string(&plan).unwrap();
    let refused = |text: &str| SavedPlan::read(text.as_bytes()).unwrap_err();
    assert!(matches!(
        refused(&text.replacen("192.168.123", "192.168.124", 400)),
        BadPlan::Commands(_) | BadPlan::NotOne(_)
    ));
    assert!(matches!(refused(&text.replace("jailferry plan", "shopping list")), BadPlan::NotOne(_)));
    assert_eq!(
        refused(&text.replacen("\"format\":1", "\"format\":9", 1)),
        BadPlan::Format { found: 9, ours: 1, version: env!("CARGO_PKG_VERSION").into() }
    );
    assert!(matches!(refused(&text[..text.len() / 2]), BadPlan::NotOne(_)));
    assert!(matches!(refused("{}"), BadPlan::NotOne(_)));
}

/// Steps that were changed together with their hash are not what would be planned now.
#[test]
fn steps_that_nobody_planned_are_told() {
    let evidence = evidence();
    let mut plan = saved(&evidence);
    plan.plan.steps.remove(3);
    let told = found(&plan, &evidence);
    assert_eq!(told.first().map(|d| d.field.as_str()), Some("step 4"));
    assert!(told.len() <= 5);
}
