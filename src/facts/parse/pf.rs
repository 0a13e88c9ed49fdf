//! `pfctl -s Running`, `-sn`, `-sr`, `-sT`, `-T show` (sbin/pfctl/pfctl.c, contract 4.1).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::error::FactsError;
use super::error::line;
use super::files;
use super::frames::Frame;
use super::frames::Frames;
use super::prefix::prefix;
use crate::facts::PfFile;
use crate::facts::TableFile;
use crate::model::JailName;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::model::TableName;

/// Is pf enabled? `None` when the host has no /dev/pf.
#[must_use]
pub fn enabled(text: &str) -> Option<bool> {
    text.lines().find_map(|row| match row.trim() {
        "Enabled" => Some(true),
        "Disabled" => Some(false),
        _ => None,
    })
}

/// The rules, without empty lines.
#[must_use]
pub fn rules(text: &str) -> Vec<String> {
    text.lines().map(str::trim_end).filter(|row| !row.is_empty()).map(str::to_owned).collect()
}

/// The rules of `pfctl -sr` that translate, which 15.0 has (pf.conf(5) there, `nat-to` and `rdr-to`).
#[must_use]
pub fn translating(text: &str) -> Vec<String> {
    rules(text).into_iter().filter(|row| row.contains(" nat-to ") || row.contains(" rdr-to ")).collect()
}

/// The rules of `pfctl -sr` that reference an anchor.
#[must_use]
pub fn anchors(text: &str) -> Vec<String> {
    rules(text).into_iter().filter(|row| row.starts_with("anchor ")).collect()
}

/// The rules of `pfctl -sr` that name an address or a network.
#[must_use]
pub fn addressed(text: &str) -> Vec<String> {
    let is_one = |word: &str| prefix(word.trim_matches(|c| "{}()!,".contains(c))).is_some();
    rules(text).into_iter().filter(|row| row.split_whitespace().any(is_one)).collect()
}

/// Names of tables, in the order of `pfctl -sT`.
#[must_use]
pub fn table_names(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|row| !row.is_empty()).map(str::to_owned).collect()
}

/// A table's entries, and those that are negated (`!10.0.0.1`).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// What is in it.
    pub listed: BTreeSet<Prefix>,
    /// What is taken out of it.
    pub negated: BTreeSet<Prefix>,
}

/// A table's entries.
///
/// # Errors
/// An entry that is not an address or a prefix.
pub fn entries(table: &str, text: &str) -> Result<Entries, FactsError> {
    let mut entries = Entries::default();
    for (index, row) in text.lines().enumerate() {
        let entry = row.trim();
        if entry.is_empty() {
            continue;
        }
        let (all, plain) = match entry.strip_prefix('!') {
            Some(plain) => (&mut entries.negated, plain.trim_start()),
            None => (&mut entries.listed, entry),
        };
        let prefix = prefix(plain);
        all.insert(prefix.ok_or_else(|| line(&format!("pfctl -t {table} -T show"), index, row, "not an address"))?);
    }
    Ok(entries)
}

/// One of our anchors with its rules; `None` when it has none, or is no jail's.
#[must_use]
pub fn of_jail(frame: &Frame) -> Option<(JailName, Vec<String>)> {
    let jail = JailName::new(frame.subject.trim().strip_prefix("jailferry/")?).ok()?;
    let rules = rules(&frame.text());
    (!rules.is_empty()).then_some((jail, rules))
}

/// What pf.conf(5) says of files; `None` when the host did not show it.
#[must_use]
pub fn file(frames: &Frames) -> Option<PfFile> {
    let frame = frames.all("pf-file").next()?;
    let path = RemotePath::new(frame.subject.as_str()).ok()?;
    let mut file = PfFile { path, table_files: BTreeMap::new(), includes: BTreeSet::new(), loads: BTreeSet::new() };
    for row in frame.text().lines() {
        let words: Vec<&str> = row.split_whitespace().map(|w| w.trim_matches('"')).collect();
        match words.as_slice() {
            ["include", path, ..] => drop(file.includes.insert((*path).to_owned())),
            ["load", "anchor", anchor, "from", path, ..] => {
                file.loads.insert(((*anchor).to_owned(), (*path).to_owned()));
            }
            _ => {}
        }
    }
    file.table_files = frames.all("pf-table-file").filter_map(|f| table_file(frames, f)).collect();
    Some(file)
}

/// Names, negated entries and comments are left out: they are nobody's prefix.
fn table_file(frames: &Frames, frame: &Frame) -> Option<(TableName, TableFile)> {
    let (table, path) = frame.subject.split_once(' ')?;
    let digest = frames.about("pf-table-digest", &frame.subject).ok()?.success().ok()?.word();
    let sha256 = files::digest(path, &digest).ok()?;
    let entries = frame.text().split_whitespace().filter_map(prefix).collect();
    Some((TableName::new(table).ok()?, TableFile { path: RemotePath::new(path).ok()?, sha256, entries }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    #[test]
    fn enabled_disabled_absent() {
        assert_eq!(enabled(&stdout("pf-running")), Some(true));
        assert_eq!(enabled(&stdout("pf-disabled")), Some(false));
        assert_eq!(enabled(""), None);
    }

    #[test]
    fn nat_rules_and_anchors_keep_pfctl_s_spelling() {
        assert_eq!(
            rules(&stdout("pf-sn")),
            [
                "nat on vtnet0 inet from 192.168.123.0/24 to ! <private> -> 10.0.2.15",
                "nat on vtnet0 inet from <jailferry_nat> to ! <private> -> 10.0.2.15",
                "nat-anchor \"jailferry/*\" all",
                "rdr-anchor \"jailferry/*\" all"
            ]
        );
        assert_eq!(anchors(&stdout("pf-sr")), Vec::<String>::new());
        assert_eq!(
            addressed("pass all\npass in inet from any to 10.0.0.1 port = 80\nblock inet6 from fd00::/8\n").len(),
            2
        );
        let moved = "match out on em0 inet from 10.0.0.0/8 to any nat-to (em0:0)";
        assert_eq!(translating(&format!("pass all\n{moved}\n")), [moved]);
        assert_eq!(anchors("pass all\nanchor \"jailferry/*\" all\n"), ["anchor \"jailferry/*\" all"]);
    }

    #[test]
    fn tables_and_their_entries() {
        assert_eq!(table_names(&stdout("pf-sT")), ["jailferry_nat", "private"]);
        let shown = entries("jailferry_nat", &stdout("pf-table-show")).unwrap();
        let spelled = |set: &BTreeSet<Prefix>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(spelled(&shown.listed), ["192.168.200.0/24"]);
        let mixed = entries("t", "   192.168.123.50\n   !10.0.0.1\n   2001:db8::/32\n").unwrap();
        assert_eq!(spelled(&mixed.listed), ["192.168.123.50/32", "2001:db8::/32"]);
        assert_eq!(spelled(&mixed.negated), ["10.0.0.1/32"]);
        assert_eq!(
            entries("t", "   x y\n").unwrap_err().to_string(),
            "pfctl -t t -T show, line 1: not an address: \"   x y\""
        );
    }
}
