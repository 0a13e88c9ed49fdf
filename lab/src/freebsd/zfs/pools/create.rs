//! `zpool create`, `zpool destroy`, `zpool set`.

use std::collections::BTreeMap;
use std::fs;

use super::super::model::Dataset;
use super::super::model::Kind;
use super::super::model::Pool;
use super::super::names;
use super::super::options::Options;
use super::super::options::assignment;
use super::super::props;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::fail;
use super::super::store;
use super::super::store::Store;
use super::super::usage;
use super::super::verbs;
use super::absent;
use super::import;

/// Labels and boot area; the rest is cut into pieces of a power of two, about nine of them in a small pool.
const LABELS: u64 = 4_718_592;

/// Bytes of a pool on a file of that size: `zpool-features.txt` has 603979776 for 640 MiB.
fn capacity(file: u64) -> u64 {
    let usable = file.saturating_sub(LABELS);
    let piece = (usable / 8).max(16 << 20).next_power_of_two() / 2;
    usable / piece.max(1) * piece.max(1)
}

/// `zpool create [-fn] [-o property=value]... [-O property=value]... [-m mountpoint] pool vdev...`.
pub fn create(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zpool", "create", args, "fndo:O:R:m:t:")?;
    let [name, vdevs @ ..] = options.rest.as_slice() else {
        return Err(usage::wrong("zpool", "create", "missing pool name argument"));
    };
    if vdevs.is_empty() {
        return Err(usage::wrong("zpool", "create", "missing vdev specification"));
    }
    let what = format!("cannot create '{name}'");
    names::check(name, &what)?;
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.contains(['/', '@', '#']) {
        return Err(fail(format!("{what}: name must begin with a letter")));
    }
    let mut size = 0;
    for vdev in vdevs {
        let path = if vdev.starts_with('/') { vdev.clone() } else { format!("/dev/{vdev}") };
        let Ok(meta) = fs::metadata(&path) else {
            return Err(fail(format!(
                "cannot open '{vdev}': no such GEOM provider\nmust be a full path or shorthand device name"
            )));
        };
        size += meta.len();
    }
    if size < 64 << 20 {
        return Err(fail(format!("{what}: one or more devices is less than the minimum size (64M)")));
    }
    let mut locked = Store::open(session.ctx)?.lock()?;
    if locked.state.pools.contains_key(name) {
        return Err(fail(format!("{what}: pool already exists")));
    }
    let taken = locked.state.pools.iter().find(|(_, pool)| vdevs.contains(&pool.vdev));
    if let Some((pool, _)) = taken.filter(|_| !options.has('f')) {
        let vdev = &vdevs[0];
        return Err(fail(format!(
            "invalid vdev specification\nuse '-f' to override the following errors:\n{vdev} is part of active pool '{pool}'"
        )));
    }
    let props: BTreeMap<String, String> = options.assignments("zpool", "create")?.into_iter().collect();
    let mut dataset = Dataset::new(Kind::Filesystem, &mut locked.state);
    for pair in options.values('O') {
        let (property, value) = assignment(pair).ok_or_else(|| fail(format!("{what}: missing '=' for -O option")))?;
        let property = props::canonical(&property).to_string();
        let value = props::accept(&property, &value, Kind::Filesystem, true, &what)?;
        dataset.local.insert(property, value);
    }
    if let Some(mountpoint) = options.value('m') {
        let value = props::accept("mountpoint", mountpoint, Kind::Filesystem, true, &what)?;
        dataset.local.insert("mountpoint".into(), value);
    }
    if options.has('n') {
        session
            .say(format!("would create '{name}' with the following layout:\n\n\t{name}\n\t  {}", vdevs.join("\n\t  ")));
        return Ok(());
    }
    fs::create_dir_all(locked.store.live(dataset.id))?;
    let features =
        props.iter().filter_map(|(name, value)| Some((name.strip_prefix("feature@")?.to_string(), value.clone())));
    let pool = Pool {
        guid: store::guid(),
        size: capacity(size),
        vdev: vdevs[0].clone(),
        features: features.collect(),
        props: props
            .iter()
            .filter(|(name, _)| !name.starts_with("feature@"))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect(),
    };
    // Only one pool can live on a file: whatever was exported from it is gone.
    locked.state.exported.retain(|_, exported| exported.pool.vdev != pool.vdev);
    locked.state.pools.insert(name.clone(), pool);
    locked.state.datasets.insert(name.clone(), dataset);
    locked.save()?;
    verbs::create::automount(session, &locked, name)
}

/// `zpool destroy [-f] pool`.
pub fn destroy(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zpool", "destroy", args, "f")?;
    let [name] = options.rest.as_slice() else {
        return Err(usage::wrong("zpool", "destroy", "missing pool argument"));
    };
    let mut locked = Store::open(session.ctx)?.lock()?;
    if !locked.state.pools.contains_key(name) {
        return Err(absent(name));
    }
    import::unmount_all(session, &locked, name, options.has('f'))?;
    locked.state.export(name);
    locked.state.exported.remove(name);
    locked.save()?;
    locked.sweep()
}

/// `zpool set property=value pool`.
pub fn set(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zpool", "set", args, "")?;
    let [pair, name] = options.rest.as_slice() else {
        return Err(usage::wrong("zpool", "set", "missing property=value argument"));
    };
    let Some((property, value)) = assignment(pair) else {
        return Err(usage::wrong("zpool", "set", "missing value in property=value argument"));
    };
    let mut locked = Store::open(session.ctx)?.lock()?;
    let pool = locked.state.pools.get_mut(name).ok_or_else(|| absent(name))?;
    let settable = [
        "autoreplace",
        "autoexpand",
        "autotrim",
        "bootfs",
        "cachefile",
        "comment",
        "delegation",
        "failmode",
        "listsnapshots",
        "multihost",
    ];
    if !settable.contains(&property.as_str()) {
        return Err(fail(format!("cannot set property for '{name}': invalid property '{property}'")));
    }
    pool.props.insert(property, value);
    locked.save()
}
