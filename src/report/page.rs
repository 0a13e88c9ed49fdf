//! The page: HTML that is well-formed XML as well, with its style inside, without scripts, and forbidden to load anything.

use std::fmt;
use std::fmt::Write;

use jiff::Timestamp;

use crate::plan::Phase;
use crate::plan::Severity;
use crate::report::Changed;
use crate::report::CommandView;
use crate::report::Report;
use crate::report::StepView;
use crate::report::timeline::Span;
use crate::saga::StepState;
use crate::ui::sanitize;
use crate::ui::text::bytes;
use crate::ui::text::duration;

const STYLE: &str = include_str!("style.css");

/// A text from anywhere, made harmless: no markup, no control character, nothing that hides or turns round its neighbours.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                // Not even as a reference may these stand in XML.
                '\u{fffe}' | '\u{ffff}' => write!(f, "{}", c.escape_default())?,
                c if sanitize::is_harmless(c) => f.write_char(c)?,
                c => write!(f, "{}", c.escape_default())?,
            }
        }
        Ok(())
    }
}

/// How every page begins.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
     <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\" />\n\
     <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
     <meta name=\"referrer\" content=\"no-referrer\" />\n\
     <link rel=\"icon\" href=\"data:,\" />\n";

/// Is that a page of ours?
#[must_use]
pub fn is_page(bytes: &[u8]) -> bool {
    bytes.starts_with(HEAD.as_bytes())
}

/// The whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let title = format!("{}: jail {} from {} to {}", report.run, report.jail, report.source, report.target);
    // Writing to a String cannot fail.
    let _ = write!(out, "{HEAD}<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n", Text(&title));
    head(&mut out, report);
    blackout(&mut out, report);
    terms(&mut out, report);
    timeline(&mut out, report);
    levels(&mut out, report);
    changes(&mut out, report);
    findings(&mut out, report);
    steps(&mut out, report);
    rest(&mut out, report);
    out.push_str("</body>\n</html>\n");
    out
}

fn head(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "<h1>Jail {} from {} to {}</h1>\n<p class=\"dim\">run {}, begun {}{}</p>",
        Text(report.jail.as_str()),
        Text(report.source.as_str()),
        Text(report.target.as_str()),
        Text(report.run.as_str()),
        time(report.started),
        report.ended.map(|at| format!(", ended {}", time(at))).unwrap_or_default()
    );
    let class = if report.outcome == "moved" { "moved" } else { "bad" };
    let exit = report.exit.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let _ = writeln!(out, "<p><span class=\"badge {class}\">{}</span>{exit}</p>", Text(&report.outcome));
    if report.torn {
        out.push_str("<p class=\"bad\">The journal ends in the middle of a line, which is left out here.</p>\n");
    }
    let done = report.steps.iter().filter(|s| s.state == StepState::Done).count();
    let _ = writeln!(
        out,
        "<div class=\"figures\"><div>took<b>{}</b></div><div>steps done<b>{done} of {}</b></div><div>to send, planned<b>{}</b></div><div>blackout<b>{}</b></div></div>",
        duration(report.length),
        report.steps.len(),
        report.planned_bytes.map_or_else(|| "not known".into(), bytes),
        report.blackout_milliseconds.map_or_else(|| "not measured".into(), duration),
    );
    if !report.summary.is_empty() {
        out.push_str("<ul>\n");
        for sentence in &report.summary {
            let _ = writeln!(out, "<li>{}</li>", Text(sentence));
        }
        out.push_str("</ul>\n");
    }
}

/// Predicted against real.
fn blackout(out: &mut String, report: &Report) {
    let bars = [
        ("predicted", report.predicted_blackout_milliseconds, ""),
        ("measured", report.blackout_milliseconds, "bad"),
        ("stop to first proven answer, by our clock", report.cut_over.map(|s| s.to - s.from), ""),
    ];
    let most = bars.iter().filter_map(|(_, ms, _)| *ms).max().unwrap_or(0).max(1);
    if bars.iter().all(|(_, ms, _)| ms.is_none()) {
        return;
    }
    out.push_str("<h2>Blackout</h2>\n");
    for (label, milliseconds, class) in bars {
        let Some(milliseconds) = milliseconds else { continue };
        let _ = writeln!(
            out,
            "<p>{label}: {}</p>\n<div class=\"meter\"><i class=\"{class}\" style=\"width:{}%\"></i></div>",
            duration(milliseconds),
            percent(milliseconds, most)
        );
    }
}

/// The parts of it: what was predicted and what was measured.
fn terms(out: &mut String, report: &Report) {
    if report.terms.is_empty() {
        return;
    }
    let parts: Vec<String> = report
        .terms
        .iter()
        .map(|view| {
            let measured = view.measured.map_or_else(|| "not measured".into(), duration);
            format!("{} {measured} ({})", view.term, duration(view.predicted))
        })
        .collect();
    let _ = writeln!(out, "<p class=\"dim\">By our clock, the predictions in brackets: {}</p>", parts.join(", "));
}

fn timeline(out: &mut String, report: &Report) {
    let whole = report.length.max(1);
    out.push_str("<h2>Timeline</h2>\n<p class=\"legend dim\"><span><i class=\"swatch s-do\"></i>step</span> <span><i class=\"swatch s-undo\"></i>undone</span> <span><i class=\"swatch s-bad\"></i>failed or never ended</span> <span><i class=\"swatch s-dark\"></i>the jail is away</span> <span><i class=\"swatch s-told\"></i>as long as predicted</span></p>\n");
    for lane in &report.lanes {
        let _ = write!(out, "<div class=\"lane\"><div>{}</div><div class=\"track\">", Text(lane.host.as_str()));
        if let Some(span) = report.cut_over {
            let _ = write!(
                out,
                "<b {} title=\"the jail is away for {}\"></b>",
                place(span, whole),
                duration(span.to - span.from)
            );
        }
        if let (Some(span), Some(predicted)) = (report.cut_over, report.predicted_blackout_milliseconds) {
            let span = Span { from: span.from, to: span.from.saturating_add(predicted).min(whole).max(span.from) };
            let _ = write!(out, "<em {} title=\"predicted: {}\"></em>", place(span, whole), duration(predicted));
        }
        for bar in &lane.bars {
            let class = match (bar.failed, bar.undo) {
                (true, _) => "bad",
                (false, true) => "undo",
                (false, false) => "",
            };
            let title = report.steps.iter().find(|s| s.number == bar.number).map_or("", |s| s.title.as_str());
            let undo = if bar.undo { "undo of " } else { "" };
            let _ = write!(
                out,
                "<i class=\"{class}\" {} title=\"{undo}{}: {} ({})\"></i>",
                place(bar.span, whole),
                bar.number,
                Text(title),
                duration(bar.span.to - bar.span.from)
            );
        }
        out.push_str("</div></div>\n");
    }
    let _ = writeln!(
        out,
        "<div class=\"lane\"><div></div><div class=\"scale\"><span>0</span><span>{}</span><span>{}</span></div></div>",
        duration(whole / 2),
        duration(whole)
    );
}

/// How full the nodes were, when the run is part of a rebalance.
fn levels(out: &mut String, report: &Report) {
    let Some(levels) = &report.levels else { return };
    out.push_str("<h2>Loads before and after the rebalance</h2>\n<div class=\"pair\">\n");
    for (heading, side) in [("Before", &levels.before), ("After", &levels.after)] {
        let _ = writeln!(out, "<div class=\"card\"><h3>{heading}</h3>");
        for node in side {
            let _ = writeln!(out, "<h3>{}, {} jails</h3>", Text(node.node.as_str()), node.jails);
            let rows = [("cpu", node.used.cpu, node.capacity.cpu), ("memory", node.used.memory, node.capacity.memory)];
            for (what, used, capacity) in rows {
                let _ = writeln!(
                    out,
                    "<p>{what} {}%</p>\n<div class=\"meter\"><i style=\"width:{}%\"></i></div>",
                    percent(used, capacity),
                    percent(used.min(capacity), capacity)
                );
            }
        }
        out.push_str("</div>\n");
    }
    out.push_str("</div>\n");
}

fn changes(out: &mut String, report: &Report) {
    if !report.network.is_empty() {
        out.push_str("<h2>The network before and after</h2>\n<div class=\"pair\">\n");
        for (heading, side) in [
            ("Before", &(|c: &Changed| c.before.clone()) as &dyn Fn(&Changed) -> String),
            ("After", &|c| c.after.clone()),
        ] {
            let _ = writeln!(out, "<div class=\"card\"><h3>{heading}</h3>");
            for lane in &report.lanes {
                let here: Vec<&Changed> = report.network.iter().filter(|c| c.host == lane.host).collect();
                if here.is_empty() {
                    continue;
                }
                let _ = writeln!(out, "<h3>{}</h3>\n<dl>", Text(lane.host.as_str()));
                for changed in here {
                    let value = side(changed);
                    let value = if value.is_empty() { "nothing" } else { &value };
                    let _ = writeln!(out, "<dt>{}</dt><dd><code>{}</code></dd>", Text(&changed.what), Text(value));
                }
                out.push_str("</dl>\n");
            }
            out.push_str("</div>\n");
        }
        out.push_str("</div>\n");
    }
    if !report.other_changes.is_empty() {
        out.push_str("<h2>What else is different</h2>\n<dl>\n");
        for changed in &report.other_changes {
            let value = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
            let _ = writeln!(
                out,
                "<dt>{}</dt><dd><code>{}</code> → <code>{}</code></dd>",
                Text(&changed.what),
                Text(&value(&changed.before)),
                Text(&value(&changed.after))
            );
        }
        out.push_str("</dl>\n");
    }
}

fn findings(out: &mut String, report: &Report) {
    out.push_str("<h2>Findings</h2>\n");
    if report.findings.is_empty() {
        out.push_str("<p class=\"dim\">none</p>\n");
    }
    for finding in &report.findings {
        let (word, class) = match finding.severity {
            Severity::Error => ("error", "bad"),
            Severity::Warning => ("warning", "undo"),
            Severity::Note => ("note", "dim"),
        };
        let host = finding.host.as_ref().map(|h| format!("{h}: ")).unwrap_or_default();
        let _ = writeln!(
            out,
            "<p><span class=\"{class}\">{word}[{}]</span> {}{}</p>",
            Text(&finding.code.to_string()),
            Text(&host),
            Text(&finding.what)
        );
        if !finding.fix.is_empty() {
            let _ = writeln!(out, "<p class=\"dim\">{}</p>", Text(&finding.fix));
        }
    }
}

fn steps(out: &mut String, report: &Report) {
    if report.steps.is_empty() {
        return;
    }
    out.push_str("<h2>Steps and commands</h2>\n");
    let mut phase: Option<Phase> = None;
    for step in &report.steps {
        if phase != Some(step.phase) {
            phase = Some(step.phase);
            let _ = writeln!(out, "<h3>{}</h3>", Text(step.phase.title()));
        }
        one_step(out, step);
    }
}

fn one_step(out: &mut String, step: &StepView) {
    let class = match step.state {
        StepState::Done => "done",
        StepState::NeverStarted | StepState::Skipped => "dim",
        StepState::Undone | StepState::Undoing => "undo",
        StepState::Intended | StepState::Failed | StepState::Stuck => "bad",
    };
    let took = step.milliseconds.map(|ms| format!(", {}", duration(ms))).unwrap_or_default();
    let _ = writeln!(
        out,
        "<details class=\"step\"><summary>{} {}: {} <span class=\"{class}\">{}</span><span class=\"dim\">{took}</span></summary>",
        step.number,
        Text(step.host.as_str()),
        Text(&step.title),
        step.state
    );
    if let Some(reason) = &step.reason {
        let _ = writeln!(out, "<pre>{}</pre>", Text(reason));
    }
    if step.commands.is_empty() {
        out.push_str("<p class=\"dim\">no command ran for it</p>\n");
    }
    for command in &step.commands {
        one_command(out, command);
    }
    out.push_str("</details>\n");
}

fn one_command(out: &mut String, command: &CommandView) {
    let status = match command.status {
        Some(0) => "<span class=\"done\">exit 0</span>".to_owned(),
        Some(code) => format!("<span class=\"bad\">exit {code}</span>"),
        None => "<span class=\"bad\">no exit status</span>".to_owned(),
    };
    let _ = writeln!(
        out,
        "<details><summary>{}: <code>{}</code> {status} <span class=\"when\">in {}, at {}</span></summary>",
        Text(command.host.as_str()),
        Text(&command.line),
        duration(command.milliseconds),
        duration(command.at)
    );
    let parts = [
        ("script", command.script.as_deref().unwrap_or_default()),
        ("standard output, its end", command.stdout.as_str()),
        ("standard error, its end", command.stderr.as_str()),
        ("problem", command.problem.as_deref().unwrap_or_default()),
    ];
    for (label, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        let _ = writeln!(out, "<p class=\"dim\">{label}</p><pre>{}</pre>", Text(text));
    }
    if parts.iter().all(|(_, text)| text.is_empty()) {
        out.push_str("<p class=\"dim\">it said nothing</p>\n");
    }
    out.push_str("</details>\n");
}

fn rest(out: &mut String, report: &Report) {
    if !report.notes.is_empty() {
        out.push_str("<h2>Notes</h2>\n<ul>\n");
        for note in &report.notes {
            let _ = writeln!(out, "<li><span class=\"when\">{}</span> {}</li>", duration(note.at), Text(&note.text));
        }
        out.push_str("</ul>\n");
    }
    if !report.other_commands.is_empty() {
        let _ = writeln!(
            out,
            "<h2>Other commands</h2>\n<details class=\"step\"><summary>{} that belong to no step: signs of life, questions, what came after the run</summary>",
            report.other_commands.len()
        );
        for command in &report.other_commands {
            one_command(out, command);
        }
        out.push_str("</details>\n");
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Where something lies on the track, for a style attribute.
fn place(span: Span, whole: u64) -> String {
    format!("style=\"left:{}%;width:{}%\"", percent(span.from, whole), percent(span.to - span.from, whole))
}

/// Hundredths with two digits behind the point, by whole numbers: the same on every machine.
fn percent(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
