//! Reads `rebalance:`, and what nodes and jails declare for it.

use std::collections::BTreeSet;

use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::amounts::Amount;
use crate::playbook::amounts::Reserve;
use crate::playbook::amounts::Thousandths;
use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::fleet::Fleet;
use crate::playbook::read::options::duration;
use crate::playbook::read::options::size;
use crate::playbook::read::playbook::is_jail;
use crate::playbook::read::playbook::is_node;
use crate::playbook::reader::Fields;
use crate::playbook::reader::Problem;
use crate::playbook::reader::choice;
use crate::playbook::reader::list;
use crate::playbook::reader::name;
use crate::playbook::reader::number;
use crate::playbook::reader::scalar;
use crate::playbook::rebalance::Rebalance;
use crate::playbook::rebalance::Rule;
use crate::playbook::rebalance::What;
use crate::playbook::yaml::Located;
use crate::rebalance::Goal;

const GOALS: &[(&str, Goal)] =
    &[("spread", Goal::Spread), ("consolidate", Goal::Consolidate), ("violations", Goal::Violations)];
const FORCES: &[(&str, bool)] = &[("must", true), ("better", false)];

/// The value of `rebalance:`.
pub(crate) fn rebalance(node: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<Rebalance> {
    let mut fields = Fields::of(node, "rebalance", findings)?;
    let goal = fields.get("goal").and_then(|n| choice(n, "a goal", GOALS, findings)).unwrap_or_default();
    let nodes_at = fields.get("nodes");
    let nodes = nodes_at.map(|n| nodes(n, fleet, findings)).unwrap_or_default();
    if let Some(at) = nodes_at.filter(|_| nodes.len() == 1) {
        let finding = Diagnostic::error("one node alone cannot be balanced", at.span.clone());
        findings.push(finding.hint("name at least two, or leave the key out"));
    }
    let mut share = |key, bounds| fields.get(key).and_then(|n| percent(n, bounds, findings));
    let (band, limit, min_gain) = (share("band", (1, 1000)), share("limit", (10, 1000)), share("min_gain", (0, 1000)));
    let most_moves = fields.get("most_moves").and_then(|n| number(n, "a number of moves", 1..=u32::MAX, findings));
    let samples = fields.get("samples").and_then(|n| number(n, "a number of samples", 1..=100, findings));
    let mut length = |key| fields.get(key).and_then(|n| duration(n, findings));
    let (every, cooldown, remember_failures) = (length("every"), length("cooldown"), length("remember_failures"));
    let seed = fields.get("seed").and_then(|n| number(n, "a seed", 0..=u64::MAX, findings));
    let rules = fields.get("rules").and_then(|n| list(n, "a list of rules", findings)).unwrap_or_default();
    let rules = rules.iter().filter_map(|n| rule(n, fleet, findings)).collect();
    fields.finish(findings);
    Some(Rebalance {
        goal,
        nodes,
        band,
        limit,
        min_gain,
        most_moves,
        samples,
        every,
        cooldown,
        remember_failures,
        seed,
        rules,
    })
}

fn rule(node: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<Rule> {
    let mut fields = Fields::of(node, "a rule", findings)?;
    let jails_at = fields.require("jails", "which jails is it about?", findings);
    let items = jails_at.and_then(|n| list(n, "a list of jails", findings));
    let mut jails: Vec<JailName> = Vec::new();
    for at in items.unwrap_or_default() {
        let one = name::<JailName>(at, "the name of a jail", findings);
        is_jail(fleet, &one, Some(at), findings);
        if one.as_ref().is_some_and(|o| jails.contains(o)) {
            findings.push(Diagnostic::error("the jail is named twice", at.span.clone()));
        }
        jails.extend(one);
    }
    let mut whats: Vec<Option<What>> = Vec::new();
    const YES: &[(&str, ())] = &[("true", ())];
    whats.extend(fields.get("stay").map(|n| choice(n, "what `stay` says", YES, findings).map(|()| What::Stay)));
    whats.extend(fields.get("on").map(|n| Some(What::On(nodes(n, fleet, findings)))));
    whats.extend(fields.get("not").map(|n| Some(What::Not(nodes(n, fleet, findings)))));
    whats.extend(fields.get("prefer").map(|n| Some(What::Prefer(nodes(n, fleet, findings)))));
    let mut between = |key, what: fn(bool) -> What| {
        let at = fields.get(key)?;
        if let Some(all) = items.filter(|i| i.len() < 2).and(jails_at) {
            findings.push(Diagnostic::error("a rule between jails needs two of them", all.span.clone()));
        }
        Some(choice(at, "a weight of a rule", FORCES, findings).map(what))
    };
    whats.extend(between("together", |hard| What::Together { hard }));
    whats.extend(between("apart", |hard| What::Apart { hard }));
    fields.finish(findings);
    if whats.len() != 1 {
        let said = if whats.is_empty() { "nothing" } else { "several things" };
        let finding = Diagnostic::error(format!("a rule that says {said}"), node.span.clone());
        findings.push(finding.hint("write one of stay, on, not, prefer, together, apart beside `jails`"));
        return None;
    }
    Some(Rule { jails, what: whats.pop()?? })
}

fn nodes(node: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> BTreeSet<NodeName> {
    let mut all = BTreeSet::new();
    for at in list(node, "a list of nodes", findings).unwrap_or_default() {
        let one = name::<NodeName>(at, "the name of a node", findings);
        is_node(fleet, &one, Some(at), "the node", findings);
        all.extend(one);
    }
    all
}

/// Processors and memory that a node has or a jail uses.
pub(crate) fn amount(node: &Located, what: &'static str, findings: &mut Findings) -> Option<Amount> {
    let mut fields = Fields::of(node, what, findings)?;
    let cpu = fields.get("cpu").and_then(|n| processors(n, findings));
    let memory = fields.get("memory").and_then(|n| size(n, findings));
    fields.finish(findings);
    Some(Amount { cpu, memory })
}

/// What a node keeps for itself.
pub(crate) fn reserve(node: &Located, findings: &mut Findings) -> Option<Reserve> {
    let mut fields = Fields::of(node, "a reserve", findings)?;
    let cpu = fields.get("cpu").and_then(|n| processors(n, findings));
    let mut bytes = |key| fields.get(key).and_then(|n| size(n, findings));
    let (memory, disk) = (bytes("memory"), bytes("disk"));
    fields.finish(findings);
    Some(Reserve { cpu, memory, disk })
}

/// Words that a node provides and a jail needs, such as `ssd`.
pub(crate) fn features(node: &Located, findings: &mut Findings) -> BTreeSet<String> {
    let items = list(node, "a list of words", findings).unwrap_or_default();
    let read = |n: &Located, findings: &mut Findings| {
        scalar(n, "a word", findings, |text| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if !text.is_empty() && text.len() <= 63 && text.chars().all(fits) {
                return Ok(text.to_owned());
            }
            Err(Problem::new(format!("`{text}` is not a word"), "letters, digits, '.', '_' and '-', at most 63"))
        })
    };
    items.iter().filter_map(|n| read(n, findings)).collect()
}

fn processors(node: &Located, findings: &mut Findings) -> Option<Thousandths> {
    scalar(node, "a number of processors", findings, |text| {
        let read = Thousandths::read(text).filter(|t| (1..=100_000_000).contains(&t.0));
        read.ok_or_else(|| Problem::new(format!("`{text}` is not a number of processors"), "such as 8 or 0.5"))
    })
}

/// A share such as `20%`, within bounds in thousandths.
fn percent(node: &Located, (least, most): (u64, u64), findings: &mut Findings) -> Option<Thousandths> {
    scalar(node, "a share", findings, |text| {
        let shown = |thousandths: u64| Thousandths(thousandths * 100);
        let label = format!("from {}% to {}%, such as 2.5%", shown(least), shown(most));
        let problem = Problem::new(format!("`{text}` is not a share"), label);
        let Some(number) = text.strip_suffix('%') else {
            return Err(problem.hint("write it with its `%`"));
        };
        // A hundredth is ten thousandths; one digit after the point is what a thousandth can tell.
        match Thousandths::read(number.trim_end()) {
            Some(Thousandths(n)) if n % 100 == 0 && (least..=most).contains(&(n / 100)) => Ok(Thousandths(n / 100)),
            _ => Err(problem),
        }
    })
}
