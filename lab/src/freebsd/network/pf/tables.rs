//! `pfctl -t TABLE -T …` (contract 4.1, recordings `pf-table-*`).

use super::memory::Memory;
use super::memory::Table;
use super::model::net;
use crate::freebsd::network::prefix::Prefix;

/// What `-T` did.
pub struct Done {
    /// Exit status.
    pub status: i32,
    /// Has anything changed?
    pub changed: bool,
}

const fn status(status: i32) -> Done {
    Done { status, changed: false }
}

/// The entries of a table file: one a line, comments off.
pub fn file_entries(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::split_whitespace)
        .map(str::to_string)
        .collect()
}

/// An entry in its one form: `!`, network without host bits.
fn normal(text: &str) -> Option<String> {
    let (not, text) = text.strip_prefix('!').map_or(("", text), |t| ("!", t));
    let prefix = Prefix::parse(text, text.contains(':'))?;
    Some(format!("{not}{}", prefix.network().cidr()))
}

/// Entries in order: by family, then address.
fn sorted(entries: &[String]) -> Vec<String> {
    let mut list = entries.to_vec();
    list.sort_by_key(|entry| {
        let text = entry.trim_start_matches('!');
        Prefix::parse(text, text.contains(':')).map(|p| (p.address, p.length))
    });
    list
}

/// Carries out one `-T` command.
pub fn run(memory: &mut Memory, key: &str, verb: &str, words: &[String], quiet: bool) -> Done {
    let say = |text: String| {
        if !quiet {
            eprintln!("{text}");
        }
    };
    let absent = || {
        // What 13.2 prints for a table that is not there.
        eprintln!("pfctl: Unknown error: -1.");
        status(255)
    };
    let mut wanted = Vec::new();
    for word in words {
        match normal(word) {
            Some(entry) if !wanted.contains(&entry) => wanted.push(entry),
            Some(_) => {}
            None => {
                eprintln!("no IP address found for {word}\npfctl: cannot load \"{word}\": Bad address");
                return status(1);
            }
        }
    }
    let creates = matches!(verb, "add" | "replace" | "load");
    if creates && !memory.tables.contains_key(key) {
        memory.tables.insert(key.into(), Table { persist: true, entries: Vec::new() });
        say("1 table created.".into());
    }
    let Some(table) = memory.tables.get_mut(key) else {
        return absent();
    };
    match verb {
        "add" => {
            let new: Vec<String> = wanted.iter().filter(|e| !table.entries.contains(e)).cloned().collect();
            say(format!("{}/{} addresses added.", new.len(), wanted.len()));
            table.entries.extend(new);
            Done { status: 0, changed: true }
        }
        "delete" => {
            let before = table.entries.len();
            table.entries.retain(|e| !wanted.contains(e));
            say(format!("{}/{} addresses deleted.", before - table.entries.len(), wanted.len()));
            Done { status: 0, changed: true }
        }
        "replace" | "load" => {
            let added = wanted.iter().filter(|e| !table.entries.contains(e)).count();
            let deleted = table.entries.iter().filter(|e| !wanted.contains(e)).count();
            if added > 0 {
                say(format!("{added} addresses added."));
            }
            if deleted > 0 {
                say(format!("{deleted} addresses deleted."));
            }
            if added + deleted == 0 {
                say("no changes.".into());
            }
            table.entries = wanted;
            Done { status: 0, changed: true }
        }
        "show" => {
            for entry in sorted(&table.entries) {
                match entry.strip_prefix('!') {
                    Some(rest) => println!("  !{}", net(rest)),
                    None => println!("   {}", net(&entry)),
                }
            }
            status(0)
        }
        "flush" => {
            say(format!("{} addresses deleted.", table.entries.len()));
            table.entries.clear();
            Done { status: 0, changed: true }
        }
        "kill" => {
            memory.tables.remove(key);
            say("1 table deleted.".into());
            Done { status: 0, changed: true }
        }
        "test" => {
            let hits = wanted.iter().filter(|entry| matches(&table.entries, entry)).count();
            say(format!("{hits}/{} addresses match.", wanted.len()));
            status(if hits == wanted.len() { 0 } else { 2 })
        }
        "zero" | "expire" => status(0),
        _ => {
            eprintln!("pfctl: Unknown table command '{verb}'");
            status(1)
        }
    }
}

/// The longest entry decides.
fn matches(entries: &[String], entry: &str) -> bool {
    let text = entry.trim_start_matches('!');
    let Some(wanted) = Prefix::parse(text, text.contains(':')) else {
        return false;
    };
    entries
        .iter()
        .filter_map(|e| {
            let plain = e.trim_start_matches('!');
            let prefix = Prefix::parse(plain, plain.contains(':'))?;
            prefix.contains(wanted.address).then_some((prefix.length, !e.starts_with('!')))
        })
        .max()
        .is_some_and(|(_, yes)| yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_entry_decides() {
        let entries = ["10.0.0.0/8".to_string(), "!10.1.0.0/16".into()];
        assert!(
            matches(&entries, "10.2.0.1/32") && !matches(&entries, "10.1.0.1/32") && !matches(&entries, "11.0.0.1/32")
        );
    }
}
