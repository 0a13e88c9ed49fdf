//! What would leave the jail, or others, unreachable or down behind a move, and is known before.

use super::configured_tests::set;
use super::sure_tests::host;
use super::sure_tests::severity;
use crate::plan::Severity;

const ERROR: Option<Severity> = Some(Severity::Error);
const WARNING: Option<Severity> = Some(Severity::Warning);

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
