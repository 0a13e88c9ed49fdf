//! Makes a move last: after this chapter a reboot of any host changes nothing (contract 0.10).
//!
//! Runtime first, persistence last: an unplanned reboot before this chapter falls back to the old state. What we write
//! into rc.conf is recognisable: static routes are named `jailferry_JAIL_N`, gateway addresses are listed once more in
//! `jailferry_BRIDGE_aliases`.

mod guests;
mod owners;
mod routes;
#[cfg(test)]
mod tests;
mod wireguard;

use std::net::IpAddr;

use crate::configuration::rc_conf::Variable;
use crate::configuration::rc_conf::default_file;
use crate::configuration::rc_conf::or_refuse;
use crate::effect::Effect;
use crate::effect::commands::alias_mark;
use crate::effect::commands::in_variables;
use crate::effect::meaning::Meaning;
use crate::facts::RcConf;
use crate::model::DatasetName;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::leases;
use crate::plan::manager;
use crate::plan::naming::bookmark;
use crate::plan::naming::label;
use crate::plan::nat;
use crate::plan::network;
use crate::plan::notices;
use crate::plan::siblings;
use crate::plan::situation::Situation;
pub(super) use guests::stopped;
pub use owners::files_agree;
pub(super) use routes::is_for;
pub(super) use routes::is_kept;
pub(super) use routes::names_of;
use routes::routes;
pub use wireguard::WireGuardFiles;
use wireguard::allowed_ips;
pub use wireguard::made_in_vain;
pub(super) use wireguard::refuse_save_config;
pub use wireguard::unknown_hooks;
pub use wireguard::wireguard_files;

/// The file and the name it is put aside under at the source, so that no tool starts the jail by it; not a file that
/// other jails share, nor one that goes with the datasets and is unmounted with them.
#[must_use]
pub fn files_aside(situation: &Situation) -> Vec<(RemotePath, RemotePath)> {
    if situation.manager.says().travels() {
        return Vec::new();
    }
    let own = |file: &&RemotePath| {
        file.as_str() != manager::SHARED
            && file.file_name().contains(situation.jail.as_str())
            && !file.is_within(&situation.path)
    };
    std::iter::once(&situation.configuration_file)
        .chain(&situation.fstab)
        .filter(own)
        .filter_map(|file| Some((file.clone(), aside(file)?)))
        .collect()
}

/// `/etc/jail.conf.d/web.conf` → `/etc/jail.conf.d/.web.conf.jailferry`, which no glob picks up (contract 6.3).
fn aside(file: &RemotePath) -> Option<RemotePath> {
    let name = file.file_name();
    let folder = file.as_str().strip_suffix(name)?;
    RemotePath::new(format!("{folder}.{name}.jailferry")).ok()
}

/// The whole chapter.
#[must_use]
pub fn make_it_last(cast: &Cast<'_>, before: &[Step]) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.extend(allowed_ips(cast));
    steps.extend(nat::steps::last(cast));
    steps.extend(gateways(cast));
    for (node, facts) in cast.hosts {
        steps.extend(routes(cast, node, facts));
    }
    steps.extend(siblings::persist(cast));
    let manager = cast.situation.manager.says();
    steps.extend(manager.autostart_on(cast));
    steps.extend(storage(cast));
    steps.extend(forgotten_files(cast));
    steps.extend(still_so(before));
    steps.extend(leases::forget(cast));
    let (host, jail, run) = (cast.situation.hub.clone(), cast.situation.jail.clone(), cast.run.clone());
    steps.push(Step::new(
        Phase::Persist,
        format!("the network of {host} is the next run's to change"),
        Effect::LeaveNetwork { host: host.clone(), run: run.clone() },
    ));
    steps.push(Step::new(Phase::Persist, format!("unlock jail {jail} on {host}"), Effect::Unlock { host, jail, run }));
    steps
}

/// A host that lost power after the proof, but before its files were written, came up as it was before the move. So what
/// holds at the end is done once more; found done where nothing has happened.
fn still_so(before: &[Step]) -> Vec<Step> {
    let again = |step: &&Step| {
        matches!(step.phase, Phase::CutOver | Phase::Prove)
            && (step.effect.is_network() || matches!(step.effect, Effect::Unpark { .. } | Effect::StartJail(_)))
    };
    // What kept the source's datasets from the next boot while the jail still ran is over when they are put away.
    let put_away = |step: &Step| match &step.effect {
        Effect::Unpark { host, .. } => {
            before.iter().any(|later| matches!(&later.effect, Effect::Park { host: there, .. } if there == host))
        }
        _ => false,
    };
    // Nor what made the copy ready to be mounted: the mount makes sure of it.
    let made_ready = |step: &Step| match &step.effect {
        Effect::Unpark { host, .. } => {
            let behind = before.iter().skip_while(|other| *other != step).skip(1);
            behind.into_iter().any(|later| matches!(&later.effect, Effect::Unpark { host: there, .. } if there == host))
        }
        _ => false,
    };
    let once_more = |step: &Step| Step::new(Phase::Persist, format!("still so: {}", step.title), step.effect.clone());
    before.iter().filter(again).filter(|step| !put_away(step) && !made_ready(step)).map(once_more).collect()
}

/// Gateway addresses of ours on the source that no jail there needs any more. A link-local one stays as long as it is the
/// only such address of a bridge with others of ours (see [`network::missing_link_local`]).
#[must_use]
pub fn departing_gateways(cast: &Cast<'_>) -> Vec<(IpAddr, u8)> {
    let situation = cast.situation;
    if situation.is_bridged() {
        return Vec::new();
    }
    let Some(bridge) = cast.source.interface(&situation.source.bridge) else { return Vec::new() };
    let ours = our_aliases(&cast.source.rc, &bridge.name);
    let leaves = |a: &&ipnet::IpNet| {
        situation.gateways.contains(&a.addr())
            && !needed_elsewhere(cast, a.addr())
            && ours.contains(&format!("{}/{}", a.addr(), a.prefix_len()))
    };
    let (own, link_locals) = (bridge.addresses.iter().filter(leaves), bridge.link_locals.iter().filter(leaves));
    let mut departing: Vec<(IpAddr, u8)> = own.map(|a| (a.addr(), a.prefix_len())).collect();
    let stays = |(address, length): &(IpAddr, u8)| address.is_ipv6() && !departing.contains(&(*address, *length));
    let serves = our_ipv6(cast).iter().filter(|(a, _)| !network::is_link_local(*a)).any(stays);
    if !serves || bridge.link_locals.len() > 1 {
        departing.extend(link_locals.map(|a| (a.addr(), a.prefix_len())));
    }
    departing
}

/// The link-local address that we gave the source's bridge, when the last gateway with IPv6 of ours leaves it.
#[must_use]
pub fn departing_link_local(cast: &Cast<'_>, gateways: &[(IpAddr, u8)]) -> Option<(IpAddr, u8)> {
    let (link_local, others): (Vec<_>, Vec<_>) =
        our_ipv6(cast).into_iter().filter(|one| !gateways.contains(one)).partition(|(a, _)| network::is_link_local(*a));
    let leaves = gateways.iter().any(|(a, _)| a.is_ipv6()) && others.is_empty();
    link_local.into_iter().find(|(a, _)| !needed_elsewhere(cast, *a)).filter(|_| leaves)
}

/// Does another jail of the source need that gateway? One that is stopped tells none: in the same network it has the same,
/// and where networks are single addresses, or the gateway has none, it may have.
fn needed_elsewhere(cast: &Cast<'_>, gateway: IpAddr) -> bool {
    let (source, jail) = (cast.source, &cast.situation.jail);
    let family = Family::of(gateway);
    let networks =
        || source.jail(jail).into_iter().flat_map(|j| &j.addresses).filter(|n| Family::of(n.addr()) == family);
    let may_need = |prefix: &Prefix| {
        let mut near = networks().peekable();
        let single = near.peek().is_none_or(|net| net.prefix_len() == net.max_prefix_len());
        prefix.family() == family
            && (single || network::is_link_local(gateway) || near.any(|net| net.contains(&prefix.network())))
    };
    source.jails.iter().any(|j| j.name != jail.as_str() && j.gateways.contains(&gateway))
        || guests::stopped(source, &cast.situation.source.bridge, jail).iter().any(may_need)
}

/// The IPv6 addresses that jailferry put on the source's bridge.
fn our_ipv6(cast: &Cast<'_>) -> Vec<(IpAddr, u8)> {
    our_aliases(&cast.source.rc, &cast.situation.source.bridge)
        .iter()
        .filter_map(|alias| alias.parse::<ipnet::Ipv6Net>().ok())
        .map(|net| (IpAddr::V6(net.addr()), net.prefix_len()))
        .collect()
}

/// The addresses that jailferry put on a bridge, as `ADDRESS/LENGTH`.
fn our_aliases(rc: &RcConf, bridge: &InterfaceName) -> Vec<String> {
    rc.variables.get(&alias_mark(bridge)).map(|v| v.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

/// rc.conf of source and target follow their bridges.
fn gateways(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let added: Vec<(IpAddr, u8)> = cast.missing_link_local().into_iter().chain(cast.missing_gateways()).collect();
    let mut removed = departing_gateways(cast);
    removed.extend(departing_link_local(cast, &removed));
    let mut steps = Vec::new();
    for (node, facts, bridge, added, removed) in [
        (&situation.target.node, cast.target, &situation.target.bridge, added, Vec::new()),
        (&situation.source.node, cast.source, &situation.source.bridge, Vec::new(), removed),
    ] {
        if added.is_empty() && removed.is_empty() {
            continue;
        }
        let variable = format!("ifconfig_{}_aliases", in_variables(bridge));
        let spelled = |(address, length): &(IpAddr, u8)| format!("{} {address}/{length}", Family::of(*address));
        steps.extend(ipv6_at_boot(node, &facts.rc, bridge, &added, &removed));
        let bare = |(address, length): &(IpAddr, u8)| format!("{address}/{length}");
        steps.extend(edit_list(
            node,
            &facts.rc,
            &variable,
            &pairs(facts.rc.variables.get(&variable)),
            &added,
            &removed,
            spelled,
        ));
        let mark = alias_mark(bridge);
        steps.extend(edit_list(node, &facts.rc, &mark, &our_aliases(&facts.rc, bridge), &added, &removed, bare));
    }
    steps
}

/// What an interface's own IPv6 configuration says when it only says that there is one.
const IPV6_ON: &str = "inet6 -ifdisabled";

/// network.subr leaves the IPv6 addresses of `ifconfig_IF_aliases` out when the interface has no IPv6 configuration of
/// its own (libexec/rc/network.subr, ipv6if and ipv6_up), so it gets one that says nothing more. A mark beside it tells
/// that it is ours, and it goes with the last of our IPv6 addresses.
fn ipv6_at_boot(
    node: &NodeName,
    rc: &RcConf,
    bridge: &InterfaceName,
    added: &[(IpAddr, u8)],
    removed: &[(IpAddr, u8)],
) -> Vec<Step> {
    let interface = in_variables(bridge);
    let (variable, mark) = (format!("ifconfig_{interface}_ipv6"), format!("jailferry_{interface}_ipv6"));
    let gone: Vec<String> = removed.iter().map(|(address, length)| format!("{address}/{length}")).collect();
    let (old, new) = if added.iter().any(|(address, _)| address.is_ipv6()) {
        if rc.variables.contains_key(&variable) {
            return Vec::new();
        }
        ((None, None), (Some(IPV6_ON), Some("YES")))
    } else {
        let ours = rc.variables.get(&mark).is_some_and(|m| m == "YES")
            && rc.variables.get(&variable).is_some_and(|v| v == IPV6_ON);
        if !ours || our_aliases(rc, bridge).iter().any(|a| a.contains(':') && !gone.contains(a)) {
            return Vec::new();
        }
        ((Some(IPV6_ON), Some("YES")), (None, None))
    };
    [(variable, old.0, new.0), (mark, old.1, new.1)]
        .into_iter()
        .map(|(name, old, new)| edit_variable(node, &name, old, new))
        .collect()
}

/// One variable of /etc/rc.conf from one value to another.
pub(super) fn edit_variable(node: &NodeName, variable: &str, old: Option<&str>, new: Option<&str>) -> Step {
    let script = or_refuse(Variable::new(&default_file(), variable).and_then(|v| v.change(old, new)));
    let what = format!("rc.conf of {node} remembers {variable}");
    let own = |value: Option<&str>| value.map(str::to_owned);
    let meaning = Meaning::Variable { name: variable.to_owned(), old: own(old), new: own(new) };
    Step::new(Phase::Persist, what.clone(), Effect::Edit { host: node.clone(), what, script, meaning })
        .change(Change::new(format!("{variable} on {node}"), old.unwrap_or_default(), new.unwrap_or_default()))
}

/// `inet A/L inet6 B/M` as its entries.
fn pairs(value: Option<&String>) -> Vec<String> {
    let words: Vec<&str> = value.map(|v| v.split_whitespace().collect()).unwrap_or_default();
    let mut entries: Vec<String> = Vec::new();
    for word in words {
        match entries.last_mut() {
            Some(last) if word != "inet" && word != "inet6" => {
                last.push(' ');
                last.push_str(word);
            }
            _ => entries.push(word.to_owned()),
        }
    }
    entries
}

fn edit_list(
    node: &NodeName,
    rc: &RcConf,
    variable: &str,
    entries: &[String],
    added: &[(IpAddr, u8)],
    removed: &[(IpAddr, u8)],
    spell: impl Fn(&(IpAddr, u8)) -> String,
) -> Option<Step> {
    let old = rc.variables.get(variable).map(String::as_str);
    let gone: Vec<String> = removed.iter().map(&spell).collect();
    let mut new: Vec<String> = entries.iter().filter(|e| !gone.contains(e)).cloned().collect();
    for entry in added.iter().map(&spell) {
        if !new.contains(&entry) {
            new.push(entry);
        }
    }
    let value = (!new.is_empty()).then(|| new.join(" "));
    if old == value.as_deref() {
        return None;
    }
    Some(edit_variable(node, variable, old, value.as_deref()))
}

/// The target's copy is the live one; the last common snapshot is held on both sides, the others of ours go, but for those
/// that the jail's copies on other nodes can be brought up to date from.
fn storage(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let last = label(cast.run, "final");
    let sources: Vec<DatasetName> = cast.datasets.iter().map(|d| d.source.dataset.clone()).collect();
    let targets: Vec<DatasetName> = cast.datasets.iter().map(|d| d.target.dataset.clone()).collect();
    let mut steps = vec![Step::new(
        Phase::Persist,
        format!("{} is the live copy now", situation.target.dataset),
        Effect::ClearMark { host: cast.target(), datasets: targets },
    )];
    steps.extend(notices::settled(cast));
    steps.push(Step::new(
        Phase::Persist,
        format!("forget the bookmarks on {}", cast.source()),
        Effect::RemoveBookmark { host: cast.source(), datasets: sources, bookmark: bookmark(cast.run) },
    ));
    for place in [&situation.source, &situation.target] {
        steps.push(Step::new(
            Phase::Persist,
            format!("hold @{last} on {}: the base of the way back", place.node),
            Effect::Hold {
                host: place.node.clone(),
                dataset: place.dataset.clone(),
                label: last.clone(),
                tag: bookmark(cast.run),
            },
        ));
        steps.push(Step::new(
            Phase::Persist,
            format!("destroy jailferry's other snapshots of {} on {}", place.dataset, place.node),
            Effect::Tidy {
                host: place.node.clone(),
                dataset: place.dataset.clone(),
                jail: situation.jail.clone(),
                keep: last.clone(),
                bases: cast.bases.iter().cloned().collect(),
            },
        ));
    }
    steps
}

/// What an earlier departure put aside on the target is in use again, or replaced.
fn forgotten_files(cast: &Cast<'_>) -> Vec<Step> {
    let travels = cast.situation.manager.says().travels();
    if travels || cast.stale_copy.is_none() && cast.datasets.iter().all(|d| d.older.is_none()) {
        return Vec::new();
    }
    std::iter::once(&cast.situation.target_file)
        .filter(|file| file.as_str() != manager::SHARED)
        .chain(cast.situation.fstab.iter().filter(|file| !file.is_within(&cast.situation.path)))
        .filter_map(aside)
        .map(|path| {
            Step::new(
                Phase::Persist,
                format!("forget {path} on {}, put aside when the jail left", cast.target()),
                Effect::ForgetFile { host: cast.target(), path },
            )
        })
        .collect()
}
