//! Tokens of jail.conf(5), as usr.sbin/jail/jaillex.l makes them; joined they are the text again, byte for byte.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Blanks and newlines.
    Blank,
    /// `# …`, `// …` or `/* … */`.
    Comment,
    /// `=`
    Equals,
    /// `+=`
    Append,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
    /// Unquoted characters.
    Bare,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `$name` or `${name}` outside quotes.
    Variable,
    /// Something that jail(8) would refuse: an unterminated string, a stray byte.
    Unknown,
}

/// One token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
    /// Byte offset in the file.
    pub at: usize,
}

impl Token<'_> {
    /// Byte range in the file.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }
}

/// Splits `text`; the tokens joined are `text` again.
#[must_use]
pub fn tokenize(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        let (kind, length) = next(rest);
        tokens.push(Token { kind, text: rest.get(..length).unwrap_or(rest), at });
        at += length;
    }
    tokens
}

/// The kind and byte length of the token at the start of `rest`, which is not empty.
fn next(rest: &str) -> (Kind, usize) {
    let mut chars = rest.chars();
    let first = chars.next().unwrap_or_default();
    let second = chars.next();
    match first {
        ' ' | '\t' | '\r' | '\n' => (Kind::Blank, span(rest, |c| " \t\r\n".contains(c))),
        '#' => (Kind::Comment, span(rest, |c| c != '\n')),
        '/' if second == Some('/') => (Kind::Comment, span(rest, |c| c != '\n')),
        // Without an end it is not a comment: jail(8) complains, and so does the tree.
        '/' if second == Some('*') => match rest.get(2..).and_then(|r| r.find("*/")) {
            Some(end) => (Kind::Comment, end + 4),
            None => (Kind::Unknown, rest.len()),
        },
        '+' if second == Some('=') => (Kind::Append, 2),
        '=' => (Kind::Equals, 1),
        ',' => (Kind::Comma, 1),
        ';' => (Kind::Semicolon, 1),
        '{' => (Kind::Open, 1),
        '}' => (Kind::Close, 1),
        '\'' => quoted(rest, '\'').map_or((Kind::Unknown, 1), |n| (Kind::Single, n)),
        '"' => quoted(rest, '"').map_or((Kind::Unknown, 1), |n| (Kind::Double, n)),
        '$' => match variable(rest) {
            Some((_, length)) => (Kind::Variable, length),
            None => (Kind::Bare, 1),
        },
        '*' | '+' | '/' => (Kind::Bare, 1),
        '\\' => (Kind::Bare, 1 + second.map_or(0, char::len_utf8)),
        c if atom(c) => (Kind::Bare, span(rest, atom)),
        c => (Kind::Unknown, c.len_utf8()),
    }
}

/// Characters of an unquoted string (jaillex.l).
fn atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_!%&()-.:<>?@[]^`|~".contains(c)
}

fn span(text: &str, member: impl Fn(char) -> bool) -> usize {
    text.find(|c| !member(c)).unwrap_or(text.len())
}

/// Length of the quoted string at the start of `text`, both quotes included.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return Some(i + 1);
        }
    }
    None
}

/// Name and length of the variable at the start of `text`: `$name` or `${dotted.name}`.
#[must_use]
pub fn variable(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    if let Some(inner) = rest.strip_prefix('{') {
        let end = inner.find(['}', '{', '\n', '"'])?;
        let name = inner.get(..end)?;
        return inner.get(end..)?.starts_with('}').then_some((name, end + 3));
    }
    rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then(|| {
        let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '_');
        (rest.get(..length).unwrap_or(rest), length + 1)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokenize(text).into_iter().filter(|t| t.kind != Kind::Blank).map(|t| (t.kind, t.text)).collect()
    }

    #[test]
    fn every_form_of_the_manual_page_is_known() {
        use Kind::*;
        assert_eq!(
            kinds("a.b += 'x;y', \"z\\\"\", ${c.d}e; # end\n// more\n/* and\nmore */ w { }"),
            [
                (Bare, "a.b"),
                (Append, "+="),
                (Single, "'x;y'"),
                (Comma, ","),
                (Double, "\"z\\\"\""),
                (Comma, ","),
                (Variable, "${c.d}"),
                (Bare, "e"),
                (Semicolon, ";"),
                (Comment, "# end"),
                (Comment, "// more"),
                (Comment, "/* and\nmore */"),
                (Bare, "w"),
                (Open, "{"),
                (Close, "}"),
            ]
        );
    }

    #[test]
    fn two_slashes_in_an_unquoted_path_start_a_comment() {
        assert_eq!(kinds("/a//b;\n").last(), Some(&(Kind::Comment, "//b;")));
    }

    proptest! {
        #[test]
        fn joined_tokens_are_the_text(text in "\\PC{0,60}|[a-z$\\{\\}'\"/*#+=;, \\\\\\n]{0,60}") {
            let tokens = tokenize(&text);
            prop_assert_eq!(tokens.iter().map(|t| t.text).collect::<String>(), text.clone());
            prop_assert!(tokens.iter().all(|t| text.get(t.range()) == Some(t.text)));
        }
    }
}
