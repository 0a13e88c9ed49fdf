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
use crate::playbook::source::Place;
use crate::playbook::source::Source;
use crate::ui::sanitize;

/// The longest line, in bytes, that is handed to the renderer whole (it shows the part around the mark).
const LONGEST_LINE: usize = 4096;

/// A place in the text, what to say of it, and whether it is the finding's own.
type Mark<'m> = (Range<usize>, &'m str, AnnotationKind);

/// A snippet; with the true place of its first mark when the beginning of its line is cut off.
type Window<'a> = (Option<Place>, Snippet<'a, annotate_snippets::Annotation<'a>>);

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
        for (cut_at, window) in windows(source, &marks) {
            group = group.element(window.path(name));
            if let Some(Place { line, column }) = cut_at {
                // The renderer counts columns from the cut.
                let place = format!("the line is cut; its mark is at line {line}, column {column}");
                group = group.element(Level::NOTE.message(place));
            }
        }
    }
    for hint in finding.hints.iter().filter(|h| !h.is_empty()) {
        group = group.element(Level::HELP.message(sanitize::line(hint)));
    }
    group
}

/// The lines around the marks: one snippet when they are near each other, else one for each. Only these lines are
/// handed to the renderer, so that neither a large file nor an endless line costs more than a small one.
fn windows<'a>(source: &Source, marks: &[Mark<'_>]) -> Vec<Window<'a>> {
    let top = marks.iter().map(|(at, ..)| at.start).min().unwrap_or(0);
    let bottom = marks.iter().map(|(at, ..)| source.first_line(at).end).max().unwrap_or(0);
    let between = source.text().get(top..bottom).unwrap_or_default();
    if between.lines().count() <= 40 && between.lines().all(|line| line.len() <= LONGEST_LINE) {
        return vec![window(source, marks)];
    }
    marks.iter().map(|mark| window(source, std::slice::from_ref(mark))).collect()
}

fn window<'a>(source: &Source, marks: &[Mark<'_>]) -> Window<'a> {
    let text = source.text();
    let spans: Vec<Range<usize>> = marks.iter().map(|(at, ..)| source.first_line(at)).collect();
    let top = spans.iter().map(|s| s.start).min().unwrap_or(0);
    let bottom = spans.iter().map(|s| s.end).max().unwrap_or(0);
    let start = line_start(text, top);
    let end = text.get(bottom..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| bottom + at);
    // A line of a megabyte is shown around the mark only.
    let start = if top - start > LONGEST_LINE { text.floor_char_boundary(top - 40) } else { start };
    let end = if end - bottom > LONGEST_LINE { text.floor_char_boundary(bottom + 80) } else { end };
    let shown: String = harmless(text.get(start..end).unwrap_or_default());
    let line = source.place(start).line;
    let length = shown.len();
    let mut snippet = Snippet::source(shown).line_start(line);
    for (span, (_, label, kind)) in spans.iter().zip(marks) {
        let from = span.start.saturating_sub(start).min(length);
        let to = span.end.saturating_sub(start).clamp(from, length);
        let mark = kind.span(from..to.min(from + LONGEST_LINE));
        snippet = snippet.annotation(if label.is_empty() { mark } else { mark.label(sanitize::line(label)) });
    }
    let cut = start > 0 && !text.get(..start).is_some_and(|before| before.ends_with('\n'));
    (cut.then(|| source.place(spans.first().map_or(start, |s| s.start))), snippet)
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// A text that acts on no terminal, in as many bytes, so that marks keep their places.
fn harmless(text: &str) -> String {
    let instead = |(at, c): (usize, char)| {
        let line_end = c == '\n' || (c == '\r' && text.as_bytes().get(at + 1) == Some(&b'\n'));
        if line_end || c == '\t' || sanitize::is_harmless(c) {
            return c;
        }
        match c.len_utf8() {
            1 if c == '\r' => ' ',
            1 => '?',
            2 => '·',
            3 => '\u{fffd}',
            _ => '\u{1d13d}',
        }
    };
    text.char_indices().map(instead).collect()
}
