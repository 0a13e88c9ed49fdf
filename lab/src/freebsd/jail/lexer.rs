//! jail.conf(5)'s words (usr.sbin/jail/jaillex.l).

/// Part of a string: text, or a variable to be put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// `$name`, `${name}`.
    Variable(String),
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A string, quoted or bare.
    Word(Vec<Piece>),
    /// `=`
    Equals,
    /// `+=`
    Append,
    /// `{ } ; ,`
    Sign(char),
}

/// A token with its line.
pub type Placed = (usize, Token);

/// Splits a file into tokens. The error is the line where a quotation or comment does not end.
pub fn split(text: &str) -> Result<Vec<Placed>, String> {
    let mut chars = text.chars().peekable();
    let mut line = 1;
    let mut tokens = Vec::new();
    while let Some(&c) = chars.peek() {
        match c {
            '\n' => {
                line += 1;
                chars.next();
            }
            c if c.is_whitespace() => {
                chars.next();
            }
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '{' | '}' | ';' | ',' => {
                chars.next();
                tokens.push((line, Token::Sign(c)));
            }
            '=' => {
                chars.next();
                tokens.push((line, Token::Equals));
            }
            _ => {
                let rest: String = chars.clone().take(2).collect();
                match rest.as_str() {
                    "//" => while chars.next_if(|c| *c != '\n').is_some() {},
                    "/*" => {
                        let mut last = ' ';
                        chars.nth(1);
                        loop {
                            let Some(c) = chars.next() else {
                                return Err("unexpected EOF".into());
                            };
                            line += usize::from(c == '\n');
                            if last == '*' && c == '/' {
                                break;
                            }
                            last = c;
                        }
                    }
                    "+=" => {
                        chars.nth(1);
                        tokens.push((line, Token::Append));
                    }
                    _ => tokens.push((line, word(&mut chars, &mut line)?)),
                }
            }
        }
    }
    Ok(tokens)
}

fn word(chars: &mut std::iter::Peekable<std::str::Chars>, line: &mut usize) -> Result<Token, String> {
    let quote = chars.next_if(|c| matches!(c, '"' | '\''));
    let mut pieces = Vec::new();
    let mut text = String::new();
    loop {
        let next = chars.peek().copied();
        match (quote, next) {
            (Some(_), None) => return Err("unexpected EOF".into()),
            (Some(q), Some(c)) if c == q => {
                chars.next();
                break;
            }
            (None, None) => break,
            (None, Some(c)) if c.is_whitespace() || "{};,=\"'#".contains(c) => break,
            (None, Some('+')) if chars.clone().nth(1) == Some('=') => break,
            (q, Some('\\')) if q != Some('\'') => {
                chars.next();
                match chars.next() {
                    Some('n') if q.is_some() => text.push('\n'),
                    Some('t') if q.is_some() => text.push('\t'),
                    Some('\n') => *line += 1,
                    Some(c) => text.push(c),
                    None => return Err("unexpected EOF".into()),
                }
            }
            (q, Some('$')) if q != Some('\'') => {
                chars.next();
                let name = if chars.next_if_eq(&'{').is_some() {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break name,
                            Some(c) => name.push(c),
                            None => return Err("unexpected EOF".into()),
                        }
                    }
                } else {
                    let mut name = String::new();
                    while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                    name
                };
                if name.is_empty() {
                    text.push('$');
                } else {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Variable(name));
                }
            }
            (_, Some(c)) => {
                *line += usize::from(c == '\n');
                text.push(c);
                chars.next();
            }
        }
    }
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(Token::Word(pieces))
}
