//! `zfs create`.

use std::collections::BTreeMap;
use std::fs;

use super::super::computed::EMPTY;
use super::super::computed::View;
use super::super::model::Dataset;
use super::super::model::Encryption;
use super::super::model::Kind;
use super::super::mounts;
use super::super::names;
use super::super::options::Options;
use super::super::props;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::sizes;
use super::super::store::Locked;
use super::super::store::Store;
use super::super::usage;
use super::key;

/// `zfs create [-Pnpuv] [-o property=value]... filesystem`, `zfs create … -V size volume`.
pub fn create(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "create", args, "PnpuvsV:b:o:")?;
    let [name] = options.rest.as_slice() else {
        let text = if options.rest.is_empty() { "missing filesystem argument" } else { "too many arguments" };
        return Err(usage::wrong("zfs", "create", text));
    };
    let what = format!("cannot create '{name}'");
    names::check(name, &what)?;
    if name.contains(['@', '#']) {
        return Err(fail(format!("{what}: snapshot delimiter '@' is not expected here")));
    }
    let kind = if options.has('V') { Kind::Volume } else { Kind::Filesystem };
    let mut wanted = options.assignments("zfs", "create")?;
    if let Some(size) = options.value('V') {
        wanted.push(("volsize".into(), size.to_string()));
    }
    if let Some(size) = options.value('b') {
        wanted.push(("volblocksize".into(), size.to_string()));
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    if !locked.state.pools.contains_key(names::pool(name)) {
        return Err(fail(format!("{what}: no such pool '{}'", names::pool(name))));
    }
    if locked.state.datasets.contains_key(name) {
        // With -p an existing dataset is no error.
        return if options.has('p') { Ok(()) } else { Err(fail(format!("{what}: dataset already exists"))) };
    }
    let mut missing = Vec::new();
    let mut at = names::parent(name);
    while let Some(here) = at.filter(|here| !locked.state.datasets.contains_key(*here)) {
        missing.insert(0, here.to_string());
        at = names::parent(here);
    }
    if !missing.is_empty() && !options.has('p') {
        return Err(fail(format!("{what}: parent does not exist")));
    }
    for parent in &missing {
        make(session, &mut locked, parent, Kind::Filesystem, &[])?;
    }
    make(session, &mut locked, name, kind, &wanted)?;
    if options.has('n') {
        return Ok(());
    }
    locked.save()?;
    for name in missing.iter().chain([name]).filter(|_| !options.has('u')) {
        automount(session, &locked, name)?;
    }
    Ok(())
}

/// Mounts what is to be mounted by itself.
pub fn automount(session: &mut Session, locked: &Locked, name: &str) -> Done {
    let value = |property| props::value(&locked.state, name, property);
    let filesystem = locked.state.datasets.get(name).is_some_and(|dataset| dataset.kind == Kind::Filesystem);
    if filesystem && value("canmount") == "on" && value("mountpoint").starts_with('/') && value("jailed") == "off" {
        mounts::mount(session.ctx, locked, name)?;
    }
    Ok(())
}

/// Makes the dataset, not yet saved.
pub fn make(session: &mut Session, locked: &mut Locked, name: &str, kind: Kind, wanted: &[(String, String)]) -> Done {
    let what = format!("cannot create '{name}'");
    let mut local = BTreeMap::new();
    for (property, value) in wanted {
        let property = props::canonical(property);
        if !props::known(property) {
            return Err(fail(format!("{what}: invalid property '{property}'")));
        }
        local.insert(property.to_string(), props::accept(property, value, kind, true, &what)?);
    }
    let view = View { state: &locked.state, store: &locked.store };
    if names::parent(name).is_some_and(|parent| view.available(parent).0 < EMPTY) {
        return Err(fail(format!("{what}: out of space")));
    }
    let mut dataset = Dataset::new(kind, &mut locked.state);
    dataset.encryption = encryption(session, locked, name, &mut local, dataset.guid, &what)?;
    dataset.local = local;
    let live = locked.store.live(dataset.id);
    fs::create_dir_all(&live)?;
    if let Some(size) = dataset.local.get("volsize") {
        fs::File::create(live.join("volume"))?.set_len(sizes::parse(size).unwrap_or_default())?;
    }
    locked.state.datasets.insert(name.to_string(), dataset);
    Ok(())
}

/// The key of a new encryption root, or the parent's.
fn encryption(
    session: &mut Session,
    locked: &Locked,
    name: &str,
    local: &mut BTreeMap<String, String>,
    guid: u64,
    what: &str,
) -> Done<Option<Encryption>> {
    let inherited = names::parent(name)
        .and_then(|parent| locked.state.datasets.get(parent))
        .and_then(|parent| parent.encryption.clone());
    let suite = local.remove("encryption");
    let Some(keyformat) = local.remove("keyformat") else {
        return match (suite.as_deref(), inherited) {
            (Some("off") | None, None) => Ok(None),
            (Some("off"), Some(_)) => {
                Err(fail(format!("{what}: Cannot create unencrypted dataset under an encrypted one")))
            }
            (Some(_), None) => Err(fail(format!("{what}: Keyformat required for new encryption root."))),
            (_, Some(parent)) => Ok(Some(parent)),
        };
    };
    let suite = match suite.or(inherited.map(|parent| parent.suite)) {
        Some(suite) if suite != "off" => suite,
        _ => return Err(fail(format!("{what}: Keyformat supplied while encryption is off."))),
    };
    let location = local.entry("keylocation".into()).or_insert_with(|| "prompt".into()).clone();
    let key = key::read(session, name, &location, &keyformat)?;
    Ok(Some(Encryption { suite, root: guid, keyformat, key, loaded: true }))
}
