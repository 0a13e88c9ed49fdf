//! The interfaces that a jail takes from its host (`vnet.interface`): those that its own configuration makes exist wherever it
//! starts. Others are the host's.

use crate::facts::Interface;
use crate::facts::JailConfiguration;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;

/// Parameters whose commands run before jail(8) looks for the interfaces.
const BEFORE: [&str; 3] = ["exec.prepare", "exec.prestart", "exec.created"];

/// Programs that make no interface but by a word that says so. What others do is not known.
const KNOWN: [&str; 18] = [
    "arp", "chmod", "chown", "cp", "cpuset", "devfs", "echo", "ifconfig", "logger", "mkdir", "mount", "ndp", "pfctl",
    "rctl", "route", "sleep", "sysctl", "zfs",
];

pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    let jail = &s.situation.jail;
    let Some(configuration) = s.source.jail_configuration(jail) else { return };
    let commands: Vec<String> = BEFORE.iter().flat_map(|p| configuration.values(p).unwrap_or_default()).collect();
    beside_the_bridge(s, &commands, findings);
    if commands.iter().any(|command| !is_known(command)) {
        return;
    }
    let named = configuration.values("vnet.interface").unwrap_or_default();
    for name in named.iter().flat_map(|value| value.split([' ', ','])).filter(|name| !name.is_empty()) {
        if makes(&commands, name) {
            continue;
        }
        match name.strip_prefix("epair").and_then(|rest| rest.strip_suffix(['a', 'b'])) {
            Some(unit) => findings.error(
                "interface-of-host",
                &s.situation.source.node,
                format!("nothing in the configuration of jail {jail} makes {name}, so its host does: it goes when the jail leaves, and jail(8) finds none on {} or here when it comes home", s.situation.target.node),
                Fix::new(format!("let the jail make it, and take epair{unit} out of cloned_interfaces in rc.conf(5)"))
                    .write(&s.situation.configuration_file, first(configuration, jail), format!("exec.prestart = \"ifconfig epair{unit} create\";"))
                    .write(&s.situation.configuration_file, "behind what is there of exec.poststop", format!("exec.poststop += \"ifconfig epair{unit}a destroy\";")),
            ),
            None => of_the_host(s, name, findings),
        }
    }
}

/// A later `=` takes the place of an earlier one (jail.conf(5)).
fn first(configuration: &JailConfiguration, jail: &JailName) -> String {
    let others = configuration.values("exec.prestart").is_some_and(|values| !values.is_empty());
    let more =
        if others { ", before the other exec.prestart, of which the first gets `+=` in the place of `=`" } else { "" };
    format!("in the block of jail {jail}{more}")
}

/// Does the command do what it says, and no more?
fn is_known(command: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default();
    KNOWN.contains(&first.rsplit('/').next().unwrap_or_default())
        || command.contains("ifconfig") && command.contains(" create")
}

/// An epair's end by the epair's name, or by one that the kernel chooses; anything else by its own.
fn makes(commands: &[String], name: &str) -> bool {
    let epair = name.strip_suffix(['a', 'b']).filter(|stem| stem.starts_with("epair"));
    commands.iter().any(|command| {
        let mut words = command.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        match epair {
            Some(epair) => command.contains("create") && words.any(|w| w == epair || w == "epair"),
            None => words.any(|word| word == name),
        }
    })
}

/// A card, a vlan: the target needs one of that name that nothing else uses.
fn of_the_host(s: &Subject<'_>, name: &str, findings: &mut Findings) {
    let (node, jail) = (&s.situation.target.node, &s.situation.jail);
    let there = InterfaceName::new(name).ok().and_then(|name| s.target.interface(&name));
    let used = |i: &Interface| {
        let routed = s.target.routes.values().flatten().any(|r| r.interface == i.name);
        !i.addresses.is_empty() || routed || s.target.interfaces.iter().any(|b| b.members.contains(&i.name))
    };
    let (what, fix) = match there {
        None => (
            format!("which {node} does not have: jail(8) would not start the jail"),
            format!("make an interface {name} on {node}"),
        ),
        Some(i) if used(i) => (
            format!("which {node} uses itself: jail(8) would take it from the host"),
            format!("give the jail an interface of another name on {node}"),
        ),
        Some(_) => return,
    };
    findings.error(
        "interface-of-host",
        node,
        format!("jail {jail} takes {name} from its host (vnet.interface), {what}"),
        fix,
    );
}

/// jib and jng of share/examples/jails connect a jail to a card of its host.
fn beside_the_bridge(s: &Subject<'_>, commands: &[String], findings: &mut Findings) {
    if s.situation.is_bridged() || s.situation.manager.says().travels() || on_the_bridge(s) {
        return;
    }
    for command in commands {
        let tool = command.split_whitespace().next().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        if ["jib", "jng"].contains(&tool) {
            findings.error(
                "card-of-host",
                &s.situation.source.node,
                format!("{tool} connects jail {} to a network card of its host, past the bridge to which the tunnel leads: {command}", s.situation.jail),
                format!("give it an epair(4) on {} by exec.prestart; where the bridges of the nodes are one segment, say `fabric: bridged` in fleet.yml", s.situation.source.bridge),
            );
        }
    }
}

/// The bridge that jib makes for a card may be the one that the tunnel leads to: `e0a_NAME` of it for `e0b_NAME` of the jail's.
fn on_the_bridge(s: &Subject<'_>) -> bool {
    let bridge = s.source.interface(&s.situation.source.bridge);
    let members = bridge.map(|bridge| bridge.members.as_slice()).unwrap_or_default();
    let outer = |inner: &String| inner.split_once("b_").map(|(head, name)| format!("{head}a_{name}"));
    let inner = s.source.jail_configuration(&s.situation.jail).and_then(|c| c.values("vnet.interface"));
    let ends = inner.unwrap_or_default();
    ends.iter().filter_map(outer).any(|end| members.iter().any(|m| m.as_str() == end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, commands: &[&str]) -> bool {
        makes(&commands.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(), name)
    }

    #[test]
    fn an_interface_is_made_by_its_name_its_epair_or_the_kernel() {
        assert!(made("epair7b", &["ifconfig epair7 create", "ifconfig bridge0 addm epair7a"]));
        assert!(made("epair7b", &["/sbin/ifconfig epair7 create up"]));
        assert!(made("epair0b", &["ifconfig epair create"]));
        assert!(made("e0b_web", &["x=$(ifconfig epair create) && ifconfig ${x%a}b name e0b_web"]));
        assert!(made("web0", &["ifconfig epair7b name web0"]));
        assert!(made("vlan20", &["ifconfig vlan20 create vlandev em0 vlan 20"]));
        assert!(!made("epair7b", &["ifconfig bridge0 addm epair7a", "ifconfig epair7a up"]));
        assert!(!made("epair7b", &["ifconfig epair8 create"]));
        assert!(!made("vlan20", &["ifconfig vlan2 up"]));
        assert!(is_known("/sbin/ifconfig epair7a up") && is_known("sh -c 'ifconfig epair create'"));
        assert!(!is_known("/root/up.sh create 7") && !is_known("jng bridge web em0"));
    }
}
