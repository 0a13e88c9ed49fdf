//! A move of a tree of datasets by the effects of a plan, in the plan's order (src/plan/migrate.rs).

use jailferry::effect::Base;
use jailferry::effect::Delegation;
use jailferry::effect::Effect;
use jailferry::effect::KeyUse;
use jailferry::effect::Newer;
use jailferry::effect::Parked;
use jailferry::effect::PropertyState;
use jailferry::effect::Transfer;
use jailferry::effect::Way;
use jailferry::effect::Work;
use jailferry::effect::resume::Resume;
use jailferry::model::DatasetName;
use jailferry::model::JailName;
use jailferry::model::NodeName;
use jailferry::model::RemotePath;
use jailferry::model::RunId;
use jailferry::model::SnapshotLabel;
use jailferry::plan::naming;

use crate::bench::Bench;

/// Where the passphrase of encrypted trees lies.
pub const KEY: &str = "key";

/// One run.
pub struct Mover<'a> {
    pub bench: &'a Bench,
    pub run: RunId,
    /// Datasets at the source and at the target, parents first.
    pub parts: Vec<Part>,
}

/// One dataset.
#[derive(Clone, Debug)]
pub struct Part {
    pub source: Parked,
    pub target: Parked,
    pub base: Base,
    pub raw: bool,
}

pub fn node(name: &str) -> NodeName {
    NodeName::new(name).expect("a name")
}

pub fn dataset(name: &str) -> DatasetName {
    DatasetName::new(name).expect("a name")
}

/// The label of the last snapshot of a run.
pub fn last(run: &RunId) -> SnapshotLabel {
    naming::label(run, "final")
}

impl<'a> Mover<'a> {
    /// Run `number` (two hexadecimal digits) moves the tree at `from` to `to`. An older copy there is brought up to date
    /// from the last snapshot of `since`.
    pub fn new(bench: &'a Bench, number: &str, from: &str, to: &str, since: Option<&RunId>) -> Mover<'a> {
        let run = RunId::new(format!("web-000000{number}")).expect("a run's name");
        let list = bench.sh(&format!("zfs list -Hp -r -t filesystem,volume -o name {from}"));
        let parts = list.lines().map(|name| Part::look(bench, name, &name.replacen(from, to, 1), since)).collect();
        Mover { bench, run, parts }
    }

    pub fn source(&self) -> &DatasetName {
        &self.parts[0].source.dataset
    }

    pub fn target(&self) -> &DatasetName {
        &self.parts[0].target.dataset
    }

    pub fn sources(&self) -> Vec<DatasetName> {
        self.parts.iter().map(|part| part.source.dataset.clone()).collect()
    }

    pub fn targets(&self) -> Vec<DatasetName> {
        self.parts.iter().map(|part| part.target.dataset.clone()).collect()
    }

    pub fn snapshot(&self, suffix: &str) {
        let (host, dataset, label) = (node("a"), self.source().clone(), naming::label(&self.run, suffix));
        self.bench.does(&Effect::Snapshot { host, dataset, label, known: self.sources() });
    }

    pub fn transfer(&self, part: &Part, base: Base, suffix: &str) -> Transfer {
        let refquota = self.bench.sh(&format!("zfs get -Hp -o value refquota {}", part.source.dataset));
        let refquota = Some(refquota.trim().to_owned()).filter(|bytes| !matches!(bytes.as_str(), "0" | "-"));
        Transfer {
            from: node("a"),
            to: node("b"),
            dataset: part.source.dataset.clone(),
            into: part.target.dataset.clone(),
            label: naming::label(&self.run, suffix),
            refquota: refquota.filter(|_| base.makes_a_dataset()),
            unlimited: false,
            base,
            through: Vec::new(),
            run: self.run.clone(),
            owner: None,
            raw: part.raw,
            estimate: None,
            round: Some(0),
            rate: None,
            way: Way::Relay,
            volume: part.source.volume,
            delegated: part.source.delegation == Delegation::Own,
        }
    }

    /// The first copy.
    pub fn copy(&self) {
        self.snapshot("0");
        for part in &self.parts {
            if matches!(part.base, Base::Snapshot(_)) {
                self.bench.does(&self.rolled_back(part));
            }
            self.bench.does(&Effect::Transfer(self.transfer(part, part.base.clone(), "0")));
        }
        self.remember("0");
    }

    /// An older copy as it was.
    pub fn rolled_back(&self, part: &Part) -> Effect {
        let Base::Snapshot(base) = part.base.clone() else { panic!("no older copy") };
        Effect::RollBackReceived {
            host: node("b"),
            dataset: part.target.dataset.clone(),
            base,
            run: self.run.clone(),
            arriving: Vec::new(),
            newer: if part.raw { Newer::Stops } else { Newer::Fits },
        }
    }

    pub fn remember(&self, suffix: &str) {
        self.bench.does(&Effect::MoveBookmark {
            host: node("a"),
            datasets: self.sources(),
            bookmark: naming::bookmark(&self.run),
            label: naming::label(&self.run, suffix),
        });
    }

    /// What was written since.
    pub fn catch_up(&self, suffix: &str) {
        self.snapshot(suffix);
        for part in &self.parts {
            let base = Base::Bookmark(naming::bookmark(&self.run));
            self.bench.does(&Effect::Transfer(self.transfer(part, base, suffix)));
        }
        if suffix != "final" {
            self.remember(suffix);
        }
    }

    /// From the last snapshot to the live copy at the target.
    pub fn cut(&self) {
        let ready = self.parts.iter().map(|part| part.target.clone().unmounted()).collect();
        self.bench.does(&Effect::Unpark { host: node("b"), datasets: ready });
        self.catch_up("final");
        self.compare();
        let parked = self.parts.iter().map(|part| part.source.clone()).collect();
        self.bench.does(&Effect::Park { host: node("a"), datasets: parked, run: self.run.clone() });
        let keys = self.keys();
        if !keys.is_empty() {
            self.bench.does(&Effect::LoadKeys { host: node("b"), keys });
        }
        let live = self.parts.iter().map(|part| part.target.clone()).collect();
        self.bench.does(&Effect::Unpark { host: node("b"), datasets: live });
    }

    pub fn compare(&self) {
        let pairs = self.sources().into_iter().zip(self.targets()).collect();
        let (source, target, label) = (node("a"), node("b"), last(&self.run));
        self.bench.does(&Effect::CompareGuids { source, target, pairs, label });
    }

    /// What makes the move last.
    pub fn accept(&self) {
        let (host, bookmark) = (node("a"), naming::bookmark(&self.run));
        self.bench.does(&Effect::ClearMark { host: node("b"), datasets: self.targets() });
        self.bench.does(&Effect::RemoveBookmark { host, datasets: self.sources(), bookmark: bookmark.clone() });
        let jail = JailName::new("web").expect("a name");
        for (host, top) in [("a", self.source()), ("b", self.target())] {
            let (host, dataset) = (node(host), top.clone());
            let (label, tag) = (last(&self.run), bookmark.clone());
            self.bench.does(&Effect::Hold { host: host.clone(), dataset: dataset.clone(), label: label.clone(), tag });
            self.bench.does(&Effect::Tidy { host, dataset, jail: jail.clone(), keep: label, bases: Vec::new() });
        }
    }

    /// A whole move.
    pub fn all(&self) {
        self.copy();
        let keys = self.keys();
        if !keys.is_empty() {
            self.bench.does(&Effect::TryKeys { host: node("b"), keys });
        }
        self.catch_up("1");
        self.cut();
        self.accept();
    }

    /// The keys of the encrypted datasets, as src/plan/keys.rs has them.
    pub fn keys(&self) -> Vec<KeyUse> {
        let root = |name: &DatasetName| self.bench.sh(&format!("zfs get -Hp -o value encryptionroot {name}"));
        let mut keys = Vec::new();
        for part in self.parts.iter().filter(|part| part.raw) {
            let inherits = root(&part.source.dataset).trim() != part.source.dataset.as_str();
            let file = RemotePath::new(self.bench.path(KEY)).expect("a path");
            keys.push(KeyUse { dataset: part.target.dataset.clone(), file, inherits });
        }
        keys
    }

    /// How a transfer of the first part goes on.
    pub fn resume(&self, transfer: Transfer) -> Resume {
        let Work::Pipe { resume: Some(resume), .. } = Effect::Transfer(transfer).work() else { panic!("no resume") };
        *resume
    }

    /// Takes a transfer to its first bytes and no further.
    pub fn broken(&self, transfer: &Transfer, bytes: u64) {
        let Work::Pipe { from, to, .. } = Effect::Transfer(transfer.clone()).work() else { panic!("no stream") };
        let moved = self.bench.pipe(&from, &to, Some(bytes)).expect("a stream");
        assert_eq!(moved, bytes, "the stream was shorter than that");
    }
}

impl Part {
    fn look(bench: &Bench, source: &str, target: &str, since: Option<&RunId>) -> Part {
        let get = |name: &str, property: &str| {
            let text = bench.sh(&format!("zfs get -Hp -o value,source {property} {name}"));
            let (value, from) = text.trim_end().split_once('\t').expect("two columns");
            (value.to_owned(), from.to_owned())
        };
        let state = |property: &str| match get(source, property) {
            (value, from) if from == "local" => PropertyState::Local(value),
            (_, from) if from == "received" => PropertyState::Received,
            _ => PropertyState::Inherited,
        };
        let volume = get(source, "type").0 == "volume";
        let live = Parked {
            dataset: dataset(source),
            canmount: if volume { PropertyState::Inherited } else { state("canmount") },
            readonly: state("readonly"),
            mountpoint: if volume { PropertyState::Inherited } else { state("mountpoint") },
            mounted: get(source, "mounted").0 == "yes",
            volume,
            delegation: match state("zoned") {
                PropertyState::Inherited if get(source, "zoned").0 == "on" => Delegation::Above,
                PropertyState::Local(value) if value == "on" => Delegation::Own,
                _ => Delegation::None,
            },
            at: Some(get(source, "mountpoint").0).filter(|path| path.starts_with('/')),
        };
        // At the target what was received counts as its own (src/plan/datasets.rs, settled).
        let settled = |property: &str, state: &PropertyState| match state {
            PropertyState::Received => PropertyState::Local(get(source, property).0),
            other => other.clone(),
        };
        let mountpoint = match since.map(|_| get(target, "mountpoint")) {
            Some((value, from)) if from == "local" => PropertyState::Local(value),
            _ => PropertyState::Inherited,
        };
        let arrived = Parked {
            dataset: dataset(target),
            canmount: settled("canmount", &live.canmount),
            readonly: settled("readonly", &live.readonly),
            // Where it lived before it lives again; else the parent says where, and is mounted before it.
            at: match &mountpoint {
                PropertyState::Local(path) => Some(path.clone()),
                _ => None,
            },
            mountpoint,
            ..live.clone()
        };
        let base = since.map_or(Base::Nothing, |run| Base::Snapshot(last(run)));
        let raw = !matches!(get(source, "encryption").0.as_str(), "off" | "-");
        Part { source: live, target: arrived, base, raw }
    }
}
