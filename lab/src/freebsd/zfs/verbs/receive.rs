//! `zfs receive`.

use std::io;
use std::io::BufReader;
use std::time::Instant;

use super::super::model::Kind;
use super::super::mounts;
use super::super::names;
use super::super::names::Name;
use super::super::options::Options;
use super::super::props;
use super::super::receiver;
use super::super::receiver::Accepted;
use super::super::receiver::Wish;
use super::super::session::Done;
use super::super::session::Fail;
use super::super::session::Session;
use super::super::session::fail;
use super::super::sizes;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::stream::Begin;
use super::super::stream::Broken;
use super::super::stream::Package;
use super::super::stream::Reader;
use super::super::stream::Record;
use super::super::token;
use super::super::unpack::Unpack;
use super::super::usage;
use super::absent;
use super::create;

type Input = Reader<BufReader<io::StdinLock<'static>>>;

/// `zfs receive [-vMnsFhu] [-o p=v]... [-x p]... [-d | -e] target`, `zfs receive -A dataset`.
pub fn receive(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "receive", args, "vMnsFhudeAo:x:")?;
    let [operand] = options.rest.as_slice() else {
        let text = if options.rest.is_empty() { "missing snapshot argument" } else { "too many arguments" };
        return Err(usage::wrong("zfs", "receive", text));
    };
    let store = Store::open(session.ctx)?;
    if options.has('A') {
        return abort(&mut store.lock()?, operand);
    }
    let wish = wish(&options)?;
    let input = BufReader::with_capacity(1 << 20, io::stdin().lock());
    let mut reader = Reader::new(input).map_err(|broken| match broken {
        Broken::Magic => fail("cannot receive: invalid stream (bad magic number)"),
        _ => fail("cannot receive: failed to read from stream"),
    })?;
    let mut package = None;
    let mut received = 0;
    loop {
        match reader.next() {
            Ok(Record::Package(begun)) => {
                let mut locked = store.lock()?;
                if begun.prune && wish.force {
                    prune(session, &mut locked, &begun, operand, &options)?;
                }
                package = Some(begun);
            }
            Ok(Record::Begin(begin)) => {
                one(session, &store, &mut reader, &begin, package.as_ref(), operand, &options, &wish)?;
                received += 1;
            }
            Ok(Record::Close) => return Ok(()),
            // A plain stream is complete with its snapshot.
            Err(Broken::Truncated) if package.is_none() && received > 0 => return Ok(()),
            Ok(_) | Err(_) => return Err(fail("cannot receive: failed to read from stream")),
        }
    }
}

fn wish(options: &Options) -> Done<Wish> {
    let mut set = options.assignments("zfs", "receive")?;
    let origin = set.iter().position(|(name, _)| name == "origin").map(|at| set.remove(at).1);
    let exclude: Vec<String> = options.values('x').into_iter().map(str::to_string).collect();
    for name in set.iter().map(|(name, _)| name).chain(&exclude) {
        if !props::known(name) {
            return Err(fail(format!("cannot receive: invalid property '{name}'")));
        }
    }
    if let Some((name, _)) = set.iter().find(|(name, _)| exclude.contains(name)) {
        return Err(fail(format!("cannot receive: property '{name}' cannot be both set and excluded")));
    }
    for (name, value) in &set {
        props::accept(name, value, Kind::Filesystem, true, "cannot receive")?;
    }
    Ok(Wish { force: options.has('F'), resumable: options.has('s'), no_holds: options.has('h'), set, exclude, origin })
}

fn abort(locked: &mut Locked, name: &str) -> Done {
    let none = || fail(format!("'{name}' does not have any resumable receive state to abort"));
    let id = locked.state.datasets.get(name).and_then(|d| d.partial.as_ref()).map(|partial| partial.id);
    let id = id.ok_or_else(none)?;
    if locked.store.receiving(id) {
        return Err(fail(format!("cannot destroy '{name}/%recv': dataset is busy")));
    }
    receiver::discard(locked, name, id)
}

/// Where the sent dataset goes.
fn place(sent: &str, package: Option<&Package>, operand: &str, options: &Options) -> String {
    let top = package.map_or(sent, |package| &package.top);
    let tail = if options.has('d') {
        sent.split_once('/').map(|(_, tail)| tail).unwrap_or_default()
    } else if options.has('e') {
        let cut = top.rfind('/').map_or(0, |at| at + 1);
        sent.get(cut..).unwrap_or_default()
    } else {
        sent.strip_prefix(top).unwrap_or_default().trim_start_matches('/')
    };
    let dataset = operand.split('@').next().unwrap_or(operand);
    if tail.is_empty() { dataset.to_string() } else { format!("{dataset}/{tail}") }
}

#[allow(clippy::too_many_arguments)]
fn one(
    session: &mut Session,
    store: &Store,
    reader: &mut Input,
    begin: &Begin,
    package: Option<&Package>,
    operand: &str,
    options: &Options,
    wish: &Wish,
) -> Done {
    let Name::Snapshot(sent, sent_leaf) = Name::parse(&begin.toname) else {
        return Err(fail("cannot receive: invalid stream (bad snapshot name)"));
    };
    let name = place(&sent, package, operand, options);
    let leaf = match operand.split_once('@') {
        Some((_, leaf)) => leaf.to_string(),
        None => sent_leaf,
    };
    names::check(&format!("{name}@{leaf}"), "cannot receive")?;
    let top = package.is_none_or(|package| package.top == sent);
    let mut locked = store.lock()?;
    let known = locked.state.datasets.get(&name).is_some_and(|d| d.snapshots.iter().any(|s| s.guid == begin.toguid));
    if package.is_some() && known && begin.fromguid.is_some() || options.has('n') {
        drop(locked);
        return skip(reader, begin);
    }
    if options.has('d') || options.has('e') {
        parents(session, &mut locked, &name)?;
    }
    // The same snapshot once more is read and forgotten (libzfs_sendrecv.c, EEXIST), an increment that is; a full stream
    // would make the dataset anew, which it is not asked to.
    let there = locked.state.datasets.get(&name).filter(|d| d.partial.is_none() && begin.resume.is_none());
    let again = there.and_then(|d| d.snapshot(&leaf)).is_some_and(|s| s.guid == begin.toguid);
    if again && begin.fromguid.is_some() && !begin.clone {
        drop(locked);
        return skip(reader, begin);
    }
    applicable(session, begin, package, &name, wish)?;
    let accepted = receiver::begin(&mut locked, begin, &name, &leaf, top, wish)?;
    drop(locked);
    if options.has('v') {
        let kind = if begin.fromguid.is_some() { "incremental" } else { "full" };
        session.say(format!("receiving {kind} stream of {} into {name}@{leaf}", begin.toname));
        session.flush();
    }
    let (started, before) = (Instant::now(), reader.bytes);
    if let Err(stop) = content(store, reader, begin, &accepted) {
        return Err(broken(store, begin, &name, &accepted, wish, stop));
    }
    let mut locked = store.lock()?;
    receiver::commit(&mut locked, begin, &name, &leaf, top, wish, &accepted)?;
    if options.has('v') {
        let (bytes, seconds) = (reader.bytes - before, started.elapsed().as_secs().max(1));
        let rate = sizes::human(bytes / seconds);
        session.say(format!("received {} stream in {seconds} seconds ({rate}/sec)", sizes::human(bytes)));
    }
    if accepted.new && !options.has('u') {
        create::automount(session, &locked, &name)?;
    }
    Ok(())
}

/// What a volume does not have can be left out of it, with a warning, but set only on the file systems of a recursive stream
/// (libzfs_sendrecv.c, zfs_setup_cmdline_props).
fn applicable(session: &mut Session, begin: &Begin, package: Option<&Package>, name: &str, wish: &Wish) -> Done {
    let kind = receiver::kind(begin);
    for property in wish.exclude.iter().filter(|property| !props::applies(property, kind)) {
        let warning = "does not apply to datasets of this type";
        session.warn(format!("Warning: {name}: property '{property}' {warning}"));
    }
    let recursive = package.is_some_and(|package| package.recursive);
    match wish.set.iter().find(|(property, _)| !props::applies(property, kind)).filter(|_| !recursive) {
        Some((property, _)) => Err(fail(format!(
            "{}: property '{property}' does not apply to datasets of this type",
            receiver::what(begin)
        ))),
        None => Ok(()),
    }
}

/// `-d` and `-e` make the file systems in between.
fn parents(session: &mut Session, locked: &mut Locked, name: &str) -> Done {
    let mut missing = Vec::new();
    let mut at = names::parent(name);
    while let Some(here) = at.filter(|here| !locked.state.datasets.contains_key(*here)) {
        missing.insert(0, here.to_string());
        at = names::parent(here);
    }
    for parent in missing {
        create::make(session, locked, &parent, Kind::Filesystem, &[])?;
    }
    locked.save()
}

fn skip(reader: &mut Input, begin: &Begin) -> Done {
    loop {
        match reader.next() {
            Ok(Record::End) => return Ok(()),
            Ok(_) => {}
            Err(_) => return Err(fail(format!("{}: incomplete stream", receiver::what(begin)))),
        }
    }
}

/// Why the content stopped.
enum Stop {
    Broken(Broken),
    Full { quota: bool },
}

fn content(store: &Store, reader: &mut Input, begin: &Begin, accepted: &Accepted) -> Result<(), Stop> {
    let io = |error| Stop::Broken(Broken::Io(error));
    let (dir, note) = (store.recv(accepted.id), store.progress(accepted.id));
    let mut unpack = Unpack::new(dir, accepted.base.clone(), note, begin.resume);
    let (mut room, quota) = accepted.room;
    let done = loop {
        match reader.next() {
            Ok(Record::Entry(entry)) => unpack.entry(entry).map_err(io)?,
            Ok(Record::Data(offset, content)) => match room.checked_sub(content.len() as u64) {
                Some(left) => {
                    room = left;
                    unpack.data(offset, &content).map_err(io)?;
                }
                None => break Err(Stop::Full { quota }),
            },
            Ok(Record::End) => {
                unpack.close().map_err(io)?;
                return Ok(());
            }
            Ok(_) => break Err(Stop::Broken(Broken::Checksum)),
            Err(broken) => break Err(Stop::Broken(broken)),
        }
    };
    unpack.note(true).map_err(io)?;
    done
}

fn broken(store: &Store, begin: &Begin, name: &str, accepted: &Accepted, wish: &Wish, stop: Stop) -> Fail {
    let kept = wish.resumable || begin.resume.is_some();
    let text = match stop {
        Stop::Full { quota: true } => format!("destination {name} space quota exceeded."),
        Stop::Full { quota: false } => "out of space".into(),
        Stop::Broken(Broken::Io(error)) => error.to_string(),
        Stop::Broken(Broken::Checksum) if !kept => "checksum mismatch".into(),
        Stop::Broken(_) if !kept => "incomplete stream".into(),
        Stop::Broken(_) => {
            let locked = store.lock();
            let partial = locked.ok().and_then(|locked| locked.state.datasets.get(name)?.partial.clone());
            match partial {
                Some(partial) => format!(
                    "checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\nA resuming stream can be generated on the sending system by running:\n    zfs send -t {}",
                    token::of(store, &partial)
                ),
                None => "incomplete stream".into(),
            }
        }
    };
    if !kept {
        // What cannot be removed now is swept away by the next change.
        let _later = store.lock().and_then(|mut locked| receiver::discard(&mut locked, name, accepted.id));
    }
    fail(format!("{}: {text}", receiver::what(begin)))
}

/// `-F` with an incremental `-R` stream: what the sender no longer has goes (contract 0.17).
fn prune(session: &mut Session, locked: &mut Locked, package: &Package, operand: &str, options: &Options) -> Done {
    let here = |sent: &str| place(sent, Some(package), operand, options);
    let kept: Vec<(String, &Vec<u64>)> = package.datasets.iter().map(|(sent, guids)| (here(sent), guids)).collect();
    let top = here(&package.top);
    for name in locked.state.tree(&top).into_iter().rev() {
        match kept.iter().find(|(kept, _)| *kept == name) {
            Some((_, guids)) => {
                let Some(dataset) = locked.state.datasets.get_mut(&name) else {
                    return Err(absent(&name));
                };
                let gone = |guid: &u64| !guids.contains(guid);
                if let Some(held) = dataset.snapshots.iter().find(|s| gone(&s.guid) && !s.holds.is_empty()) {
                    session.warn(format!("cannot destroy '{name}@{}': dataset is busy", held.name));
                    continue;
                }
                dataset.snapshots.retain(|snapshot| !gone(&snapshot.guid));
            }
            None => {
                let id = locked.state.datasets.get(&name).map(|dataset| dataset.id);
                if let Some(dir) = id.and_then(|id| mounts::find(&locked.store, id)) {
                    mounts::unmount(session.ctx, &dir, true)?;
                }
                locked.state.datasets.remove(&name);
            }
        }
    }
    locked.save()?;
    locked.sweep()
}
