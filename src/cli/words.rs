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
    /// Not one node.
    #[error("say which node: node NAME (got {0:?})")]
    Node(String),
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

/// Reads the node of `node NAME`, or of `NAME`.
///
/// # Errors
/// [`WordsError`] when there is not exactly one name, or it is not valid.
pub fn node(words: &[String]) -> Result<NodeName, WordsError> {
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    match texts.as_slice() {
        ["node", name] | [name] => Ok(NodeName::new(*name)?),
        _ => Err(WordsError::Node(words.join(" "))),
    }
}

/// Reads a length of time such as `2h` or `90 min`.
///
/// # Errors
/// What is wrong with it.
pub fn length(text: &str) -> Result<jiff::SignedDuration, String> {
    let length: jiff::SignedDuration = text.parse().map_err(|_| "such as 30s, 90 min or 2h".to_owned())?;
    if length.is_positive() { Ok(length) } else { Err("must be more than nothing".to_owned()) }
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
    fn one_node_and_a_length_of_time() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for text in ["node big", "big"] {
            assert_eq!(node(&words(text)).unwrap().as_str(), "big");
        }
        assert!(node(&words("jail big")).is_err() && node(&words("node -big")).is_err());
        assert_eq!(length("2h").unwrap().as_secs(), 7200);
        assert_eq!(length("90 min").unwrap().as_secs(), 5400);
        assert!(length("").is_err() && length("-2h").is_err() && length("2").is_err());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["web", "web to", "jail web to", "web to node", "jail web to node big now", "7web big", "web -big"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
