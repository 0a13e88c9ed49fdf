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
    /// What to do about it, in one sentence or the lines to type.
    pub fix: String,
}

/// Collects findings.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Forbids the run.
    pub fn error(&mut self, code: &str, host: &NodeName, what: impl Into<String>, fix: impl Into<String>) {
        self.push(Severity::Error, code, Some(host), what.into(), fix.into());
    }

    /// May surprise.
    pub fn warning(&mut self, code: &str, host: &NodeName, what: impl Into<String>, fix: impl Into<String>) {
        self.push(Severity::Warning, code, Some(host), what.into(), fix.into());
    }

    /// Good to know.
    pub fn note(&mut self, code: &str, host: &NodeName, what: impl Into<String>) {
        self.push(Severity::Note, code, Some(host), what.into(), String::new());
    }

    /// Forbids the run, of no single host.
    pub fn fleet_error(&mut self, code: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.push(Severity::Error, code, None, what.into(), fix.into());
    }

    fn push(&mut self, severity: Severity, code: &str, host: Option<&NodeName>, what: String, fix: String) {
        let finding = Finding { severity, code: code.to_owned(), host: host.cloned(), what, fix };
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
