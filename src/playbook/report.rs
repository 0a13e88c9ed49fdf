//! The way in: bytes to a value, or to everything that is wrong with them.

use serde::Serialize;

use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::diagnostic::Severity;
use crate::playbook::fleet::Fleet;
use crate::playbook::moves::Playbook;
use crate::playbook::read;
use crate::playbook::reader::nearest;
use crate::playbook::render::Look;
use crate::playbook::render::render;
use crate::playbook::source::Source;
use crate::playbook::yaml;
use crate::playbook::yaml::Entry;
use crate::playbook::yaml::Located;
use crate::playbook::yaml::Value;
use crate::ui::sanitize;

/// What came of reading a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    /// The value; `None` when the file is refused.
    pub value: Option<T>,
    /// What was found. Warnings can stand beside a value.
    pub report: Report,
}

/// All findings of one file, with the text they point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    source: Source,
    findings: Findings,
}

/// A finding as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JsonFinding {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to see at the place.
    pub label: String,
    /// Ways out.
    pub hints: Vec<String>,
}

impl Report {
    /// Is there nothing to say?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.iter().next().is_none()
    }

    /// Number of errors, those not shown included.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error) + self.findings.dropped()
    }

    /// Number of warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    /// The findings, in the order of the text.
    pub fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.findings.iter()
    }

    /// The findings as text for people. Nothing in it can act on a terminal but the colours.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        render(&self.source, &self.findings, look)
    }

    /// The findings for machines.
    #[must_use]
    pub fn json(&self) -> Vec<JsonFinding> {
        let one = |finding: &Diagnostic| {
            let place = self.source.place(finding.at.start);
            JsonFinding {
                file: self.source.name().to_owned(),
                line: place.line,
                column: place.column,
                severity: match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                message: sanitize::line(&finding.title),
                label: sanitize::line(&finding.label),
                hints: finding.hints.iter().map(|h| sanitize::line(h)).collect(),
            }
        };
        self.findings.iter().map(one).collect()
    }
}

/// What a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Hub, nodes, jails.
    Fleet,
    /// Moves.
    Playbook,
}

/// Reads fleet.yml. `name` is what messages call the file.
#[must_use]
pub fn read_fleet(name: &str, bytes: &[u8]) -> Reading<Fleet> {
    read_with(name, bytes, |root, findings| {
        if root.value == Value::Null {
            let finding = Diagnostic::error("an empty fleet", 0..0);
            findings.push(finding.hint("it needs `hub:` with the name of a node, and `nodes:` with the names of all"));
            return None;
        }
        read::fleet::fleet(root, findings)
    })
}

/// Reads a playbook. With `fleet`, its jails and nodes must be known.
#[must_use]
pub fn read_playbook(name: &str, bytes: &[u8], fleet: Option<&Fleet>) -> Reading<Playbook> {
    read_with(name, bytes, |root, findings| {
        if root.value == Value::Null {
            let finding = Diagnostic::error("an empty playbook", 0..0);
            findings.push(finding.hint("it needs `moves:`, a list of items with `jail:` and `to:`"));
            return None;
        }
        if let Value::Map(entries) = &root.value
            && keys_of(entries) == Some(Kind::Fleet)
        {
            let at = entries.first().map_or(0..0, |e| e.at.clone());
            let finding = Diagnostic::error("this is a fleet, not a playbook", at).label("a key of a fleet");
            findings.push(finding.hint("a playbook has `moves:`, `drain:` or `rebalance:`"));
            return None;
        }
        read::playbook::playbook(root, fleet, findings)
    })
}

/// What a file is by the keys that only the one or the other has; `None` when it has neither's.
fn keys_of(entries: &[Entry]) -> Option<Kind> {
    let is_there = |wanted: &[&str]| entries.iter().any(|e| wanted.contains(&e.key.as_str()));
    if is_there(&["moves", "drain", "rebalance"]) {
        // With `hub:` as well it is called a fleet, whose reader says which keys are none of its.
        return if is_there(&["hub", "nodes"]) { None } else { Some(Kind::Playbook) };
    }
    if is_there(&["hub", "nodes"]) {
        return Some(Kind::Fleet);
    }
    is_there(&["fleet", "schedule"]).then_some(Kind::Playbook)
}

/// Is this a fleet or a playbook? By its keys, misspelt ones included; a file with neither is read as a fleet.
#[must_use]
pub fn kind_of(bytes: &[u8]) -> Kind {
    let mut findings = Findings::default();
    let source = Source::new("", bytes, &mut findings);
    let root = if findings.refuse() { None } else { yaml::parse(source.text(), &mut findings) };
    let Some(Located { value: Value::Map(entries), .. }) = root else { return Kind::Fleet };
    let near = |wanted: &str| entries.iter().take(100).any(|e| nearest(&e.key, [wanted]).is_some());
    let misspelt = || if near("moves") && !near("hub") { Kind::Playbook } else { Kind::Fleet };
    let is_there = |wanted: &str| entries.iter().any(|e| e.key == wanted);
    keys_of(&entries).unwrap_or_else(|| if is_there("hub") || is_there("nodes") { Kind::Fleet } else { misspelt() })
}

fn read_with<T>(name: &str, bytes: &[u8], walk: impl FnOnce(&Located, &mut Findings) -> Option<T>) -> Reading<T> {
    let mut findings = Findings::default();
    let source = Source::new(name, bytes, &mut findings);
    let mut value = None;
    if !findings.refuse() {
        let nothing = Located { span: 0..0, value: Value::Null };
        let root = yaml::parse(source.text(), &mut findings);
        // A file of comments alone has no value, which is no error of YAML.
        if let Some(root) = root.or_else(|| (!findings.refuse()).then_some(nothing)) {
            value = walk(&root, &mut findings);
        }
    }
    findings.sort();
    Reading { value: value.filter(|_| !findings.refuse()), report: Report { source, findings } }
}
