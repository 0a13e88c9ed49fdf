//! `zfs jail` and `zfs unjail`: recorded only.

use super::super::names::Name;
use super::super::options::Options;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::store::Store;
use super::super::usage;
use super::absent;

/// `zfs jail jailid|jailname filesystem`.
pub fn jail(session: &mut Session, args: &[String]) -> Done {
    hand(session, args, "jail")
}

/// `zfs unjail jailid|jailname filesystem`.
pub fn unjail(session: &mut Session, args: &[String]) -> Done {
    hand(session, args, "unjail")
}

fn hand(session: &mut Session, args: &[String], verb: &str) -> Done {
    let options = Options::parse("zfs", verb, args, "")?;
    let [jail, name] = options.rest.as_slice() else {
        return Err(usage::wrong("zfs", verb, "missing argument(s)"));
    };
    if !matches!(Name::parse(name), Name::Dataset(_)) {
        return Err(fail(format!("cannot open '{name}': operation not applicable to datasets of this type")));
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    let dataset = locked.state.datasets.get_mut(name).ok_or_else(|| absent(name))?;
    match verb {
        "jail" => dataset.jail = Some(jail.clone()),
        _ if dataset.jail.as_ref() == Some(jail) => dataset.jail = None,
        _ => return Err(fail(format!("cannot unjail '{name}': invalid argument"))),
    }
    locked.save()
}
