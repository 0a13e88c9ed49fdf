//! Reads fleet.yml.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use crate::effect::command::Become;
use crate::model::DatasetName;
use crate::model::InterfaceName;
use crate::model::InvalidPrefix;
use crate::model::JailName;
use crate::model::Landmark;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::SegmentName;
use crate::model::SshDestination;
use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::fabric::Fabric;
use crate::playbook::fleet::Fleet;
use crate::playbook::fleet::JailSpec;
use crate::playbook::fleet::Node;
use crate::playbook::publish::Egress;
use crate::playbook::read::check::checks;
use crate::playbook::read::options::options;
use crate::playbook::read::options::plain_text;
use crate::playbook::read::publish::publish;
use crate::playbook::read::rebalance::amount;
use crate::playbook::read::rebalance::features;
use crate::playbook::read::rebalance::reserve;
use crate::playbook::reader::Fields;
use crate::playbook::reader::Problem;
use crate::playbook::reader::choice;
use crate::playbook::reader::entries;
use crate::playbook::reader::key;
use crate::playbook::reader::list;
use crate::playbook::reader::name;
use crate::playbook::reader::nearest;
use crate::playbook::reader::number;
use crate::playbook::reader::scalar;
use crate::playbook::rules;
use crate::playbook::yaml::Entry;
use crate::playbook::yaml::Located;
use crate::playbook::yaml::Value;

/// A value with the place it was written at.
pub(crate) type At<T> = (T, Range<usize>);

/// The fleet of a document. `None`, or a value that must not be used, when findings refuse it.
pub(crate) fn fleet(root: &Located, findings: &mut Findings) -> Option<Fleet> {
    let mut fields = Fields::of(root, "a fleet", findings)?;
    let hub_at = fields.require("hub", "which node has the public address?", findings);
    let hubs = hub_at.map(|n| hubs(n, findings)).unwrap_or_default();
    let ssh_config = fields.get("ssh_config").and_then(|n| plain_text(n, "a path", findings)).map(PathBuf::from);
    let tunnel = fields.get("tunnel").map(|n| prefixes(n, findings)).unwrap_or_default();
    let canary = fields.get("canary").map(|n| prefixes(n, findings)).unwrap_or_default();
    let egress_check = fields.get("egress_check").map(|n| landmarks(n, findings)).unwrap_or_default();
    let (defaults, options) = match fields.get("defaults").and_then(|n| Fields::of(n, "defaults", findings)) {
        Some(mut fields) => {
            let settings = node_settings(&mut fields, findings);
            let options = options(&mut fields, findings);
            fields.finish(findings);
            (settings, options)
        }
        None => Default::default(),
    };
    let nodes_at = fields.require("nodes", "which hosts are there?", findings);
    let nodes = nodes_at.and_then(|node| nodes(node, &defaults, findings));
    // A node that is written wrong is a node all the same.
    if let Some(Located { value: Value::Map(written), .. }) = nodes_at
        && !written.is_empty()
    {
        for (hub, at) in &hubs {
            known(hub.as_str(), at, "the hub", "nodes", written.iter().map(|e| e.key.as_str()), findings);
        }
    }
    let jails_at = fields.get("jails");
    let jails = jails_at.map(|n| jails(n, &tunnel, findings)).unwrap_or_default();
    rules::canary(&canary, &jails, &tunnel, findings);
    if let (Some(at), Some(nodes)) = (jails_at, &nodes) {
        vantages(at, nodes, findings);
    }
    fields.finish(findings);
    let mut hubs = hubs.into_iter().map(|(hub, _)| hub);
    Some(Fleet {
        hub: hubs.next()?,
        more_hubs: hubs.collect(),
        nodes: nodes?,
        jails,
        tunnel: tunnel.into_iter().map(|(prefix, _)| prefix).collect(),
        canary: canary.into_iter().map(|(prefix, _)| prefix).collect(),
        egress_check,
        ssh_config,
        options,
    })
}

/// One hub, or a list of them without repetition.
fn hubs(node: &Located, findings: &mut Findings) -> Vec<At<NodeName>> {
    let items = match &node.value {
        Value::List(_) => list(node, "the name of a node, or a list of them", findings).unwrap_or_default(),
        _ => std::slice::from_ref(node),
    };
    let mut hubs: Vec<At<NodeName>> = Vec::new();
    for item in items {
        let Some(hub) = name::<NodeName>(item, "the name of a node", findings) else { continue };
        match hubs.iter().find(|(other, _)| *other == hub) {
            Some((_, there)) => findings.push(
                Diagnostic::error(format!("the hub `{hub}` is listed twice"), item.span.clone())
                    .label("again")
                    .also(there.clone(), "first here"),
            ),
            None => hubs.push((hub, item.span.clone())),
        }
    }
    hubs
}

/// A finding for every `from:` below `node` that names neither the hub's role nor a node.
fn vantages(node: &Located, nodes: &BTreeMap<NodeName, Node>, findings: &mut Findings) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                match &entry.value.value {
                    Value::Scalar(from) if entry.key == "from" && from != "hub" => {
                        let names = nodes.keys().map(NodeName::as_str);
                        known(from, &entry.value.span, "the place to ask from", "nodes", names, findings);
                    }
                    _ => vantages(&entry.value, nodes, findings),
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| vantages(item, nodes, findings)),
        Value::Scalar(_) | Value::Null => {}
    }
}

/// A finding when `wanted` is none of the names that `list` holds.
pub(crate) fn known<'n>(
    wanted: &str,
    at: &Range<usize>,
    who: &str,
    list: &str,
    names: impl Iterator<Item = &'n str> + Clone,
    findings: &mut Findings,
) {
    if names.clone().any(|n| n == wanted) {
        return;
    }
    let finding = Diagnostic::error(format!("{who} `{wanted}` is not among the {list}"), at.clone());
    let hint = if findings.is_full() {
        String::new()
    } else if let Some(near) = nearest(wanted, names.clone()) {
        format!("did you mean `{near}`?")
    } else {
        let some: Vec<&str> = names.take(10).collect();
        format!("the {list} are {}", some.join(", "))
    };
    findings.push(finding.label("unknown").hint(hint));
}

/// Settings that defaults and nodes share.
#[derive(Default)]
struct NodeSettings {
    become_root: Option<Become>,
    wireguard: Option<InterfaceName>,
    bridge: Option<InterfaceName>,
    fabric: Option<Fabric>,
    mtu: Option<u32>,
    parent: Option<DatasetName>,
}

fn node_settings(fields: &mut Fields<'_>, findings: &mut Findings) -> NodeSettings {
    const WAYS: &[(&str, Become)] =
        &[("none", Become::None), ("sudo", Become::Sudo), ("doas", Become::Doas), ("mdo", Become::Mdo)];
    NodeSettings {
        become_root: fields.get("become").and_then(|n| choice(n, "a way to become root", WAYS, findings)),
        wireguard: fields.get("wireguard").and_then(|n| name(n, "an interface", findings)),
        bridge: fields.get("bridge").and_then(|n| name(n, "an interface", findings)),
        fabric: fields.get("fabric").and_then(|n| fabric(n, findings)),
        mtu: fields.get("mtu").and_then(|n| number(n, "an MTU", 576..=65535, findings)),
        parent: fields.get("parent").and_then(|n| name(n, "a dataset", findings)),
    }
}

/// `routed`, `bridged`, or `bridged: NAME`.
fn fabric(node: &Located, findings: &mut Findings) -> Option<Fabric> {
    if let Value::Map(_) = node.value {
        let mut fields = Fields::of(node, "a fabric", findings)?;
        let segment = fields.require("bridged", "which segment is it?", findings);
        let segment = segment.and_then(|n| name(n, "the name of a segment", findings));
        fields.finish(findings);
        return segment.map(Fabric::Bridged);
    }
    const WORDS: &[(&str, bool)] = &[("routed", false), ("bridged", true)];
    let bridged = choice(node, "a fabric", WORDS, findings)?;
    if !bridged {
        return Some(Fabric::Routed);
    }
    SegmentName::new(Fabric::ONLY).ok().map(Fabric::Bridged)
}

fn nodes(node: &Located, defaults: &NodeSettings, findings: &mut Findings) -> Option<BTreeMap<NodeName, Node>> {
    let entries = entries(node, "names of nodes, each with a colon", findings)?;
    let mut nodes = BTreeMap::new();
    let mut destinations: Vec<(NodeName, At<SshDestination>)> = Vec::new();
    let mut segments: Vec<(NodeName, At<Fabric>)> = Vec::new();
    for entry in entries {
        let name = key::<NodeName>(entry, findings);
        let node = one_node(entry, defaults, findings);
        let (Some(name), Some((node, at))) = (name, node) else { continue };
        destinations.push((name.clone(), (node.ssh.clone(), at)));
        segments.push((name.clone(), (node.fabric.clone(), entry.at.clone())));
        nodes.insert(name, node);
    }
    rules::same_destination(&destinations, findings);
    rules::alone(&segments, findings);
    match entries.len() {
        0 => {
            let finding = Diagnostic::error("a fleet without nodes", node.span.clone());
            findings.push(finding.hint("list the hosts below `nodes:`, one name with a colon on each line"));
            None
        }
        1 => {
            let finding = Diagnostic::warning("a fleet of one node", node.span.clone());
            findings.push(finding.label("jails have nowhere to go"));
            Some(nodes)
        }
        _ => Some(nodes),
    }
}

/// A node, and where its ssh destination is written: at `ssh`, or at its name.
fn one_node(entry: &Entry, defaults: &NodeSettings, findings: &mut Findings) -> Option<At<Node>> {
    let mut fields = Fields::of(&entry.value, "a node", findings)?;
    let ssh = match fields.get("ssh") {
        Some(node) => name(node, "an ssh destination", findings).map(|ssh| (ssh, node.span.clone())),
        // A name that is no destination is no node name either, and has been found already.
        None => SshDestination::new(entry.key.as_str()).ok().map(|ssh| (ssh, entry.at.clone())),
    };
    let own = node_settings(&mut fields, findings);
    let wireguard_config = fields.get("wireguard_config").and_then(|n| name(n, "a path on the host", findings));
    // RT_MAXFIBS is 65536 (sys/net/route.h).
    let fib = fields.get("fib").and_then(|n| number(n, "a FIB", 0..=u16::MAX, findings));
    let ways = [("hub", Egress::Hub), ("node", Egress::Node)];
    let egress = fields.get("egress").and_then(|n| choice(n, "a way out", &ways, findings));
    let pf_table = fields.get("pf_table").and_then(|n| name(n, "a pf table", findings));
    let capacity = fields.get("capacity").and_then(|n| amount(n, "a capacity", findings)).unwrap_or_default();
    let reserve = fields.get("reserve").and_then(|n| reserve(n, findings)).unwrap_or_default();
    let provides = fields.get("provides").map(|n| features(n, findings)).unwrap_or_default();
    fields.finish(findings);
    let (ssh, at) = ssh?;
    let node = Node {
        ssh,
        become_root: own.become_root.or(defaults.become_root).unwrap_or_default(),
        wireguard: own.wireguard.or_else(|| defaults.wireguard.clone()),
        wireguard_config,
        bridge: own.bridge.or_else(|| defaults.bridge.clone()),
        fabric: own.fabric.or_else(|| defaults.fabric.clone()).unwrap_or_default(),
        fib,
        mtu: own.mtu.or(defaults.mtu),
        parent: own.parent.or_else(|| defaults.parent.clone()),
        egress: egress.unwrap_or_default(),
        pf_table,
        capacity,
        reserve,
        provides,
    };
    Some((node, at))
}

fn jails(node: &Located, tunnel: &[At<Prefix>], findings: &mut Findings) -> BTreeMap<JailName, JailSpec> {
    let mut jails = BTreeMap::new();
    let mut owned: Vec<(JailName, At<Prefix>)> = Vec::new();
    for entry in entries(node, "names of jails, each with a colon", findings).unwrap_or_default() {
        let name = key::<JailName>(entry, findings);
        let Some(mut fields) = Fields::of(&entry.value, "a jail", findings) else { continue };
        let prefixes = fields.get("prefixes").map(|n| prefixes(n, findings)).unwrap_or_default();
        let checks = fields.get("checks").map(|n| checks(n, findings)).unwrap_or_default();
        let publish = fields.get("publish").map(|n| publish(n, findings)).unwrap_or_default();
        let load = fields.get("load").and_then(|n| amount(n, "a load", findings)).unwrap_or_default();
        let needs = fields.get("needs").map(|n| features(n, findings)).unwrap_or_default();
        let options = options(&mut fields, findings);
        fields.finish(findings);
        let Some(name) = name else { continue };
        owned.extend(prefixes.iter().cloned().map(|prefix| (name.clone(), prefix)));
        let prefixes = prefixes.into_iter().map(|(prefix, _)| prefix).collect();
        jails.insert(name, JailSpec { prefixes, checks, publish, load, needs, options });
    }
    rules::not_a_jails(&owned, tunnel, findings);
    owned.retain(|(_, (prefix, _))| rules::unfit(*prefix).is_none());
    rules::overlaps(&owned, findings);
    jails
}

fn prefixes(node: &Located, findings: &mut Findings) -> Vec<At<Prefix>> {
    let items = list(node, "a list of prefixes", findings).unwrap_or_default();
    items.iter().filter_map(|n| Some((scalar(n, "a prefix", findings, prefix)?, n.span.clone()))).collect()
}

fn landmarks(node: &Located, findings: &mut Findings) -> Vec<Landmark> {
    let items = list(node, "a list of addresses or URLs outside", findings).unwrap_or_default();
    items.iter().filter_map(|n| name(n, "an address or a URL outside", findings)).collect()
}

fn prefix(text: &str) -> Result<Prefix, Problem> {
    text.parse().map_err(|error| match error {
        InvalidPrefix::HostBits { given, network, single } => {
            Problem::new(format!("{given} has host bits set"), "more than the network is written")
                .hint(format!("the network is {network}"))
                .hint(format!("the single address is {single}"))
        }
        InvalidPrefix::Syntax(_) => {
            let problem = Problem::new(
                format!("`{text}` is not a prefix"),
                "an address, '/' and a length, such as 192.168.123.50/32",
            );
            match text.parse() {
                Ok(address) => problem.hint(format!("the single address is {}", Prefix::host(address))),
                Err(_) => problem,
            }
        }
    })
}
