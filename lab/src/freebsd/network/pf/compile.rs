//! pf's rules as an nft table `pf`: translation is first match, filtering last match unless `quick`.
//!
//! pf filters a packet after `rdr` on its way in and after `nat` on its way out; the chains' priorities do the same. Rules that are changed leave the kernel's
//! connections alone, as pf leaves its states.

use std::io;

use super::memory::Memory;
use super::model::Action;
use super::model::End;
use super::model::Peer;
use super::model::Port;
use super::model::Rule;
use super::model::Ruleset;
use super::parse::interface_nets;
use crate::freebsd::network::kernel;
use crate::freebsd::network::prefix::Prefix;
use crate::net::fibs;

/// Replaces the kernel's table in one transaction.
pub fn install(memory: &Memory) -> io::Result<()> {
    fibs::feed("nft", &["-f", "-"], &script(memory))
}

/// The nft script.
pub fn script(memory: &Memory) -> String {
    let mut out = String::from("table inet pf\ndelete table inet pf\n");
    if memory.enabled.is_none() {
        return out;
    }
    out += "table inet pf {\n";
    let mut names: Vec<String> = memory.tables.keys().cloned().collect();
    each_rule(memory, &mut |anchor, rule| {
        for peer in [&rule.from.peer, &rule.to.peer] {
            if let Peer::Table(name) = peer {
                names.push(memory.table_key(anchor, name));
            }
        }
    });
    names.sort();
    names.dedup();
    for name in &names {
        sets(&mut out, memory, name);
    }
    let skip: String = memory.skip.iter().map(|name| kernel::device(name)).collect::<Vec<_>>().join("\", \"");
    let skips = |key: &str| if skip.is_empty() { String::new() } else { format!("  {key} {{ \"{skip}\" }} accept\n") };
    let chain = |name: &str, kind: &str, hook: &str, priority: i32, body: String| {
        format!(" chain {name} {{\n  type {kind} hook {hook} priority {priority}; policy accept;\n{body} }}\n")
    };
    let (mut nat, mut rdr) = (String::new(), String::new());
    let (mut quick, mut last) = ([String::new(), String::new()], [Vec::new(), Vec::new()]);
    each_rule(memory, &mut |anchor, rule| match rule.action {
        Action::Nat(_) => lines(memory, anchor, rule, "oifname", &mut nat),
        Action::Rdr(_) => lines(memory, anchor, rule, "iifname", &mut rdr),
        Action::Pass | Action::Block(_) => {
            for (at, direction) in ["in", "out"].into_iter().enumerate() {
                if rule.direction.as_deref().is_some_and(|only| only != direction) {
                    continue;
                }
                let mut text = String::new();
                lines(memory, anchor, rule, ["iifname", "oifname"][at], &mut text);
                if rule.quick {
                    quick[at] += &text;
                } else {
                    last[at].push(text);
                }
            }
        }
        Action::Scrub | Action::Anchor(..) => {}
    });
    out += &chain("rdr", "nat", "prerouting", -100, skips("iifname") + &rdr);
    out += &chain("nat", "nat", "postrouting", 100, skips("oifname") + &nat);
    for (at, (name, hook, priority)) in
        [("in_", "prerouting", -50), ("out_", "postrouting", 150)].into_iter().enumerate()
    {
        let mut body = skips(["iifname", "oifname"][at]);
        if quick[at].contains("drop")
            || quick[at].contains("reject")
            || last[at].iter().any(|t| t.contains("drop") || t.contains("reject"))
        {
            // A packet of a connection that is known passes by its state.
            body += "  ct state established,related accept\n";
            body += &quick[at];
            body.extend(last[at].iter().rev().map(String::as_str));
        }
        out += &chain(name, "filter", hook, priority, body);
    }
    out + "}\n"
}

/// All rules in the order of evaluation, anchors gone into where they stand.
fn each_rule(memory: &Memory, see: &mut impl FnMut(&str, &Rule)) {
    fn walk(memory: &Memory, anchor: &str, rules: &Ruleset, depth: usize, see: &mut impl FnMut(&str, &Rule)) {
        for rule in &rules.rules {
            let Action::Anchor(kind, name) = &rule.action else {
                see(anchor, rule);
                continue;
            };
            if depth > 8 {
                continue;
            }
            let full = if anchor.is_empty() { name.clone() } else { format!("{anchor}/{name}") };
            for (below, inner) in memory.meant(&full) {
                // Only the rules of the anchor's own kind are looked at here.
                let wanted = Ruleset {
                    rules: inner
                        .rules
                        .iter()
                        .filter(|r| match (&r.action, kind.as_str()) {
                            (Action::Nat(_), kind) => kind == "nat-anchor",
                            (Action::Rdr(_), kind) => kind == "rdr-anchor",
                            (Action::Anchor(inner, _), kind) => inner == kind,
                            (_, kind) => kind == "anchor",
                        })
                        .cloned()
                        .collect(),
                };
                walk(memory, below, &wanted, depth + 1, see);
            }
        }
    }
    walk(memory, "", &memory.main, 0, see);
}

fn set_name(key: &str, v6: bool) -> String {
    let safe: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("t_{safe}_{}", if v6 { 6 } else { 4 })
}

/// A table is one set per family; a negated entry is a hole, so the parts around it are listed.
fn sets(out: &mut String, memory: &Memory, key: &str) {
    let entries = memory.tables.get(key).map(|t| t.entries.as_slice()).unwrap_or_default();
    for v6 in [false, true] {
        let (mut plus, mut minus) = (Vec::new(), Vec::new());
        for entry in entries {
            let (not, text) = entry.strip_prefix('!').map_or((false, entry.as_str()), |t| (true, t));
            if let Some(prefix) = Prefix::parse(text, v6).filter(|_| text.contains(':') == v6) {
                if not { minus.push(prefix.network()) } else { plus.push(prefix.network()) }
            }
        }
        let mut parts: Vec<String> = plus.into_iter().flat_map(|p| without(p, &minus)).map(Prefix::cidr).collect();
        parts.sort();
        parts.dedup();
        let kind = if v6 { "ipv6_addr" } else { "ipv4_addr" };
        let elements =
            if parts.is_empty() { String::new() } else { format!(" elements = {{ {} }};", parts.join(", ")) };
        *out += &format!(" set {} {{ type {kind}; flags interval; auto-merge;{elements} }}\n", set_name(key, v6));
    }
}

/// A prefix without some others inside it.
fn without(whole: Prefix, holes: &[Prefix]) -> Vec<Prefix> {
    let inside: Vec<Prefix> =
        holes.iter().copied().filter(|h| h.length >= whole.length && whole.contains(h.address)).collect();
    if inside.contains(&whole) {
        return Vec::new();
    }
    if inside.is_empty() {
        return vec![whole];
    }
    halves(whole).into_iter().flat_map(|half| without(half, &inside)).collect()
}

fn halves(whole: Prefix) -> [Prefix; 2] {
    let length = whole.length + 1;
    let second = match whole.address {
        std::net::IpAddr::V4(a) => std::net::Ipv4Addr::from_bits(a.to_bits() | 1 << (32 - u32::from(length))).into(),
        std::net::IpAddr::V6(a) => std::net::Ipv6Addr::from_bits(a.to_bits() | 1 << (128 - u32::from(length))).into(),
    };
    [Prefix { address: whole.address, length }, Prefix { address: second, length }]
}

/// A rule as nft rules, one a family; none when an interface that it names has no address.
fn lines(memory: &Memory, anchor: &str, rule: &Rule, interface: &str, out: &mut String) {
    for v6 in [false, true] {
        if rule.v6.is_some_and(|only| only != v6) {
            continue;
        }
        let anything =
            rule.v6.is_none() && rule.from.peer == Peer::Any && rule.to.peer == Peer::Any && rule.target.is_none();
        if anything && v6 {
            continue;
        }
        if let Some(line) = line(memory, anchor, rule, interface, v6, anything) {
            *out += &format!("  {line}\n");
        }
    }
}

fn line(memory: &Memory, anchor: &str, rule: &Rule, interface: &str, v6: bool, anything: bool) -> Option<String> {
    let mut parts = Vec::new();
    if let Some((not, name)) = &rule.interface {
        // A group (`epair`) covers its members.
        let name = kernel::device(name);
        let name = if name.ends_with(|c: char| c.is_ascii_digit()) || name == "lo" || name.ends_with(['a', 'b']) {
            name
        } else {
            format!("{name}*")
        };
        parts.push(format!("{interface} {}\"{name}\"", if *not { "!= " } else { "" }));
    }
    if !anything {
        parts.push(format!("meta nfproto {}", if v6 { "ipv6" } else { "ipv4" }));
    }
    if let Some(proto) = &rule.proto {
        parts.push(format!("meta l4proto {}", if proto == "icmp6" { "ipv6-icmp" } else { proto }));
    }
    for (end, side, port) in [(&rule.from, "saddr", "sport"), (&rule.to, "daddr", "dport")] {
        parts.extend(peer(memory, anchor, end, side, v6)?);
        if let Some(number) = &end.port {
            parts.push(format!("th {port} {}", ports(number)));
        }
    }
    parts.push("counter".into());
    parts.push(match &rule.action {
        Action::Pass | Action::Nat(false) | Action::Rdr(false) => "accept".into(),
        Action::Block(how) if how == "drop" => "drop".into(),
        Action::Block(_) => "drop".into(),
        Action::Nat(true) => format!("snat {} to {}", if v6 { "ip6" } else { "ip" }, target(rule, v6)?),
        Action::Rdr(true) => {
            let to = target(rule, v6)?;
            let to = match rule.target_port {
                Some(port) if v6 => format!("[{to}]:{port}"),
                Some(port) => format!("{to}:{port}"),
                None => to,
            };
            format!("dnat {} to {to}", if v6 { "ip6" } else { "ip" })
        }
        Action::Scrub | Action::Anchor(..) => return None,
    });
    Some(parts.join(" "))
}

fn ports(port: &Port) -> String {
    match port.op.as_str() {
        "=" => port.low.to_string(),
        ":" => format!("{}-{}", port.low, port.high),
        op => format!("{op} {}", port.low),
    }
}

fn peer(memory: &Memory, anchor: &str, end: &End, side: &str, v6: bool) -> Option<Vec<String>> {
    let family = if v6 { "ip6" } else { "ip" };
    let not = if end.not { "!= " } else { "" };
    match &end.peer {
        Peer::Any => Some(Vec::new()),
        Peer::Net(net) => (net.contains(':') == v6).then(|| vec![format!("{family} {side} {not}{net}")]),
        Peer::Table(name) => {
            Some(vec![format!("{family} {side} {not}@{}", set_name(&memory.table_key(anchor, name), v6))])
        }
        Peer::Interface(name) => {
            let nets: Vec<String> = interface_nets(name).into_iter().filter(|n| n.contains(':') == v6).collect();
            (!nets.is_empty()).then(|| vec![format!("{family} {side} {not}{{ {} }}", nets.join(", "))])
        }
    }
}

fn target(rule: &Rule, v6: bool) -> Option<String> {
    let net = match rule.target.as_ref()? {
        Peer::Net(net) => net.clone(),
        Peer::Interface(name) => interface_nets(name).into_iter().find(|n| n.contains(':') == v6)?,
        Peer::Any | Peer::Table(_) => return None,
    };
    Prefix::parse(&net, v6).filter(|_| net.contains(':') == v6).map(|p| p.address.to_string())
}
