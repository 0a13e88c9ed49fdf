//! The text of a file, with line and column of every byte.

use std::ops::Range;

use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;

/// The longest file that is read. A fleet of 500 nodes and 2000 jails takes about 300 KiB.
pub const LONGEST_FILE: usize = 512 << 10;

/// A file's text under the name that messages show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
}

/// A place as editors count: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Source {
    /// Reads bytes as UTF-8, without the byte order mark some editors write.
    ///
    /// What is not text at all is found here: a file too long, other encodings, control characters (they could act on
    /// the terminal that shows them). After such a finding the text is kept only to show it.
    pub(crate) fn new(name: &str, bytes: &[u8], findings: &mut Findings) -> Source {
        let name = name.to_owned();
        if bytes.len() > LONGEST_FILE {
            let title = format!("the file has {} bytes; at most {LONGEST_FILE} are read", bytes.len());
            findings.push(Diagnostic::error(title, 0..0).hint("is this the right file?"));
            return Source { name, text: String::new() };
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                if let Some((at, c)) = text.char_indices().find(|(at, c)| is_forbidden(text, *at, *c)) {
                    let finding = Diagnostic::error("a control character", at..at + c.len_utf8())
                        .label(format!("this is U+{:04X}", u32::from(c)))
                        .hint(
                            "a YAML file is plain text; only tabs and line ends may stand beside printable characters",
                        );
                    findings.push(finding);
                }
                Source { name, text: text.to_owned() }
            }
            Err(error) => {
                let at = error.valid_up_to();
                let text = String::from_utf8_lossy(bytes).into_owned();
                let finding = Diagnostic::error("the file is not UTF-8", at..at + '\u{fffd}'.len_utf8())
                    .label("from here on")
                    .hint(match bytes {
                        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this looks like UTF-16; save it as UTF-8",
                        _ => "save it as UTF-8",
                    });
                findings.push(finding);
                Source { name, text }
            }
        }
    }

    /// The name that messages show.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..self.floor(offset)).unwrap_or_default();
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place { line, column }
    }

    /// `span` within the text, on character borders, and ending where its first line ends: a snippet points at the
    /// beginning of a long value instead of drawing brackets around it.
    #[must_use]
    pub fn first_line(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.floor(span.start);
        let end = self.floor(span.end).max(start);
        let inside = self.text.get(start..end).unwrap_or_default();
        let line = inside.split('\n').next().unwrap_or_default().trim_end();
        start..start + line.len()
    }

    /// The nearest character border at or before `offset`.
    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

/// A control character other than tab and line end. A carriage return is one only when no line feed follows.
fn is_forbidden(text: &str, at: usize, c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        '\r' => text.as_bytes().get(at + 1) != Some(&b'\n'),
        _ => c.is_control(),
    }
}
