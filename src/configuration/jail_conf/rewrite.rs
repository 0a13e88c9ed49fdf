//! The rewriting itself: find what must change, edit those bytes, and check that jail(8) would read what was meant.

use serde::Deserialize;
use serde::Serialize;

use crate::configuration::jail_conf::finding::Finding;
use crate::configuration::jail_conf::matching;
use crate::configuration::jail_conf::matching::Rewrite;
use crate::configuration::jail_conf::place::Edit;
use crate::configuration::jail_conf::place::Place;
use crate::configuration::jail_conf::place::place;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::tree::SyntaxError;
use crate::configuration::jail_conf::tree::line_of;
use crate::configuration::jail_conf::value::Origin;
use crate::configuration::jail_conf::value::Scope;
use crate::model::JailName;

/// A line that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Line number in the new text, from 1.
    pub line: usize,
    /// The line before; `None` when it was added.
    pub before: Option<String>,
    /// The line now.
    pub after: String,
}

/// A rewritten configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    /// The new text.
    pub text: String,
    /// The lines that differ, for a person to read.
    pub changes: Vec<Change>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// Rewrites what `text` says of `jail`; blocks of other jails stay as they are.
///
/// # Errors
/// [`SyntaxError`] when jail(8) would not read the text.
pub fn rewrite(text: &str, jail: &JailName, wanted: &Rewrite) -> Result<Rewritten, SyntaxError> {
    let document = Document::parse(text)?;
    let scope = Scope::of(&document, jail);
    let interfaces = matching::interfaces(&known_values(&scope));
    let edits = edits(&document, &scope, jail, wanted, &interfaces);
    let new = apply(text, edits);
    let mut findings = findings(&document, &scope, jail, wanted);
    findings.extend(not_reached(&scope, &new, jail, wanted, &interfaces)?);
    Ok(Rewritten { changes: changed_lines(text, &new), text: new, findings })
}

/// Every known value of every parameter.
fn known_values(scope: &Scope<'_, '_>) -> Vec<(String, String)> {
    let parameters = scope.effective();
    parameters
        .into_iter()
        .flat_map(|(name, values)| values.into_iter().flatten().map(move |v| (name.clone(), v)))
        .collect()
}

/// The edits that bring `wanted` about, in the order of the file, none overlapping.
fn edits(
    document: &Document<'_>,
    scope: &Scope<'_, '_>,
    jail: &JailName,
    wanted: &Rewrite,
    interfaces: &[String],
) -> Vec<Edit> {
    let mut here: Vec<Edit> = Vec::new();
    let mut by_variable: Vec<(String, Edit)> = Vec::new();
    let mut uses: Vec<String> = Vec::new();
    for statement in document.statements(jail) {
        for value in scope.values_of(statement) {
            uses.extend(value.references.iter().map(|r| r.name.clone()));
            for found in matching::find(&statement.name, &value.chars, wanted, interfaces) {
                match place(&value, &found) {
                    Some(Place::Here(edit)) => here.push(edit),
                    Some(Place::Variable { name, otherwise }) => by_variable.push((name, otherwise)),
                    // What has no place is found by `not_reached`.
                    Some(Place::InDefinition) | None => {}
                }
            }
        }
    }
    let mut done: Vec<&str> = Vec::new();
    for (name, otherwise) in &by_variable {
        let mut same = by_variable.iter().filter(|(n, e)| n == name && e.new == otherwise.new);
        let agree = uses.iter().filter(|n| *n == name).count() == same.by_ref().count();
        match definition(scope, name).filter(|_| agree) {
            Some(edit) if !done.contains(&name.as_str()) => {
                here.push(Edit { range: edit, new: otherwise.new.clone() });
                done.push(name);
            }
            Some(_) => {}
            None => here.push(otherwise.clone()),
        }
    }
    here.sort_by_key(|e| (e.range.start, e.range.end));
    here.dedup();
    here.dedup_by(|later, earlier| later.range.start < earlier.range.end);
    here
}

/// The bytes of a variable's value where it is defined, when they are plainly written there.
fn definition(scope: &Scope<'_, '_>, name: &str) -> Option<std::ops::Range<usize>> {
    let [word] = scope.definition(name).filter(|_| name != "name")? else { return None };
    let value = scope.value(word);
    let ranges: Option<Vec<_>> = value
        .origins
        .iter()
        .map(|origin| match origin {
            Origin::Text(range) => Some(range.clone()),
            Origin::Variable(_) => None,
        })
        .collect();
    let ranges = ranges?;
    let contiguous = ranges.iter().zip(ranges.iter().skip(1)).all(|(a, b)| a.end == b.start);
    contiguous.then_some(ranges.first()?.start..ranges.last()?.end)
}

/// `text` with the edits made.
#[must_use]
pub fn apply(text: &str, edits: Vec<Edit>) -> String {
    let mut new = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        new.push_str(text.get(at..edit.range.start).unwrap_or_default());
        new.push_str(&edit.new);
        at = edit.range.end;
    }
    new.push_str(text.get(at..).unwrap_or_default());
    new
}

/// The lines that differ between two texts of the same number of lines.
fn changed_lines(old: &str, new: &str) -> Vec<Change> {
    let pairs = old.lines().zip(new.lines()).enumerate();
    pairs
        .filter(|(_, (before, after))| before != after)
        .map(|(i, (before, after))| Change { line: i + 1, before: Some(before.to_owned()), after: after.to_owned() })
        .collect()
}

/// Compares what jail(8) would make of the new text with what each old value should have become.
fn not_reached(
    old: &Scope<'_, '_>,
    new: &str,
    jail: &JailName,
    wanted: &Rewrite,
    interfaces: &[String],
) -> Result<Vec<Finding>, SyntaxError> {
    let document = Document::parse(new)?;
    let mut now = Scope::of(&document, jail).effective().into_iter();
    let mut findings = Vec::new();
    for (parameter, values) in old.effective() {
        let expected: Vec<Option<String>> = values
            .iter()
            .map(|value| {
                let chars: Vec<char> = value.as_deref()?.chars().collect();
                Some(matching::replaced(&chars, &matching::find(&parameter, &chars, wanted, interfaces)))
            })
            .collect();
        let got = now.next().map(|(_, values)| values).unwrap_or_default();
        if expected != got {
            let shown = |values: Vec<Option<String>>| {
                values.into_iter().map(|v| v.unwrap_or_else(|| "?".to_owned())).collect::<Vec<_>>().join(", ")
            };
            findings.push(Finding::NotReached { parameter, wanted: shown(expected), got: shown(got) });
        }
    }
    Ok(findings)
}

/// What a person should know of the text as it is.
fn findings(document: &Document<'_>, scope: &Scope<'_, '_>, jail: &JailName, wanted: &Rewrite) -> Vec<Finding> {
    let mut found = Vec::new();
    let others = document.other_jails(jail);
    if !others.is_empty() {
        found.push(Finding::OtherJails(others));
    }
    for statement in document.statements(jail) {
        let line = line_of(document.text, statement.range.start);
        for value in scope.values_of(statement) {
            let text = value.text();
            if statement.name == ".include" {
                found.push(Finding::Include { line, pattern: text.clone() });
            }
            for reference in value.references.iter().filter(|r| !r.known) {
                let line = line_of(document.text, reference.range.start);
                found.push(Finding::UnknownVariable { line, name: reference.name.clone() });
            }
            found.extend(fib_elsewhere(line, &statement.name, &text, wanted));
        }
    }
    found.extend(epair_findings(scope, wanted));
    found
}

/// `setfib 1 …`, `route … -fib 1` and `exec.fib`: the FIB of something else than the jail's epair.
fn fib_elsewhere(line: usize, parameter: &str, text: &str, wanted: &Rewrite) -> Option<Finding> {
    let (fib, _) = wanted.fib.filter(|(old, new)| old != new && *old != 0)?;
    let number = fib.to_string();
    let named = (parameter == "exec.fib" && text == number)
        || matching::commands(&text.chars().collect::<Vec<_>>()).iter().any(|command| {
            command.iter().zip(command.iter().skip(1)).any(|(word, value)| {
                (["setfib", "-fib", "-F"].contains(&word.text.rsplit('/').next().unwrap_or_default())
                    && value.text == number)
                    || (word.text == "setfib" && value.text == format!("-{number}"))
            })
        });
    named.then(|| Finding::FibElsewhere { line, fib, text: text.to_owned() })
}

/// Is the epair what we think it is?
fn epair_findings(scope: &Scope<'_, '_>, wanted: &Rewrite) -> Vec<Finding> {
    let values = known_values(scope);
    let mut units: Vec<u32> =
        values.iter().filter(|(p, _)| matching::names_interfaces(p)).flat_map(|(_, v)| matching::units(v)).collect();
    units.sort_unstable();
    units.dedup();
    let Some((old, _)) = wanted.epair else { return Vec::new() };
    if !units.contains(&old) {
        let interfaces: Vec<&str> =
            values.iter().filter(|(p, _)| p == "vnet.interface").map(|(_, v)| v.as_str()).collect();
        let why = if interfaces.is_empty() {
            "no vnet.interface is set".to_owned()
        } else {
            format!("vnet.interface is {}, and nothing names epair{old}", interfaces.join(" "))
        };
        return vec![Finding::NoEpair { why }];
    }
    units.into_iter().filter(|unit| *unit != old).map(|unit| Finding::OtherEpair { unit }).collect()
}

/// Findings for interfaces that the jail's own rc.conf names (`ifconfig_epair7b`) and that get another name.
#[must_use]
pub fn inner_names(interfaces: &[String], wanted: &Rewrite) -> Vec<Finding> {
    let Some((old, new)) = wanted.epair.filter(|(old, new)| old != new) else { return Vec::new() };
    interfaces
        .iter()
        .filter(|name| matching::units(name) == [old])
        .map(|name| {
            let renamed = name.replacen(&format!("epair{old}"), &format!("epair{new}"), 1);
            Finding::InnerName { old: name.clone(), new: renamed }
        })
        .collect()
}
