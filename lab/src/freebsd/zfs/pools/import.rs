//! `zpool import` and `zpool export`.

use std::path::Path;

use super::super::mounts;
use super::super::options::Options;
use super::super::options::assignment;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::usage;
use super::super::verbs;
use super::absent;

/// Unmounts everything of a pool, deepest first.
pub fn unmount_all(session: &mut Session, locked: &Locked, pool: &str, force: bool) -> Done {
    for name in locked.state.tree(pool).into_iter().rev() {
        let id = locked.state.datasets.get(&name).map(|dataset| dataset.id);
        if let Some(dir) = id.and_then(|id| mounts::find(&locked.store, id)) {
            mounts::unmount(session.ctx, &dir, force)?;
        }
    }
    Ok(())
}

/// `zpool export [-af] pool...`.
pub fn export(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zpool", "export", args, "af")?;
    let mut locked = Store::open(session.ctx)?.lock()?;
    let names = if options.has('a') { locked.state.pools.keys().cloned().collect() } else { options.rest.clone() };
    if names.is_empty() && !options.has('a') {
        return Err(usage::wrong("zpool", "export", "missing pool argument"));
    }
    for name in names {
        if !locked.state.pools.contains_key(&name) {
            return Err(absent(&name));
        }
        unmount_all(session, &locked, &name, options.has('f'))?;
        locked.state.export(&name);
        locked.save()?;
    }
    Ok(())
}

/// `zpool import [-d dir]... [-o property=value]... [-fN] [-a | pool]`.
pub fn import(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zpool", "import", args, "ad:c:Dflmno:FNR:t")?;
    let mut locked = Store::open(session.ctx)?.lock()?;
    let dirs = options.values('d');
    // Without -d only /dev is searched: a pool on a file is not found.
    let visible = |vdev: &str| match dirs.is_empty() {
        true => !Path::new(vdev).is_file() || vdev.starts_with("/dev/"),
        false => {
            dirs.iter().any(|dir| Path::new(vdev) == Path::new(dir) || Path::new(vdev).parent() == Some(Path::new(dir)))
        }
    };
    let found: Vec<String> = locked
        .state
        .exported
        .iter()
        .filter(|(_, exported)| visible(&exported.pool.vdev) && Path::new(&exported.pool.vdev).exists())
        .map(|(name, _)| name.clone())
        .collect();
    let wanted = match (options.rest.as_slice(), options.has('a')) {
        ([], true) => found,
        ([], false) => {
            if found.is_empty() {
                return Err(fail("no pools available to import"));
            }
            for name in found {
                let guid = locked.state.exported.get(&name).map_or(0, |exported| exported.pool.guid);
                session.say(format!("   pool: {name}\n     id: {guid}\n  state: ONLINE\n action: The pool can be imported using its name or numeric identifier."));
            }
            return Ok(());
        }
        ([name, ..], _) => {
            let by_guid = |known: &&String| {
                locked.state.exported.get(*known).is_some_and(|exported| exported.pool.guid.to_string() == *name)
            };
            match found.iter().find(|known| *known == name || by_guid(known)) {
                Some(found) => vec![found.clone()],
                None if locked.state.pools.contains_key(name) => {
                    return Err(fail(format!(
                        "cannot import '{name}': a pool with that name already exists\nuse the form 'zpool import <pool | id> <newpool>' to give it a new name"
                    )));
                }
                None => return Err(fail(format!("cannot import '{name}': no such pool available"))),
            }
        }
    };
    for name in &wanted {
        let Some(mut exported) = locked.state.exported.remove(name) else {
            continue;
        };
        exported.pool.props.remove("cachefile");
        exported.pool.props.extend(options.values('o').into_iter().filter_map(assignment));
        locked.state.pools.insert(name.clone(), exported.pool);
        locked.state.datasets.extend(exported.datasets);
    }
    locked.save()?;
    if !options.has('N') {
        for name in wanted.iter().flat_map(|pool| locked.state.tree(pool)) {
            if let Err(refusal) = verbs::create::automount(session, &locked, &name) {
                session.warn(refusal.message);
            }
        }
    }
    Ok(())
}
