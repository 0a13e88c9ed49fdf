//! The chapters of a migration that are about NAT and port forwards.
//!
//! Rules that are not there yet are read by pfctl(8) while the jail still runs, come before the switch and go where it
//! left after the switch; the jail's states are killed after both. They last from the chapter that makes the move last.

use crate::configuration::pf_table;
use crate::effect::Effect;
use crate::effect::commands::pf;
use crate::effect::meaning::Meaning;
use crate::model::Prefix;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::nat::AnchorChange;
use crate::plan::nat::TableChange;

/// pfctl(8) of the host reads the new rules.
#[must_use]
pub fn tried(cast: &Cast<'_>) -> Vec<Step> {
    let jail = &cast.situation.jail;
    cast.nat
        .anchors
        .iter()
        .filter(|a| !a.after.is_empty())
        .map(|a| {
            Step::new(
                Phase::Stage,
                format!("pfctl(8) on {} understands the rules of anchor {}", a.host, pf::anchor(jail)),
                Effect::CheckAnchor { host: a.host.clone(), jail: jail.clone(), rules: a.after.clone() },
            )
        })
        .collect()
}

/// Where the jail leaves from now on.
#[must_use]
pub fn arrive(cast: &Cast<'_>) -> Vec<Step> {
    let tables = cast.nat.tables.iter().filter(|t| !t.add.is_empty()).map(table);
    tables.chain(cast.nat.anchors.iter().filter(|a| !a.after.is_empty()).map(|a| anchor(cast, a))).collect()
}

/// Where it left.
#[must_use]
pub fn leave(cast: &Cast<'_>) -> Vec<Step> {
    let tables = cast.nat.tables.iter().filter(|t| t.add.is_empty()).map(table);
    tables.chain(cast.nat.anchors.iter().filter(|a| a.after.is_empty()).map(|a| anchor(cast, a))).collect()
}

/// Hosts with own ways out forget the stopped copy's connections, as the hub does.
#[must_use]
pub fn forget(cast: &Cast<'_>) -> Vec<Step> {
    let prefixes = &cast.situation.prefixes;
    cast.nat
        .others
        .iter()
        .map(|host| {
            Step::new(
                Phase::CutOver,
                format!("{host} forgets the connections of the stopped copy"),
                Effect::KillStates { host: host.clone(), prefixes: prefixes.clone() },
            )
            .alongside()
        })
        .collect()
}

/// At the next boot everything is as it is now.
#[must_use]
pub fn last(cast: &Cast<'_>) -> Vec<Step> {
    let jail = &cast.situation.jail;
    let mut steps: Vec<Step> = cast.nat.tables.iter().filter_map(table_file).collect();
    steps.extend(cast.nat.anchors.iter().map(|a| {
        let (host, file) = (&a.host, pf::anchor_file(jail));
        let title = if a.after.is_empty() {
            format!("{host} forgets {file}")
        } else {
            format!("{host} keeps the rules of anchor {} in {file}", pf::anchor(jail))
        };
        let (host, main) = (host.clone(), a.main.clone());
        Step::new(Phase::Persist, title, Effect::KeepAnchor { host, jail: jail.clone(), rules: a.after.clone(), main })
    }));
    steps
}

fn anchor(cast: &Cast<'_>, change: &AnchorChange) -> Step {
    let AnchorChange { host, before, after, .. } = change;
    let (jail, name) = (&cast.situation.jail, pf::anchor(&cast.situation.jail));
    let title = if after.is_empty() {
        format!("{host} no longer translates for jail {jail}: anchor {name} is emptied")
    } else {
        format!("{host} translates for jail {jail} by anchor {name}")
    };
    let load = |before: &[String], rules: &[String]| Effect::LoadAnchor {
        host: host.clone(),
        jail: jail.clone(),
        before: before.to_vec(),
        rules: rules.to_vec(),
    };
    Step::new(Phase::CutOver, title, load(before, after)).undo(load(after, before)).change(Change::new(
        format!("anchor {name} on {host}"),
        before.join("; "),
        after.join("; "),
    ))
}

fn list(prefixes: &[Prefix]) -> String {
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn table(change: &TableChange) -> Step {
    let TableChange { host, table, add, remove, .. } = change;
    let title = if add.is_empty() {
        format!("{host} no longer translates {}: out of pf table {table}", list(remove))
    } else {
        format!("{host} translates {}: into pf table {table}", list(add))
    };
    let put = |add: &[Prefix], remove: &[Prefix]| Effect::ChangeTable {
        host: host.clone(),
        table: table.clone(),
        add: add.to_vec(),
        remove: remove.to_vec(),
    };
    Step::new(Phase::CutOver, title, put(add, remove)).undo(put(remove, add)).change(Change::new(
        format!("pf table {table} on {host}"),
        list(remove),
        list(add),
    ))
}

fn table_file(change: &TableChange) -> Option<Step> {
    let file = change.file.as_ref()?;
    let (add, remove) = (change.add.iter().copied().collect(), change.remove.iter().copied().collect());
    let host = change.host.clone();
    let what = format!("{host} fills pf table {} as it is now, from {}", change.table, file.path);
    let script = pf_table::edit(&file.path, &file.sha256, &add, &remove);
    let meaning = Meaning::TableFile { path: file.path.clone(), sha256: file.sha256.clone(), add, remove };
    Some(Step::new(Phase::Persist, what.clone(), Effect::Edit { host, what, script, meaning }).change(Change::new(
        &file.path,
        list(&change.remove),
        list(&change.add),
    )))
}
