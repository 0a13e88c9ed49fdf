//! Interfaces that take no IPv6 route. route(8) speaks netlink(4) since 14.0, and there a route through an interface needs
//! an address of its family on it: EINVAL otherwise (finalize_nhop() in sys/netlink/route/rt.c; seen on 14.0-STABLE, where
//! one link-local address was enough). 13.x asks by route(4), and 15.0 takes the interface itself instead.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::Effect;
use crate::facts::HostFacts;
use crate::model::Family;
use crate::model::NodeName;
use crate::plan::Step;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;

/// What the routes of these steps need.
pub fn examine(steps: &[Step], hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    // Interfaces that the move itself gives an address, before.
    let mut given = BTreeSet::new();
    for step in steps {
        match &step.effect {
            Effect::AddAlias { host, interface, address, .. } if address.is_ipv6() => {
                given.insert((host, interface));
            }
            Effect::AddRoute(route)
                if route.prefix.family() == Family::Inet6 && !given.contains(&(&route.host, &route.interface)) =>
            {
                let (host, interface) = (&route.host, &route.interface);
                let Some(facts) = hosts.get(host).filter(|facts| facts.identity.running.starts_with("14.")) else {
                    continue;
                };
                let known = facts.interface(interface);
                let has_address =
                    known.is_none_or(|i| !i.link_locals.is_empty() || i.addresses.iter().any(|a| a.addr().is_ipv6()));
                let mut routes = facts.routes.values().flatten();
                // What it took once it takes again.
                if has_address || routes.any(|r| r.interface == *interface && r.destination.family() == Family::Inet6) {
                    continue;
                }
                let kernel = &facts.identity.running;
                let what = format!(
                    "{interface} on {host} has no IPv6 address: {kernel} takes no route to {} through it then",
                    route.prefix
                );
                let fix = Fix::new(format!(
                    "give it one, a link-local one will do; in /etc/rc.conf: ifconfig_{interface}_ipv6=\"inet6 fe80::1/64\""
                ))
                .run(format!("ifconfig {interface} inet6 fe80::1/64"));
                if kernel.starts_with("14.0-") {
                    findings.error("no-inet6-address", host, what, fix);
                } else {
                    // It was mended in some 14.x; nothing tells in which before it is tried.
                    let what = what.replace("takes no route", "may take no route");
                    findings.warning("no-inet6-address", host, what, fix);
                }
            }
            _ => {}
        }
    }
}
