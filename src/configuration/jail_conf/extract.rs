//! A file of its own for one jail, out of an /etc/jail.conf that many share.
//!
//! On 13.2 a file in /etc/jail.conf.d does not inherit jail.conf's defaults (contract 2.2), so they come along.

use std::ops::Range;

use crate::configuration::jail_conf::include;
use crate::configuration::jail_conf::token::Kind;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::tree::Item;
use crate::configuration::jail_conf::tree::SyntaxError;
use crate::model::JailName;

/// A file for one jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// Its text: global parameters, wildcard blocks and the jail's own block, in order, with their comments, and nothing that other files say.
    pub text: String,
    /// Jails whose blocks were left out.
    pub left_out: Vec<String>,
    /// Does the file define the jail at all?
    pub defined: bool,
}

/// Takes out of `text` what holds for `jail`. A file that defines no other jail comes back unchanged.
///
/// # Errors
/// [`SyntaxError`] when jail(8) would not read the text.
pub fn extract(text: &str, jail: &JailName) -> Result<Extracted, SyntaxError> {
    let document = Document::parse(text)?;
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for item in &document.items {
        let left_out = match item {
            Item::Block(block) if block.applies_to(jail) => continue,
            Item::Block(block) => &block.range,
            // In a file of /etc/jail.conf.d it would include itself.
            Item::Global(statement) if include::is_include(statement) => &statement.range,
            Item::Global(_) => continue,
        };
        let gone = with_comments(&document, left_out, at);
        result.push_str(text.get(at..gone.start).unwrap_or_default());
        at = gone.end;
    }
    result.push_str(text.get(at..).unwrap_or_default());
    let defined = document.own_block(jail).is_some();
    Ok(Extracted { text: result, left_out: document.other_jails(jail), defined })
}

/// The block with the comment lines right above it (no empty line between) and the rest of its last line when there
/// is nothing but a comment, with the newline. Never before byte `floor`.
fn with_comments(document: &Document<'_>, block: &Range<usize>, floor: usize) -> Range<usize> {
    let mut start = line_start(document.text, block.start).max(floor);
    let first_on_line = document.text.get(start..block.start).is_some_and(|before| before.trim().is_empty());
    if !first_on_line {
        start = block.start;
    } else {
        let index = document.tokens.partition_point(|t| t.at < start);
        for token in document.tokens.iter().take(index).rev() {
            let begin = line_start(document.text, token.at);
            let alone = document.text.get(begin..token.at).is_some_and(|before| before.trim().is_empty());
            match token.kind {
                Kind::Blank if token.text.matches('\n').count() < 2 => {}
                Kind::Comment if alone && begin >= floor => start = begin,
                _ => break,
            }
        }
    }
    let rest = document.text.get(block.end..).unwrap_or_default();
    let line = rest.find('\n').map_or(rest.len(), |i| i + 1);
    let trailing = rest.get(..line).unwrap_or_default().trim();
    let only_comment = trailing.is_empty() || trailing.starts_with('#') || trailing.starts_with("//");
    start..if only_comment && first_on_line { block.end + line } else { block.end }
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |i| i + 1)
}
