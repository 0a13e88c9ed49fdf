//! Jails that a move has brought to a host and that are stopped at the moment: what they need there is not seen in use.

use crate::facts::HostFacts;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::Prefix;

/// Their prefixes, but for those of `jail`, as rc.conf(5) leads them to the bridge in routes named after them.
pub(in crate::plan) fn stopped(facts: &HostFacts, bridge: &InterfaceName, jail: &JailName) -> Vec<Prefix> {
    let stem = |name: &str| name.replace('-', "_");
    let here = |of: &str| of == stem(jail.as_str()) || facts.jails.iter().any(|j| !j.dying && stem(&j.name) == of);
    let routes = facts.rc.variables.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("ipv6_").unwrap_or(name).strip_prefix("route_jailferry_")?;
        let (of, number) = name.rsplit_once('_')?;
        let ours = number.bytes().all(|b| b.is_ascii_digit()) && !here(of);
        let mut words = value.split_whitespace();
        (ours && words.any(|word| word == bridge.as_str())).then_some(value)
    });
    let destination = |value: &String| {
        value.split_whitespace().find_map(|word| {
            let prefix = word.parse::<ipnet::IpNet>().map(Prefix::truncate);
            prefix.or_else(|_| word.parse().map(Prefix::host)).ok()
        })
    };
    routes.filter_map(destination).collect()
}
