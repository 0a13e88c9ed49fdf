//! YAML text to a tree in which every value knows its place. The only file that knows the YAML crate.
//!
//! serde stops at the first error and would forget where a value stood, so the tree is built from the parser's events.
//! What makes YAML dangerous is bounded here: nesting, and the number of values after aliases are followed.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map;
use std::ops::Range;

use serde_yaml::granit_parser;
use serde_yaml::granit_parser::ErrorKind;
use serde_yaml::granit_parser::Event;
use serde_yaml::granit_parser::Parser;
use serde_yaml::granit_parser::ScalarStyle;

use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;

/// The most values a file may have once its aliases are followed.
const MOST_VALUES: usize = 100_000;

/// The deepest nesting; fleets and playbooks need six.
const DEEPEST: usize = 32;

/// A value and its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// A YAML value. Scalars stay text: whoever wants a number says so, and a host called `no` is no boolean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Scalar(String),
    List(Vec<Located>),
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Range<usize>,
    pub(crate) value: Located,
}

/// Reads one document. `None` when the text is no YAML, with the reason among the findings.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Located> {
    let mut options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    options.set_emit_comments(false);
    let mut builder = Builder { findings, open: Vec::new(), anchors: HashMap::new(), values: 0, root: None };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span.byte_range().unwrap_or(0..0)),
            Err(error) => Err(syntax(&error, text)),
        };
        if let Err(finding) = step {
            builder.findings.push(*finding);
            return None;
        }
    }
    builder.root
}

/// A parser's error as a finding.
fn syntax(error: &granit_parser::ScanError, text: &str) -> Box<Diagnostic> {
    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let reason = error.info();
    let finding = Diagnostic::error("this is not YAML", at..at).label(reason);
    Box::new(match error.kind() {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            finding.hint("indent with blanks")
        }
        ErrorKind::RecursionLimitExceeded => finding.hint(format!("values may be nested {DEEPEST} deep")),
        ErrorKind::UnknownAnchor => finding.hint("an anchor `&name` must stand before its alias `*name`"),
        ErrorKind::DirectiveDisallowed => finding.hint("remove the line"),
        _ => finding.hint("look at the line above as well: a missing ':', quote or bracket shows only later"),
    })
}

/// A collection whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Located>),
    Map { entries: Vec<Entry>, key: Option<(String, Range<usize>)> },
}

struct Builder<'f> {
    findings: &'f mut Findings,
    open: Vec<Open>,
    /// Anchored values with the number of values in each.
    anchors: HashMap<usize, (Located, usize)>,
    values: usize,
    root: Option<Located>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Range<usize>) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), &span)?;
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                // A key may be called `null`.
                let value = if null && (text.is_empty() || !self.wants_key()) {
                    Value::Null
                } else {
                    Value::Scalar(text.into_owned())
                };
                self.add(Located { span, value }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), &span)?;
                self.open.push(Open { start: span.start, anchor, kind: Kind::List(Vec::new()) });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), &span)?;
                let kind = Kind::Map { entries: Vec::new(), key: None };
                self.open.push(Open { start: span.start, anchor, kind });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let value = match open.kind {
                    Kind::List(items) => Value::List(items),
                    Kind::Map { entries, .. } => {
                        find_duplicates(&entries, self.findings);
                        Value::Map(merge(entries, self.findings))
                    }
                };
                self.add(Located { span: open.start..span.end, value }, open.anchor, 1)
            }
            Event::Alias(id) => {
                let Some((value, size)) = self.anchors.get(&id).cloned() else {
                    let finding = Diagnostic::error("an alias inside of what it stands for", span);
                    return Err(Box::new(finding.label("would never end")));
                };
                self.count(size, &span)?;
                self.add(value, 0, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                let finding = Diagnostic::error("a second document", span).label("only one is read");
                Err(Box::new(finding.hint("write it into a file of its own")))
            }
            _ => Ok(()),
        }
    }

    /// Does the next value become a key?
    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn count(&mut self, more: usize, at: &Range<usize>) -> Result<(), Box<Diagnostic>> {
        self.values = self.values.saturating_add(more);
        if self.values <= MOST_VALUES {
            return Ok(());
        }
        let title = format!("more than {MOST_VALUES} values, with aliases followed");
        Err(Box::new(Diagnostic::error(title, at.clone()).label("reading ends here")))
    }

    fn add(&mut self, node: Located, anchor: usize, own: usize) -> Result<(), Box<Diagnostic>> {
        self.count(own, &node.span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size(&node)));
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, key }) => match (key.take(), node.value) {
                (Some((key, at)), value) => {
                    entries.push(Entry { key, at, value: Located { span: node.span, value } });
                }
                (None, Value::Scalar(text)) => *key = Some((text, node.span)),
                (None, _) => {
                    let finding = Diagnostic::error("a key that is no text", node.span);
                    return Err(Box::new(finding.hint("keys are words, such as `hub`")));
                }
            },
        }
        Ok(())
    }
}

fn refuse_tag(tagged: bool, at: &Range<usize>) -> Result<(), Box<Diagnostic>> {
    if !tagged {
        return Ok(());
    }
    let finding = Diagnostic::error("a YAML tag", at.clone()).label("tags such as `!!str` mean nothing here");
    Err(Box::new(finding.hint("leave it out; put quotes around the value if it is a text")))
}

/// The number of values in a tree.
fn size(node: &Located) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|e| 1 + size(&e.value)).sum::<usize>(),
    }
}

fn find_duplicates(entries: &[Entry], findings: &mut Findings) {
    let mut first: HashMap<&str, &Range<usize>> = HashMap::new();
    for entry in entries {
        match first.entry(&entry.key) {
            hash_map::Entry::Vacant(place) => _ = place.insert(&entry.at),
            hash_map::Entry::Occupied(place) => findings.push(
                Diagnostic::error(format!("`{}` is there twice", entry.key), entry.at.clone())
                    .label("already taken")
                    .also((*place.get()).clone(), "first used here")
                    .hint("remove or rename one of them"),
            ),
        }
    }
}

/// Follows merge keys (`<<: *defaults`): what the mapping says itself wins.
fn merge(entries: Vec<Entry>, findings: &mut Findings) -> Vec<Entry> {
    if !entries.iter().any(|e| e.key == "<<") {
        return entries;
    }
    let (merges, mut own): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|e| e.key == "<<");
    let mut taken: HashSet<String> = own.iter().map(|e| e.key.clone()).collect();
    for merge in merges {
        let sources = match merge.value.value {
            Value::List(items) => items,
            _ => vec![merge.value],
        };
        for source in sources {
            let Value::Map(more) = source.value else {
                findings.push(
                    Diagnostic::error("`<<` merges mappings only", source.span)
                        .hint("name an anchor of a mapping: `<<: *name`"),
                );
                continue;
            };
            own.extend(more.into_iter().filter(|e| taken.insert(e.key.clone())));
        }
    }
    own
}
