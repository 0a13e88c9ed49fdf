//! Statements and blocks of jail.conf(5), after usr.sbin/jail/jailparse.y.

use std::ops::Range;

use crate::configuration::jail_conf::token::Kind;
use crate::configuration::jail_conf::token::Token;
use crate::configuration::jail_conf::token::tokenize;
use crate::configuration::jail_conf::value;
use crate::model::JailName;

/// What jail(8) would refuse as well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Tokens without blanks between them: one string, maybe of differently quoted pieces.
pub type Word<'a> = Vec<Token<'a>>;

/// `name;`, `name = value, value;` or `name += value;`.
#[derive(Debug, Clone)]
pub struct Statement<'a> {
    /// Parameter or, with its `$`, variable.
    pub name: String,
    /// `+=`
    pub append: bool,
    /// The values; empty for a boolean.
    pub values: Vec<Word<'a>>,
    /// From the name to the semicolon, inclusive.
    pub range: Range<usize>,
}

/// One thing at the top of the file.
#[derive(Debug, Clone)]
pub enum Item<'a> {
    /// A parameter for every jail that follows or came before: an implicit `* { }`.
    Global(Statement<'a>),
    /// `name { … }`
    Block(Block<'a>),
}

/// `name { … }`
#[derive(Debug, Clone)]
pub struct Block<'a> {
    /// The jail, or `*`.
    pub name: String,
    /// Its statements.
    pub statements: Vec<Statement<'a>>,
    /// From the name to the closing brace, inclusive.
    pub range: Range<usize>,
}

impl Block<'_> {
    /// Does it hold for `jail`? A component that is `*` alone is a wildcard (jail.conf(5)); our names have one
    /// component.
    #[must_use]
    pub fn applies_to(&self, jail: &JailName) -> bool {
        self.is_wildcard() || self.name == jail.as_str()
    }

    /// Is it for more jails than one?
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.name == "*"
    }
}

/// A whole file.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    /// Its text.
    pub text: &'a str,
    /// All tokens, blanks and comments included.
    pub tokens: Vec<Token<'a>>,
    /// What it says, in order.
    pub items: Vec<Item<'a>>,
}

impl<'a> Document<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SyntaxError`] where jail(8) would stop too.
    pub fn parse(text: &'a str) -> Result<Document<'a>, SyntaxError> {
        let tokens = tokenize(text);
        let mut parser = Parser { text, tokens: &tokens, next: 0 };
        let items = parser.items()?;
        Ok(Document { text, tokens, items })
    }

    /// The statements that hold for `jail`, in the order in which they take effect: that of the file
    /// (usr.sbin/jail/config.c sorts wildcards and jails by their place).
    #[must_use]
    pub fn statements(&self, jail: &JailName) -> Vec<&Statement<'a>> {
        let mut found = Vec::new();
        for item in &self.items {
            match item {
                Item::Global(statement) => found.push(statement),
                Item::Block(block) if block.applies_to(jail) => found.extend(&block.statements),
                Item::Block(_) => {}
            }
        }
        found
    }

    /// The block of `jail` itself, the last one when there are several.
    #[must_use]
    pub fn own_block(&self, jail: &JailName) -> Option<&Block<'a>> {
        self.items.iter().rev().find_map(|item| match item {
            Item::Block(block) if block.name == jail.as_str() => Some(block),
            _ => None,
        })
    }

    /// Jails other than `jail` that the file defines.
    #[must_use]
    pub fn other_jails(&self, jail: &JailName) -> Vec<String> {
        let mut names: Vec<String> = self
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Block(block) if !block.applies_to(jail) => Some(block.name.clone()),
                _ => None,
            })
            .collect();
        names.dedup();
        names
    }
}

/// The line, from 1, in which byte `at` stands.
#[must_use]
pub fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

struct Parser<'t, 'a> {
    text: &'a str,
    tokens: &'t [Token<'a>],
    next: usize,
}

impl<'a> Parser<'_, 'a> {
    fn items(&mut self) -> Result<Vec<Item<'a>>, SyntaxError> {
        let mut items = Vec::new();
        while let Some(token) = self.peek() {
            if token.kind == Kind::Semicolon {
                self.next += 1;
                continue;
            }
            let start = token.at;
            let name = self.word()?;
            if self.take(Kind::Open).is_some() {
                let (statements, end) = self.body()?;
                items.push(Item::Block(Block { name: value::literal(&name), statements, range: start..end }));
            } else {
                items.push(Item::Global(self.statement(name)?));
            }
        }
        Ok(items)
    }

    fn body(&mut self) -> Result<(Vec<Statement<'a>>, usize), SyntaxError> {
        let mut statements = Vec::new();
        loop {
            if let Some(close) = self.take(Kind::Close) {
                return Ok((statements, close.range().end));
            }
            if self.take(Kind::Semicolon).is_some() {
                continue;
            }
            let name = self.word()?;
            statements.push(self.statement(name)?);
        }
    }

    /// The rest of a statement whose name has been read.
    fn statement(&mut self, name: Word<'a>) -> Result<Statement<'a>, SyntaxError> {
        let append = self.take(Kind::Append).is_some();
        let assigned = append || self.take(Kind::Equals).is_some();
        let mut values = Vec::new();
        if assigned || self.peek().is_some_and(|t| t.kind != Kind::Semicolon) {
            values.push(self.word()?);
            while self.take(Kind::Comma).is_some() {
                values.push(self.word()?);
            }
        }
        let start = name.first().map_or(0, |t| t.at);
        match self.take(Kind::Semicolon) {
            Some(end) => Ok(Statement { name: value::literal(&name), append, values, range: start..end.range().end }),
            None => Err(self.error("a ';' is missing")),
        }
    }

    /// One string: adjacent pieces.
    fn word(&mut self) -> Result<Word<'a>, SyntaxError> {
        let mut word: Word<'a> = Vec::new();
        self.peek();
        while let Some(token) = self.tokens.get(self.next) {
            if !matches!(token.kind, Kind::Bare | Kind::Single | Kind::Double | Kind::Variable) {
                break;
            }
            word.push(*token);
            self.next += 1;
        }
        if word.is_empty() { Err(self.error("a name or a value is missing")) } else { Ok(word) }
    }

    /// The next token that is neither blank nor comment.
    fn peek(&mut self) -> Option<Token<'a>> {
        while self.tokens.get(self.next).is_some_and(|t| matches!(t.kind, Kind::Blank | Kind::Comment)) {
            self.next += 1;
        }
        self.tokens.get(self.next).copied()
    }

    fn take(&mut self, kind: Kind) -> Option<Token<'a>> {
        let token = self.peek().filter(|t| t.kind == kind)?;
        self.next += 1;
        Some(token)
    }

    fn error(&mut self, what: &str) -> SyntaxError {
        let (at, near) = match self.peek() {
            Some(token) => (token.at, format!(" before {:?}", token.text.chars().take(30).collect::<String>())),
            None => (self.text.len(), " at the end of the file".to_owned()),
        };
        SyntaxError { line: line_of(self.text, at), what: format!("{what}{near}") }
    }
}
