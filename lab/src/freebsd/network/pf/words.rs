//! pf.conf(5) as tokens: macros put in, lines numbered.

use std::collections::HashMap;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A bare word.
    Bare(String),
    /// A quoted one.
    Quoted(String),
    /// `{ } ( ) , = ! < > -> …`
    Sign(&'static str),
    /// End of a line.
    End,
}

/// A token with its line.
pub type Placed = (usize, Word);

/// Why a file cannot be read: the line and what pfctl says.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Line.
    pub line: usize,
    /// Text.
    pub text: String,
}

const SIGNS: &[&str] = &["->", "><", "<>", "!=", "<=", ">=", "{", "}", "(", ")", ",", "=", "!", "<", ">", ":"];

/// Splits a file and puts its macros in; the macros' own definitions are taken out.
pub fn split(text: &str) -> Result<Vec<Placed>, Wrong> {
    let mut macros: HashMap<String, Vec<Word>> = HashMap::new();
    let mut out: Vec<Placed> = Vec::new();
    let raw = raw(text)?;
    let mut at = 0;
    while at < raw.len() {
        let (line, word) = &raw[at];
        let starts = out.last().is_none_or(|(_, w)| *w == Word::End);
        if let (true, Word::Bare(name), Some((_, Word::Sign("=")))) = (starts, word, raw.get(at + 1)) {
            let mut value = Vec::new();
            at += 2;
            while let Some((_, word)) = raw.get(at).filter(|(_, w)| *w != Word::End) {
                match word {
                    // A quoted value is text to be read again.
                    Word::Quoted(text) => {
                        value.extend(self::raw(text)?.into_iter().map(|(_, w)| w).filter(|w| *w != Word::End))
                    }
                    other => value.extend(expand(other, &macros, *line)?),
                }
                at += 1;
            }
            macros.insert(name.clone(), value);
            at += 1;
            continue;
        }
        for word in expand(word, &macros, *line)? {
            out.push((*line, word));
        }
        at += 1;
    }
    Ok(out)
}

fn expand(word: &Word, macros: &HashMap<String, Vec<Word>>, line: usize) -> Result<Vec<Word>, Wrong> {
    match word {
        Word::Bare(name) if name.starts_with('$') => {
            // `$ext_if:0`: the modifier belongs to what the macro stands for.
            let (name, modifier) = match name[1..].find(':') {
                Some(at) => (&name[1..=at], &name[at + 1..]),
                None => (&name[1..], ""),
            };
            let value = macros.get(name).ok_or_else(|| Wrong { line, text: format!("macro '{name}' not defined") })?;
            let mut out = Vec::new();
            for word in value {
                out.extend(expand(word, macros, line)?);
            }
            if let Some(Word::Bare(last)) = out.last_mut() {
                last.push_str(modifier);
            }
            Ok(out)
        }
        other => Ok(vec![other.clone()]),
    }
}

fn raw(text: &str) -> Result<Vec<Placed>, Wrong> {
    let mut out = Vec::new();
    let mut line = 1;
    // Lists may go over several lines.
    let mut depth = 0;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\\\n") {
            line += 1;
            rest = after;
        } else if c == '\n' {
            if depth == 0 {
                out.push((line, Word::End));
            }
            line += 1;
            rest = &rest[1..];
        } else if c.is_whitespace() {
            rest = &rest[c.len_utf8()..];
        } else if c == '#' {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if c == '"' {
            let Some(end) = rest[1..].find('"') else {
                return Err(Wrong { line, text: "syntax error".into() });
            };
            out.push((line, Word::Quoted(rest[1..=end].into())));
            rest = &rest[end + 2..];
        } else {
            let is_word = |c: char| c.is_alphanumeric() || "$_-./*@".contains(c);
            let length = word_length(rest, is_word);
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            match sign {
                Some(sign) if length == 0 || *sign == "->" => {
                    depth += usize::from(*sign == "{");
                    depth = depth.saturating_sub(usize::from(*sign == "}"));
                    out.push((line, Word::Sign(sign)));
                    rest = &rest[sign.len()..];
                }
                _ if length > 0 => {
                    out.push((line, Word::Bare(rest[..length].into())));
                    rest = &rest[length..];
                }
                _ => return Err(Wrong { line, text: "syntax error".into() }),
            }
        }
    }
    out.push((line, Word::End));
    Ok(out)
}

/// How far a bare word goes: a colon belongs to it inside IPv6 addresses and in `if:0`.
fn word_length(text: &str, is_word: impl Fn(char) -> bool) -> usize {
    let mut end = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        let colon = c == ':' && (next.is_some_and(|n| is_word(n) || n == ':') || text[..at].contains(':'));
        if c == '-' && next == Some('>') || !(is_word(c) || colon) {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_lists_and_addresses() {
        let words = split("a = \"{ 10.0.0.0/8, 2001:db8::/32 }\"\nnat on em0 from $a -> (em0:0)\n").expect("splits");
        let text: Vec<String> = words.iter().map(|(l, w)| format!("{l}{w:?}")).collect();
        assert_eq!(words[0], (2, Word::Bare("nat".into())), "{text:?}");
        assert!(words.contains(&(2, Word::Bare("2001:db8::/32".into()))), "{text:?}");
        assert!(words.contains(&(2, Word::Bare("em0:0".into()))) && words.contains(&(2, Word::Sign("->"))), "{text:?}");
    }

    #[test]
    fn an_unknown_macro_is_named() {
        assert_eq!(
            split("\npass on $x\n").expect_err("must fail"),
            Wrong { line: 2, text: "macro 'x' not defined".into() }
        );
    }
}
