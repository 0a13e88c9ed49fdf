//! What speaks against a plan, or should be known before it runs.

use serde::Deserialize;
use serde::Serialize;

use crate::model::NodeName;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// May surprise; the run goes on.
    Warning,
    /// The run is refused before anything is touched.
    Error,
}

/// One finding: what is so, where, what it means, what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name, such as `forwarding-off`, for scripts and documentation.
    pub code: String,
    /// The host it concerns.
    pub host: Option<NodeName>,
    /// What was found and what it means for the jail, in one sentence.
    pub what: String,
    /// What to do about it, in one sentence.
    pub fix: String,
    /// The lines that do it, where they can be said exactly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<Remedy>,
    /// What to write into files, where it can be said exactly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<FileLine>,
}

/// A line to write into a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileLine {
    /// The host.
    pub host: NodeName,
    /// The file.
    pub file: String,
    /// Where in it.
    pub place: String,
    /// The line.
    pub line: String,
}

/// A line to type, as root, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remedy {
    /// The host.
    pub host: NodeName,
    /// The line, for sh(1) as well as csh(1).
    pub command: String,
}

/// What to do about a finding: words, and the lines to type where they can be said exactly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fix {
    words: String,
    /// Without a host: where the finding is.
    commands: Vec<(Option<NodeName>, String)>,
    /// File, place in it, line.
    lines: Vec<(String, String, String)>,
}

impl Fix {
    /// In words.
    pub fn new(words: impl Into<String>) -> Fix {
        Fix { words: words.into(), ..Fix::default() }
    }

    /// A line to type where the finding is.
    #[must_use]
    pub fn run(mut self, command: impl Into<String>) -> Fix {
        self.commands.push((None, command.into()));
        self
    }

    /// A line to write into a file where the finding is, `place` saying where in the file.
    #[must_use]
    pub fn write(mut self, file: impl ToString, place: impl Into<String>, line: impl Into<String>) -> Fix {
        self.lines.push((file.to_string(), place.into(), line.into()));
        self
    }

    /// A line to type before all others.
    #[must_use]
    pub fn before(mut self, command: impl Into<String>) -> Fix {
        self.commands.insert(0, (None, command.into()));
        self
    }

    /// A line to type on another host.
    #[must_use]
    pub fn run_on(mut self, host: &NodeName, command: impl Into<String>) -> Fix {
        self.commands.push((Some(host.clone()), command.into()));
        self
    }
}

impl From<String> for Fix {
    fn from(words: String) -> Fix {
        Fix::new(words)
    }
}

impl From<&str> for Fix {
    fn from(words: &str) -> Fix {
        Fix::new(words)
    }
}

/// Collects findings.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Forbids the run.
    pub fn error(&mut self, code: &str, host: &NodeName, what: impl Into<String>, fix: impl Into<Fix>) {
        self.push(Severity::Error, code, Some(host), what.into(), fix.into());
    }

    /// May surprise.
    pub fn warning(&mut self, code: &str, host: &NodeName, what: impl Into<String>, fix: impl Into<Fix>) {
        self.push(Severity::Warning, code, Some(host), what.into(), fix.into());
    }

    /// Good to know.
    pub fn note(&mut self, code: &str, host: &NodeName, what: impl Into<String>) {
        self.push(Severity::Note, code, Some(host), what.into(), Fix::default());
    }

    /// Forbids the run, of no single host.
    pub fn fleet_error(&mut self, code: &str, what: impl Into<String>, fix: impl Into<Fix>) {
        self.push(Severity::Error, code, None, what.into(), fix.into());
    }

    fn push(&mut self, severity: Severity, code: &str, host: Option<&NodeName>, what: String, fix: Fix) {
        let place = |on: Option<NodeName>| on.or_else(|| host.cloned());
        let line = |(on, command)| Some(Remedy { host: place(on)?, command });
        let commands = fix.commands.into_iter().filter_map(line).collect();
        let written = |(file, place, line)| Some(FileLine { host: host.cloned()?, file, place, line });
        let lines = fix.lines.into_iter().filter_map(written).collect();
        let (code, host) = (code.to_owned(), host.cloned());
        let finding = Finding { severity, code, host, what, fix: fix.words, commands, lines };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// Takes one in.
    pub fn take(&mut self, finding: Finding) {
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// Takes another collection in.
    pub fn add(&mut self, more: Findings) {
        for finding in more.0 {
            if !self.0.contains(&finding) {
                self.0.push(finding);
            }
        }
    }

    /// All of them, worst first, otherwise in the order found.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|f| std::cmp::Reverse(f.severity));
        self.0
    }

    /// Does one forbid the run?
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|f| f.severity == Severity::Error)
    }
}
