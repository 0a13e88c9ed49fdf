//! IPv6 routes between the moved jail and those that stay in its subnet, made anew at each start of the jail that has
//! them: in the moved jail's staged configuration, and in the configuration of the others (contract 10.9).
//!
//! A way is ours by its words ([`Way`]). What a jail shall have is what it has, without ways to jails that are now on its
//! own link, and with those to jails that are not.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::configuration::jail_conf;
use crate::configuration::jail_conf::Edit;
use crate::configuration::jail_conf::Way;
use crate::effect::Effect;
use crate::effect::commands::sha256;
use crate::effect::meaning::Meaning;
use crate::facts::HostFacts;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::finding::Findings;
use crate::plan::network;
use crate::plan::siblings;
use crate::plan::situation::Situation;

/// Why a route is not made at each start.
const LINKED: &str = "its gateway is a link-local address, which is told with the interface inside the jail";

/// Facts of every host.
type Hosts = BTreeMap<NodeName, HostFacts>;

/// What becomes of the ways of a jail that stays.
struct Neighbour<'a> {
    host: &'a NodeName,
    jail: JailName,
    file: &'a RemotePath,
    text: &'a str,
    before: Vec<Way>,
    after: Vec<Way>,
    edits: Vec<Edit>,
}

/// The ways of the moved jail where it goes: to each jail of its subnets that stays elsewhere. `text` is its
/// configuration at the source.
#[must_use]
pub fn of_the_moved(situation: &Situation, hosts: &Hosts, text: &str) -> Vec<Way> {
    let here: BTreeSet<IpAddr> = hosts
        .get(&situation.target.node)
        .into_iter()
        .flat_map(|facts| &facts.jails)
        .flat_map(|jail| jail.addresses.iter().map(ipnet::IpNet::addr))
        .collect();
    // A way to a jail that does not run at the moment stays.
    let mut ways: Vec<Way> = jail_conf::ways::ways(text, &situation.jail);
    if situation.is_bridged() {
        // Its link is the same: whom it reaches by its gateway, it goes on to.
        return ways;
    }
    ways.retain(|way| !here.contains(&way.to));
    // The name of the interface that a link-local one needs is the jail's own, and another after each renumbering.
    let gateway = situation.gateways.iter().copied().find(IpAddr::is_ipv6).filter(|g| !network::is_link_local(*g));
    let Some(gateway) = gateway else { return ways };
    for (_, facts) in hosts.iter().filter(|(node, _)| **node != situation.target.node) {
        for pair in siblings::pairs(situation, facts).into_iter().filter(|p| p.own.is_ipv6()) {
            let way = Way { to: pair.address, gateway, of: pair.jail };
            ways.retain(|w| w.to != way.to || *w == way);
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
    }
    ways
}

/// The file that holds the jail's own block, rc(8)'s choice first.
fn file_of<'a>(facts: &'a HostFacts, jail: &JailName) -> Option<(&'a RemotePath, &'a str)> {
    let rest = facts.jail_configurations.iter().filter(|c| c.name == jail.as_str());
    let files = facts.jail_configuration(jail).into_iter().chain(rest).map(|c| &c.file);
    let mut known = files.filter_map(|f| facts.jail_files.get_key_value(f)).map(|(f, text)| (f, text.as_str()));
    known.find(|(_, text)| jail_conf::ways::change(text, jail, &[]).is_ok())
}

/// The jails that stay and whose ways change; and those whose new ways can be kept nowhere, with the reason.
fn neighbours<'a>(
    situation: &Situation,
    hosts: &'a Hosts,
) -> (Vec<Neighbour<'a>>, Vec<(&'a NodeName, JailName, String)>) {
    let mut found = Vec::new();
    let mut lost = Vec::new();
    for (host, facts) in hosts {
        let pairs: Vec<_> = siblings::pairs(situation, facts).into_iter().filter(|p| p.own.is_ipv6()).collect();
        let away = *host != situation.target.node;
        // Not only those that run: a way to the moved jail ends where it arrives.
        let configured = facts.jail_configurations.iter().filter_map(|c| JailName::new(c.name.as_str()).ok());
        let jails: BTreeSet<JailName> = configured.chain(pairs.iter().map(|p| p.jail.clone())).collect();
        for jail in jails.into_iter().filter(|j| *j != situation.jail) {
            let mine = || pairs.iter().filter(|p| p.jail == jail);
            let (linked, led): (Vec<_>, Vec<_>) = mine()
                .filter(|_| away)
                .filter_map(|pair| Some((pair.own, pair.gateway?)))
                .partition(|(_, gateway)| network::is_link_local(*gateway));
            if !linked.is_empty() {
                lost.push((host, jail.clone(), LINKED.to_owned()));
            }
            let way = |(to, gateway)| Way { to, gateway, of: situation.jail.clone() };
            let wanted: Vec<Way> = led.into_iter().map(way).collect();
            let Some((file, text)) = file_of(facts, &jail) else {
                if !wanted.is_empty() {
                    lost.push((host, jail, "the file that configures it could not be read".to_owned()));
                }
                continue;
            };
            let before = jail_conf::ways::ways(text, &jail);
            // A jail that does not run tells no addresses: its ways stay as they are until the moved jail comes to it.
            let kept = |way: &&Way| !situation.addresses.contains(&way.to) || away && mine().next().is_none();
            let mut after: Vec<Way> = before.iter().filter(kept).cloned().collect();
            after.extend(wanted);
            if before.iter().collect::<BTreeSet<_>>() == after.iter().collect() {
                continue;
            }
            match jail_conf::ways::change(text, &jail, &after) {
                Ok(edits) => found.push(Neighbour { host, jail, file, text, before, after, edits }),
                Err(why) => lost.push((host, jail, format!("{file}: {why}"))),
            }
        }
    }
    (found, lost)
}

/// The configuration files of the others follow, each in one edit.
pub(super) fn persist(cast: &Cast<'_>) -> Vec<Step> {
    let (found, _) = neighbours(cast.situation, cast.hosts);
    let mut files: BTreeMap<(&NodeName, &RemotePath), Vec<Neighbour<'_>>> = BTreeMap::new();
    for neighbour in found {
        files.entry((neighbour.host, neighbour.file)).or_default().push(neighbour);
    }
    files.into_iter().map(|((host, path), neighbours)| edit(host, path, &neighbours)).collect()
}

fn edit(host: &NodeName, path: &RemotePath, neighbours: &[Neighbour<'_>]) -> Step {
    let text = neighbours.first().map_or("", |n| n.text);
    let mut edits: Vec<Edit> = neighbours.iter().flat_map(|n| n.edits.clone()).collect();
    edits.sort_by_key(|e| (e.range.start, e.range.end));
    let (before, after) = (sha256(text), sha256(&jail_conf::apply(text, edits.clone())));
    let names = neighbours.iter().map(|n| n.jail.to_string()).collect::<Vec<_>>().join(", ");
    let what = format!("{path} on {host} makes the IPv6 routes of {names} at each start");
    let script = jail_conf::edit_script(path, &before, &after, &edits);
    let meaning = Meaning::JailFile { path: path.clone(), before, after, edits };
    let step = Step::new(Phase::Persist, what.clone(), Effect::Edit { host: host.clone(), what, script, meaning });
    neighbours.iter().fold(step, |step, n| step.changes(changes(host, path, &n.jail, &n.before, &n.after)))
}

/// What is different in a file, for people.
pub(super) fn changes(
    host: &NodeName,
    path: &RemotePath,
    jail: &JailName,
    before: &[Way],
    after: &[Way],
) -> Vec<Change> {
    let what = || format!("{path} on {host}");
    let gone = before.iter().filter(|w| !after.contains(w)).map(|w| Change::new(what(), w.command(jail), ""));
    let new = after.iter().filter(|w| !before.contains(w)).map(|w| Change::new(what(), "", w.command(jail)));
    gone.chain(new).collect()
}

/// Whose routes cannot be made to last.
pub(super) fn examine(situation: &Situation, hosts: &Hosts, findings: &mut Findings) {
    let (_, lost) = neighbours(situation, hosts);
    for (host, jail, why) in lost {
        warn(host, &jail, &why, findings);
    }
    if situation.gateways.iter().copied().find(IpAddr::is_ipv6).is_some_and(network::is_link_local) {
        warn(&situation.target.node, &situation.jail, LINKED, findings);
    }
}

pub(super) fn warn(host: &NodeName, jail: &JailName, why: &str, findings: &mut Findings) {
    findings.warning(
        "siblings-inet6",
        host,
        format!("the IPv6 routes of jail {jail} on {host} last only until it starts again: {why}"),
        "give it a block of its own in a file of /etc/jail.conf.d with nothing behind it that sets exec.poststart, and a gateway that is not link-local; or use /128 addresses with a default route",
    );
}
