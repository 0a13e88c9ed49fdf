//! Host routes that a jail gets each time it starts, as commands of exec.poststart: what a route inside a VNET jail needs
//! to last, since the jail's table ends with the jail (contract 10.9).
//!
//! exec.poststart runs on the host once the jail's own rc(8) has set up its network (jail(8)); its failure would keep the
//! jail from running, so each command succeeds whatever route(8) says. The words behind its `:` tell whose it is.

use std::net::IpAddr;
use std::ops::Range;

use crate::configuration::jail_conf::place::Edit;
use crate::configuration::jail_conf::rewrite::apply;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::tree::Item;
use crate::configuration::jail_conf::tree::Statement;
use crate::configuration::jail_conf::tree::SyntaxError;
use crate::configuration::jail_conf::value;
use crate::configuration::jail_conf::value::Scope;
use crate::model::Family;
use crate::model::JailName;

const PARAMETER: &str = "exec.poststart";

/// A host route through a gateway, and the jail that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Where it leads.
    pub to: IpAddr,
    /// By which gateway.
    pub gateway: IpAddr,
    /// Whose address that is.
    pub of: JailName,
}

/// Why a file cannot be given such commands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// jail(8) would not read it.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The jail has no block of its own in it.
    #[error("it has no block `{0} {{ … }}`")]
    NoBlock(JailName),
    /// Something behind the jail's block sets exec.poststart anew.
    #[error("what it says behind the block of {0} replaces the block's exec.poststart")]
    Replaced(JailName),
}

impl Way {
    /// The command that makes it, when `jail` has started.
    #[must_use]
    pub fn command(&self, jail: &JailName) -> String {
        let Way { to, gateway, of } = self;
        let family = Family::of(*to);
        format!("/usr/sbin/jexec {jail} /sbin/route -q -n add -{family} -host {to} {gateway} || : jailferry {of}")
    }

    fn statement(&self, jail: &JailName) -> String {
        format!("{PARAMETER} += \"{}\";", self.command(jail))
    }

    /// The way that such a command makes; `None` for any other command.
    fn of_command(command: &str, jail: &JailName) -> Option<Way> {
        let (made, of) = command.rsplit_once(" || : jailferry ")?;
        let mut words = made.rsplit(' ');
        let gateway = words.next()?.parse().ok()?;
        let way = Way { to: words.next()?.parse().ok()?, gateway, of: JailName::new(of).ok()? };
        (way.command(jail) == command).then_some(way)
    }
}

/// The ways that the file gives to `jail`; none where the file cannot be read.
#[must_use]
pub fn ways(text: &str, jail: &JailName) -> Vec<Way> {
    let Ok(document) = Document::parse(text) else { return Vec::new() };
    own_statements(&document, jail).into_iter().filter_map(|statement| way(statement, jail)).collect()
}

/// What to change in `text` so that `jail` gets these ways and no others of ours. A text that has them is left as it is,
/// and taking away what was added gives the text of before, byte for byte.
///
/// # Errors
/// [`NoWay`]
pub fn change(text: &str, jail: &JailName, wanted: &[Way]) -> Result<Vec<Edit>, NoWay> {
    let document = Document::parse(text)?;
    let block = document.own_block(jail).ok_or_else(|| NoWay::NoBlock(jail.clone()))?;
    let mut edits = Vec::new();
    let mut there = Vec::new();
    for statement in own_statements(&document, jail) {
        let Some(way) = way(statement, jail) else { continue };
        if wanted.contains(&way) && !there.contains(&way) {
            there.push(way);
        } else {
            edits.push(Edit { range: with_line(text, &statement.range), new: String::new() });
        }
    }
    let brace = block.range.end.saturating_sub(1);
    let start = line_start(text, brace);
    let alone = is_blank(text, start..brace) && start > block.range.start;
    let indent = block.statements.iter().rev().find_map(|s| indent_of(text, s)).unwrap_or("    ");
    let missing = wanted.iter().filter(|w| !there.contains(w)).map(|way| {
        let statement = way.statement(jail);
        if alone { format!("{indent}{statement}\n") } else { format!("{statement} ") }
    });
    let new: String = missing.collect();
    if !new.is_empty() {
        let at = if alone { start } else { brace };
        edits.push(Edit { range: at..at, new });
    }
    edits.sort_by_key(|e| (e.range.start, e.range.end));
    reached(text, &apply(text, edits.clone()), jail, wanted)?;
    Ok(edits)
}

/// jail(8) must read all of them, and everything else as before.
fn reached(before: &str, after: &str, jail: &JailName, wanted: &[Way]) -> Result<(), NoWay> {
    let (before, after) = (Document::parse(before)?, Document::parse(after)?);
    let read = |document: &Document<'_>| {
        let mut ours = Vec::new();
        let mut rest = Vec::new();
        for (name, values) in Scope::of(document, jail).effective() {
            let (mine, others): (Vec<_>, Vec<_>) = values
                .into_iter()
                .partition(|v| name == PARAMETER && v.as_ref().is_some_and(|v| Way::of_command(v, jail).is_some()));
            ours.extend(mine.iter().flatten().filter_map(|v| Way::of_command(v, jail)));
            if name != PARAMETER || !others.is_empty() {
                rest.push((name, others));
            }
        }
        ours.sort();
        (ours, rest)
    };
    let ((_, rest_before), (ours, rest)) = (read(&before), read(&after));
    let mut wanted = wanted.to_vec();
    wanted.sort();
    wanted.dedup();
    if ours == wanted && rest == rest_before { Ok(()) } else { Err(NoWay::Replaced(jail.clone())) }
}

fn way(statement: &Statement<'_>, jail: &JailName) -> Option<Way> {
    let [word] = statement.values.as_slice() else { return None };
    if statement.name != PARAMETER || !statement.append {
        return None;
    }
    Way::of_command(&value::literal(word), jail)
}

fn own_statements<'d, 'a>(document: &'d Document<'a>, jail: &JailName) -> Vec<&'d Statement<'a>> {
    let own = document.items.iter().filter_map(|item| match item {
        Item::Block(block) if block.name == jail.as_str() => Some(&block.statements),
        Item::Block(_) | Item::Global(_) => None,
    });
    own.flatten().collect()
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |i| i + 1)
}

fn is_blank(text: &str, range: Range<usize>) -> bool {
    text.get(range).is_some_and(|t| t.bytes().all(|b| b == b' ' || b == b'\t'))
}

/// What stands before a statement that begins its line.
fn indent_of<'t>(text: &'t str, statement: &Statement<'_>) -> Option<&'t str> {
    let start = line_start(text, statement.range.start);
    is_blank(text, start..statement.range.start).then(|| text.get(start..statement.range.start))?
}

/// A statement with its line when nothing else is in it, else with the blank that was written behind it.
fn with_line(text: &str, statement: &Range<usize>) -> Range<usize> {
    let start = line_start(text, statement.start);
    let rest = text.get(statement.end..).unwrap_or_default();
    if rest.starts_with('\n') && is_blank(text, start..statement.start) {
        return start..statement.end + 1;
    }
    statement.start..statement.end + usize::from(rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jail(name: &str) -> JailName {
        JailName::new(name).unwrap()
    }

    fn way(last: u8) -> Way {
        let address = |end: String| format!("2001:db8:1:1::{end}").parse().unwrap();
        Way { to: address(format!("5{last}")), gateway: address("1".into()), of: jail("web") }
    }

    fn with(text: &str, wanted: &[Way]) -> String {
        apply(text, change(text, &jail("sib"), wanted).unwrap())
    }

    #[test]
    fn a_way_comes_on_a_line_of_its_own_and_goes_with_it() {
        let text = "# both\nsib {\n\tpath = \"/j/sib\";\n\tvnet;\n\texec.poststart = \"echo up\"; # mine\n}\nother { persist; }\n";
        let with_two = with(text, &[way(0), way(1)]);
        let line = |n| {
            format!(
                "\texec.poststart += \"/usr/sbin/jexec sib /sbin/route -q -n add -inet6 -host 2001:db8:1:1::5{n} 2001:db8:1:1::1 || : jailferry web\";\n"
            )
        };
        assert_eq!(with_two, text.replace("# mine\n", &format!("# mine\n{}{}", line(0), line(1))));
        assert_eq!(ways(&with_two, &jail("sib")), [way(0), way(1)]);
        assert_eq!(change(&with_two, &jail("sib"), &[way(1), way(0)]).unwrap(), []);
        assert_eq!(with(&with_two, &[way(1)]), text.replace("# mine\n", &format!("# mine\n{}", line(1))));
        assert_eq!(with(&with_two, &[]), text);
    }

    #[test]
    fn what_only_looks_like_ours_stays() {
        for command in [
            "/usr/sbin/jexec sib /sbin/route -q -n add -inet6 -host 2001:db8:1:1::50 2001:db8:1:1::1 || :",
            "/usr/sbin/jexec web /sbin/route -q -n add -inet6 -host 2001:db8:1:1::50 2001:db8:1:1::1 || : jailferry web",
            "reboot; /usr/sbin/jexec sib /sbin/route -q -n add -inet6 -host ::2 ::1 || : jailferry web",
            "true || : jailferry web",
        ] {
            let text = format!("sib {{\n  exec.poststart += \"{command}\";\n}}\n");
            assert_eq!(ways(&text, &jail("sib")), [], "{command}");
            assert_eq!(with(&text, &[]), text);
        }
    }

    #[test]
    fn a_file_in_which_it_would_not_hold_is_refused() {
        let refused = |text: &str| change(text, &jail("sib"), &[way(0)]).unwrap_err();
        assert_eq!(refused("web { persist; }"), NoWay::NoBlock(jail("sib")));
        assert_eq!(refused("sib { persist; }\n* { exec.poststart = \"echo\"; }\n"), NoWay::Replaced(jail("sib")));
        assert!(matches!(refused("sib { persist }"), NoWay::Syntax(_)));
        let before = "* { exec.poststart = \"echo\"; }\nsib { persist; }\n";
        assert_eq!(with(&with(before, &[way(0)]), &[]), before);
    }

    /// Files as people write them: all in one line, without a newline at the end, with comments anywhere.
    fn file() -> impl Strategy<Value = String> {
        let blank =
            prop_oneof![Just(" "), Just("\n"), Just("\n\t"), Just(""), Just("\n# a } comment\n"), Just(" /* x */ ")];
        let statement = prop_oneof![
            Just("persist;"),
            Just("path = \"/j/sib\";"),
            Just("exec.poststart = \"echo one\", \"echo two\";"),
            Just("exec.poststart += 'echo } three';"),
        ];
        let body = proptest::collection::vec((blank.clone(), statement), 0..5);
        (blank.clone(), body, blank.clone(), prop_oneof![Just(""), Just("\n"), Just("\nweb {\n}\n")]).prop_map(
            |(open, body, close, end)| {
                let body: String = body.into_iter().map(|(blank, statement)| format!("{blank}{statement}")).collect();
                format!("vnet;\nsib {{{open}{body}{close}}}{end}")
            },
        )
    }

    proptest! {
        #[test]
        fn taking_away_what_was_added_gives_the_text_of_before(text in file(), first in 0_u8..4, more in 0_u8..4) {
            let one = with(&text, &[way(first)]);
            prop_assert_eq!(ways(&one, &jail("sib")), [way(first)]);
            let two = with(&one, &[way(first), way(more)]);
            prop_assert_eq!(with(&two, &[way(first)]), one);
            prop_assert_eq!(with(&two, &[]), text);
        }
    }
}
