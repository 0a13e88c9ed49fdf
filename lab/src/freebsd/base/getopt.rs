//! getopt(3) as FreeBSD's commands use it: options end at the first operand.

/// Parsed options and what follows them.
pub struct Options {
    /// Each option with its value.
    pub given: Vec<(char, Option<String>)>,
    /// The operands.
    pub operands: Vec<String>,
}

impl Options {
    /// Whether `flag` was given.
    pub fn has(&self, flag: char) -> bool {
        self.given.iter().any(|(given, _)| *given == flag)
    }

    /// The last value of `flag`.
    pub fn value(&self, flag: char) -> Option<&str> {
        self.given.iter().rev().find(|(given, _)| *given == flag).and_then(|(_, value)| value.as_deref())
    }
}

/// Parses by an option string such as `knst:`. On a wrong option prints getopt's line (`NAME: illegal option -- x`) and returns none; the caller adds its usage.
pub fn getopt(name: &str, spec: &str, args: &[String]) -> Option<Options> {
    let mut given = Vec::new();
    let mut rest = args.iter();
    let mut operands = Vec::new();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            break;
        }
        let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            operands.push(arg.clone());
            break;
        };
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            let wants =
                spec.find(letter).filter(|_| letter != ':').map(|at| spec[at + letter.len_utf8()..].starts_with(':'));
            let value = match wants {
                Some(false) => None,
                Some(true) => {
                    let attached: String = letters.by_ref().collect();
                    let value = if attached.is_empty() { rest.next().cloned() } else { Some(attached) };
                    if value.is_none() {
                        eprintln!("{name}: option requires an argument -- {letter}");
                        return None;
                    }
                    value
                }
                None => {
                    eprintln!("{name}: illegal option -- {letter}");
                    return None;
                }
            };
            given.push((letter, value));
        }
    }
    operands.extend(rest.cloned());
    Some(Options { given, operands })
}
