//! `.include "FILES";` (14.0 and later), by which /etc/jail.conf takes in those of /etc/jail.conf.d: then what one of
//! these files says for all jails holds for all the others too, since a later parameter wins wherever it stands
//! (usr.sbin/jail/config.c).

use std::collections::BTreeSet;

use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::tree::Item;
use crate::configuration::jail_conf::tree::Statement;
use crate::configuration::jail_conf::value;
use crate::model::JailName;

/// The patterns that the text includes; none where it cannot be read.
#[must_use]
pub fn patterns(text: &str) -> Vec<String> {
    let Ok(document) = Document::parse(text) else { return Vec::new() };
    let globals = document.items.iter().filter_map(|item| match item {
        Item::Global(statement) if is_include(statement) => statement.values.first().map(|word| value::literal(word)),
        Item::Global(_) | Item::Block(_) => None,
    });
    globals.collect()
}

pub(super) fn is_include(statement: &Statement<'_>) -> bool {
    statement.name == ".include"
}

/// Does the pattern take in the file? Of glob(3) only `*` within the last component is known; with anything else in it
/// the pattern is taken to cover its whole folder.
#[must_use]
pub fn covers(pattern: &str, file: &str) -> bool {
    let (Some((folder, pattern)), Some((there, name))) = (pattern.rsplit_once('/'), file.rsplit_once('/')) else {
        return pattern == file;
    };
    if folder != there || name.starts_with('.') {
        return false;
    }
    match pattern.split_once('*') {
        _ if pattern.contains(['?', '[', '{', '\\']) => true,
        Some((start, end)) if !end.contains('*') => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        Some(_) => true,
        None => pattern == name,
    }
}

/// What the text sets for more jails than one: parameters at its top and those of `* { … }`, but for variables.
#[must_use]
pub fn for_all(text: &str) -> BTreeSet<String> {
    let Ok(document) = Document::parse(text) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    let parameters = |statements: &[Statement<'_>]| -> Vec<String> {
        let named = statements.iter().map(|s| s.name.clone());
        named.filter(|name| !name.starts_with('$') && name != ".include").collect()
    };
    for item in &document.items {
        match item {
            Item::Global(statement) => found.extend(parameters(std::slice::from_ref(statement))),
            Item::Block(block) if block.is_wildcard() => found.extend(parameters(&block.statements)),
            Item::Block(_) => {}
        }
    }
    found
}

/// Of these parameters, those that the jail's own block would take over from others: added to by `+=` without being set
/// first, or not named at all.
#[must_use]
pub fn taken_over(text: &str, jail: &JailName, parameters: &BTreeSet<String>) -> BTreeSet<String> {
    let Ok(document) = Document::parse(text) else { return BTreeSet::new() };
    let own = document.own_block(jail).map(|block| block.statements.as_slice()).unwrap_or_default();
    // `nomount.devfs` and `allow.nochflags` are the same parameter, switched off.
    let switched_off = |name: &str| match name.rsplit_once('.') {
        Some((node, last)) => [format!("{node}.no{last}"), format!("no{name}")],
        None => [format!("no{name}"), format!("no{name}")],
    };
    let sets = |name: &String| {
        let off = switched_off(name);
        own.iter().find(|s| s.name == *name || off.contains(&s.name)).is_some_and(|s| !s.append)
    };
    parameters.iter().filter(|name| !sets(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_the_files_that_glob_would_find() {
        let text = "exec.clean;\n.include \"/etc/jail.conf.d/*.conf\";\nweb { vnet; }\n";
        assert_eq!(patterns(text), ["/etc/jail.conf.d/*.conf"]);
        for (pattern, file, covered) in [
            ("/etc/jail.conf.d/*.conf", "/etc/jail.conf.d/web.conf", true),
            ("/etc/jail.conf.d/*.conf", "/etc/jail.conf.d/.web.conf", false),
            ("/etc/jail.conf.d/*.conf", "/etc/jail.conf.d/web.conf.old", false),
            ("/etc/jail.conf.d/*.conf", "/etc/web.conf", false),
            ("/etc/jail.conf.d/w*b.conf", "/etc/jail.conf.d/web.conf", true),
            ("/etc/jail.conf.d/db.conf", "/etc/jail.conf.d/web.conf", false),
            ("/etc/jail.conf.d/[a-z]*", "/etc/jail.conf.d/web.conf", true),
        ] {
            assert_eq!(covers(pattern, file), covered, "{pattern} {file}");
        }
    }

    #[test]
    fn what_holds_for_all_is_found_and_what_the_jail_takes_of_it() {
        let all = for_all(
            "$x = 1;\nexec.clean;\n* { exec.start = a; allow.chflags; }\nweb { path = /j; }\n.include \"/x\";\n",
        );
        assert_eq!(all.iter().map(String::as_str).collect::<Vec<_>>(), ["allow.chflags", "exec.clean", "exec.start"]);
        let jail = JailName::new("web").unwrap();
        let taken = |text: &str| taken_over(text, &jail, &all).into_iter().collect::<Vec<_>>();
        assert_eq!(taken("web { exec.start += b; exec.clean; allow.nochflags; }"), ["exec.start"]);
        assert_eq!(taken("web { exec.start = b; exec.start += c; }"), ["allow.chflags", "exec.clean"]);
    }
}
