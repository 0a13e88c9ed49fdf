//! What is wrong with a file, as data.

use std::ops::Range;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken, but somebody should look.
    Warning,
}

/// One finding: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as a sentence fragment.
    pub title: String,
    /// Where, as bytes of the text.
    pub at: Range<usize>,
    /// What to see at that place.
    pub label: String,
    /// Other places that belong to it.
    pub others: Vec<(Range<usize>, String)>,
    /// Ways out.
    pub hints: Vec<String>,
}

impl Diagnostic {
    /// A finding that refuses the file.
    #[must_use]
    pub fn error(title: impl Into<String>, at: Range<usize>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            title: title.into(),
            at,
            label: String::new(),
            others: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// A finding that somebody should look at.
    #[must_use]
    pub fn warning(title: impl Into<String>, at: Range<usize>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(title, at) }
    }

    /// Says what to see at the place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        self.label = text.into();
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn also(mut self, at: Range<usize>, text: impl Into<String>) -> Diagnostic {
        self.others.push((at, text.into()));
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Diagnostic {
        self.hints.push(text.into());
        self
    }
}

/// Findings in the order of the text, each once, and not more than a person can use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl Findings {
    /// More findings than this are only counted.
    pub const MOST: usize = 50;

    /// Takes a finding. One that came through an alias a second time is the same finding.
    pub fn push(&mut self, finding: Diagnostic) {
        if self.list.contains(&finding) {
            return;
        }
        if self.is_full() { self.dropped += 1 } else { self.list.push(finding) }
    }

    /// Findings that were only counted.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Are further findings only counted? Then nobody needs to work out hints for them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.list.len() >= Findings::MOST
    }

    /// Is the file refused?
    #[must_use]
    pub fn refuse(&self) -> bool {
        self.dropped > 0 || self.list.iter().any(|f| f.severity == Severity::Error)
    }

    /// The findings, from the top of the file to its end.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Puts the findings into the order of the text.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|f| (f.at.start, f.severity));
    }
}
