//! `jailferry facts`: what the nodes say.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::gather;
use crate::cli::input;
use crate::cli::output;
use crate::cli::prepare;
use crate::facts::HostFacts;
use crate::model::NodeName;
use crate::plan::preflight::bytes;
use crate::ui::sanitize;

pub(super) async fn facts(global: &Global, node: Option<&str>) -> Exit {
    let Ok(mut fleet) = input::fleet(global) else { return Exit::BadInput };
    if let Some(node) = node {
        if !fleet.fleet.nodes.keys().any(|n| n.as_str() == node) {
            output::complain(&prepare::unknown(&fleet, node));
            return Exit::BadInput;
        }
        fleet.fleet.nodes.retain(|name, _| name.as_str() == node);
    }
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let gathered = gather::facts_of_all(&hosts, &fleet.fleet, &|_| ()).await;
    drop(hosts);
    match gathered {
        Ok(all) if global.json => match output::json(&all) {
            Ok(()) => Exit::Done,
            Err(_) => Exit::Internal,
        },
        Ok(all) => {
            output::say(&text(&all));
            Exit::Done
        }
        Err(error) => {
            output::complain(&error.to_string());
            Exit::Refused
        }
    }
}

fn text(all: &BTreeMap<NodeName, HostFacts>) -> String {
    let mut out = String::new();
    for (name, facts) in all {
        let i = &facts.identity;
        let _ = writeln!(
            out,
            "{name}: {} FreeBSD {} {} {}",
            sanitize::line(&i.hostname),
            sanitize::line(&i.running),
            i.machine,
            facts.zfs.as_ref().map_or("no zfs", |z| z.userland.as_str())
        );
        for pool in &facts.pools {
            let _ = writeln!(
                out,
                "  pool {} {}: {} free of {}",
                sanitize::line(&pool.name),
                sanitize::line(&pool.health),
                bytes(pool.free),
                bytes(pool.size)
            );
        }
        for jail in &facts.jails {
            let addresses: Vec<String> = jail.addresses.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                out,
                "  jail {} {} {}{}",
                sanitize::line(&jail.name),
                sanitize::line(&jail.path),
                addresses.join(" "),
                if jail.dying { " (dying)" } else { "" }
            );
        }
        for interface in facts.interfaces.iter().filter(|i| !i.members.is_empty() || !i.addresses.is_empty()) {
            let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
            let members: Vec<String> = interface.members.iter().map(ToString::to_string).collect();
            let members = if members.is_empty() { String::new() } else { format!(" members {}", members.join(" ")) };
            let _ = writeln!(
                out,
                "  {} mtu {} fib {} {}{members}",
                interface.name,
                interface.mtu,
                interface.fib,
                addresses.join(" ")
            );
        }
        for wireguard in &facts.wireguard {
            for peer in &wireguard.peers {
                let who = all.iter().find(|(_, f)| f.wireguard.iter().any(|w| w.public_key == peer.public_key));
                let who = who.map_or_else(|| peer.public_key.short().to_owned(), |(n, _)| n.to_string());
                let allowed: Vec<String> = peer.allowed.iter().map(ToString::to_string).collect();
                let _ = writeln!(out, "  {} peer {who}: {}", wireguard.interface, allowed.join(" "));
            }
        }
        for rule in &facts.pf.nat {
            let _ = writeln!(out, "  pf {}", sanitize::line(rule));
        }
    }
    out
}
