//! `jail web to node big`, with or without its filler words.

use crate::model::InvalidName;
use crate::model::JailName;
use crate::model::NodeName;

/// Why the words make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Too few or too many.
    #[error("say which jail goes where: jail NAME to node NAME (got {0:?})")]
    Shape(String),
    /// A name is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// Reads the jail and the node.
///
/// # Errors
/// [`WordsError`] when there are not exactly two names, or one of them is not valid.
pub fn jail_to_node(words: &[String]) -> Result<(JailName, NodeName), WordsError> {
    let shape = || WordsError::Shape(words.join(" "));
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    // A jail may be called `to` or `jail`: with all the filler words there is no doubt which word is a name.
    let name = |word: &str| !["jail", "to", "node"].contains(&word);
    let (jail, node) = match texts.as_slice() {
        ["jail", jail, "to", "node", node] => (jail, node),
        ["jail", jail, "to", node]
        | ["jail", jail, "node", node]
        | [jail, "to", "node", node]
        | [jail, "to", node]
        | [jail, "node", node]
        | ["jail", jail, node]
        | [jail, node]
            if name(jail) && name(node) =>
        {
            (jail, node)
        }
        _ => return Err(shape()),
    };
    Ok((JailName::new(*jail)?, NodeName::new(*node)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, String), WordsError> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        jail_to_node(&words).map(|(j, n)| (j.to_string(), n.to_string()))
    }

    #[test]
    fn filler_words_may_be_left_out() {
        for text in ["jail web to node big", "web to big", "web big", "jail web to big", "jail web big", "web node big"]
        {
            assert_eq!(read(text).unwrap(), ("web".into(), "big".into()), "{text}");
        }
        assert_eq!(read("jail jail to node to").unwrap(), ("jail".into(), "to".into()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["web", "web to", "jail web to", "web to node", "jail web to node big now", "7web big", "web -big"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
