//! `zfs list`, and the choice and the columns that `zfs get` shares with it.

use super::super::computed::View;
use super::super::model::Kind;
use super::super::names::Name;
use super::super::options::Options;
use super::super::props;
use super::super::session::Done;
use super::super::session::Session;
use super::super::session::silent;
use super::super::store::Store;
use super::super::usage;

/// Which datasets are meant.
pub struct Scope {
    /// `-r`.
    pub recursive: bool,
    /// `-d`.
    pub depth: Option<usize>,
    /// `-t`, in full words.
    pub types: Vec<String>,
    /// Whether `-t` was given: only then does it restrict what an operand names.
    pub typed: bool,
}

/// The number after `-d`.
pub fn depth(options: &Options, verb: &str) -> Done<Option<usize>> {
    match options.value('d') {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(depth) => Ok(Some(depth)),
            Err(_) => Err(usage::wrong("zfs", verb, &format!("{text} is not a valid number"))),
        },
    }
}

/// The words after `-t`.
pub fn types(text: Option<&str>, verb: &str, default: &[&str]) -> Done<Vec<String>> {
    let Some(text) = text else {
        return Ok(default.iter().map(|word| word.to_string()).collect());
    };
    let mut types = Vec::new();
    for word in text.split(',') {
        match word {
            "filesystem" | "fs" => types.push("filesystem"),
            "volume" | "vol" => types.push("volume"),
            "snapshot" | "snap" => types.push("snapshot"),
            "bookmark" => types.push("bookmark"),
            "all" => types.extend(["filesystem", "volume", "snapshot", "bookmark"]),
            _ => return Err(usage::wrong("zfs", verb, &format!("invalid type '{word}'"))),
        }
    }
    Ok(types.into_iter().map(str::to_string).collect())
}

/// A name as it is printed.
pub fn text(name: &Name) -> String {
    match name {
        Name::Dataset(dataset) => dataset.clone(),
        Name::Snapshot(dataset, leaf) => format!("{dataset}@{leaf}"),
        Name::Bookmark(dataset, leaf) => format!("{dataset}#{leaf}"),
    }
}

/// The operands (all there is without any), with what is below them. The flag: some do not exist, which was said.
pub fn select(session: &mut Session, view: View, operands: &[String], scope: &Scope) -> (Vec<Name>, bool) {
    let mut names = Vec::new();
    let mut missing = false;
    if operands.is_empty() {
        for pool in view.state.all().into_iter().filter(|name| !name.contains('/')) {
            below(view, &pool, scope.depth, scope, &mut names);
        }
    }
    let everywhere = scope.recursive || scope.depth.is_some();
    for operand in operands {
        // A mountpoint names its dataset, too.
        let by_path = operand.starts_with('/').then(|| super::mount::by_path(view, operand)).flatten();
        let operand = by_path.as_ref().unwrap_or(operand);
        let name = Name::parse(operand);
        let exists = view.get(&name, "guid", true).is_some();
        if !exists {
            session.warn(format!("cannot open '{operand}': dataset does not exist"));
            missing = true;
            continue;
        }
        match &name {
            Name::Dataset(dataset) if everywhere => below(view, dataset, scope.depth, scope, &mut names),
            // `-t snapshot dataset` means the dataset's own snapshots.
            Name::Dataset(dataset) if scope.typed && !fits(view, &name, scope) => {
                let own = Scope { recursive: true, depth: Some(1), types: scope.types.clone(), typed: true };
                below(view, dataset, Some(1), &own, &mut names);
            }
            _ => names.push(name),
        }
    }
    // By name as strings (zfs_iter.c), a dataset before its snapshots, those by age; each once.
    let age = |name: &Name| view.get(name, "createtxg", true).and_then(|txg| txg.value.parse::<u64>().ok());
    let rank = |name: &Name| match name {
        Name::Dataset(_) => (0, None),
        Name::Snapshot(..) => (1, age(name)),
        Name::Bookmark(..) => (2, age(name)),
    };
    names.sort_by_cached_key(|name| (name.dataset().to_string(), rank(name)));
    names.dedup();
    (names, missing)
}

fn fits(view: View, name: &Name, scope: &Scope) -> bool {
    let kind = match name {
        Name::Snapshot(..) => "snapshot",
        Name::Bookmark(..) => "bookmark",
        Name::Dataset(dataset) => match view.state.datasets.get(dataset).map(|dataset| dataset.kind) {
            Some(Kind::Volume) => "volume",
            _ => "filesystem",
        },
    };
    scope.types.iter().any(|wanted| wanted == kind)
}

fn below(view: View, top: &str, depth: Option<usize>, scope: &Scope, names: &mut Vec<Name>) {
    let base = top.matches('/').count();
    for dataset in view.state.tree(top) {
        let level = dataset.matches('/').count() - base;
        let within = |level: usize| depth.is_none_or(|depth| level <= depth);
        if !within(level) {
            continue;
        }
        let mut here = vec![Name::Dataset(dataset.clone())];
        if let Some(found) = view.state.datasets.get(&dataset).filter(|_| within(level + 1)) {
            here.extend(found.snapshots.iter().map(|s| Name::Snapshot(dataset.clone(), s.name.clone())));
            here.extend(found.bookmarks.iter().map(|b| Name::Bookmark(dataset.clone(), b.name.clone())));
        }
        names.extend(here.into_iter().filter(|name| fits(view, name, scope)));
    }
}

/// `zfs list [-Hp] [-r|-d max] [-o properties] [-s property]... [-S property]... [-t types] [dataset...]`.
pub fn list(session: &mut Session, args: &[String]) -> Done {
    let options = Options::parse("zfs", "list", args, "Hprd:o:s:S:t:")?;
    let columns: Vec<String> = match options.value('o') {
        None => ["name", "used", "available", "referenced", "mountpoint"].map(str::to_string).to_vec(),
        Some(text) => text.split(',').map(|name| props::canonical(name).to_string()).collect(),
    };
    let sort: Vec<(String, bool)> = options
        .all()
        .filter(|(letter, _)| matches!(letter, 's' | 'S'))
        .map(|(letter, value)| (props::canonical(value.unwrap_or_default()).to_string(), letter == 'S'))
        .collect();
    if let Some(bad) = columns.iter().find(|name| !props::known(name)) {
        return Err(usage::wrong("zfs", "list", &format!("bad property list: invalid property '{bad}'")));
    }
    if let Some((bad, _)) = sort.iter().find(|(name, _)| !props::known(name)) {
        return Err(usage::wrong("zfs", "list", &format!("invalid property '{bad}'")));
    }
    let scope = Scope {
        recursive: options.has('r'),
        depth: depth(&options, "list")?,
        types: types(options.value('t'), "list", &["filesystem", "volume"])?,
        typed: options.has('t'),
    };
    let locked = Store::open(session.ctx)?.lock()?;
    let view = View { state: &locked.state, store: &locked.store };
    let (mut names, missing) = select(session, view, &options.rest, &scope);
    for (property, descending) in sort.iter().rev() {
        let key = |name: &Name| view.get(name, property, true).map(|value| value.value).unwrap_or_default();
        let mut keyed: Vec<(Key, Name)> = names.drain(..).map(|name| (Key::of(key(&name)), name)).collect();
        keyed.sort_by(|(a, _), (b, _)| if *descending { b.cmp(a) } else { a.cmp(b) });
        names = keyed.into_iter().map(|(_, name)| name).collect();
    }
    let value = |name: &Name, property: &String| {
        view.get(name, property, options.has('p')).map_or("-".to_string(), |found| found.value)
    };
    let rows: Vec<Vec<String>> =
        names.iter().map(|name| columns.iter().map(|property| value(name, property)).collect()).collect();
    if rows.is_empty() && !missing && !options.has('H') {
        session.warn("no datasets available");
        return Ok(());
    }
    let titles: Vec<String> = columns.iter().map(|name| title(name)).collect();
    let right: Vec<bool> = columns.iter().map(|name| numeric(name)).collect();
    print(session, options.has('H'), &titles, &right, &rows);
    if missing { Err(silent(1)) } else { Ok(()) }
}

/// Numbers sort as numbers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(u64),
    Text(String),
}

impl Key {
    fn of(text: String) -> Key {
        text.parse().map(Key::Number).unwrap_or(Key::Text(text))
    }
}

fn title(property: &str) -> String {
    match property {
        "available" => "AVAIL".into(),
        "referenced" => "REFER".into(),
        "compressratio" => "RATIO".into(),
        "compression" => "COMPRESS".into(),
        other => other.to_uppercase(),
    }
}

fn numeric(property: &str) -> bool {
    ["used", "available", "referenced", "quota", "written", "createtxg", "guid", "userrefs", "volsize", "recordsize"]
        .contains(&property)
        || property.starts_with("written@")
        || property.starts_with("usedby")
}

/// Tabs for scripts, columns for people.
pub fn print(session: &mut Session, scripted: bool, titles: &[String], right: &[bool], rows: &[Vec<String>]) {
    if scripted {
        for row in rows {
            session.say(row.join("\t"));
        }
        return;
    }
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| {
        rows.iter().map(|row| row[column].len()).chain([titles[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    for row in [titles].into_iter().chain(rows.iter().map(Vec::as_slice)) {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(at, cell)| match (right[at], at + 1 == row.len()) {
                (true, _) => format!("{cell:>width$}", width = widths[at]),
                (false, true) => cell.clone(),
                (false, false) => format!("{cell:<width$}", width = widths[at]),
            })
            .collect();
        session.say(cells.join("  "));
    }
}
