//! Options as FreeBSD's getopt(3) reads them: they end at the first argument that is none.

use super::session::Done;
use super::session::Fail;
use super::usage;

/// A parsed command line.
#[derive(Debug, Default)]
pub struct Options {
    given: Vec<(char, Option<String>)>,
    /// The operands.
    pub rest: Vec<String>,
}

impl Options {
    /// Parses `args` by getopt's `spec` (`"Hpo:"`); what is not in it is answered with the usage of `verb`.
    pub fn parse(program: &str, verb: &str, args: &[String], spec: &str) -> Done<Options> {
        let mut options = Options::default();
        let mut index = 0;
        while let Some(arg) = args.get(index) {
            if arg == "--" {
                index += 1;
                break;
            }
            if !arg.starts_with('-') || arg.len() == 1 {
                break;
            }
            index += 1;
            let mut letters = arg.chars().skip(1);
            while let Some(letter) = letters.next() {
                let Some(at) = spec.find(letter).filter(|_| letter != ':') else {
                    return Err(usage::wrong(program, verb, &format!("invalid option '{letter}'")));
                };
                if spec[at + letter.len_utf8()..].starts_with(':') {
                    let attached: String = letters.by_ref().collect();
                    let value = if attached.is_empty() {
                        index += 1;
                        args.get(index - 1).cloned()
                    } else {
                        Some(attached)
                    };
                    let Some(value) = value else {
                        let text = format!("missing argument for '{letter}' option");
                        return Err(usage::wrong(program, verb, &text));
                    };
                    options.given.push((letter, Some(value)));
                } else {
                    options.given.push((letter, None));
                }
            }
        }
        options.rest = args.get(index..).unwrap_or_default().to_vec();
        Ok(options)
    }

    /// Whether the option was given.
    pub fn has(&self, letter: char) -> bool {
        self.given.iter().any(|(given, _)| *given == letter)
    }

    /// The last value of the option.
    pub fn value(&self, letter: char) -> Option<&str> {
        self.values(letter).last().copied()
    }

    /// All values of the option, in order.
    pub fn values(&self, letter: char) -> Vec<&str> {
        self.given.iter().filter(|(given, _)| *given == letter).filter_map(|(_, value)| value.as_deref()).collect()
    }

    /// The options in the order they were given.
    pub fn all(&self) -> impl Iterator<Item = (char, Option<&str>)> {
        self.given.iter().map(|(letter, value)| (*letter, value.as_deref()))
    }

    /// The `NAME=VALUE` pairs of `-o`.
    pub fn assignments(&self, program: &str, verb: &str) -> Done<Vec<(String, String)>> {
        self.values('o')
            .into_iter()
            .map(|pair| assignment(pair).ok_or_else(|| missing_equals(program, verb, pair)))
            .collect()
    }
}

/// `NAME=VALUE`.
pub fn assignment(pair: &str) -> Option<(String, String)> {
    pair.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()))
}

fn missing_equals(program: &str, verb: &str, pair: &str) -> Fail {
    usage::wrong(program, verb, &format!("missing '=' for property=value argument '{pair}'"))
}
