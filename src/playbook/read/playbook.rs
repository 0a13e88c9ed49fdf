//! Reads playbooks.

use std::ops::Range;
use std::path::PathBuf;

use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::fleet::Fleet;
use crate::playbook::moves::Drain;
use crate::playbook::moves::Move;
use crate::playbook::moves::Playbook;
use crate::playbook::read::batch::batch;
use crate::playbook::read::fleet::known;
use crate::playbook::read::options::duration;
use crate::playbook::read::options::options;
use crate::playbook::read::options::plain_text;
use crate::playbook::read::rebalance::rebalance;
use crate::playbook::read::schedule::schedule;
use crate::playbook::reader::Fields;
use crate::playbook::reader::list;
use crate::playbook::reader::name;
use crate::playbook::yaml::Located;

/// A jail that comes after another, and where that is written.
type After = (JailName, Range<usize>);

/// The playbook of a document. With `fleet`, jails and nodes must be known to it.
pub(crate) fn playbook(root: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<Playbook> {
    let mut fields = Fields::of(root, "a playbook", findings)?;
    let path = fields.get("fleet").and_then(|n| plain_text(n, "a path", findings)).map(PathBuf::from);
    let options = options(&mut fields, findings);
    let schedule = fields.get("schedule").and_then(|n| schedule(n, findings));
    let batch = batch(&mut fields, fleet, findings);
    let (emptied, balanced) = (fields.get("drain"), fields.get("rebalance"));
    let moves = fields.get("moves");
    for (word, node) in [("drain", emptied), ("rebalance", balanced)] {
        let other = |other: &'static str, at: Option<&Located>| (other != word && at.is_some()).then_some(other);
        let beside = other("drain", emptied).or_else(|| moves.map(|_| "moves"));
        if let (Some(node), Some(beside)) = (node, beside) {
            let finding = Diagnostic::error(format!("a playbook with `{beside}` and with `{word}`"), node.span.clone());
            findings.push(finding.hint("write two playbooks"));
        }
    }
    let drain = emptied.map(|node| one_drain(node, fleet, findings));
    let rebalance = balanced.map(|node| rebalance(node, fleet, findings));
    let moves = if drain.is_none() && rebalance.is_none() {
        let moves = fields.require("moves", "which jail goes where?", findings);
        let moves = moves.and_then(|n| list(n, "a list of moves", findings));
        let moves: Option<Vec<(Move, Vec<After>)>> =
            moves.map(|items| items.iter().filter_map(|item| one_move(item, fleet, findings)).collect());
        if let Some(moves) = &moves {
            order(moves, findings);
        }
        moves.map(|m| m.into_iter().map(|(m, _)| m).collect())
    } else {
        Some(Vec::new())
    };
    fields.finish(findings);
    // What was written and could not be read stands in the findings.
    let (drain, rebalance) = (read(drain)?, read(rebalance)?);
    Some(Playbook { fleet: path, options, schedule, batch, moves: moves?, drain, rebalance })
}

/// `None` when something was written that could not be read.
fn read<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    written.map_or(Some(None), |value| value.map(Some))
}

fn one_move(item: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<(Move, Vec<After>)> {
    let mut fields = Fields::of(item, "a move", findings)?;
    let jail_at = fields.require("jail", "which jail?", findings);
    let jail = jail_at.and_then(|n| name::<JailName>(n, "the name of a jail", findings));
    let to_at = fields.require("to", "to which node?", findings);
    let to = to_at.and_then(|n| name::<NodeName>(n, "the name of a node", findings));
    let after = fields.get("after").and_then(|n| list(n, "a list of jails", findings)).unwrap_or_default();
    let after: Vec<After> = after
        .iter()
        .filter_map(|n| Some((name::<JailName>(n, "the name of a jail", findings)?, n.span.clone())))
        .collect();
    let options = options(&mut fields, findings);
    fields.finish(findings);
    is_node(fleet, &to, to_at, "the target", findings);
    is_jail(fleet, &jail, jail_at, findings);
    let names = after.iter().map(|(jail, _)| jail.clone()).collect();
    Some((Move { jail: jail?, to: to?, after: names, options }, after))
}

fn one_drain(node: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<Drain> {
    let mut fields = Fields::of(node, "drain", findings)?;
    let node_at = fields.require("node", "which node is to be emptied?", findings);
    let emptied = node_at.and_then(|n| name::<NodeName>(n, "the name of a node", findings));
    is_node(fleet, &emptied, node_at, "the node", findings);
    let mut to = Vec::new();
    for at in fields.get("to").and_then(|n| list(n, "a list of nodes", findings)).unwrap_or_default() {
        let one = name::<NodeName>(at, "the name of a node", findings);
        is_node(fleet, &one, Some(at), "the target", findings);
        if one.is_some() && one == emptied {
            findings.push(Diagnostic::error("a node cannot be emptied into itself", at.span.clone()));
        }
        to.extend(one);
    }
    let mut stay = Vec::new();
    for at in fields.get("stay").and_then(|n| list(n, "a list of jails", findings)).unwrap_or_default() {
        let one = name::<JailName>(at, "the name of a jail", findings);
        is_jail(fleet, &one, Some(at), findings);
        stay.extend(one);
    }
    let deadline = fields.get("deadline").and_then(|n| duration(n, findings));
    fields.finish(findings);
    Some(Drain { node: emptied?, to, stay, deadline })
}

pub(crate) fn is_node(
    fleet: Option<&Fleet>,
    node: &Option<NodeName>,
    at: Option<&Located>,
    what: &'static str,
    findings: &mut Findings,
) {
    if let (Some(fleet), Some(node), Some(at)) = (fleet, node, at) {
        known(node.as_str(), &at.span, what, "nodes", fleet.nodes.keys().map(NodeName::as_str), findings);
    }
}

pub(crate) fn is_jail(fleet: Option<&Fleet>, jail: &Option<JailName>, at: Option<&Located>, findings: &mut Findings) {
    // A fleet that lists no jails leaves it to the hosts which there are.
    if let (Some(fleet), Some(jail), Some(at)) = (fleet.filter(|f| !f.jails.is_empty()), jail, at) {
        known(jail.as_str(), &at.span, "the jail", "jails", fleet.jails.keys().map(JailName::as_str), findings);
    }
}

/// Every `after` names a jail of the playbook, and following them never leads back.
fn order(moves: &[(Move, Vec<After>)], findings: &mut Findings) {
    for (one, after) in moves {
        for (before, at) in after {
            if !moves.iter().any(|(m, _)| m.jail == *before) {
                let names = moves.iter().map(|(m, _)| m.jail.as_str());
                known(before.as_str(), at, "the jail", "moves", names, findings);
            } else if *before == one.jail || leads_back(moves, before, &one.jail) {
                let title = format!("`{}` would wait for itself", one.jail);
                findings.push(
                    Diagnostic::error(title, at.clone())
                        .label(format!("`{before}` comes after `{}`", one.jail))
                        .hint("take one `after` of the circle away"),
                );
            }
        }
    }
}

/// Is `wanted` among what `from` comes after, directly or not?
fn leads_back(moves: &[(Move, Vec<After>)], from: &JailName, wanted: &JailName) -> bool {
    let mut seen: Vec<&JailName> = Vec::new();
    let mut open = vec![from];
    while let Some(jail) = open.pop() {
        if jail == wanted {
            return true;
        }
        if seen.contains(&jail) {
            continue;
        }
        seen.push(jail);
        open.extend(moves.iter().filter(|(m, _)| m.jail == *jail).flat_map(|(m, _)| &m.after));
    }
    false
}
