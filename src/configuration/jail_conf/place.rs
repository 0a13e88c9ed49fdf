//! From a place in a resolved value to the bytes of the file that must change.

use std::ops::Range;

use serde::Deserialize;
use serde::Serialize;

use crate::configuration::jail_conf::matching::Match;
use crate::configuration::jail_conf::value::Origin;
use crate::configuration::jail_conf::value::Value;

/// New text for a range of the file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The bytes replaced.
    pub range: Range<usize>,
    /// The new text.
    pub new: String,
}

/// How a match can be brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It lies in a variable's definition, which is a statement of its own.
    InDefinition,
    /// It is exactly what one variable stands for: change the definition if all of its uses agree, else write the new
    /// text in place of the reference.
    Variable {
        /// The variable's name.
        name: String,
        /// The reference's place, and what to write there otherwise.
        otherwise: Edit,
    },
    /// It is written here.
    Here(Edit),
}

/// Finds the place of `found` in `value`.
#[must_use]
pub fn place(value: &Value, found: &Match) -> Option<Place> {
    let single = value.origins.get(found.context.clone())?.first().cloned();
    if let Some(Origin::Variable(_)) = single
        && value.origins.get(found.context.clone())?.iter().all(|o| Some(o) == single.as_ref())
        && (found.context != found.target
            || !is_whole_reference(value, &found.target)
            || definition_holds(value, found))
    {
        return Some(Place::InDefinition);
    }
    let (target, new) = trimmed(value, found);
    if target.is_empty() {
        return insertion(value, target.start, new);
    }
    if let Some(Origin::Variable(index)) = value.origins.get(target.start)
        && is_whole_reference(value, &target)
    {
        let reference = value.references.get(*index)?;
        let otherwise = Edit { range: reference.range.clone(), new };
        return Some(Place::Variable { name: reference.name.clone(), otherwise });
    }
    written(value, &target, &new).map(Place::Here)
}

/// Would the same match be found in the variable's definition? A path or a name would; a FIB's bare number would not.
fn definition_holds(value: &Value, found: &Match) -> bool {
    value.chars.get(found.target.clone()).is_some_and(|old| old.iter().any(|c| !c.is_ascii_digit()))
}

/// Is `target` all that one variable reference gives?
fn is_whole_reference(value: &Value, target: &Range<usize>) -> bool {
    let Some(origin @ Origin::Variable(_)) = value.origins.get(target.start) else { return false };
    value.origins.get(target.clone()).is_some_and(|o| o.iter().all(|x| x == origin))
        && target.start.checked_sub(1).and_then(|i| value.origins.get(i)) != Some(origin)
        && value.origins.get(target.end) != Some(origin)
}

/// Leaves out what is the same at the end and then at the start, so that `/jails/$name` can become `/jf/jails/$name`.
fn trimmed(value: &Value, found: &Match) -> (Range<usize>, String) {
    let mixed =
        value.origins.get(found.target.clone()).is_some_and(|o| o.iter().any(|x| matches!(x, Origin::Variable(_))));
    if !mixed {
        return (found.target.clone(), found.new.clone());
    }
    let old = value.chars.get(found.target.clone()).unwrap_or_default();
    let new: Vec<char> = found.new.chars().collect();
    let same_end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let shortest = old.len().min(new.len()) - same_end;
    let same_start = old.iter().zip(&new).take(shortest).take_while(|(a, b)| a == b).count();
    let text = new.get(same_start..new.len() - same_end).unwrap_or_default().iter().collect();
    (found.target.start + same_start..found.target.end - same_end, text)
}

/// Nothing goes, `new` comes in before character `at`.
fn insertion(value: &Value, at: usize, new: String) -> Option<Place> {
    let byte = match (at.checked_sub(1).and_then(|i| value.origins.get(i)), value.origins.get(at)) {
        (_, Some(Origin::Text(range))) => range.start,
        (Some(Origin::Text(range)), _) => range.end,
        (before, Some(origin @ Origin::Variable(index))) if before != Some(origin) => {
            value.references.get(*index)?.range.start
        }
        // In the middle of what a variable gives: write the whole out.
        (_, Some(Origin::Variable(_))) => return written(value, &(at..at), &new).map(Place::Here),
        (Some(Origin::Variable(index)), None) => value.references.get(*index)?.range.end,
        (None, None) => return None,
    };
    Some(Place::Here(Edit { range: byte..byte, new }))
}

/// Replaces `target` where it is written; a variable that it cuts through is written out.
fn written(value: &Value, target: &Range<usize>, new: &str) -> Option<Edit> {
    let mut from = target.start;
    let mut to = target.end;
    let same = |a: usize, b: usize| matches!((value.origins.get(a), value.origins.get(b)), (Some(x @ Origin::Variable(_)), Some(y)) if x == y);
    while from > 0 && same(from - 1, from) {
        from -= 1;
    }
    while to > 0 && same(to - 1, to) {
        to += 1;
    }
    let bytes = |index: usize| match value.origins.get(index)? {
        Origin::Text(range) => Some(range.clone()),
        Origin::Variable(reference) => Some(value.references.get(*reference)?.range.clone()),
    };
    // Pieces in different quotes cannot be replaced as one.
    let contiguous = (from + 1..to).all(|i| same(i - 1, i) || bytes(i - 1).map(|r| r.end) == bytes(i).map(|r| r.start));
    if !contiguous {
        return None;
    }
    let before: String = value.chars.get(from..target.start)?.iter().collect();
    let after: String = value.chars.get(target.end..to)?.iter().collect();
    Some(Edit { range: bytes(from)?.start..bytes(to.checked_sub(1)?)?.end, new: format!("{before}{new}{after}") })
}
