//! Reads what a playbook says of all its moves together.

use jiff::SignedDuration;

use crate::model::NodeName;
use crate::plan::Phase;
use crate::playbook::batch::Batch;
use crate::playbook::batch::Called;
use crate::playbook::batch::Edge;
use crate::playbook::batch::Hook;
use crate::playbook::batch::HookHost;
use crate::playbook::batch::Notify;
use crate::playbook::batch::NotifyWay;
use crate::playbook::batch::Occasion;
use crate::playbook::batch::Parallel;
use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::fleet::Fleet;
use crate::playbook::read::fleet::known;
use crate::playbook::read::options::duration;
use crate::playbook::read::options::plain_text;
use crate::playbook::reader::Fields;
use crate::playbook::reader::Problem;
use crate::playbook::reader::choice;
use crate::playbook::reader::list;
use crate::playbook::reader::number;
use crate::playbook::reader::scalar;
use crate::playbook::yaml::Located;
use crate::playbook::yaml::Value;

/// How long a hook may take when nobody says so.
const HOOK: SignedDuration = SignedDuration::from_secs(60);

/// A script longer than this belongs into a file on the host.
const LONGEST_SCRIPT: usize = 16 << 10;

const MOMENTS: &[(&str, (Edge, Phase))] = &[
    ("before copy", (Edge::Before, Phase::Copy)),
    ("after copy", (Edge::After, Phase::Copy)),
    ("before stage", (Edge::Before, Phase::Stage)),
    ("after stage", (Edge::After, Phase::Stage)),
    ("before arm", (Edge::Before, Phase::Arm)),
    ("after arm", (Edge::After, Phase::Arm)),
    ("before rehearse", (Edge::Before, Phase::Rehearse)),
    ("after rehearse", (Edge::After, Phase::Rehearse)),
    ("before cut-over", (Edge::Before, Phase::CutOver)),
    ("after cut-over", (Edge::After, Phase::CutOver)),
    ("before prove", (Edge::Before, Phase::Prove)),
    ("after prove", (Edge::After, Phase::Prove)),
    ("before persist", (Edge::Before, Phase::Persist)),
    ("after persist", (Edge::After, Phase::Persist)),
];

/// The settings that stand among the other keys of a playbook.
pub(crate) fn batch(fields: &mut Fields<'_>, fleet: Option<&Fleet>, findings: &mut Findings) -> Batch {
    let parallel = fields.get("parallel").and_then(|n| parallel(n, findings)).unwrap_or_default();
    let stop_after = fields.get("stop_after").and_then(|n| number(n, "a number of failures", 1..=u32::MAX, findings));
    let windows = fields.get("windows").and_then(|n| list(n, "a list of windows", findings)).unwrap_or_default();
    let windows = windows.iter().filter_map(|n| {
        scalar(n, "a window", findings, |text| {
            text.parse().map_err(|error: crate::playbook::window::InvalidWindow| {
                Problem::new(error.to_string(), "such as `Mon-Fri 22:00-05:00`")
            })
        })
    });
    let windows = windows.collect();
    let time_zone = fields.get("time_zone").and_then(|n| scalar(n, "a time zone", findings, zone));
    let hooks = fields.get("hooks").and_then(|n| list(n, "a list of hooks", findings)).unwrap_or_default();
    let hooks = hooks.iter().filter_map(|n| hook(n, fleet, findings)).collect();
    let told = fields.get("notify").and_then(|n| list(n, "a list of who is told", findings)).unwrap_or_default();
    let notify = told.iter().filter_map(|n| one_told(n, findings)).collect();
    Batch { parallel, stop_after, windows, time_zone, hooks, notify }
}

fn parallel(node: &Located, findings: &mut Findings) -> Option<Parallel> {
    let mut fields = Fields::of(node, "parallel", findings)?;
    let usual = Parallel::default();
    let mut count = |key| fields.get(key).and_then(|n| number(n, "a number of moves", 1..=64, findings));
    let read = Parallel {
        moves: count("moves").unwrap_or(usual.moves),
        per_node: count("per_node").unwrap_or(usual.per_node),
        per_link: count("per_link").unwrap_or(usual.per_link),
    };
    fields.finish(findings);
    Some(read)
}

/// A name of the IANA time zone database; whether it exists, the machine says.
fn zone(text: &str) -> Result<String, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
    if !text.is_empty() && text.len() < 64 && text.chars().all(fits) && !text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(Problem::new(format!("`{text}` is not the name of a time zone"), "such as Europe/Berlin or UTC"))
}

fn hook(node: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<Hook> {
    let mut fields = Fields::of(node, "a hook", findings)?;
    let when = fields.require("when", "before or after which phase?", findings);
    let when = when.and_then(|n| choice(n, "a moment of a move", MOMENTS, findings));
    let command = fields.get("command").map(|n| command(n, findings));
    let on = fields.get("on").map(|n| host(n, fleet, findings));
    let script = fields.get("script").map(|n| script(n, findings));
    let timeout = fields.get("timeout").map_or(Some(HOOK), |n| limit(n, findings));
    const FAILURES: &[(&str, bool)] = &[("stop", true), ("ignore", false)];
    let stops = fields.get("failure").map_or(Some(true), |n| choice(n, "what a failure does", FAILURES, findings));
    fields.finish(findings);
    let what = match (command, on, script) {
        (Some(command), None, None) => Called::Command(command?),
        (None, Some(on), Some(text)) => Called::Script { on: on?, text: text? },
        (Some(_), _, _) => {
            let finding = Diagnostic::error("a hook with `command` and with `on` or `script`", node.span.clone());
            findings.push(finding.hint("`command` runs on this machine, `script` on the host that `on` names"));
            return None;
        }
        _ => {
            let finding = Diagnostic::error("a hook without anything to run", node.span.clone());
            findings.push(finding.hint("write `command: …`, or `on: target` and `script: …`"));
            return None;
        }
    };
    let (edge, phase) = when?;
    Some(Hook { phase, edge, what, timeout: timeout?, stops: stops? })
}

/// How long a hook may take.
fn limit(node: &Located, findings: &mut Findings) -> Option<SignedDuration> {
    let length = duration(node, findings)?;
    if length <= SignedDuration::from_mins(10) {
        return Some(length);
    }
    let problem = Problem::new("a hook of more than 10 minutes", "the move waits for it");
    findings.push(problem.hint("let it start what takes longer, and end").at(node.span.clone()));
    None
}

/// A text for /bin/sh, or program and arguments.
fn command(node: &Located, findings: &mut Findings) -> Option<Vec<String>> {
    if matches!(node.value, Value::List(_)) {
        let words = list(node, "a program with its arguments", findings)?;
        return words.iter().map(|w| plain_text(w, "a word of a command", findings)).collect();
    }
    plain_text(node, "a command", findings).map(|t| vec!["/bin/sh".into(), "-c".into(), t])
}

fn host(node: &Located, fleet: Option<&Fleet>, findings: &mut Findings) -> Option<HookHost> {
    let text = plain_text(node, "source, target, hub or a node", findings)?;
    match text.as_str() {
        "source" => return Some(HookHost::Source),
        "target" => return Some(HookHost::Target),
        "hub" => return Some(HookHost::Hub),
        _ => {}
    }
    let name = scalar(node, "the name of a node", findings, |t| t.parse::<NodeName>().map_err(Problem::from))?;
    if let Some(fleet) = fleet {
        known(name.as_str(), &node.span, "the host", "nodes", fleet.nodes.keys().map(NodeName::as_str), findings);
    }
    Some(HookHost::Node(name))
}

/// Several lines, printable.
fn script(node: &Located, findings: &mut Findings) -> Option<String> {
    scalar(node, "a script", findings, |text| {
        if text.trim().is_empty() {
            return Err(Problem::new("expected a script, found nothing", "an empty text"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(Problem::new("a control character", "only line ends and tabs can be part of a script"));
        }
        if text.len() > LONGEST_SCRIPT {
            let problem = Problem::new("a script of more than 16 KiB", "too long");
            return Err(problem.hint("put it into a file on the host and call that"));
        }
        Ok(text.trim_end().to_owned())
    })
}

fn one_told(node: &Located, findings: &mut Findings) -> Option<Notify> {
    const OCCASIONS: &[(&str, Occasion)] =
        &[("moved", Occasion::Moved), ("failed", Occasion::Failed), ("finished", Occasion::Finished)];
    let mut fields = Fields::of(node, "a notification", findings)?;
    let on = fields.get("on").and_then(|n| list(n, "a list of occasions", findings)).unwrap_or_default();
    let on = on.iter().filter_map(|n| choice(n, "an occasion", OCCASIONS, findings)).collect();
    let command = fields.get("command").map(|n| command(n, findings));
    let post = fields.get("post").map(|n| scalar(n, "a URL", findings, url));
    fields.finish(findings);
    let way = match (command, post) {
        (Some(command), None) => NotifyWay::Command(command?),
        (None, Some(post)) => NotifyWay::Post(post?),
        _ => {
            let finding = Diagnostic::error("a notification needs one way", node.span.clone());
            findings.push(finding.hint("write either `command: …` or `post: https://…`"));
            return None;
        }
    };
    Some(Notify { on, way })
}

fn url(text: &str) -> Result<String, Problem> {
    let web = text.starts_with("http://") || text.starts_with("https://");
    if web && text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(format!("`{text}` is not a URL"), "such as https://example.org/hook"))
}
