//! What can be wrong with an answer.

/// Why an answer cannot be used. Fragments that fit "cannot read the facts of big: {error}".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// The script never began: another shell, no privilege, a forced command.
    #[error("the answer does not begin as asked; it starts with {start:?}")]
    NoStart {
        /// The first bytes, cut to a printable length.
        start: String,
    },
    /// The connection broke or the script stopped half way.
    #[error("the answer breaks off after {after}")]
    Truncated {
        /// The last complete question.
        after: String,
    },
    /// A frame that does not follow the rules of `ask.sh`.
    #[error("the answer is damaged after {after}: {problem}")]
    Damaged {
        /// The last complete question.
        after: String,
        /// What is wrong.
        problem: String,
    },
    /// The question was never answered.
    #[error("{question}: no answer")]
    Missing {
        /// The question.
        question: String,
    },
    /// The command failed.
    #[error("{question}: exit status {status}: {message}")]
    Failed {
        /// The question.
        question: String,
        /// Its exit status.
        status: i32,
        /// First line on standard error.
        message: String,
    },
    /// One line of the output makes no sense.
    #[error("{question}, line {line}: {problem}: {text:?}")]
    Line {
        /// The question.
        question: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// The line, cut to a printable length.
        text: String,
    },
    /// The output is not the JSON that the tool should print.
    #[error("{question}: {problem}")]
    Json {
        /// The question.
        question: String,
        /// What is wrong.
        problem: String,
    },
    /// A file's text cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// The first `limit` characters.
pub(super) fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

/// The same without control characters: texts of a host must not reach a terminal's escape sequences.
pub(super) fn printable(text: &str, limit: usize) -> String {
    cut(text, limit).replace(|c: char| c.is_control(), "\u{fffd}")
}

/// What is wrong with the JSON of an answer. serde_json shows a value as JSON, which may hold DEL and the control characters
/// from U+0080 on as they are.
pub(super) fn json(question: &str, problem: impl ToString) -> FactsError {
    FactsError::Json { question: printable(question, 200), problem: printable(&problem.to_string(), 400) }
}

/// What is wrong with a file, or with its path.
pub(super) fn file(path: &str, problem: impl ToString) -> FactsError {
    FactsError::File { path: printable(path, 200), problem: printable(&problem.to_string(), 200) }
}

/// One line that makes no sense; the caller's `question` and `line` tell where.
pub(super) fn line(question: &str, index: usize, text: &str, problem: impl ToString) -> FactsError {
    FactsError::Line {
        question: printable(question, 200),
        line: index + 1,
        problem: printable(&problem.to_string(), 200),
        text: cut(text, 120),
    }
}
