//! jail.conf(5): blocks, wildcards, variables (contract 2.1).

use super::lexer;
use super::lexer::Piece;
use super::lexer::Placed;
use super::lexer::Token;

/// One statement.
#[derive(Clone, Debug)]
struct Statement {
    name: String,
    append: bool,
    values: Vec<Vec<Piece>>,
}

/// A block, in the file's order; statements outside of any block are one for `*`.
#[derive(Clone, Debug)]
struct Block {
    pattern: String,
    statements: Vec<Statement>,
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct Conf {
    blocks: Vec<Block>,
}

/// A jail's parameters, complete and in order; a boolean that is on has no values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// The jail's name.
    pub name: String,
    /// Name and values.
    pub parameters: Vec<(String, Vec<String>)>,
}

impl Definition {
    /// The values of a list parameter.
    pub fn all(&self, name: &str) -> &[String] {
        self.parameters.iter().find(|(known, _)| known == name).map_or(&[], |(_, values)| values)
    }

    /// The value of a parameter (of a list, the last).
    pub fn value(&self, name: &str) -> Option<&str> {
        self.all(name).last().map(String::as_str)
    }

    /// Is a boolean on?
    pub fn on(&self, name: &str) -> bool {
        let off = match name.rsplit_once('.') {
            Some((head, tail)) => format!("{head}.no{tail}"),
            None => format!("no{name}"),
        };
        self.parameters.iter().rev().find_map(|(known, values)| {
            if *known == name {
                Some(!matches!(values.last().map(String::as_str), Some("0" | "false")))
            } else if *known == off {
                Some(false)
            } else {
                None
            }
        }) == Some(true)
    }
}

impl Conf {
    /// Reads a file's text; the error is what jail(8) says after `jail: FILE`.
    pub fn parse(text: &str) -> Result<Conf, String> {
        let eof = || ": unexpected EOF".to_string();
        let tokens = lexer::split(text).map_err(|_| eof())?;
        let mut conf = Conf::default();
        let mut at = 0;
        while at < tokens.len() {
            let (line, Token::Word(pieces)) = &tokens[at] else {
                if tokens[at].1 == Token::Sign(';') {
                    at += 1;
                    continue;
                }
                return Err(wrong(&tokens[at]));
            };
            if tokens.get(at + 1).map(|(_, t)| t) == Some(&Token::Sign('{')) {
                let pattern = plain(pieces).ok_or_else(|| format!(" line {line}: syntax error"))?;
                let mut block = Block { pattern, statements: Vec::new() };
                at += 2;
                loop {
                    match tokens.get(at) {
                        None => return Err(eof()),
                        Some((_, Token::Sign('}'))) => break,
                        Some((_, Token::Sign(';'))) => at += 1,
                        Some(_) => block.statements.push(statement(&tokens, &mut at)?),
                    }
                }
                at += 1;
                conf.blocks.push(block);
            } else {
                let statement = statement(&tokens, &mut at)?;
                conf.blocks.push(Block { pattern: "*".into(), statements: vec![statement] });
            }
        }
        Ok(conf)
    }

    /// The jails that the file defines by name, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for block in &self.blocks {
            if !block.pattern.contains('*') && !names.contains(&block.pattern) {
                names.push(block.pattern.clone());
            }
        }
        names
    }

    /// A jail's parameters: every block that matches, in the file's order, later ones over earlier ones.
    pub fn definition(&self, name: &str) -> Result<Option<Definition>, String> {
        if !self.names().iter().any(|known| known == name) {
            return Ok(None);
        }
        let mut collected: Vec<(String, Vec<Vec<Piece>>)> = vec![("name".into(), vec![vec![Piece::Text(name.into())]])];
        for statement in self.blocks.iter().filter(|b| matches(&b.pattern, name)).flat_map(|b| &b.statements) {
            match collected.iter_mut().find(|(known, _)| *known == statement.name) {
                Some((_, values)) if statement.append => values.extend(statement.values.clone()),
                Some((_, values)) => *values = statement.values.clone(),
                None => collected.push((statement.name.clone(), statement.values.clone())),
            }
        }
        let mut definition = Definition { name: name.into(), parameters: Vec::new() };
        for (key, values) in &collected {
            if key.starts_with('$') {
                continue;
            }
            let mut done = Vec::new();
            for value in values {
                done.extend(substitute(&collected, value, 0)?);
            }
            definition.parameters.push((key.clone(), done));
        }
        Ok(Some(definition))
    }
}

fn plain(pieces: &[Piece]) -> Option<String> {
    match pieces {
        [Piece::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

fn wrong(token: &Placed) -> String {
    let shown = match &token.1 {
        Token::Word(pieces) => plain(pieces).unwrap_or_else(|| "$".into()),
        Token::Equals => "=".into(),
        Token::Append => "+=".into(),
        Token::Sign(sign) => sign.to_string(),
    };
    format!(" line {}: {shown}: syntax error", token.0)
}

fn statement(tokens: &[Placed], at: &mut usize) -> Result<Statement, String> {
    let eof = || ": unexpected EOF".to_string();
    let name = match &tokens[*at].1 {
        Token::Word(pieces) => match pieces.as_slice() {
            [Piece::Text(text)] => text.clone(),
            [Piece::Variable(name)] => format!("${name}"),
            _ => return Err(wrong(&tokens[*at])),
        },
        _ => return Err(wrong(&tokens[*at])),
    };
    *at += 1;
    let mut statement = Statement { name, append: false, values: Vec::new() };
    let mut said = false;
    match tokens.get(*at).map(|(_, t)| t) {
        Some(Token::Equals) => {
            said = true;
            *at += 1;
        }
        Some(Token::Append) => {
            said = true;
            statement.append = true;
            *at += 1;
        }
        _ => {}
    }
    loop {
        let token = tokens.get(*at).ok_or_else(eof)?;
        match &token.1 {
            Token::Word(pieces) => {
                statement.values.push(pieces.clone());
                *at += 1;
                match tokens.get(*at).ok_or_else(eof)? {
                    (_, Token::Sign(',')) => *at += 1,
                    (_, Token::Sign(';')) => break,
                    other => return Err(wrong(other)),
                }
            }
            Token::Sign(';') if !said && statement.values.is_empty() => break,
            _ => return Err(wrong(token)),
        }
    }
    *at += 1;
    Ok(statement)
}

/// `*` and `a.*`: by parts between dots.
fn matches(pattern: &str, name: &str) -> bool {
    pattern == "*"
        || pattern.split('.').count() == name.split('.').count()
            && pattern.split('.').zip(name.split('.')).all(|(p, n)| p == "*" || p == n)
}

fn substitute(known: &[(String, Vec<Vec<Piece>>)], value: &[Piece], depth: usize) -> Result<Vec<String>, String> {
    if depth > 16 {
        return Err("variable loop".into());
    }
    let look = |name: &str| {
        let variable = format!("${name}");
        known
            .iter()
            .find(|(key, _)| *key == variable || key == name)
            .map(|(_, values)| values)
            .ok_or_else(|| format!("variable \"{name}\" not found"))
    };
    if let [Piece::Variable(name)] = value {
        let mut all = Vec::new();
        for inner in look(name)? {
            all.extend(substitute(known, inner, depth + 1)?);
        }
        return Ok(all);
    }
    let mut text = String::new();
    for piece in value {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Variable(name) => {
                let mut all = Vec::new();
                for inner in look(name)? {
                    all.extend(substitute(known, inner, depth + 1)?);
                }
                let [one] = all.as_slice() else {
                    return Err(format!("variable \"{name}\" is an array that cannot be substituted inline"));
                };
                text.push_str(one);
            }
        }
    }
    Ok(vec![text])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_variables_and_lists_in_order() {
        let conf = Conf::parse(
            "exec.clean; # all\n$unit = 7;\n* { path = \"/jails/$name\"; }\nweb { vnet; exec.start = \"a b\", 'c $x';\n exec.start += \"d${unit}e\"; /* x */ }\nweb.* { persist; }\n",
        )
        .expect("parses");
        let web = conf.definition("web").expect("substitutes").expect("is there");
        let get = |name: &str| web.all(name).join("|");
        assert_eq!(get("path"), "/jails/web");
        assert_eq!(get("exec.start"), "a b|c $x|d7e");
        assert!(web.on("vnet") && web.on("exec.clean") && !web.on("persist"));
        assert_eq!(web.parameters[0].0, "name");
    }

    #[test]
    fn errors_as_recorded() {
        let text = |conf: &str| Conf::parse(conf).expect_err("must fail");
        assert_eq!(text("web { path = /x; vnet \n"), ": unexpected EOF");
        assert_eq!(text("web { path = ; }\n"), " line 1: ;: syntax error");
    }

    #[test]
    fn an_array_does_not_fit_inside_a_string() {
        let conf = Conf::parse("$l = a, b; web { exec.start = $l; exec.stop = \"x $l\"; }").expect("parses");
        assert!(conf.definition("web").expect_err("must fail").contains("array"));
    }
}
