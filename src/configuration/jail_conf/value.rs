//! Values with their variables resolved, each character knowing where in the file it was written.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::configuration::jail_conf::token::Kind;
use crate::configuration::jail_conf::token::Token;
use crate::configuration::jail_conf::token::variable;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::tree::Statement;
use crate::configuration::jail_conf::tree::Word;
use crate::model::JailName;

/// Where a character comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Written here, at these bytes (an escape is several).
    Text(Range<usize>),
    /// Comes out of the variable reference of that index.
    Variable(usize),
}

/// A reference to a variable inside a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Name without `$`.
    pub name: String,
    /// Bytes of the reference in the file.
    pub range: Range<usize>,
    /// Was it resolved?
    pub known: bool,
}

/// A value with its variables resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// The characters.
    pub chars: Vec<char>,
    /// One for each character.
    pub origins: Vec<Origin>,
    /// Variable references in order.
    pub references: Vec<Reference>,
}

impl Value {
    /// As jail(8) sees it.
    #[must_use]
    pub fn text(&self) -> String {
        self.chars.iter().collect()
    }
}

/// A piece of a word.
enum Piece<'a> {
    Char(char, Range<usize>),
    Variable(&'a str, Range<usize>),
}

/// A word's text with variables left as they are written; for names.
#[must_use]
pub fn literal(word: &[Token<'_>]) -> String {
    let mut text = String::new();
    for piece in pieces(word) {
        match piece {
            Piece::Char(c, _) => text.push(c),
            Piece::Variable(name, _) => {
                text.push('$');
                text.push_str(name);
            }
        }
    }
    text
}

fn pieces<'a>(word: &[Token<'a>]) -> Vec<Piece<'a>> {
    let mut found = Vec::new();
    for token in word {
        let (trim, substitute) = match token.kind {
            Kind::Single => (1, false),
            Kind::Double => (1, true),
            Kind::Variable => (0, true),
            _ => (0, false),
        };
        let end = token.text.len().saturating_sub(trim);
        let mut at = trim;
        while let Some(rest) = token.text.get(at..end).filter(|r| !r.is_empty()) {
            let range = |length: usize| token.at + at..token.at + at + length;
            if substitute && let Some((name, length)) = variable(rest) {
                found.push(Piece::Variable(name, range(length)));
                at += length;
            } else if let Some(escape) = rest.strip_prefix('\\').filter(|e| !e.is_empty()) {
                let (decoded, length) = unescape(escape);
                found.extend(decoded.map(|c| Piece::Char(c, range(length + 1))));
                at += length + 1;
            } else {
                let c = rest.chars().next().unwrap_or_default();
                found.push(Piece::Char(c, range(c.len_utf8())));
                at += c.len_utf8();
            }
        }
    }
    found
}

/// What a backslash and `rest` mean, and how many bytes of `rest` they take (text2lval in jaillex.l).
fn unescape(rest: &str) -> (Option<char>, usize) {
    let digits = |from: usize, max: usize, radix: u32| {
        rest.chars().skip(from).take(max).take_while(|c| c.is_digit(radix)).collect::<String>()
    };
    let first = rest.chars().next().unwrap_or_default();
    let (number, skip, radix) = match first {
        '0'..='7' => (digits(0, 3, 8), 0, 8),
        'x' => (digits(1, 2, 16), 1, 16),
        '\n' => return (None, 1),
        _ => {
            let c = match first {
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                other => other,
            };
            return (Some(c), first.len_utf8());
        }
    };
    let code = u32::from_str_radix(&number, radix).unwrap_or(0);
    (char::from_u32(code & 0xff), number.len() + skip)
}

/// What a jail's parameters and variables are in the end.
#[derive(Debug, Clone)]
pub struct Scope<'d, 'a> {
    jail: &'d JailName,
    /// Name and values, in the order of first mention; a later `=` replaces, `+=` appends (jail.conf(5)).
    parameters: Vec<(String, Vec<&'d Word<'a>>)>,
    /// Variables resolved before: definitions may mention each other many times over.
    resolved: RefCell<BTreeMap<String, Vec<Option<String>>>>,
}

/// Variables inside variables: deeper than this is a loop.
const DEEPEST: usize = 16;

/// A variable's text longer than this is no configuration of anybody's.
const LONGEST: usize = 64 * 1024;

impl<'d, 'a> Scope<'d, 'a> {
    /// The scope of `jail` in a file.
    #[must_use]
    pub fn of(document: &'d Document<'a>, jail: &'d JailName) -> Scope<'d, 'a> {
        let mut parameters: Vec<(String, Vec<&Word>)> = Vec::new();
        for statement in document.statements(jail) {
            let values: Vec<&Word> = statement.values.iter().collect();
            match parameters.iter_mut().find(|(name, _)| *name == statement.name) {
                Some((_, old)) if statement.append => old.extend(values),
                Some((_, old)) => *old = values,
                None => parameters.push((statement.name.clone(), values)),
            }
        }
        Scope { jail, parameters, resolved: RefCell::default() }
    }

    /// Every parameter with its values as jail(8) sees them; variables left out. `None` where a variable is unknown.
    #[must_use]
    pub fn effective(&self) -> Vec<(String, Vec<Option<String>>)> {
        self.parameters
            .iter()
            .filter(|(name, _)| !name.starts_with('$'))
            .map(|(name, words)| (name.clone(), words.iter().flat_map(|w| self.flatten(w, 0)).collect()))
            .collect()
    }

    /// The words that define a variable or a parameter used as one.
    #[must_use]
    pub fn definition(&self, name: &str) -> Option<&[&'d Word<'a>]> {
        let variable = format!("${name}");
        let found = |wanted: &str| self.parameters.iter().find(|(n, _)| n == wanted).map(|(_, w)| w.as_slice());
        found(&variable).or_else(|| found(name))
    }

    /// A word with its variables resolved. A list variable that is the whole word gives no characters of its own: they
    /// are those of its definition.
    #[must_use]
    pub fn value(&self, word: &Word<'a>) -> Value {
        let mut value = Value::default();
        for piece in pieces(word) {
            match piece {
                Piece::Char(c, range) => {
                    value.chars.push(c);
                    value.origins.push(Origin::Text(range));
                }
                Piece::Variable(name, range) => {
                    let texts = self.variable(name, 0);
                    let known = !texts.is_empty() && texts.iter().all(Option::is_some);
                    let index = value.references.len();
                    if let [Some(text)] = texts.as_slice() {
                        value.chars.extend(text.chars());
                        value.origins.resize(value.chars.len(), Origin::Variable(index));
                    }
                    value.references.push(Reference { name: name.to_owned(), range, known });
                }
            }
        }
        value
    }

    /// The value of `statement`'s word number `index`, resolved.
    #[must_use]
    pub fn values_of(&self, statement: &Statement<'a>) -> Vec<Value> {
        statement.values.iter().map(|w| self.value(w)).collect()
    }

    fn flatten(&self, word: &Word<'a>, depth: usize) -> Vec<Option<String>> {
        let pieces = pieces(word);
        if let [Piece::Variable(name, _)] = pieces.as_slice() {
            return self.variable(name, depth);
        }
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Char(c, _) => text.push(c),
                Piece::Variable(name, _) => match self.variable(name, depth).as_slice() {
                    [Some(inner)] if text.len() + inner.len() <= LONGEST => text.push_str(inner),
                    _ => return vec![None],
                },
            }
        }
        vec![Some(text)]
    }

    /// What a variable stands for; `[None]` when nobody knows.
    fn variable(&self, name: &str, depth: usize) -> Vec<Option<String>> {
        if depth > DEEPEST {
            return vec![None];
        }
        if let Some(known) = self.resolved.borrow().get(name) {
            return known.clone();
        }
        let found = match self.definition(name) {
            Some(words) => self.all(words, depth + 1),
            None if name == "name" => vec![Some(self.jail.to_string())],
            None => vec![None],
        };
        self.resolved.borrow_mut().insert(name.to_owned(), found.clone());
        found
    }

    /// A list's values; `[None]` as soon as one is unknown, which also ends loops at once.
    fn all(&self, words: &[&'d Word<'a>], depth: usize) -> Vec<Option<String>> {
        let mut found = Vec::new();
        for word in words {
            found.extend(self.flatten(word, depth));
            if found.contains(&None) || found.len() > LONGEST {
                return vec![None];
            }
        }
        found
    }
}
