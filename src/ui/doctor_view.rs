//! What the doctor found, host by host, with the lines that put it right.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::Severity;
use crate::plan::doctor::Fault;
use crate::plan::doctor::Report;
use crate::ui::paint::Paint;
use crate::ui::plan_view;
use crate::ui::sanitize;

/// Columns of a terminal that nobody made wider. Lines to type are never broken.
const WIDTH: usize = 80;

/// All of it, ending with a newline.
#[must_use]
pub fn render(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    let mut place: Option<Option<&NodeName>> = None;
    for fault in &report.faults {
        let host = fault.finding.host.as_ref();
        if place != Some(host) {
            place = Some(host);
            let title = host.map_or("of no single host", NodeName::as_str);
            let _ = writeln!(out, "{}", paint.bold(title));
        }
        out.push_str(&told(report, fault, paint));
        out.push('\n');
    }
    for one in &report.left_out {
        paragraph(&mut out, &format!("left out: {}", sanitize::line(one)), "", "  ");
    }
    out.push_str(&closing(report, paint));
    out
}

fn told(report: &Report, fault: &Fault, paint: Paint) -> String {
    let finding = &fault.finding;
    let label = match finding.severity {
        Severity::Error => format!("error[{}]", finding.code),
        Severity::Warning => format!("warning[{}]", finding.code),
        Severity::Note => format!("note[{}]", finding.code),
    };
    let mut text = String::new();
    paragraph(&mut text, &format!("{label} {}", sanitize::line(&finding.what)), "  ", "    ");
    let painted = match finding.severity {
        Severity::Error => paint.red(&label),
        Severity::Warning => paint.yellow(&label),
        Severity::Note => label.clone(),
    };
    let mut out = text.replacen(&label, &painted, 1);
    let affected = report.affected(fault);
    if !affected.is_empty() {
        paragraph(&mut out, &format!("affects: {affected}"), "    ", "      ");
    }
    if !finding.fix.is_empty() {
        paragraph(&mut out, &format!("fix: {}", sanitize::line(&finding.fix)), "    ", "      ");
    }
    out.push_str(&plan_view::remedies(finding));
    out
}

fn closing(report: &Report, paint: Paint) -> String {
    let names = |nodes: &BTreeSet<NodeName>| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let jails: BTreeSet<&JailName> = report.moves.iter().map(|m| &m.jail).collect();
    let jails = jails.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut out = String::new();
    let hosts = if report.examined.is_empty() { "no host".to_owned() } else { names(&report.examined) };
    let moves = if report.moves.is_empty() {
        "no move".to_owned()
    } else {
        format!("{} moves of jails {jails}", report.moves.len())
    };
    paragraph(&mut out, &format!("examined: {hosts}; {moves}"), "", "  ");
    if !report.unexamined.is_empty() {
        paragraph(&mut out, &format!("not examined: {}", names(&report.unexamined)), "", "  ");
    }
    let (errors, warnings) = report.count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let verdict = match (errors, warnings) {
        (0, 0) => paint.green("all is well"),
        (0, _) => format!("{}, no error: nothing would be refused", plural(warnings, "warning")),
        _ => format!("{}, {}", paint.red(&plural(errors, "error")), plural(warnings, "warning")),
    };
    let _ = writeln!(out, "{verdict}");
    out
}

/// A paragraph that fits the width, as far as its words do.
fn paragraph(out: &mut String, text: &str, first: &str, more: &str) {
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(first)
        .subsequent_indent(more)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::AsciiSpace);
    for line in textwrap::wrap(text, options) {
        out.push_str(&line);
        out.push('\n');
    }
}
