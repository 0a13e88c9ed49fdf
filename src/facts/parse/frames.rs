//! The frames in which `ask.sh` hands back answers: lengths before bytes, so that hostile output stays data.

use super::error::FactsError;
use super::error::cut;
use super::error::printable;

/// The line before the first frame; whatever a login shell printed stands before it.
const START: &[u8] = b"jailferry facts 1\n";

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which kind of question.
    pub label: String,
    /// What it was asked of: a FIB, an interface, a path; may be anything.
    pub subject: String,
    /// Exit status; 127 when there is no such command.
    pub status: i32,
    /// Standard output.
    pub output: Vec<u8>,
    /// Standard error.
    pub errors: Vec<u8>,
}

impl Frame {
    /// The question as errors name it.
    #[must_use]
    pub fn question(&self) -> String {
        if self.subject.is_empty() {
            printable(&self.label, 40)
        } else {
            format!("{} {}", printable(&self.label, 40), printable(&self.subject, 120))
        }
    }

    /// Standard output as text; what is not UTF-8 becomes U+FFFD, which no validated name holds.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Standard output without its final newline.
    #[must_use]
    pub fn word(&self) -> String {
        self.text().trim_end_matches(['\n', '\r']).to_owned()
    }

    /// First line on standard error that is not empty, else a word that says there was none.
    #[must_use]
    pub fn message(&self) -> String {
        let errors = String::from_utf8_lossy(&self.errors);
        errors
            .lines()
            .map(str::trim)
            .find(|l| !l.is_empty())
            .map_or_else(|| "no message".to_owned(), |l| printable(l, 200))
    }

    /// Is there no such command on the host?
    #[must_use]
    pub fn no_command(&self) -> bool {
        self.status == 127
    }

    /// This frame when the command succeeded.
    ///
    /// # Errors
    /// [`FactsError::Failed`] otherwise.
    pub fn success(&self) -> Result<&Frame, FactsError> {
        if self.status == 0 {
            return Ok(self);
        }
        Err(FactsError::Failed { question: self.question(), status: self.status, message: self.message() })
    }
}

/// All answers of one script, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    answers: Vec<Frame>,
    noise: Option<String>,
}

impl Frames {
    /// Takes an answer apart.
    ///
    /// # Errors
    /// When the answer does not begin, breaks off, or is damaged.
    pub fn parse(answer: &[u8]) -> Result<Frames, FactsError> {
        let (noise, mut rest) = after_start(answer)?;
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            let after = frames.last().map_or_else(|| "its first line".to_owned(), Frame::question);
            let frame = frame(&mut rest).map_err(|problem| match problem {
                None => FactsError::Truncated { after: after.clone() },
                Some(problem) => FactsError::Damaged { after: after.clone(), problem },
            })?;
            if frame.label == "end" {
                return Ok(Frames { answers: frames, noise });
            }
            frames.push(frame);
        }
    }

    /// What a login shell printed before the script began.
    #[must_use]
    pub fn noise(&self) -> Option<&str> {
        self.noise.as_deref()
    }

    /// The (first) answer to one kind of question.
    ///
    /// # Errors
    /// [`FactsError::Missing`] when it was never answered.
    pub fn get(&self, label: &str) -> Result<&Frame, FactsError> {
        let first = self.answers.iter().find(|f| f.label == label);
        first.ok_or_else(|| FactsError::Missing { question: label.to_owned() })
    }

    /// The answer to a question about one subject.
    ///
    /// # Errors
    /// [`FactsError::Missing`] when it was never answered.
    pub fn about(&self, label: &str, subject: &str) -> Result<&Frame, FactsError> {
        self.answers
            .iter()
            .find(|f| f.label == label && f.subject == subject)
            .ok_or_else(|| FactsError::Missing { question: format!("{label} {}", printable(subject, 120)) })
    }

    /// The answers to one kind of question.
    pub fn all<'a>(&'a self, label: &'a str) -> impl Iterator<Item = &'a Frame> {
        self.answers.iter().filter(move |f| f.label == label)
    }
}

/// What stands before the starting line, and what follows it.
fn after_start(answer: &[u8]) -> Result<(Option<String>, &[u8]), FactsError> {
    let mut from = 0;
    while let Some(at) = answer.get(from..).and_then(|rest| rest.windows(START.len()).position(|w| w == START)) {
        let at = from + at;
        if at == 0 || answer.get(at - 1) == Some(&b'\n') {
            let before = String::from_utf8_lossy(answer.get(..at).unwrap_or_default());
            let noise = Some(cut(before.trim(), 80)).filter(|noise| !noise.is_empty());
            return Ok((noise, answer.get(at + START.len()..).unwrap_or_default()));
        }
        from = at + 1;
    }
    let start = String::from_utf8_lossy(answer.get(..answer.len().min(400)).unwrap_or_default()).into_owned();
    Err(FactsError::NoStart { start: cut(start.trim(), 200) })
}

/// Takes one frame off; the error is `None` when the bytes end too early.
fn frame(rest: &mut &[u8]) -> Result<Frame, Option<String>> {
    let head = until_newline(rest)?;
    let words: Vec<&str> = head.split(' ').collect();
    let [label, status, subject, output] = words.as_slice() else {
        return Err(Some(format!("{:?} is not the head of a frame", cut(&head, 80))));
    };
    let status = status.parse().map_err(|_| Some(format!("{:?} is not an exit status", cut(status, 80))))?;
    let subject = String::from_utf8_lossy(bytes(rest, length(subject)?)?).into_owned();
    let output = bytes(rest, length(output)?)?.to_vec();
    newline(rest)?;
    let errors = until_newline(rest)?;
    let errors = bytes(rest, length(&errors)?)?.to_vec();
    newline(rest)?;
    Ok(Frame { label: (*label).to_owned(), subject, status, output, errors })
}

fn length(word: &str) -> Result<usize, Option<String>> {
    word.parse().map_err(|_| Some(format!("{:?} is not a length", cut(word, 80))))
}

fn until_newline(rest: &mut &[u8]) -> Result<String, Option<String>> {
    let at = rest.iter().position(|b| *b == b'\n').ok_or(None)?;
    let line = String::from_utf8_lossy(bytes(rest, at)?).into_owned();
    newline(rest)?;
    Ok(line)
}

fn newline(rest: &mut &[u8]) -> Result<(), Option<String>> {
    if bytes(rest, 1)? == b"\n" { Ok(()) } else { Err(Some("a length does not agree with its bytes".to_owned())) }
}

fn bytes<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Option<String>> {
    let (taken, left) = rest.split_at_checked(count).ok_or(None)?;
    *rest = left;
    Ok(taken)
}
