//! Reads playbooks.

use std::path::PathBuf;

use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::diagnostic::Findings;
use crate::playbook::fleet::Fleet;
use crate::playbook::moves::Move;
use crate::playbook::moves::Playbook;
use crate::playbook::read::fleet::known;
use crate::playbook::read::options::options;
use crate::playbook::read::options::plain_text;
use crate::playbook::read::schedule::schedule;
use crate::playbook::reader::Fields;
use crate::playbook::reader::list;
use crate::playbook::reader::name;
use crate::playbook::yaml::Located;

/// The playbook of a document. With `fleet`, jails and nodes must be known to it.
pub(crate) fn playbook(root: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<Playbook> {
    let mut fields = Fields::of(root, "a playbook", findings)?;
    let path = fields.get("fleet").and_then(|n| plain_text(n, "a path", findings)).map(PathBuf::from);
    let options = options(&mut fields, findings);
    let schedule = fields.get("schedule").and_then(|n| schedule(n, findings));
    let moves = fields.require("moves", "which jail goes where?", findings);
    let moves = moves.and_then(|n| list(n, "a list of moves", findings));
    let moves = moves.map(|items| items.iter().filter_map(|item| one_move(item, fleet, findings)).collect());
    fields.finish(findings);
    Some(Playbook { fleet: path, options, schedule, moves: moves? })
}

fn one_move(item: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<Move> {
    let mut fields = Fields::of(item, "a move", findings)?;
    let jail_at = fields.require("jail", "which jail?", findings);
    let jail = jail_at.and_then(|n| name::<JailName>(n, "the name of a jail", findings));
    let to_at = fields.require("to", "to which node?", findings);
    let to = to_at.and_then(|n| name::<NodeName>(n, "the name of a node", findings));
    let options = options(&mut fields, findings);
    fields.finish(findings);
    if let (Some(fleet), Some(to), Some(at)) = (fleet, &to, to_at) {
        known(to.as_str(), &at.span, "the target", "nodes", fleet.nodes.keys().map(NodeName::as_str), findings);
    }
    // A fleet that lists no jails leaves it to the hosts which there are.
    if let (Some(fleet), Some(jail), Some(at)) = (fleet.filter(|f| !f.jails.is_empty()), &jail, jail_at) {
        known(jail.as_str(), &at.span, "the jail", "jails", fleet.jails.keys().map(JailName::as_str), findings);
    }
    Some(Move { jail: jail?, to: to?, options })
}
