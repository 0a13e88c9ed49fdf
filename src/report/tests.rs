//! The page of a run in which everything happened, with a host that wishes it ill.

use crate::model::RunId;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;
use crate::report::Report;
use crate::report::page::page;
use crate::saga::RunRecord;
use crate::saga::StepState;
use crate::saga::record;

/// What a host could say to get something into the page.
const HOSTILE: &str = "</pre></details><script src=\"https://evil.example/x.js\">alert('x')</script><img src=x onerror=alert(1)> & ]]> \u{202e}txt.exe \u{1b}[2J\u{0}\u{fffe}";

fn plan() -> Plan {
    let world = Shape::testbed().world();
    let (evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big"));
    assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), "0", findings).unwrap()
}

/// Steps 1 to 3, the stop of the jail, then a failure, and everything undone.
fn journal(plan: &Plan, way: Way) -> RunRecord {
    let mut lines = Vec::new();
    let mut second = 0;
    let mut line = |what: serde_json::Value, first: bool| {
        second += 1;
        let at = format!("2026-11-27T02:{:02}:{:02}Z", second / 60, second % 60);
        let mut entry = serde_json::json!({ "at": at, "what": what });
        if first {
            entry["format"] = 1.into();
        }
        lines.push(entry.to_string());
    };
    let header = serde_json::json!({ "header": {
        "run": plan.run, "jail": plan.jail, "from": plan.source, "to": plan.target,
        "plan": serde_json::to_value(plan).unwrap(),
    }});
    line(header, true);
    let step = |number: usize, phase: &str, reason: Option<&str>| serde_json::json!({ "step": { "number": number, "phase": phase, "reason": reason } });
    let last = match way {
        Way::Forward => plan.steps.len(),
        Way::Back | Way::Cut => plan.steps.iter().position(|s| s.phase == crate::plan::Phase::Prove).unwrap() + 1,
    };
    for number in 1..=last {
        line(step(number, "intended", None), false);
        for command in plan.steps[number - 1].commands().iter().take(1) {
            let ran = serde_json::json!({ "command": {
                "host": command.host, "line": command.remote_line(crate::effect::command::Become::None),
                "stdin": command.stdin(), "status": 0, "milliseconds": 12, "stdout": HOSTILE, "stderr": "",
            }});
            line(ran, false);
        }
        let failed = number == last && matches!(way, Way::Back);
        if number == last && matches!(way, Way::Cut) {
            break;
        }
        line(step(number, if failed { "failed" } else { "done" }, failed.then_some(HOSTILE)), false);
    }
    match way {
        Way::Forward => {
            let nodes = |cpu: u64| serde_json::json!([{ "node": "spare", "jails": 3, "disk": 1, "used": { "cpu": cpu, "memory": 5 }, "capacity": { "cpu": 4000, "memory": 0 } }]);
            let decision = serde_json::json!({ "moves": [], "before": nodes(4800), "after": nodes(1000) });
            line(serde_json::json!({ "note": { "text": "one of nightly.yml", "decision": decision } }), false);
            line(serde_json::json!({ "finished": { "outcome": "moved", "blackout_milliseconds": 2300 } }), false)
        }
        Way::Cut => {}
        Way::Back => {
            line(serde_json::json!({ "note": { "text": HOSTILE } }), false);
            for number in (1..=last).rev() {
                line(step(number, "undoing", None), false);
                line(step(number, "undone", None), false);
            }
            line(serde_json::json!({ "finished": { "outcome": "rolled-back" } }), false);
        }
    }
    record::read((lines.join("\n") + "\n").as_bytes()).unwrap()
}

#[derive(Clone, Copy)]
enum Way {
    Forward,
    Back,
    Cut,
}

/// Is it well-formed XML (all tags closed in order, attributes quoted, references known)? The names and texts of its
/// elements, in order.
fn elements(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a doctype");
    let (mut open, mut all): (Vec<String>, Vec<_>) = (Vec::new(), Vec::new());
    while let Some(at) = rest.find('<') {
        text_is_clean(&rest[..at]);
        let end = rest[at..].find('>').expect("a tag ends") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed in another order");
            continue;
        }
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |t| (t, true));
        let (name, mut attributes) = tag.trim_end().split_once(' ').unwrap_or((tag.trim_end(), ""));
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "<{name}>");
        let mut list = Vec::new();
        while !attributes.trim().is_empty() {
            let (key, after) = attributes.split_once("=\"").expect("attributes are quoted");
            let (value, after) = after.split_once('"').expect("and end");
            text_is_clean(value);
            list.push((key.trim().to_owned(), value.to_owned()));
            attributes = after;
        }
        all.push((name.to_owned(), list));
        if !empty {
            open.push(name.to_owned());
        }
    }
    assert_eq!((open, rest.trim()), (vec![], ""), "everything is closed");
    all
}

fn text_is_clean(text: &str) {
    assert!(!text.contains('>') || text.contains('{'), "{text}");
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"].iter().any(|r| text[at..].starts_with(r));
        assert!(known, "{}", &text[at..]);
    }
    assert!(
        text.chars().all(|c| (c == '\n' || c == '\t' || !c.is_control())
            && !('\u{202a}'..='\u{202e}').contains(&c)
            && c != '\u{fffe}'),
        "{text:?}"
    );
}

#[test]
fn the_page_is_whole_and_alone_whatever_hosts_say() {
    let plan = plan();
    for way in [Way::Forward, Way::Back, Way::Cut] {
        let page = page(&Report::of(&journal(&plan, way), false));
        let elements = elements(&page);
        let names: Vec<&str> = elements.iter().map(|(name, _)| name.as_str()).collect();
        for forbidden in ["script", "img", "iframe", "object", "form", "a", "base", "svg"] {
            assert!(!names.contains(&forbidden), "<{forbidden}>");
        }
        assert!(page.contains("&lt;script src=&quot;https://evil.example/x.js&quot;&gt;"), "shown, not carried out");
        for (name, attributes) in &elements {
            for (key, value) in attributes {
                assert!(!key.starts_with("on"), "<{name} {key}>");
                assert!(
                    !["src", "href", "srcset", "action"].contains(&key.as_str()) || value == "data:,",
                    "<{name} {key}={value}>"
                );
                if key == "style" {
                    assert!(
                        value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b":;.%".contains(&b)),
                        "{value}"
                    );
                }
            }
        }
        let style = page.split("<style>").nth(1).and_then(|s| s.split("</style>").next()).unwrap();
        assert!(!style.contains("url(") && !style.contains("@import") && style.contains("prefers-color-scheme: dark"));
        assert!(page.contains("default-src 'none'") || page.contains("default-src &#39;none&#39;"));
    }
}

#[test]
fn a_run_that_moved() {
    let plan = plan();
    let report = Report::of(&journal(&plan, Way::Forward), false);
    assert_eq!((report.outcome.as_str(), report.exit, report.blackout_milliseconds), ("moved", Some(0), Some(2300)));
    assert_eq!(report.predicted_blackout_milliseconds, Some(plan.predicted_blackout));
    let away = report.cut_over.unwrap();
    assert!(away.from < away.to && away.to < report.length);
    assert_eq!(report.lanes.iter().map(|l| l.host.as_str()).take(3).collect::<Vec<_>>(), ["spare", "big", "small"]);
    let bars: usize = report.lanes.iter().map(|l| l.bars.len()).sum();
    assert_eq!(bars, plan.steps.len());
    assert!(report.steps.iter().all(|s| s.state == StepState::Done && s.milliseconds.is_some()));
    // Each command is with its step, none is left over.
    for (view, step) in report.steps.iter().zip(&plan.steps) {
        assert_eq!(view.commands.len(), step.commands().len().min(1), "{}", step.title);
    }
    assert_eq!(report.other_commands, vec![]);
    let handed = report.network.iter().find(|c| c.what.contains("192.168.123.50/32")).unwrap();
    assert_ne!(handed.before, handed.after);
    let levels = report.levels.as_ref().unwrap();
    assert_eq!((levels.before[0].used.cpu, levels.after[0].used.cpu), (4800, 1000));
    let page = page(&report);
    assert!(page.contains("<h3>spare, 3 jails</h3>") && page.contains("cpu 120.00%") && page.contains("cpu 25.00%"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((json["format"].as_u64(), json["run"].as_str()), (Some(1), Some(plan.run.as_str())));
}

#[test]
fn runs_that_went_back_or_were_cut_off() {
    let plan = plan();
    let back = Report::of(&journal(&plan, Way::Back), false);
    assert_eq!((back.outcome.as_str(), back.exit, back.blackout_milliseconds), ("rolled-back", Some(4), None));
    assert!(back.network.iter().all(|c| c.before == c.after), "everything is as before");
    assert!(back.lanes.iter().flat_map(|l| &l.bars).any(|b| b.undo) && back.cut_over.is_some());
    let cut = journal(&plan, Way::Cut);
    let report = Report::of(&cut, false);
    assert_eq!((report.outcome.as_str(), report.exit, report.ended), ("interrupted", None, None));
    assert_eq!(Report::of(&cut, true).outcome, "running");
    assert!(report.lanes.iter().flat_map(|l| &l.bars).any(|b| b.failed), "the step that never ended");
}

/// A journal whose plan this jailferry cannot read still tells what happened.
#[test]
fn a_plan_of_another_jailferry() {
    let mut record = journal(&plan(), Way::Forward);
    record.header.plan = serde_json::json!({ "format": 99 });
    let report = Report::of(&record, false);
    assert_eq!((report.steps.len(), report.hub, report.exit), (0, None, Some(0)));
    assert!(!report.other_commands.is_empty());
    elements(&page(&Report::of(&record, false)));
    assert_eq!(report.run, RunId::new(record.header.run.as_str()).unwrap());
}
