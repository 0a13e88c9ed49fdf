//! The tree to typed values: each reader says what it wanted, notes what it found instead, and goes on.

use std::fmt::Display;
use std::ops::Range;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::model::InvalidName;
use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::yaml::Entry;
use crate::playbook::yaml::Located;
use crate::playbook::yaml::Value;

/// Why a text is not what was wanted.
pub(crate) struct Problem {
    pub(crate) title: String,
    pub(crate) label: String,
    pub(crate) hints: Vec<String>,
}

impl Problem {
    pub(crate) fn new(title: impl Into<String>, label: impl Into<String>) -> Problem {
        Problem { title: title.into(), label: label.into(), hints: Vec::new() }
    }

    pub(crate) fn hint(mut self, text: impl Into<String>) -> Problem {
        self.hints.push(text.into());
        self
    }

    pub(crate) fn at(self, at: Range<usize>) -> Diagnostic {
        Diagnostic { hints: self.hints, ..Diagnostic::error(self.title, at).label(self.label) }
    }
}

impl From<InvalidName> for Problem {
    fn from(error: InvalidName) -> Problem {
        Problem::new(format!("`{}` is not a valid {}", error.text, error.what), error.rule)
    }
}

/// What a value is, in a person's words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Scalar(_) => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

fn wrong_type(node: &Located, wanted: &str, findings: &mut Findings) {
    let found = kind(&node.value);
    let title = format!("expected {wanted}, found {found}");
    findings.push(Diagnostic::error(title, node.span.clone()).label(format!("this is {found}")));
}

/// A single value as text.
pub(crate) fn text<'t>(node: &'t Located, wanted: &str, findings: &mut Findings) -> Option<&'t str> {
    match &node.value {
        Value::Scalar(text) => Some(text),
        _ => {
            wrong_type(node, wanted, findings);
            None
        }
    }
}

/// A single value, made into something by `parse`.
pub(crate) fn scalar<T>(
    node: &Located,
    wanted: &str,
    findings: &mut Findings,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
) -> Option<T> {
    match parse(text(node, wanted, findings)?) {
        Ok(value) => Some(value),
        Err(problem) => {
            findings.push(problem.at(node.span.clone()));
            None
        }
    }
}

/// One of the model's validated names.
pub(crate) fn name<T: FromStr<Err = InvalidName>>(node: &Located, what: &str, findings: &mut Findings) -> Option<T> {
    scalar(node, what, findings, |text| text.parse().map_err(Problem::from))
}

/// A validated name that stands as a key.
pub(crate) fn key<T: FromStr<Err = InvalidName>>(entry: &Entry, findings: &mut Findings) -> Option<T> {
    match entry.key.parse::<T>() {
        Ok(name) => Some(name),
        Err(error) => {
            findings.push(Problem::from(error).at(entry.at.clone()));
            None
        }
    }
}

/// A whole number within bounds.
pub(crate) fn number<T>(node: &Located, what: &str, bounds: RangeInclusive<T>, findings: &mut Findings) -> Option<T>
where
    T: FromStr + PartialOrd + Display,
{
    scalar(node, what, findings, |text| {
        text.parse().ok().filter(|n| bounds.contains(n)).ok_or_else(|| {
            let label = format!("a whole number from {} to {}", bounds.start(), bounds.end());
            Problem::new(format!("`{text}` is not {what}"), label)
        })
    })
}

/// One word of a closed list.
pub(crate) fn choice<T: Copy>(node: &Located, what: &str, words: &[(&str, T)], findings: &mut Findings) -> Option<T> {
    scalar(node, what, findings, |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let problem = Problem::new(format!("`{text}` is not {what}"), format!("one of {}", all.join(", ")));
            match nearest(text, all.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            }
        })
    })
}

/// A list with at least one item; a single value stands for a list of one nowhere.
pub(crate) fn list<'t>(node: &'t Located, wanted: &str, findings: &mut Findings) -> Option<&'t [Located]> {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            let finding = Diagnostic::error(format!("expected {wanted}, found an empty list"), node.span.clone());
            findings.push(finding.hint("leave the key out, or put something into the list"));
            None
        }
        Value::List(items) => Some(items),
        _ => {
            wrong_type(node, wanted, findings);
            None
        }
    }
}

/// The entries of a mapping whose keys are names; nothing counts as an empty one.
pub(crate) fn entries<'t>(node: &'t Located, wanted: &str, findings: &mut Findings) -> Option<&'t [Entry]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        Value::Null => Some(&[]),
        _ => {
            wrong_type(node, wanted, findings);
            None
        }
    }
}

/// A mapping with known keys. Keys nobody asked for are findings.
pub(crate) struct Fields<'t> {
    what: &'static str,
    at: Range<usize>,
    entries: &'t [Entry],
    asked: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    /// The mapping at `node`; nothing counts as an empty one. `what` names it, such as `a node`.
    pub(crate) fn of(node: &'t Located, what: &'static str, findings: &mut Findings) -> Option<Fields<'t>> {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => {
                let wanted = format!("the keys of {what}");
                wrong_type(node, &wanted, findings);
                return None;
            }
        };
        Some(Fields { what, at: node.span.clone(), entries, asked: Vec::new() })
    }

    /// The value of an optional key; a key without a value counts as absent.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'t Located> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.iter().find(|e| e.key == key).map(|e| &e.value).filter(|v| v.value != Value::Null)
    }

    /// Where a key stands.
    pub(crate) fn at(&self, key: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|e| e.key == key).map(|e| e.at.clone())
    }

    /// The value of a required key.
    pub(crate) fn require(&mut self, key: &'static str, why: &str, findings: &mut Findings) -> Option<&'t Located> {
        let found = self.get(key);
        // A misspelt one is an unknown key, whose hint says all that is to say.
        let misspelt = || self.entries.iter().any(|e| e.key != key && nearest(&e.key, [key]).is_some());
        if found.is_none() && (self.at(key).is_some() || findings.is_full() || !misspelt()) {
            let (at, title) = match self.at(key) {
                Some(at) => (at, format!("`{key}` has no value")),
                None => (self.at.clone(), format!("`{key}` is missing from {}", self.what)),
            };
            findings.push(Diagnostic::error(title, at).label(why));
        }
        found
    }

    /// Notes the keys that nobody asked for.
    pub(crate) fn finish(self, findings: &mut Findings) {
        for entry in self.entries.iter().filter(|e| !self.asked.iter().any(|a| *a == e.key)) {
            let finding = Diagnostic::error(format!("unknown key `{}`", entry.key), entry.at.clone())
                .label(format!("not a key of {}", self.what));
            let near = if findings.is_full() { None } else { nearest(&entry.key, self.asked.iter().copied()) };
            findings.push(match near {
                Some(near) => finding.hint(format!("did you mean `{near}`?")),
                None => finding.hint(format!("its keys are {}", self.asked.join(", "))),
            });
        }
    }
}

/// The candidate that somebody most likely meant; `None` when none is near.
pub(crate) fn nearest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let written: String = written.chars().take(64).collect::<String>().to_lowercase().replace('-', "_");
    let near = |candidate: &str| strsim::damerau_levenshtein(&written, &candidate.to_lowercase().replace('-', "_"));
    let best = candidates.into_iter().map(|c| (near(c), c)).min_by_key(|(distance, _)| *distance)?;
    let allowed = match written.chars().count() {
        0..=3 => 1,
        4..=8 => 2,
        long => long / 3,
    };
    (best.0 <= allowed).then_some(best.1)
}
