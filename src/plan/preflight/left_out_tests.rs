//! What would leave the jail, or others, unreachable or down behind a move, and is known before.

use super::configured_tests::set;
use super::sure_tests::found;
use super::sure_tests::host;
use super::sure_tests::severity;
use crate::effect::Effect;
use crate::plan::Finding;
use crate::plan::Severity;
use crate::plan::situation::Evidence;

const ERROR: Option<Severity> = Some(Severity::Error);
const WARNING: Option<Severity> = Some(Severity::Warning);

fn told(change: impl FnOnce(&mut Evidence)) -> Vec<Finding> {
    found(change).map_or_else(|findings| findings, |plan| plan.findings)
}

#[test]
fn a_gateway_on_another_interface_does_not_answer_on_the_bridge() {
    let on = |interface: &'static str, node: &'static str| {
        severity("gateway-elsewhere", move |e| {
            let found = host(e, node).interfaces.iter_mut().find(|i| i.name.as_str() == interface).unwrap();
            found.addresses.push("192.168.123.1/24".parse().unwrap());
        })
    };
    assert_eq!(on("vtnet0", "big"), ERROR);
    assert_eq!(on("bridge0", "big"), None);
    assert_eq!(on("vtnet0", "small"), None);
}

#[test]
fn rules_that_name_the_jail_stay_behind() {
    let rule = "pass in inet from any to 192.168.123.50 flags S/SA keep state";
    let of = |here: &'static str, there: &'static str| {
        severity("rules-stay", move |e| {
            for (node, rule) in [("spare", here), ("big", there)] {
                host(e, node).pf.enabled = Some(true);
                host(e, node).pf.addressed = vec![rule.to_owned()];
            }
        })
    };
    assert_eq!(of(rule, "pass all"), WARNING);
    assert_eq!(of(rule, rule), None);
    assert_eq!(of("pass in inet from any to 192.168.9.9", "pass all"), None);
}

#[test]
fn an_address_from_the_network_may_be_another_one_there() {
    assert_eq!(severity("address-leased", |_| ()), None);
    let leased = severity("address-leased", |e| {
        e.jail.as_mut().unwrap().address_by.insert("SYNCDHCP".into());
    });
    assert_eq!(leased, WARNING);
}

#[test]
fn permissions_of_others_do_not_travel() {
    assert_eq!(severity("permissions-stay", |_| ()), None);
    let found = told(|e| e.jail.as_mut().unwrap().allowed.push("-u backup send,hold".into()));
    let found = found.iter().find(|f| f.code == "permissions-stay").unwrap();
    assert_eq!(found.commands[0].command, "zfs allow -u backup send,hold jfpool/jails/web");
}

#[test]
fn a_resolver_at_the_gateway_does_not_come_along() {
    let of = |asked: &str, here: &str, there: &str| {
        severity("resolver-stays", |e| {
            let jail = e.jail.as_mut().unwrap();
            jail.resolvers.insert(asked.parse().unwrap());
            jail.of_the_host.names.insert(here.to_owned());
            e.target.as_mut().unwrap().of_the_host.names.insert(there.to_owned());
        })
    };
    assert_eq!(of("192.168.123.1", "192.168.123.1", "127.0.0.1"), WARNING);
    assert_eq!(of("192.168.123.1", "*", "127.0.0.1"), WARNING);
    assert_eq!(of("192.168.123.1", "192.168.123.1", "*"), None);
    assert_eq!(of("192.168.123.1", "127.0.0.1", "127.0.0.1"), None, "nobody answers it here either");
    assert_eq!(of("9.9.9.9", "*", "127.0.0.1"), None, "not the gateway");
}

#[test]
fn a_file_that_lacks_the_peer_forgets_the_move() {
    let gone = severity("peer-not-kept", |e| {
        let keys: Vec<_> = host(e, "big").wireguard.iter().map(|w| w.public_key.clone()).collect();
        host(e, "small").wireguard_files[0].peers.retain(|(key, _)| !keys.contains(key));
    });
    assert_eq!((severity("peer-not-kept", |_| ()), gone), (None, ERROR));
}

#[test]
fn a_file_that_gives_the_jail_to_a_third_peer_takes_it_away_at_boot() {
    let with = |prefix: &'static str| {
        severity("claimed-twice", move |e| {
            let keys: Vec<_> =
                ["big", "spare"].iter().flat_map(|n| host(e, n).wireguard.clone()).map(|w| w.public_key).collect();
            let third = crate::model::PublicKey::new(format!("{}=", "Q".repeat(43))).unwrap();
            assert!(!keys.contains(&third));
            host(e, "small").wireguard_files[0].peers.push((third, [prefix.parse().unwrap()].into()));
        })
    };
    assert_eq!((with("192.168.123.50/32"), with("192.168.200.0/24")), (ERROR, None));
}

#[test]
fn a_variable_of_another_file_is_unknown_to_the_jail_s_own() {
    let with = |line: &'static str| {
        severity("undefined-variable", move |e| {
            let file = &mut e.jail.as_mut().unwrap().configuration;
            file.text = file.text.replacen("{", &format!("{{ {line} "), 1);
        })
    };
    assert_eq!(with("exec.poststart = \"echo $name\";"), None);
    assert_eq!(with("exec.poststart = \"echo $elsewhere\";"), ERROR);
}

#[test]
fn a_fixed_number_keeps_a_jail_from_starting_again() {
    assert_eq!(severity("fixed-number", |_| ()), None);
    assert_eq!(severity("fixed-number", |e| set(e, "jid", "7")), ERROR);
}

#[test]
fn interfaces_that_the_host_makes_do_not_come_along() {
    let of = |inside: &'static str, commands: &'static str| {
        severity("interface-of-host", move |e| {
            set(e, "vnet.interface", inside);
            set(e, "exec.prestart", commands);
        })
    };
    assert_eq!(of("epair1b", "\"ifconfig epair1 create\",\"ifconfig bridge0 addm epair1a\""), None);
    assert_eq!(of("epair1b", "\"ifconfig bridge0 addm epair1a\""), ERROR);
    assert_eq!(of("epair1b", "\"/root/up.sh\""), None);
    assert_eq!(of("epair1b,vlan20", "\"ifconfig epair1 create\""), ERROR);
    assert_eq!(of("epair1b,vtnet0", "\"ifconfig epair1 create\""), ERROR);
    assert_eq!(severity("card-of-host", |e| set(e, "exec.prestart", "\"jib addm web em0\"")), ERROR);
    let on_the_bridge = severity("card-of-host", |e| {
        set(e, "exec.prestart", "\"jib addm web em0\"");
        set(e, "vnet.interface", "e0b_web");
        let bridge = host(e, "spare").interfaces.iter_mut().find(|i| i.name.as_str() == "bridge0").unwrap();
        bridge.members.push(crate::model::InterfaceName::new("e0a_web").unwrap());
    });
    assert_eq!(on_the_bridge, None);
}

/// A later `=` takes the place of what comes before it.
#[test]
fn the_lines_that_let_a_jail_make_its_interface_leave_the_others_there() {
    let found = told(|e| {
        set(e, "vnet.interface", "epair1b");
        set(e, "exec.prestart", "\"ifconfig bridge0 addm epair1a\"");
    });
    let lines = &found.iter().find(|f| f.code == "interface-of-host").unwrap().lines;
    let text = format!("{lines:?}");
    assert!(text.contains("of which the first gets `+=`") && text.contains("exec.poststop += "), "{text}");
}

#[test]
fn rules_that_block_at_the_target_only_are_told_where_nothing_tries_them() {
    let of = |nodes: &'static [&'static str]| {
        severity("pf-blocks", move |e| {
            e.fleet.canary.clear();
            for node in nodes {
                let pf = &mut host(e, node).pf;
                (pf.enabled, pf.blocks) = (Some(true), true);
            }
        })
    };
    assert_eq!(of(&["big"]), WARNING);
    assert_eq!(of(&["big", "spare"]), None);
    assert_eq!(of(&[]), None);
}

/// The second epair is of a network between jails, on a bridge of its own.
fn second_epair(e: &mut Evidence) {
    set(e, "vnet.interface", "epair1b,epair9b");
    set(e, "exec.prestart", "\"ifconfig epair1 create\",\"ifconfig epair9 create\"");
    let spare = host(e, "spare");
    let mut second = spare.interfaces.iter().find(|i| i.name.as_str() == "epair1a").unwrap().clone();
    second.name = crate::model::InterfaceName::new("epair9a").unwrap();
    spare.interfaces.push(second);
}

#[test]
fn what_is_proven_of_an_epair_is_not_asked_of_one_on_another_bridge() {
    let plan = found(second_epair).unwrap();
    let starts = plan.steps.iter().flat_map(|step| std::iter::once(&step.effect).chain(&step.undo));
    let places: Vec<_> = starts
        .filter_map(|effect| match effect {
            Effect::StartJail(place) => Some((place.interfaces.len(), place.elsewhere.clone())),
            _ => None,
        })
        .collect();
    assert!(!places.is_empty());
    assert!(places.iter().all(|(ends, elsewhere)| *ends == 2 && elsewhere.len() == 1), "{places:?}");
    for command in plan.steps.iter().filter(|s| matches!(s.effect, Effect::StartJail(_))).flat_map(|s| s.commands()) {
        let text = command.text();
        assert!(text.contains("epair1a is not a member") && !text.contains("epair9a is not a member"), "{text}");
    }
}

#[test]
fn a_file_that_others_need_is_not_advised_to_be_moved_aside() {
    let advice = |others: bool| {
        let findings = told(move |e| {
            let web = host(e, "spare").jail_configurations.iter().find(|c| c.name == "web").unwrap().clone();
            let mut db = web.clone();
            db.name = "db2".into();
            host(e, "big").jail_configurations.extend([Some(web), others.then_some(db)].into_iter().flatten());
        });
        let there = findings.into_iter().find(|f| f.code == "configuration-exists").unwrap();
        (there.commands.len(), there.fix)
    };
    assert_eq!(advice(false).0, 1);
    let (commands, fix) = advice(true);
    assert!(commands == 0 && fix.contains("db2"), "{fix}");
}

#[test]
fn a_parameter_of_vmm_says_which_module_brings_it() {
    let findings = told(|e| {
        e.target.as_mut().unwrap().unknown_parameters.insert("allow.vmm".into());
    });
    let unknown = findings.into_iter().find(|f| f.code == "unknown-parameter").unwrap();
    assert!(unknown.commands.iter().any(|c| c.command == "kldload -n vmm"), "{unknown:?}");
}

#[test]
fn siblings_are_those_of_addresses_that_move() {
    let near = |prefixes: &'static [&'static str]| {
        let findings = told(move |e| {
            let jails = &mut e.fleet.jails;
            jails.entry(crate::plan::fixture::jail("web")).or_default().prefixes =
                prefixes.iter().map(|p| p.parse().unwrap()).collect();
        });
        findings.into_iter().any(|f| f.code == "siblings")
    };
    assert!(near(&[]), "sib is in the networks of both addresses");
    assert!(!near(&["192.168.250.0/24"]));
}
