//! `zfs get`.

use super::super::computed::View;
use super::super::names::Name;
use super::super::options::Options;
use super::super::props;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::silent;
use super::super::store::Store;
use super::super::usage;
use super::list;

const FIELDS: [&str; 5] = ["name", "property", "value", "received", "source"];

/// `zfs get [-rHp] [-d max] [-o fields] [-t types] [-s sources] properties [dataset...]`.
pub fn get(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "get", args, "rHpd:o:t:s:")?;
    let Some(wanted) = options.rest.first() else {
        return Err(usage::wrong("zfs", "get", "missing property argument"));
    };
    let fields: Vec<&str> = match options.value('o') {
        None => vec!["name", "property", "value", "source"],
        Some("all") => FIELDS.to_vec(),
        Some(text) => text.split(',').collect(),
    };
    if let Some(field) = fields.iter().find(|field| !FIELDS.contains(field)) {
        return Err(usage::wrong("zfs", "get", &format!("invalid column name '{field}'")));
    }
    let all = wanted == "all";
    if let Some(bad) =
        wanted.split(',').find(|name| !all && (!props::known(name) || *name == "name" && wanted != "name"))
    {
        return Err(usage::wrong("zfs", "get", &format!("bad property list: invalid property '{bad}'")));
    }
    let sources: Option<Vec<&str>> = options.value('s').map(|text| text.split(',').collect());
    let locked = Store::open(session.ctx)?.lock()?;
    let view = View { state: &locked.state, store: &locked.store };
    let scope = list::Scope {
        recursive: options.has('r'),
        depth: list::depth(&options, "get")?,
        types: list::types(options.value('t'), "get", &["filesystem", "volume", "snapshot", "bookmark"])?,
        typed: options.has('t'),
    };
    let (names, missing) = list::select(session, view, &options.rest[1..], &scope);
    let raw = options.has('p');
    let mut rows = Vec::new();
    for name in &names {
        let (full, received) = (list::text(name), received(view, name));
        let properties: Vec<String> = match all {
            true => everything(view, name),
            false => wanted.split(',').map(|name| props::canonical(name).to_string()).collect(),
        };
        for property in properties {
            let found = view.get(name, &property, raw);
            if all && found.is_none() {
                continue;
            }
            let found = found.unwrap_or_else(|| props::Value::new("-", "-"));
            let kind = match found.source.as_str() {
                "-" => "none",
                source if source.starts_with("inherited") => "inherited",
                source => source,
            };
            if sources.as_ref().is_some_and(|sources| !sources.contains(&kind)) {
                continue;
            }
            let theirs = received.iter().find(|(name, _)| *name == property);
            let columns = fields.iter().map(|field| match *field {
                "name" => full.clone(),
                "property" => property.clone(),
                "value" => found.value.clone(),
                "received" => theirs.map_or("-".into(), |(_, value)| value.clone()),
                _ => found.source.clone(),
            });
            rows.push(columns.collect::<Vec<_>>());
        }
    }
    let titles: Vec<String> = fields.iter().map(|field| field.to_uppercase()).collect();
    list::print(session, options.has('H'), &titles, &vec![false; titles.len()], &rows);
    if missing { Err(silent(1)) } else { Ok(()) }
}

fn received(view: View, name: &Name) -> Vec<(String, String)> {
    match name {
        Name::Dataset(dataset) => view
            .state
            .datasets
            .get(dataset)
            .map(|dataset| dataset.received.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// What `all` means: the native properties, then the user's own that apply.
fn everything(view: View, name: &Name) -> Vec<String> {
    let mut properties: Vec<String> =
        props::NATIVE.iter().map(|native| native.name.to_string()).filter(|name| name != "name").collect();
    let mut users = std::collections::BTreeSet::new();
    let mut at = Some(name.dataset());
    while let Some(here) = at {
        if let Some(dataset) = view.state.datasets.get(here) {
            users.extend(dataset.local.keys().chain(dataset.received.keys()).filter(|n| props::is_user(n)).cloned());
        }
        at = super::super::names::parent(here);
    }
    if let Name::Snapshot(dataset, leaf) = name {
        let snapshot = view.state.datasets.get(dataset).and_then(|dataset| dataset.snapshot(leaf));
        users.extend(snapshot.iter().flat_map(|snapshot| snapshot.local.keys().cloned()));
    }
    properties.extend(users);
    properties
}
