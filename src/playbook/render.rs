//! Findings as text: a snippet of the file with a mark, in the way rustc shows them.

use std::ops::Range;

use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level;
use annotate_snippets::Origin;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;

use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::diagnostic::Severity;
use crate::playbook::source::Source;
use crate::ui::sanitize;

/// The longest part of a line that a snippet shows, in bytes.
const LONGEST_LINE: usize = 400;

/// How findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// With ANSI colours.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Look {
    fn default() -> Look {
        Look { colour: false, width: 140 }
    }
}

/// All findings, one after the other, with a blank line after each.
#[must_use]
pub fn render(source: &Source, findings: &Findings, look: Look) -> String {
    let renderer = if look.colour { Renderer::styled() } else { Renderer::plain() }.term_width(look.width);
    let name = sanitize::line(source.name());
    let mut out = String::new();
    for finding in findings.iter() {
        out.push_str(&renderer.render(&[group(source, &name, finding)]));
        out.push_str("\n\n");
    }
    if findings.dropped() > 0 {
        out.push_str(&format!("{name}: {} more findings are not shown\n\n", findings.dropped()));
    }
    out
}

fn group<'a>(source: &Source, name: &'a str, finding: &Diagnostic) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(sanitize::line(&finding.title)));
    if source.text().is_empty() {
        group = group.element(Origin::path(name));
    } else {
        let mut marks = vec![(finding.at.clone(), finding.label.as_str(), AnnotationKind::Primary)];
        for (at, label) in &finding.others {
            marks.push((at.clone(), label.as_str(), AnnotationKind::Context));
        }
        for window in windows(source, &marks) {
            group = group.element(window.path(name.to_owned()));
        }
    }
    for hint in finding.hints.iter().filter(|h| !h.is_empty()) {
        group = group.element(Level::HELP.message(sanitize::line(hint)));
    }
    group
}

/// The lines around the marks: one snippet when they are near each other, else one for each. Only these lines are
/// handed to the renderer, so that a large file costs no more than a small one.
fn windows<'a>(
    source: &Source,
    marks: &[(Range<usize>, &str, AnnotationKind)],
) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let lines: Vec<usize> = marks.iter().map(|(at, ..)| source.place(at.start).line).collect();
    let (first, last) = (lines.iter().min().copied().unwrap_or(1), lines.iter().max().copied().unwrap_or(1));
    if last - first <= 40 {
        return vec![window(source, marks)];
    }
    marks.iter().map(|mark| window(source, std::slice::from_ref(mark))).collect()
}

fn window<'a>(
    source: &Source,
    marks: &[(Range<usize>, &str, AnnotationKind)],
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = source.text();
    let spans: Vec<Range<usize>> = marks.iter().map(|(at, ..)| source.first_line(at)).collect();
    let top = spans.iter().map(|s| s.start).min().unwrap_or(0);
    let bottom = spans.iter().map(|s| s.end).max().unwrap_or(0);
    let start = line_start(text, top);
    let end = text.get(bottom..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| bottom + at);
    // A line of a megabyte is shown around the mark only.
    let start = if top - start > LONGEST_LINE { text.floor_char_boundary(top - 40) } else { start };
    let end = if end - bottom > LONGEST_LINE { text.floor_char_boundary(bottom + 80) } else { end };
    let shown: String = text.get(start..end).unwrap_or_default().chars().map(harmless).collect();
    let line = source.place(start).line;
    let length = shown.len();
    let mut snippet = Snippet::source(shown).line_start(line);
    for (span, (_, label, kind)) in spans.iter().zip(marks) {
        let from = span.start.saturating_sub(start).min(length);
        let to = span.end.saturating_sub(start).clamp(from, length);
        let mark = kind.span(from..to.min(from + LONGEST_LINE));
        snippet = snippet.annotation(if label.is_empty() { mark } else { mark.label(sanitize::line(label)) });
    }
    snippet
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// A character that a terminal shows and nothing else, in as many bytes, so that marks keep their places.
fn harmless(c: char) -> char {
    if c == '\n' || c == '\t' || sanitize::is_harmless(c) {
        return c;
    }
    match c.len_utf8() {
        1 if c == '\r' => ' ',
        1 => '?',
        2 => '·',
        3 => '\u{fffd}',
        _ => '𝄽',
    }
}
