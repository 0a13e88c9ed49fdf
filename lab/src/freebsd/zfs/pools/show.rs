//! `zpool list`, `zpool get`, `zpool status`.

use super::super::computed::EMPTY;
use super::super::computed::View;
use super::super::model::Pool;
use super::super::options::Options;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::silent;
use super::super::sizes;
use super::super::store::Store;
use super::super::suspension;
use super::super::usage;
use super::super::verbs::list;

/// Pool properties in the order of `zpool get all`, with their defaults (`zpool-features.txt`); what is empty is computed.
const PROPERTIES: &[(&str, &str)] = &[
    ("size", ""),
    ("capacity", ""),
    ("altroot", "-"),
    ("health", ""),
    ("guid", ""),
    ("version", "-"),
    ("bootfs", "-"),
    ("delegation", "on"),
    ("autoreplace", "off"),
    ("cachefile", "-"),
    ("failmode", "wait"),
    ("listsnapshots", "off"),
    ("autoexpand", "off"),
    ("dedupratio", ""),
    ("free", ""),
    ("allocated", ""),
    ("readonly", ""),
    ("ashift", "0"),
    ("comment", "-"),
    ("expandsize", ""),
    ("freeing", ""),
    ("fragmentation", ""),
    ("leaked", ""),
    ("multihost", "off"),
    ("checkpoint", ""),
    ("load_guid", ""),
    ("autotrim", "off"),
    ("compatibility", "off"),
];

/// Features of OpenZFS 2.1.9; the flag: active in any pool that is in use.
const FEATURES: &[(&str, bool)] = &[
    ("async_destroy", false),
    ("empty_bpobj", true),
    ("lz4_compress", true),
    ("multi_vdev_crash_dump", false),
    ("spacemap_histogram", true),
    ("enabled_txg", true),
    ("hole_birth", true),
    ("extensible_dataset", true),
    ("embedded_data", true),
    ("bookmarks", true),
    ("filesystem_limits", false),
    ("large_blocks", false),
    ("large_dnode", false),
    ("sha512", false),
    ("skein", false),
    ("userobj_accounting", true),
    ("encryption", false),
    ("project_quota", true),
    ("device_removal", false),
    ("obsolete_counts", false),
    ("zpool_checkpoint", false),
    ("spacemap_v2", true),
    ("allocation_classes", false),
    ("resilver_defer", false),
    ("bookmark_v2", true),
    ("redaction_bookmarks", false),
    ("redacted_datasets", false),
    ("bookmark_written", true),
    ("log_spacemap", true),
    ("livelist", true),
    ("device_rebuild", false),
    ("zstd_compress", false),
    ("draid", false),
];

fn value(view: View, name: &str, pool: &Pool, property: &str, raw: bool) -> Option<(String, String)> {
    let computed = |text: String| Some((text, "-".to_string()));
    let bytes = |n: u64| computed(if raw { n.to_string() } else { sizes::human(n) });
    // The pool's own metadata comes on top of its datasets.
    let allocated = (view.used(name) + EMPTY).min(pool.size);
    match property {
        "name" => computed(name.to_string()),
        "size" => bytes(pool.size),
        "allocated" | "alloc" => bytes(allocated),
        "free" => bytes(pool.size - allocated),
        "capacity" | "cap" => {
            let percent = allocated * 100 / pool.size.max(1);
            computed(if raw { percent.to_string() } else { format!("{percent}%") })
        }
        "health" => computed(suspension::health(view.store).into()),
        "guid" => computed(pool.guid.to_string()),
        "load_guid" => computed((pool.guid ^ 0x5555).to_string()),
        "dedupratio" | "dedup" => computed(if raw { "1.00" } else { "1.00x" }.into()),
        "readonly" => computed("off".into()),
        "freeing" | "leaked" => computed("0".into()),
        "fragmentation" | "frag" => computed(if raw { "0" } else { "0%" }.into()),
        "expandsize" | "expandsz" | "checkpoint" | "ckpoint" => computed("-".into()),
        _ => {
            if let Some(feature) = property.strip_prefix("feature@") {
                let (_, active) = FEATURES.iter().find(|(name, _)| *name == feature)?;
                let standard = if *active { "active" } else { "enabled" };
                let state = pool.features.get(feature).map_or(standard, String::as_str);
                return Some((state.to_string(), "local".into()));
            }
            let (_, default) = PROPERTIES.iter().find(|(name, _)| *name == property)?;
            Some(match pool.props.get(property) {
                Some(value) => (value.clone(), "local".into()),
                None => (default.to_string(), "default".into()),
            })
        }
    }
}

fn pools(session: &mut Session, view: View, operands: &[String]) -> (Vec<String>, bool) {
    if operands.is_empty() {
        return (view.state.pools.keys().cloned().collect(), false);
    }
    let (mut found, mut missing) = (Vec::new(), false);
    for name in operands {
        if view.state.pools.contains_key(name) {
            found.push(name.clone());
        } else {
            session.warn(format!("cannot open '{name}': no such pool"));
            missing = true;
        }
    }
    (found, missing)
}

/// `zpool list [-HpPvLg] [-o properties] [pool...]`.
pub fn list(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zpool", "list", args, "gHLpPvo:T:")?;
    let default = "name,size,allocated,free,checkpoint,expandsize,fragmentation,capacity,dedupratio,health,altroot";
    let columns: Vec<&str> = options.value('o').unwrap_or(default).split(',').collect();
    let locked = Store::open(session.ctx)?.lock()?;
    let view = View { state: &locked.state, store: &locked.store };
    let nothing = Pool::default();
    if let Some(bad) = columns.iter().find(|name| value(view, "", &nothing, name, true).is_none()) {
        return Err(usage::wrong("zpool", "list", &format!("bad property list: invalid property '{bad}'")));
    }
    let (names, missing) = pools(session, view, &options.rest);
    let cell = |name: &String, property: &&str| {
        let pool = view.state.pools.get(name)?;
        value(view, name, pool, property, options.has('p')).map(|(value, _)| value)
    };
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|name| columns.iter().map(|property| cell(name, property).unwrap_or_default()).collect())
        .collect();
    if rows.is_empty() && !missing {
        session.say("no pools available");
        return Ok(());
    }
    let titles: Vec<String> = columns
        .iter()
        .map(|name| match *name {
            "allocated" => "ALLOC".into(),
            "checkpoint" => "CKPOINT".into(),
            "expandsize" => "EXPANDSZ".into(),
            "fragmentation" => "FRAG".into(),
            "capacity" => "CAP".into(),
            "dedupratio" => "DEDUP".into(),
            other => other.to_uppercase(),
        })
        .collect();
    let right: Vec<bool> = columns.iter().map(|name| !["name", "health", "altroot"].contains(name)).collect();
    list::print(session, options.has('H'), &titles, &right, &rows);
    if missing { Err(silent(1)) } else { Ok(()) }
}

/// `zpool get [-Hp] [-o fields] properties pool...`.
pub fn get(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zpool", "get", args, "Hpo:")?;
    let Some(wanted) = options.rest.first() else {
        return Err(usage::wrong("zpool", "get", "missing property argument"));
    };
    let fields: Vec<&str> = match options.value('o') {
        None | Some("all") => vec!["name", "property", "value", "source"],
        Some(text) => text.split(',').collect(),
    };
    if let Some(field) = fields.iter().find(|field| !["name", "property", "value", "source"].contains(field)) {
        return Err(usage::wrong("zpool", "get", &format!("invalid column name '{field}'")));
    }
    let locked = Store::open(session.ctx)?.lock()?;
    let view = View { state: &locked.state, store: &locked.store };
    let everything: Vec<String> = PROPERTIES
        .iter()
        .map(|(name, _)| name.to_string())
        .chain(FEATURES.iter().map(|(name, _)| format!("feature@{name}")))
        .collect();
    let properties: Vec<String> =
        if wanted == "all" { everything } else { wanted.split(',').map(str::to_string).collect() };
    let nothing = Pool::default();
    if let Some(bad) = properties.iter().find(|name| value(view, "", &nothing, name, true).is_none()) {
        return Err(usage::wrong("zpool", "get", &format!("bad property list: invalid property '{bad}'")));
    }
    let (names, missing) = pools(session, view, &options.rest[1..]);
    let mut rows = Vec::new();
    for name in &names {
        for property in &properties {
            let found = view.state.pools.get(name).and_then(|pool| value(view, name, pool, property, options.has('p')));
            let Some((value, source)) = found else {
                continue;
            };
            let columns = fields.iter().map(|field| match *field {
                "name" => name.clone(),
                "property" => property.clone(),
                "value" => value.clone(),
                _ => source.clone(),
            });
            rows.push(columns.collect::<Vec<_>>());
        }
    }
    let titles: Vec<String> = fields.iter().map(|field| field.to_uppercase()).collect();
    list::print(session, options.has('H'), &titles, &vec![false; titles.len()], &rows);
    if missing { Err(silent(1)) } else { Ok(()) }
}

/// `zpool status [-x] [pool...]`.
pub fn status(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zpool", "status", args, "c:igLpPstvxDT:")?;
    let locked = Store::open(session.ctx)?.lock()?;
    let view = View { state: &locked.state, store: &locked.store };
    let (names, missing) = pools(session, view, &options.rest);
    if names.is_empty() && !missing {
        session.warn("no pools available");
    } else if options.has('x') && !missing && suspension::health(view.store) == "ONLINE" {
        session.say(match options.rest.as_slice() {
            [name] => format!("pool '{name}' is healthy"),
            _ => "all pools are healthy".into(),
        });
    } else {
        for name in &names {
            let vdev = view.state.pools.get(name).map(|pool| pool.vdev.clone()).unwrap_or_default();
            let width = (vdev.len() + 2).max(name.len()).max(10);
            let state = suspension::health(view.store);
            session.say(format!("  pool: {name}\n state: {state}\nconfig:\n"));
            session.say(format!("\t{:width$}  STATE     READ WRITE CKSUM", "NAME"));
            session.say(format!("\t{name:width$}  ONLINE       0     0     0"));
            session.say(format!("\t  {vdev:below$}  ONLINE       0     0     0", below = width - 2));
            session.say("\nerrors: No known data errors");
        }
    }
    if missing { Err(silent(1)) } else { Ok(()) }
}
