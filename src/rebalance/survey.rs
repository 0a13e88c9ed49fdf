//! What the planner is given, out of the fleet's file, the playbook, the hosts' answers and what has happened before.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use super::model::Fleet;
use super::model::Group;
use super::model::Jail;
use super::model::Load;
use super::model::Node;
use super::model::Options;
use crate::batch::drain;
use crate::facts::HostFacts;
use crate::facts::Loads;
use crate::facts::RunningJail;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::rehearsal;
use crate::playbook;
use crate::playbook::Rebalance;
use crate::playbook::rebalance::What;

/// Milliseconds that a blackout is taken for when nothing is known.
const BLACKOUT: u64 = 3000;
/// Moves in one run.
const MOST_MOVES: usize = 10;

/// What runs of before say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Jails that have moved within the cooldown, and how long ago the last time.
    pub moved: BTreeMap<JailName, Duration>,
    /// Moves that have failed, or are refused now.
    pub failed: BTreeSet<(JailName, NodeName)>,
    /// The blackout of each jail's last move, in milliseconds.
    pub blackouts: BTreeMap<JailName, u64>,
}

/// Everything that the planner's input rests on.
#[derive(Debug, Clone, Copy)]
pub struct Survey<'a> {
    /// fleet.yml.
    pub fleet: &'a playbook::Fleet,
    /// What the playbook wants.
    pub wanted: &'a Rebalance,
    /// What the hosts say.
    pub facts: &'a BTreeMap<NodeName, HostFacts>,
    /// What their jails used, one entry a sample.
    pub loads: &'a [BTreeMap<NodeName, Loads>],
    /// What has happened.
    pub history: &'a History,
    /// Nodes that are being drained: they take none.
    pub drained: &'a BTreeSet<NodeName>,
    /// Nodes that are taken for gone.
    pub down: &'a BTreeSet<NodeName>,
}

/// The settings of the planner.
#[must_use]
pub fn options(wanted: &Rebalance) -> Options {
    let usual = Options::default();
    let share = |written: Option<playbook::amounts::Thousandths>, usual: u64| written.map_or(usual, |t| t.0);
    Options {
        goal: wanted.goal,
        band: share(wanted.band, usual.band),
        limit: share(wanted.limit, usual.limit),
        min_gain: share(wanted.min_gain, usual.min_gain),
        most_moves: wanted.most_moves.map_or(MOST_MOVES, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        budget: usual.budget,
        seed: wanted.seed.unwrap_or(usual.seed),
    }
}

/// The planner's input. Nodes and jails stand in the order of their names.
#[must_use]
pub fn fleet(survey: &Survey<'_>) -> Fleet {
    let names: Vec<&NodeName> = survey.facts.keys().filter(|n| survey.takes_part(n)).collect();
    let nodes = names.iter().filter_map(|name| Some(survey.node(name, survey.facts.get(*name)?))).collect();
    let mut jails: Vec<Jail> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let Some(facts) = survey.facts.get(*name) else { continue };
        let of_a_run = |name: &str| JailName::new(name).is_ok_and(|name| rehearsal::is_ours(&name));
        let running = facts.jails.iter().filter(|j| !j.dying && !of_a_run(&j.name));
        jails.extend(running.filter_map(|jail| survey.jail(jail, at, name, facts, &names)));
    }
    jails.sort_by(|a, b| a.name.cmp(&b.name));
    let groups = survey.wanted.rules.iter().filter_map(|rule| {
        let (together, hard) = match rule.what {
            What::Together { hard } => (true, hard),
            What::Apart { hard } => (false, hard),
            What::Stay | What::On(_) | What::Not(_) | What::Prefer(_) => return None,
        };
        let indices = rule.jails.iter().filter_map(|name| jails.iter().position(|j| j.name == *name));
        let indices: Vec<usize> = indices.collect();
        (indices.len() > 1).then_some(Group { jails: indices, together, hard })
    });
    let groups = groups.collect();
    Fleet { nodes, jails, groups }
}

impl Survey<'_> {
    fn takes_part(&self, node: &NodeName) -> bool {
        if self.wanted.nodes.is_empty() { !self.fleet.is_hub(node) } else { self.wanted.nodes.contains(node) }
    }

    fn node(&self, name: &NodeName, facts: &HostFacts) -> Node {
        let written = self.fleet.nodes.get(name);
        let (capacity, reserve) = written.map(|w| (w.capacity, w.reserve)).unwrap_or_default();
        let counted = |sysctl: &str| facts.sysctl(sysctl).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let cpu = capacity.cpu.map_or_else(|| counted("hw.ncpu").saturating_mul(1000), |t| t.0);
        let memory = capacity.memory.unwrap_or_else(|| counted("hw.physmem"));
        // Without `parent:` jails keep their dataset's place, so it is looked for where the jails of others are.
        let parent = written.and_then(|w| w.parent.clone()).or_else(|| parent_of_jails(facts));
        let parent = parent.or_else(|| self.facts.values().find_map(parent_of_jails));
        let free = parent.and_then(|p| facts.dataset(&p)).map_or(0, |d| d.available);
        let down = self.down.contains(name);
        Node {
            name: name.clone(),
            capacity: Load {
                cpu: cpu.saturating_sub(reserve.cpu.map_or(0, |t| t.0)),
                memory: memory.saturating_sub(reserve.memory.unwrap_or(0)),
            },
            disk: free.saturating_sub(reserve.disk.unwrap_or(0)),
            accepts: !down && !self.drained.contains(name) && facts.zfs.is_some(),
            emptied: down,
            provides: written.map(|w| w.provides.clone()).unwrap_or_default(),
            release: major(&facts.identity.running),
        }
    }

    /// `None` for a jail whose name jailferry does not handle: nobody can write a rule for it, and its load is its node's.
    fn jail(
        &self,
        jail: &RunningJail,
        at: usize,
        node: &NodeName,
        facts: &HostFacts,
        names: &[&NodeName],
    ) -> Option<Jail> {
        let name = JailName::new(jail.name.as_str()).ok()?;
        let spec = self.fleet.jail(&name);
        let measured = self.loads.iter().map(|sample| {
            let used = sample.get(node).map(|l| l.of(&jail.name, jail.jid)).unwrap_or_default();
            Load { cpu: spec.load.cpu.map_or(used.cpu, |t| t.0), memory: spec.load.memory.unwrap_or(used.memory) }
        });
        let root = facts.dataset_at(&jail.path);
        let index = |node: &NodeName| names.iter().position(|n| *n == node);
        let indices = |nodes: &BTreeSet<NodeName>| nodes.iter().filter_map(index).collect::<BTreeSet<usize>>();
        let mut one = Jail {
            at,
            samples: measured.collect(),
            bytes: root.map_or(0, |d| d.used),
            disk: root.map_or(0, |d| drain::needed(d.used)),
            blackout: self.history.blackouts.get(&name).copied().unwrap_or(BLACKOUT),
            stays: self.why_it_stays(&name, jail, root.is_some()),
            only: None,
            // Out of its segment it is not moved, nor into one.
            never: names
                .iter()
                .enumerate()
                .filter(|(_, other)| self.fleet.fabric(other) != self.fleet.fabric(node))
                .map(|(n, _)| n)
                .collect(),
            prefers: BTreeSet::new(),
            failed: names
                .iter()
                .enumerate()
                .filter(|(_, n)| self.history.failed.contains(&(name.clone(), (**n).clone())))
                .map(|(n, _)| n)
                .collect(),
            needs: spec.needs,
            name: name.clone(),
        };
        for rule in self.wanted.rules.iter().filter(|r| r.jails.contains(&name)) {
            match &rule.what {
                What::Stay | What::Together { .. } | What::Apart { .. } => {}
                What::On(nodes) => {
                    let these = indices(nodes);
                    one.only =
                        Some(one.only.map_or(these.clone(), |only| only.intersection(&these).copied().collect()));
                }
                What::Not(nodes) => one.never.extend(indices(nodes)),
                What::Prefer(nodes) => one.prefers.extend(indices(nodes)),
            }
        }
        Some(one)
    }

    fn why_it_stays(&self, name: &JailName, jail: &RunningJail, has_dataset: bool) -> Option<String> {
        let asked = |r: &playbook::rebalance::Rule| r.what == What::Stay && r.jails.contains(name);
        if self.wanted.rules.iter().any(asked) {
            return Some("the playbook says that it stays".to_owned());
        }
        if self.facts.get(&self.fleet.hub).is_some_and(|hub| hub.moving.contains_key(name.as_str())) {
            return Some("a run is moving it".to_owned());
        }
        if !jail.vnet {
            return Some("it has no network stack of its own".to_owned());
        }
        if !has_dataset {
            return Some("its root is no dataset of its own".to_owned());
        }
        let ago = self.history.moved.get(name)?;
        Some(format!("it moved {} ago, and stays for its cooldown", length(*ago)))
    }
}

/// `3 h`, `12 min`, `2 days`: the largest unit that fits.
fn length(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

/// The dataset below which the running jails of a node live.
#[must_use]
pub fn parent_of_jails(facts: &HostFacts) -> Option<DatasetName> {
    facts.jails.iter().find_map(|j| facts.dataset_at(&j.path))?.name.parent()
}

/// `14` of `14.1-RELEASE-p3`.
fn major(release: &str) -> u32 {
    release.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
