//! Edits rc.conf(5) variables on a host with sysrc(8): scripts that may run twice, each with its exact inverse.
//!
//! sysrc's own `+=` and `-=` are left alone: they drop repeated words, which is wrong for addresses, and `-=` of the
//! last jail makes every jail start at boot (contract 2.5). The scripts compute the list themselves and assign it.
//! Exit 20: a value is not what the plan knows; 21: it does not read back; 22: it would start other jails, or cannot be
//! written.

pub mod jail_list;
pub mod static_route;

pub use jail_list::JailList;
pub use static_route::StaticRoute;

use crate::effect::shell;
use crate::model::RemotePath;

#[cfg(test)]
mod tests;

/// `checkyesno` of rc.subr(8).
#[must_use]
pub fn is_yes(value: &str) -> bool {
    ["yes", "true", "on", "1"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// Shell functions that every script of this module starts with.
const LIBRARY: &str = include_str!("library.sh");

/// What sysrc(8) could not write so that it reads back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRc {
    /// Not a shell variable's name.
    #[error("{0:?} is not the name of an rc.conf variable")]
    Name(String),
    /// sh(1) would give a character of it a meaning.
    #[error("{0:?} holds quotes, '$', backquotes, backslashes or newlines, which an rc.conf value of ours never does")]
    Value(String),
}

/// A variable in the file that holds it: /etc/rc.conf, or one in rc.conf.d that overrides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    file: RemotePath,
    name: String,
}

impl Variable {
    /// The variable `name` in `file`.
    ///
    /// # Errors
    /// [`InvalidRc::Name`] when it is no shell variable's name.
    pub fn new(file: &RemotePath, name: &str) -> Result<Variable, InvalidRc> {
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if valid {
            Ok(Variable { file: file.clone(), name: name.to_owned() })
        } else {
            Err(InvalidRc::Name(name.chars().take(80).collect()))
        }
    }

    /// The script that changes the variable from `old` to `new`, `None` meaning that the file does not set it. Already
    /// `new` is fine; anything else is refused with exit 20. Its inverse is the same with both swapped.
    ///
    /// For `ifconfig_IF_aliases` and other values that are not lists of distinct words.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for a value that cannot be written safely.
    pub fn change(&self, old: Option<&str>, new: Option<&str>) -> Result<String, InvalidRc> {
        Ok(script(&format!("change {} {} {}\n", self.words(), value(old)?, value(new)?)))
    }

    /// `FILE NAME`, quoted.
    fn words(&self) -> String {
        shell::line(&[self.file.as_str(), &self.name])
    }
}

/// The file that variables are in unless the host says otherwise.
#[must_use]
pub fn default_file() -> RemotePath {
    RemotePath::new("/etc/rc.conf").unwrap_or_else(|_| unreachable!("an absolute path without anything odd"))
}

/// Can the variable be given that value, or be found with it?
///
/// # Errors
/// [`InvalidRc`] says why not.
pub fn writable(name: &str, text: Option<&str>) -> Result<(), InvalidRc> {
    Variable::new(&default_file(), name)?;
    value(text).map(|_| ())
}

/// The script, or one that changes nothing and says why there is none. A plan with such a step is refused; without the
/// step nobody would know.
#[must_use]
pub fn or_refuse(script: Result<String, InvalidRc>) -> String {
    script.unwrap_or_else(|error| format!("echo {} >&2\nexit 22\n", shell::word(&error.to_string())))
}

fn script(body: &str) -> String {
    format!("{LIBRARY}{body}")
}

/// The library's form of a value, quoted: `=text`, or an empty word when unset.
fn value(value: Option<&str>) -> Result<String, InvalidRc> {
    let Some(text) = value else { return Ok("''".to_owned()) };
    if text.contains(['"', '\'', '$', '`', '\\']) || text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(InvalidRc::Value(text.chars().take(80).collect()));
    }
    Ok(shell::word(&format!("={text}")))
}

/// The list with `word` at its end, as `with` in library.sh does it.
fn with(list: Option<&str>, word: &str) -> String {
    match list {
        Some(list) if list.split_whitespace().any(|w| w == word) => list.to_owned(),
        None | Some("") => word.to_owned(),
        Some(list) => format!("{list} {word}"),
    }
}

/// The list without `word`, as `without` in library.sh does it.
fn without(list: Option<&str>, word: &str) -> Option<String> {
    let list = list?;
    if list.split_whitespace().any(|w| w == word) {
        Some(list.split_whitespace().filter(|w| *w != word).collect::<Vec<_>>().join(" "))
    } else {
        Some(list.to_owned())
    }
}
