//! What of the facts a plan rests on, as hashes: when one differs later, the plan is stale and can say in which part.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use crate::facts::HostFacts;
use crate::facts::RunningJail;

/// SHA-256 of each part of the facts that matters to a plan, by name. The order in which a host lists things does not
/// count, nor does what changes by itself: clocks, handshakes, endpoints, jids, bytes used and free, snapshots.
#[must_use]
pub fn fingerprint(facts: &HostFacts) -> BTreeMap<&'static str, String> {
    let id = &facts.identity;
    BTreeMap::from([
        ("identity", hash(&(&id.hostname, &id.hostuuid, &id.machine, id.uid))),
        ("versions", hash(&(id.kernel_version, &id.installed, &id.running, &id.userland, &facts.zfs))),
        ("sysctls", hash(&facts.sysctls)),
        ("modules and commands", hash(&(&facts.modules, &facts.commands))),
        ("interfaces", hash(&interfaces(facts))),
        ("routes", hash(&routes(facts))),
        ("wireguard", hash(&wireguard(facts))),
        ("wireguard files", hash(&sorted(&facts.wireguard_files))),
        ("pf", hash(&facts.pf)),
        ("jails", hash(&jails(facts))),
        ("jail configurations", hash(&(sorted(&facts.jail_configurations), &facts.jail_files, &facts.boot_off))),
        ("rc.conf", hash(&facts.rc)),
        ("datasets", hash(&datasets(facts))),
        ("pools", hash(&pools(facts))),
    ])
}

/// The parts in which two fingerprints differ; either may come from a saved plan.
#[must_use]
pub fn differences<A: AsRef<str>, B: AsRef<str>>(
    before: &BTreeMap<A, String>,
    after: &BTreeMap<B, String>,
) -> Vec<String> {
    let before: BTreeMap<&str, &String> = before.iter().map(|(name, hash)| (name.as_ref(), hash)).collect();
    let after: BTreeMap<&str, &String> = after.iter().map(|(name, hash)| (name.as_ref(), hash)).collect();
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    names.into_iter().filter(|name| before.get(name) != after.get(name)).map(str::to_owned).collect()
}

fn hash(part: &impl Serialize) -> String {
    let mut hasher = Sha256::new();
    // Writing plain values into a hasher cannot fail; should a type ever refuse, its error counts as its value.
    if let Err(error) = serde_json::to_writer(&mut Writer(&mut hasher), part) {
        hasher.update(error.to_string());
    }
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

struct Writer<'a>(&'a mut Sha256);

impl std::io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The items as text, in an order of their own.
fn sorted<T: Serialize>(items: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    items.into_iter().map(|item| json!(item).to_string()).collect()
}

fn interfaces(facts: &HostFacts) -> BTreeSet<String> {
    sorted(facts.interfaces.iter().map(|i| {
        // Those of an epair differ from one start of its jail to the next.
        let fixed = i.groups.iter().any(|g| g == "bridge");
        let link_locals = i.link_locals.iter().map(|a| fixed.then_some(a));
        let of_family = (sorted(&i.addresses), sorted(link_locals));
        (&i.name, i.up, i.mtu, i.fib, of_family, sorted(&i.members), sorted(&i.groups))
    }))
}

fn routes(facts: &HostFacts) -> BTreeMap<u16, BTreeSet<String>> {
    let one = |list: &Vec<crate::facts::Route>| sorted(list.iter().map(|r| (r.destination, &r.interface, r.gateway)));
    facts.routes.iter().map(|(fib, list)| (*fib, one(list))).collect()
}

fn wireguard(facts: &HostFacts) -> BTreeSet<String> {
    sorted(facts.wireguard.iter().map(|w| {
        let peers = sorted(w.peers.iter().map(|p| (&p.public_key, &p.allowed)));
        (&w.interface, &w.public_key, w.listen_port, peers)
    }))
}

/// A dying jail is on its way out; its name is free already.
fn jails(facts: &HostFacts) -> BTreeSet<String> {
    let live = facts.jails.iter().filter(|j| !j.dying);
    let inside = |j: &RunningJail| (sorted(&j.addresses), sorted(&j.gateways), j.mtu, j.smallest_mtu);
    sorted(live.map(|j| (&j.name, &j.path, j.vnet, inside(j))))
}

fn datasets(facts: &HostFacts) -> BTreeSet<String> {
    sorted(facts.datasets.iter().map(|d| {
        json!({
            "name": d.name, "kind": d.kind, "guid": d.guid, "mountpoint": d.mountpoint, "canmount": d.canmount,
            "mounted": d.mounted, "origin": d.origin, "encrypted": d.encrypted, "key": d.key_available,
            "jailed": d.jailed, "readonly": d.readonly, "run": d.run, "notice": d.notice,
        })
    }))
}

fn pools(facts: &HostFacts) -> BTreeSet<String> {
    sorted(facts.pools.iter().map(|p| (&p.name, p.size, &p.health, &p.features)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::parse::parse_host;
    use crate::facts::parse::script_tests::answer_of_a_node;
    use crate::model::Prefix;

    #[test]
    fn what_changes_by_itself_does_not_count_and_what_a_plan_rests_on_is_named() {
        let before = parse_host(&answer_of_a_node()).unwrap();
        let print = fingerprint(&before);
        assert!(print.values().all(|v| v.len() == 64));

        let mut later = before.clone();
        later.identity.clock += 86_400;
        later.wireguard[0].peers.reverse();
        later.wireguard[0].peers[0].latest_handshake = 1_795_381_912;
        later.wireguard[0].peers[0].endpoint = Some("203.0.113.7:1".to_owned());
        later.datasets[0].used += 1;
        later.datasets[0].referenced += 1;
        later.datasets[0].available -= 1;
        later.pools[0].free -= 1;
        later.jails[0].jid += 1;
        later.interfaces.reverse();
        assert_eq!(differences(&print, &fingerprint(&later)), Vec::<String>::new());

        let prefix: Prefix = "192.168.123.50/32".parse().unwrap();
        type Change = fn(&mut HostFacts, Prefix);
        let changes: [(&str, Change); 9] = [
            ("wireguard", |f, p| f.wireguard[0].peers[1].allowed.extend([p])),
            ("routes", |f, _| drop(f.routes.get_mut(&1).unwrap().pop())),
            ("pf", |f, _| drop(f.pf.nat.pop())),
            ("jail configurations", |f, _| {
                f.jail_configurations.push(crate::facts::JailConfiguration {
                    name: "x".into(),
                    file: crate::model::RemotePath::new("/etc/jail.conf").unwrap(),
                    parameters: vec![],
                })
            }),
            ("jails", |f, _| f.jails.clear()),
            ("datasets", |f, _| f.datasets[0].mounted = false),
            ("pools", |f, _| drop(f.pools[0].features.remove("lz4_compress"))),
            ("rc.conf", |f, _| f.rc.jail_list.push("web".into())),
            ("versions", |f, _| f.identity.running = "14.0-RELEASE".into()),
        ];
        for (part, change) in changes {
            let mut changed = before.clone();
            change(&mut changed, prefix);
            assert_eq!(differences(&print, &fingerprint(&changed)), [part]);
        }
    }
}
