//! `zfs send`: which snapshots, from where; the writing is in [`super::super::sender`].

use super::super::model::Kind;
use super::super::model::Snapshot;
use super::super::names::Name;
use super::super::options::Options;
use super::super::props;
use super::super::sender;
use super::super::sender::Job;
use super::super::sender::Step;
use super::super::session::Done;
use super::super::session::Fail;
use super::super::session::Session;
use super::super::session::fail;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::stream::Begin;
use super::super::stream::Package;
use super::super::stream::RawKey;
use super::super::token;
use super::super::usage;
use super::absent;

/// Where an incremental stream starts.
#[derive(Clone)]
struct Base {
    name: String,
    guid: u64,
    id: u64,
    createtxg: u64,
    clone: bool,
}

/// `zfs send` in all its forms.
pub fn send(session: &mut Session, args: &[String]) -> Done {
    let args: Vec<String> = args.iter().map(|arg| short(arg)).collect();
    let options = Options::parse("zfs", "send", &args, "DnPpRvLecwhbSt:i:I:X:V")?;
    let store = Store::open(session.ctx)?;
    let locked = store.lock()?;
    let job = match options.value('t') {
        Some(text) => resumed(session, &locked, text, &options)?,
        None => {
            let [operand] = options.rest.as_slice() else {
                return Err(usage::wrong("zfs", "send", "missing snapshot argument"));
            };
            planned(session, &locked, operand, &options)?
        }
    };
    sender::run(session, locked, job)
}

fn short(arg: &str) -> String {
    match arg {
        "--replicate" => "-R",
        "--props" => "-p",
        "--parsable" => "-P",
        "--large-block" => "-L",
        "--embed" => "-e",
        "--compressed" => "-c",
        "--raw" => "-w",
        "--dryrun" => "-n",
        "--verbose" => "-v",
        "--holds" => "-h",
        "--backup" => "-b",
        other => other,
    }
    .to_string()
}

fn flags(options: &Options) -> Vec<String> {
    [('L', "largeblockok"), ('e', "embedok"), ('c', "compressok"), ('w', "rawok")]
        .into_iter()
        .filter(|(letter, _)| options.has(*letter))
        .map(|(_, flag)| flag.to_string())
        .collect()
}

fn resumed(session: &mut Session, locked: &Locked, text: &str, options: &Options) -> Done<Job> {
    if ['R', 'p', 'i', 'I', 'h'].into_iter().any(|letter| options.has(letter)) || !options.rest.is_empty() {
        return Err(usage::wrong("zfs", "send", "invalid flags combined with -t"));
    }
    let token = token::decode(text).map_err(|why| fail(format!("cannot resume send: {why}")))?;
    if options.has('v') {
        let mut lines = vec![
            "resume token contents:".to_string(),
            "nvlist version: 0".into(),
            format!("\tobject = {:#x}", token.object),
            format!("\toffset = {:#x}", token.offset),
            format!("\tbytes = {:#x}", token.bytes),
            format!("\ttoguid = {:#x}", token.toguid),
            format!("\ttoname = {}", token.toname),
        ];
        lines.extend(token.fromguid.map(|guid| format!("\tfromguid = {guid:#x}")));
        lines.extend(token.flags.iter().map(|flag| format!("\t{flag} = 1")));
        for line in lines {
            if options.has('n') { session.say(line) } else { session.warn(line) }
        }
    }
    let gone = || fail(format!("cannot resume send: '{}' used in the initial send no longer exists", token.toname));
    let Name::Snapshot(named, _) = Name::parse(&token.toname) else {
        return Err(gone());
    };
    // By guid: the snapshot may have been renamed since.
    let (dataset, snapshot) = locked.state.find_guid(token.toguid, &named).ok_or_else(gone)?;
    let base = match token.fromguid {
        None => None,
        Some(guid) => {
            let none = || fail(format!("cannot resume send: incremental source {guid:#x} no longer exists"));
            Some(by_guid(locked, &dataset, guid).ok_or_else(none)?)
        }
    };
    let raw = token.flags.iter().any(|flag| flag == "rawok");
    let mut step = step(locked, &dataset, &snapshot, base, options, raw, false)?;
    step.begin.flags.clone_from(&token.flags);
    step.begin.resume = Some((token.object, token.offset));
    Ok(Job { package: None, steps: vec![step], options: sender::Show::of(options), last: token.toname })
}

fn by_guid(locked: &Locked, dataset: &str, guid: u64) -> Option<Base> {
    let own = locked.state.datasets.get(dataset)?;
    let snapshot = own.snapshots.iter().find(|snapshot| snapshot.guid == guid);
    let bookmark = own.bookmarks.iter().find(|bookmark| bookmark.guid == guid);
    if let Some(s) = snapshot {
        return Some(base(dataset, s, false));
    }
    if let Some(b) = bookmark {
        let name = format!("{dataset}#{}", b.name);
        return Some(Base { name, guid, id: b.id, createtxg: b.createtxg, clone: false });
    }
    locked.state.find_guid(guid, dataset).map(|(name, snapshot)| base(&name, &snapshot, true))
}

fn base(dataset: &str, snapshot: &Snapshot, clone: bool) -> Base {
    let name = format!("{dataset}@{}", snapshot.name);
    Base { name, guid: snapshot.guid, id: snapshot.id, createtxg: snapshot.createtxg, clone }
}

fn planned(session: &mut Session, locked: &Locked, operand: &str, options: &Options) -> Done<Job> {
    let Name::Snapshot(top, leaf) = Name::parse(operand) else {
        if options.has('R') || options.has('I') || options.has('p') {
            return Err(fail("Error: Unsupported flag with filesystem or bookmark."));
        }
        return Err(fail(format!("cannot open '{operand}': operation not applicable to datasets of this type")));
    };
    let found = locked.state.datasets.get(&top).ok_or_else(|| absent(&top))?;
    let target = found.snapshot(&leaf).ok_or_else(|| absent(operand))?;
    let replicate = options.has('R');
    let from = match options.value('I').or(options.value('i')) {
        Some(text) => Some(source(locked, &top, target, text, options)?),
        None => None,
    };
    if found.encryption.is_some() && (replicate || options.has('p')) && !options.has('w') {
        session.warn(format!(
            "cannot send {operand}: encrypted dataset {top} may not be sent with properties without the raw flag"
        ));
        return Err(fail(format!("warning: cannot send '{operand}': backup failed")));
    }
    let packaged = replicate || options.has('p') || options.has('I');
    let mut steps = Vec::new();
    let names = if replicate { locked.state.tree(&top) } else { vec![top.clone()] };
    for name in &names {
        chain(session, locked, name, &leaf, from.as_ref(), options, &mut steps)?;
    }
    let datasets = names
        .iter()
        .filter_map(|name| locked.state.datasets.get(name).map(|dataset| (name, dataset)))
        .map(|(name, dataset)| (name.clone(), dataset.snapshots.iter().map(|s| s.guid).collect()))
        .collect();
    let package = packaged.then(|| Package {
        top: top.clone(),
        datasets,
        prune: replicate && from.is_some(),
        recursive: replicate,
    });
    Ok(Job { package, steps, options: sender::Show::of(options), last: operand.to_string() })
}

/// The snapshot or bookmark that `-i` or `-I` names.
fn source(locked: &Locked, top: &str, target: &Snapshot, text: &str, options: &Options) -> Done<Base> {
    let full = match text.chars().next() {
        Some('@' | '#') => format!("{top}{text}"),
        _ if !text.contains(['@', '#']) => format!("{top}@{text}"),
        _ => text.to_string(),
    };
    let unusable = |why: &str| fail(format!("cannot send '{top}@{}': {why}", target.name));
    let own = locked.state.datasets.get(top).ok_or_else(|| absent(top))?;
    let found = match Name::parse(&full) {
        Name::Snapshot(dataset, leaf) => {
            let missing = || match dataset == top {
                true => unusable(&format!("incremental source ({full}) does not exist")),
                false => absent(&full),
            };
            let snapshot = locked.state.datasets.get(&dataset).and_then(|d| d.snapshot(&leaf)).ok_or_else(missing)?;
            let found = base(&dataset, snapshot, dataset != top);
            if found.clone && own.origin != Some(found.id) {
                return Err(unusable("not an earlier snapshot from the same fs"));
            }
            found
        }
        Name::Bookmark(dataset, leaf) => {
            if options.has('R') || options.has('I') {
                return Err(fail(format!("cannot open '{full}': operation not applicable to datasets of this type")));
            }
            let bookmark =
                locked.state.datasets.get(&dataset).and_then(|d| d.bookmarks.iter().find(|b| b.name == leaf));
            let bookmark = bookmark.ok_or_else(|| unusable(&format!("incremental source ({full}) does not exist")))?;
            Base {
                name: full.clone(),
                guid: bookmark.guid,
                id: bookmark.id,
                createtxg: bookmark.createtxg,
                clone: false,
            }
        }
        Name::Dataset(_) => return Err(absent(&full)),
    };
    if found.guid == target.guid || found.createtxg >= target.createtxg && !found.clone {
        return Err(unusable("not an earlier snapshot from the same fs"));
    }
    Ok(found)
}

/// The snapshots of one dataset, each from the one before.
fn chain(
    session: &mut Session,
    locked: &Locked,
    name: &str,
    leaf: &str,
    from: Option<&Base>,
    options: &Options,
    steps: &mut Vec<Step>,
) -> Done {
    let Some(dataset) = locked.state.datasets.get(name) else {
        return Ok(());
    };
    let replicate = options.has('R');
    let Some(end) = dataset.snapshots.iter().position(|snapshot| snapshot.name == leaf) else {
        session.warn(format!("WARNING: could not send {name}@{leaf}: does not exist"));
        return Ok(());
    };
    let start_name = from.and_then(|from| from.name.split_once('@')).map(|(_, leaf)| leaf);
    let mut base_here = match from {
        Some(from) if from.clone || from.name.contains('#') => Some(from.clone()),
        Some(_) => dataset.snapshots.iter().find(|s| Some(s.name.as_str()) == start_name).map(|s| base(name, s, false)),
        // A clone is sent as a difference to its origin.
        None if replicate => dataset
            .origin
            .and_then(|id| locked.state.find_id(id))
            .map(|(owner, snapshot)| base(&owner, &snapshot, true)),
        None => None,
    };
    let all = replicate && from.is_none() || options.has('I');
    let first = match &base_here {
        Some(base) if all && !base.clone => {
            dataset.snapshots.iter().position(|s| s.guid == base.guid).map_or(0, |at| at + 1)
        }
        _ if all => 0,
        _ => end,
    };
    for snapshot in dataset.snapshots.get(first..=end).unwrap_or_default() {
        let short = options.has('I') || replicate;
        steps.push(step(locked, name, snapshot, base_here.clone(), options, options.has('w'), short)?);
        base_here = Some(base(name, snapshot, false));
    }
    if replicate {
        for snapshot in &dataset.snapshots[end + 1..] {
            session.warn(format!(
                "skipping snapshot {name}@{} because it was created after the destination snapshot ({leaf})",
                snapshot.name
            ));
        }
    }
    Ok(())
}

fn step(
    locked: &Locked,
    name: &str,
    snapshot: &Snapshot,
    base: Option<Base>,
    options: &Options,
    raw: bool,
    short: bool,
) -> Result<Step, Fail> {
    let full = format!("{name}@{}", snapshot.name);
    let dataset = locked.state.datasets.get(name).ok_or_else(|| absent(name))?;
    let view = super::super::computed::View { state: &locked.state, store: &locked.store };
    if !raw && !view.readable(dataset) {
        return Err(fail(format!("warning: cannot send '{full}': source key must be loaded")));
    }
    let raw = match view.key_root(dataset).and_then(|(_, root)| root.encryption.as_ref()) {
        Some(key) if raw => {
            Some(RawKey { suite: key.suite.clone(), keyformat: key.keyformat.clone(), key: key.key.clone() })
        }
        _ => None,
    };
    let with_props = options.has('p') || options.has('R');
    let props = with_props.then(|| {
        let own = dataset.local.iter().filter(|(_, value)| *value != props::INHERITED);
        let received = dataset.received.iter().filter(|(name, _)| !dataset.local.contains_key(*name));
        own.chain(received).map(|(name, value)| (name.clone(), value.clone())).collect()
    });
    let holds = if options.has('h') { snapshot.holds.keys().cloned().collect() } else { Vec::new() };
    let from = base.as_ref().map(|base| match base.name.split_once('@') {
        // -R and -I name the source by its short name (contract 5.4).
        Some((_, leaf)) if short => leaf.to_string(),
        _ => base.name.clone(),
    });
    Ok(Step {
        name: full.clone(),
        from,
        base: base.as_ref().map(|base| locked.store.snap(base.id)),
        tree: locked.store.snap(snapshot.id),
        begin: Begin {
            toname: full,
            toguid: snapshot.guid,
            creation: snapshot.creation,
            fromguid: base.as_ref().map(|base| base.guid),
            clone: base.as_ref().is_some_and(|base| base.clone),
            volume: dataset.kind == Kind::Volume,
            raw,
            flags: flags(options),
            props,
            holds,
            resume: None,
            referenced: snapshot.referenced,
        },
    })
}
