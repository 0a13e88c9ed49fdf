//! Keys: `zfs load-key`, `zfs unload-key`, and reading one for `zfs create`.

use std::fs;
use std::io;
use std::io::BufRead;

use sha2::Digest;
use sha2::Sha256;

use super::super::model::Encryption;
use super::super::mounts;
use super::super::names;
use super::super::options::Options;
use super::super::props;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::session::silent;
use super::super::store::Store;
use super::super::usage;
use super::absent;

/// Reads the key from its location; only its digest is kept.
pub fn read(session: &mut Session, name: &str, location: &str, keyformat: &str) -> Done<String> {
    let text = match location.strip_prefix("file://") {
        Some(path) => fs::read_to_string(path)
            .map_err(|_| fail(format!("cannot open key file '{path}' for '{name}': No such file or directory")))?,
        None => {
            session.flush();
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            line
        }
    };
    let text = text.lines().next().unwrap_or_default();
    if keyformat == "passphrase" && text.len() < 8 {
        return Err(fail(format!("cannot create '{name}': Passphrase too short (min 8).")));
    }
    Ok(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `zfs load-key [-rn] [-L keylocation] -a | filesystem`.
pub fn load(session: &mut Session, args: &[String]) -> Done {
    change(session, args, "load-key", "rnaL:")
}

/// `zfs unload-key [-r] -a | filesystem`.
pub fn unload(session: &mut Session, args: &[String]) -> Done {
    change(session, args, "unload-key", "ra")
}

/// `zfs change-key -i filesystem`: it takes to its parent's key. Another key is not emulated.
pub fn inherit(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "change-key", args, "lio:")?;
    let [name] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", "change-key", "Missing dataset argument"));
    };
    if !options.has('i') {
        return Err(fail("lab: only zfs change-key -i is emulated"));
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    let dataset = locked.state.datasets.get(name).ok_or_else(|| absent(name))?;
    let error = |why: &str| fail(format!("Key change error: {why}"));
    let own = dataset.encryption.as_ref().ok_or_else(|| error("Dataset not encrypted."))?;
    if own.root != dataset.guid {
        return Err(error("Dataset not an encryption root."));
    }
    let parent = names::parent(name).and_then(|parent| locked.state.datasets.get(parent));
    let above =
        parent.and_then(|parent| parent.encryption.clone()).ok_or_else(|| error("Parent must be encrypted."))?;
    let root = locked.state.datasets.values().find(|d| d.guid == above.root).and_then(|d| d.encryption.as_ref());
    if !own.loaded || !root.is_some_and(|root| root.loaded) {
        return Err(error("Parent key must be loaded."));
    }
    // Only a root's key counts.
    let taken = Encryption { key: String::new(), loaded: false, ..above };
    if let Some(dataset) = locked.state.datasets.get_mut(name) {
        dataset.encryption = Some(taken);
        dataset.local.remove("keylocation");
    }
    locked.save()
}

fn change(session: &mut Session, args: &[String], verb: &str, spec: &str) -> Done {
    let options = Options::parse("zfs", verb, args, spec)?;
    let mut locked = Store::open(session.ctx)?.lock()?;
    let names = match (options.rest.as_slice(), options.has('a')) {
        ([], true) => locked.state.all(),
        ([name], false) if locked.state.datasets.contains_key(name) => match options.has('r') {
            true => locked.state.tree(name),
            false => vec![name.clone()],
        },
        ([name], false) => return Err(absent(name)),
        _ => return Err(usage::wrong("zfs", verb, "Missing dataset argument or -a option")),
    };
    let single = names.len() == 1;
    let mut refused = false;
    for name in names {
        let Some(dataset) = locked.state.datasets.get(&name) else {
            continue;
        };
        let root = dataset.encryption.clone().filter(|encryption| encryption.root == dataset.guid);
        let Some(mut key) = root else {
            if single {
                return Err(fail(format!(
                    "Key {verb} error: '{name}' is not an encryption root",
                    verb = verb.trim_end_matches("-key")
                )));
            }
            continue;
        };
        if verb == "load-key" {
            let location = props::value(&locked.state, &name, "keylocation");
            let location = options.value('L').unwrap_or(&location);
            if key.loaded && !options.has('n') {
                session.warn(format!("Key load error: Key already loaded for '{name}'."));
                refused = true;
                continue;
            }
            if read(session, &name, location, &key.keyformat)? != key.key {
                session.warn(format!("Key load error: Incorrect key provided for '{name}'."));
                refused = true;
                continue;
            }
            key.loaded |= !options.has('n');
        } else {
            let busy = locked.state.tree(&name).iter().any(|below| {
                locked.state.datasets.get(below).is_some_and(|d| mounts::find(&locked.store, d.id).is_some())
            });
            let problem = match (key.loaded, busy) {
                (false, _) => Some(format!("Key unload error: Key already unloaded for '{name}'.")),
                (true, true) => Some(format!("Key unload error: '{name}' is busy.")),
                (true, false) => None,
            };
            if let Some(problem) = problem {
                session.warn(problem);
                refused = true;
                continue;
            }
            key.loaded = false;
        }
        if let Some(dataset) = locked.state.datasets.get_mut(&name) {
            dataset.encryption = Some(key);
        }
    }
    locked.save()?;
    if refused { Err(silent(1)) } else { Ok(()) }
}
