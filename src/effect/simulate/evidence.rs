//! From facts to a world and back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::commands::OWNER_PROPERTY;
use crate::effect::commands::RUN_PROPERTY;
use crate::effect::commands::STATE_PROPERTY;
use crate::effect::commands::sha256;
use crate::effect::simulate::Dataset;
use crate::effect::simulate::Host;
use crate::effect::simulate::Snapshot;
use crate::effect::simulate::World;
use crate::effect::simulate::edits;
use crate::effect::simulate::files::configurations;
use crate::facts;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::facts::JailDataset;
use crate::facts::JailFacts;
use crate::facts::OfTheHost;
use crate::facts::PropertyValue;
use crate::facts::TargetFacts;
use crate::facts::TextFile;
use crate::model;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Notice;
use crate::model::RemotePath;
use crate::plan::finding::Findings;
use crate::plan::situation;
use crate::plan::situation::Evidence;
use crate::plan::situation::Situation;
use crate::playbook::Fleet;

impl World {
    /// The world as far as the evidence of a move tells it: snapshots, property sources and texts are known of the
    /// jail that moves.
    #[must_use]
    pub fn new(evidence: &Evidence, situation: &Situation) -> World {
        let mut world = World::of(evidence.hosts.clone());
        if let Some(jail) = &evidence.jail {
            world.tell_jail(&situation.source.node, jail);
        }
        if let (Some(host), Some(there)) = (world.hosts.get_mut(&situation.target.node), &evidence.target) {
            host.files.extend(there.files.clone());
            there.datasets.iter().for_each(|d| host.tell(d));
        }
        let snapshots = world.hosts.values().flat_map(|h| h.storage.values()).flat_map(|d| &d.snapshots);
        world.clock = snapshots.map(|s| s.createtxg).max().unwrap_or(0);
        world.hosts.values_mut().for_each(Host::settle);
        world
    }

    /// The world of the first round alone.
    pub(crate) fn of(hosts: BTreeMap<NodeName, HostFacts>) -> World {
        let inside = hosts.values().flat_map(|h| h.jails.iter().map(|j| (j.name.clone(), j.clone()))).collect();
        World { hosts: hosts.into_iter().map(|(node, facts)| (node, Host::new(facts))).collect(), inside, clock: 0 }
    }

    /// What a host says of a jail in the second round.
    pub(crate) fn tell_jail(&mut self, node: &NodeName, jail: &JailFacts) {
        let Some(host) = self.hosts.get_mut(node) else { return };
        host.files.insert(jail.configuration_file.clone(), jail.configuration.clone());
        host.files.extend(jail.fstab.clone());
        jail.datasets.iter().for_each(|d| host.tell(d));
    }

    /// The checksums of WireGuard files, made from what the files say.
    #[cfg(test)]
    pub(crate) fn seal(&mut self) {
        for host in self.hosts.values_mut() {
            for file in &mut host.facts.wireguard_files {
                file.sha256 = edits::sum(file, &[]);
            }
        }
    }

    /// What the hosts would answer before a move, both rounds.
    #[must_use]
    pub fn evidence(
        &self,
        fleet: &Fleet,
        jail: &JailName,
        target: &NodeName,
    ) -> (Evidence, Option<Situation>, Findings) {
        let mut findings = Findings::default();
        let hosts = self.hosts.iter().map(|(node, host)| (node.clone(), host.first_round())).collect();
        let mut evidence = Evidence {
            fleet: fleet.clone(),
            hosts,
            jail: None,
            target: None,
            link: None,
            bases: None,
            past: Vec::new(),
        };
        let situation = situation::resolve(&evidence, jail, target, &mut findings);
        if let Some(situation) = &situation {
            let host = |node: &NodeName| self.hosts.get(node);
            evidence.jail = host(&situation.source.node).and_then(|h| h.jail_round(situation));
            evidence.target = host(&situation.target.node).map(|h| h.target_round(situation));
        }
        (evidence, situation, findings)
    }
}

/// Properties whose own values the first round tells.
const TOLD: [&str; 4] = ["mountpoint", "canmount", "readonly", "jailed"];

impl Host {
    fn new(mut facts: HostFacts) -> Host {
        let mut storage = BTreeMap::new();
        for like in std::mem::take(&mut facts.datasets) {
            let mut local = BTreeMap::from([("canmount".to_owned(), like.canmount.clone())]);
            local.insert("mountpoint".into(), like.mountpoint.clone());
            local.insert("readonly".into(), if like.readonly { "on" } else { "off" }.into());
            if like.jailed {
                local.insert("jailed".into(), "on".into());
            }
            local.extend(like.run.clone().map(|run| (RUN_PROPERTY.to_owned(), run)));
            if let Some(notice) = &like.notice {
                local.insert(STATE_PROPERTY.into(), notice.state());
                local.extend(notice.owner.as_ref().map(|owner| (OWNER_PROPERTY.to_owned(), owner.to_string())));
            }
            // What the jail, or jail(8), mounts comes and goes with it.
            let (mounted, name) = (like.mounted && !like.jailed && !like.is_legacy(), like.name.clone());
            let (received, bookmarks) = (BTreeMap::new(), BTreeMap::new());
            let (snapshots, partial) = (vec![], None);
            storage.insert(name, Dataset { like, local, received, mounted, content: 0, snapshots, bookmarks, partial });
        }
        let text = |text: String| TextFile { sha256: sha256(&text), text, mode: "644".into(), owner: (0, 0) };
        let files = std::mem::take(&mut facts.jail_files).into_iter().map(|(path, t)| (path, text(t))).collect();
        let mut host = Host {
            facts,
            storage,
            files,
            hooks: BTreeMap::new(),
            backups: BTreeMap::new(),
            locks: BTreeMap::new(),
            switching: None,
            stages: BTreeMap::new(),
            leases: BTreeMap::new(),
            keys: BTreeSet::new(),
            watches: BTreeSet::new(),
            listings: BTreeMap::new(),
        };
        host.settle();
        host
    }

    /// What the second round knows better.
    fn tell(&mut self, told: &JailDataset) {
        let Some(dataset) = self.storage.get_mut(&told.name) else { return };
        TOLD.iter().for_each(|p| drop(dataset.local.remove(*p)));
        for (name, PropertyValue { value, source }) in &told.properties {
            match source.as_str() {
                "local" => drop(dataset.local.insert(name.clone(), value.clone())),
                "received" => drop(dataset.received.insert(name.clone(), value.clone())),
                _ => {}
            }
        }
        dataset.snapshots = told
            .snapshots
            .iter()
            .map(|s| Snapshot {
                label: s.label.clone(),
                guid: s.guid,
                createtxg: s.createtxg,
                holds: BTreeSet::new(),
                content: dataset.content,
            })
            .collect();
    }

    /// One order for everything that has none, so that equal hosts compare equal.
    pub(super) fn settle(&mut self) {
        self.facts.interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        for interface in &mut self.facts.interfaces {
            interface.members.sort();
            interface.addresses.sort();
        }
        for table in self.facts.routes.values_mut() {
            table.sort_by(|a, b| (a.destination, &a.interface).cmp(&(b.destination, &b.interface)));
        }
        self.facts.jails.sort_by(|a, b| a.name.cmp(&b.name));
        edits::settle(&mut self.facts.rc);
        // What a known file configures is read from it.
        self.facts.jail_configurations.retain(|c| !self.files.contains_key(&c.file));
    }

    /// Every configured jail, `jail -e` of all files that rc(8) reads.
    #[must_use]
    pub fn all_configurations(&self) -> Vec<JailConfiguration> {
        let mut all = self.facts.jail_configurations.clone();
        for (path, file) in self.jail_files() {
            all.extend(configurations(path, &file.text));
        }
        all
    }

    /// The files that rc(8) reads jails from.
    fn jail_files(&self) -> impl Iterator<Item = (&RemotePath, &TextFile)> {
        self.files.iter().filter(|(path, _)| {
            let text = path.as_str();
            let single = text.strip_prefix("/etc/jail.").and_then(|n| n.strip_suffix(".conf"));
            let in_folder = text.strip_prefix("/etc/jail.conf.d/").and_then(|n| n.strip_suffix(".conf"));
            let visible = |name: &str| !name.starts_with('.') && !name.contains('/');
            text == "/etc/jail.conf" || single.is_some_and(visible) || in_folder.is_some_and(visible)
        })
    }

    /// What the first round of questions would tell.
    #[must_use]
    pub fn first_round(&self) -> HostFacts {
        let mut told = self.facts.clone();
        told.jail_configurations = self.all_configurations();
        told.jail_files = self.jail_files().map(|(path, file)| (path.clone(), file.text.clone())).collect();
        told.datasets = self.storage.iter().map(|(name, dataset)| self.told(name, dataset)).collect();
        told
    }

    fn told(&self, name: &DatasetName, dataset: &Dataset) -> facts::Dataset {
        let volume = dataset.like.kind == facts::DatasetKind::Volume;
        let jailed = !volume && self.is_jailed(name);
        facts::Dataset {
            mountpoint: if volume { "-".into() } else { self.mountpoint(name) },
            canmount: dataset.own("canmount").cloned().unwrap_or_else(|| "on".into()),
            mounted: dataset.mounted || jailed,
            jailed,
            readonly: self.is_readonly(name),
            run: dataset.own(RUN_PROPERTY).cloned(),
            notice: dataset.own(STATE_PROPERTY).and_then(|state| {
                Notice::read(state, dataset.own(OWNER_PROPERTY).map(String::as_str).unwrap_or_default())
            }),
            ..dataset.like.clone()
        }
    }

    fn jail_round(&self, situation: &Situation) -> Option<JailFacts> {
        let file = &situation.configuration_file;
        Some(JailFacts {
            name: situation.jail.clone(),
            configuration_file: file.clone(),
            configuration: self.files.get(file)?.clone(),
            fstab: situation.fstab.as_ref().and_then(|p| Some((p.clone(), self.files.get(p)?.clone()))),
            datasets: self.jail_datasets(&situation.source.dataset),
            mounts: Vec::new(),
            userland: Some(self.facts.identity.userland.clone()),
            inner_rc_interfaces: Vec::new(),
            address_by: BTreeSet::new(),
            resolvers: Default::default(),
            allowed: Default::default(),
            beside: BTreeSet::new(),
            outside: BTreeMap::new(),
            users: vec![],
            origins: BTreeMap::new(),
            of_the_host: OfTheHost::default(),
        })
    }

    fn target_round(&self, situation: &Situation) -> TargetFacts {
        let asked: Vec<&RemotePath> = std::iter::once(&situation.target_file).chain(&situation.fstab).collect();
        TargetFacts {
            paths: BTreeMap::new(),
            files: asked.into_iter().filter_map(|p| Some((p.clone(), self.files.get(p)?.clone()))).collect(),
            unknown_parameters: BTreeSet::new(),
            undefined_rulesets: BTreeSet::new(),
            datasets: self.jail_datasets(&situation.target.dataset),
            twins: BTreeMap::new(),
            given: BTreeMap::new(),
            properties: BTreeSet::new(),
            of_the_host: OfTheHost::default(),
        }
    }

    fn jail_datasets(&self, root: &DatasetName) -> Vec<JailDataset> {
        let tree = self.storage.iter().filter(|(name, _)| name.is_within(root));
        tree.map(|(name, dataset)| {
            let value =
                |value: &String, source: &str| PropertyValue { value: value.clone(), source: source.to_owned() };
            let received = dataset.received.iter().map(|(n, v)| (n.clone(), value(v, "received")));
            let mut properties: BTreeMap<String, PropertyValue> = received.collect();
            properties.extend(dataset.local.iter().map(|(n, v)| (n.clone(), value(v, "local"))));
            let before = std::iter::once(0).chain(dataset.snapshots.iter().map(|s| s.content));
            let snapshots = dataset.snapshots.iter().zip(before).map(|(s, before)| model::Snapshot {
                written: Some(s.content.abs_diff(before)),
                label: s.label.clone(),
                guid: s.guid,
                createtxg: s.createtxg,
                userrefs: u64::try_from(s.holds.len()).unwrap_or(u64::MAX),
            });
            let received = dataset.received.keys().cloned().collect();
            JailDataset { name: name.clone(), snapshots: snapshots.collect(), properties, received }
        })
        .collect()
    }
}
