//! What must change in a value, as plain text: epair units, the bridge, the FIB, the MTU, paths.

use std::ops::Range;

use crate::model::InterfaceName;
use crate::model::RemotePath;

/// What is different on the other host, each as (old, new).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Unit of the epair: `epair7`, `epair7a` and `epair7b` change together (contract 2.6).
    pub epair: Option<(u32, u32)>,
    /// The bridge that the host's end is a member of.
    pub bridge: Option<(InterfaceName, InterfaceName)>,
    /// FIB in ifconfig(8) commands for the jail's epair. From 0 there is nothing to change: see
    /// [`add_fib`](crate::configuration::jail_conf::add_fib); to 0 it becomes `fib 0`, which every host accepts.
    pub fib: Option<(u16, u16)>,
    /// MTU in ifconfig(8) commands for the jail's epair.
    pub mtu: Option<(u32, u32)>,
    /// Paths at and below the first.
    pub path: Option<(RemotePath, RemotePath)>,
    /// The file of `mount.fstab`.
    pub fstab: Option<(RemotePath, RemotePath)>,
}

impl Rewrite {
    /// The same, backwards.
    #[must_use]
    pub fn inverse(&self) -> Rewrite {
        fn swap<T: Clone>(pair: Option<&(T, T)>) -> Option<(T, T)> {
            pair.map(|(old, new)| (new.clone(), old.clone()))
        }
        Rewrite {
            epair: swap(self.epair.as_ref()),
            bridge: swap(self.bridge.as_ref()),
            fib: swap(self.fib.as_ref()),
            mtu: swap(self.mtu.as_ref()),
            path: swap(self.path.as_ref()),
            fstab: swap(self.fstab.as_ref()),
        }
    }
}

/// A place in a value to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The characters to replace.
    pub target: Range<usize>,
    /// The characters that make it what it is: `epair7` for the target `7`.
    pub context: Range<usize>,
    /// What to put there.
    pub new: String,
}

/// Can this parameter (or variable) name interfaces? Host names, users and log files only look like it.
#[must_use]
pub fn names_interfaces(parameter: &str) -> bool {
    let other = ["path", "name", "exec.consolelog", "mount.fstab", "ip_hostname"];
    !(parameter.starts_with("host.") || parameter.ends_with("_user") || other.contains(&parameter))
}

/// Everything in `text`, a value of `parameter`, that `rewrite` changes; no two overlap. `interfaces` are the jail's
/// own interfaces, whose ifconfig(8) commands may set FIB and MTU.
#[must_use]
pub fn find(parameter: &str, text: &[char], rewrite: &Rewrite, interfaces: &[String]) -> Vec<Match> {
    let mut found = Vec::new();
    if names_interfaces(parameter) {
        if let Some((old, new)) = rewrite.epair.filter(|(old, new)| old != new) {
            found.extend(
                epairs(text)
                    .into_iter()
                    .filter(|(unit, _)| *unit == old)
                    .map(|(_, m)| Match { new: new.to_string(), ..m }),
            );
        }
        if let Some((old, new)) = rewrite.bridge.as_ref().filter(|(old, new)| old != new) {
            found.extend(names(text, old.as_str()).map(|range| whole(range, new.as_str())));
        }
        if let Some((old, new)) = rewrite.fib.filter(|(old, new)| old != new) {
            found.extend(settings(text, interfaces, "fib", u32::from(old)).map(|range| whole(range, &new.to_string())));
        }
        if let Some((old, new)) = rewrite.mtu.filter(|(old, new)| old != new) {
            found.extend(settings(text, interfaces, "mtu", old).map(|range| whole(range, &new.to_string())));
        }
    }
    let fstab = rewrite.fstab.as_ref().filter(|_| parameter == "mount.fstab");
    for (old, new) in fstab.into_iter().chain(&rewrite.path).filter(|(old, new)| old != new) {
        for range in paths(text, old.as_str()) {
            if !found.iter().any(|m: &Match| m.context.start < range.end && range.start < m.context.end) {
                found.push(whole(range, new.as_str()));
            }
        }
    }
    found.sort_by_key(|m| m.target.start);
    found
}

fn whole(range: Range<usize>, new: &str) -> Match {
    Match { target: range.clone(), context: range, new: new.to_owned() }
}

/// `text` with all of `matches` replaced.
#[must_use]
pub fn replaced(text: &[char], matches: &[Match]) -> String {
    let mut result = String::new();
    let mut at = 0;
    for found in matches {
        result.extend(text.get(at..found.target.start).unwrap_or_default());
        result.push_str(&found.new);
        at = found.target.end;
    }
    result.extend(text.get(at..).unwrap_or_default());
    result
}

/// The epair units in `text`.
#[must_use]
pub fn units(text: &str) -> Vec<u32> {
    epairs(&text.chars().collect::<Vec<_>>()).into_iter().map(|(unit, _)| unit).collect()
}

fn name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-".contains(c)
}

/// Can the character before position `at` not belong to an interface name that goes on there? `$` would make it a
/// shell variable, '/' a file.
fn starts_at(text: &[char], at: usize) -> bool {
    at.checked_sub(1).and_then(|i| text.get(i)).is_none_or(|c| !name_char(*c) && !"$.".contains(*c) && *c != '/')
}

/// Every `epairN`, `epairNa`, `epairNb`, with the unit as target. Not `epair7x`, and not part of a longer name.
fn epairs(text: &[char]) -> Vec<(u32, Match)> {
    const STEM: [char; 5] = ['e', 'p', 'a', 'i', 'r'];
    let mut found = Vec::new();
    for (at, window) in text.windows(STEM.len()).enumerate() {
        if window != STEM || !starts_at(text, at) {
            continue;
        }
        let from = at + STEM.len();
        let digits: String = text.iter().skip(from).take_while(|c| c.is_ascii_digit()).collect();
        let end = from + digits.len();
        let after = match text.get(end) {
            Some('a' | 'b') => end + 1,
            _ => end,
        };
        // "epair007" is another name than "epair7".
        let canonical = digits.parse::<u32>().ok().filter(|unit| unit.to_string() == digits);
        if let Some(unit) = canonical
            && text.get(after).is_none_or(|c| !name_char(*c))
        {
            found.push((unit, Match { target: from..end, context: at..end, new: String::new() }));
        }
    }
    found
}

/// Every whole word `name`.
fn names<'t>(text: &'t [char], name: &str) -> impl Iterator<Item = Range<usize>> + 't {
    let wanted: Vec<char> = name.chars().collect();
    let starts = text.windows(wanted.len().max(1)).enumerate().filter(|(_, w)| *w == wanted.as_slice()).map(|(i, _)| i);
    let starts: Vec<usize> = starts.collect();
    starts.into_iter().map(move |at| at..at + wanted.len()).filter(move |range| {
        starts_at(text, range.start) && text.get(range.end).is_none_or(|c| !name_char(*c) && *c != '.')
    })
}

/// Every place where the path `old` or something below it begins; the range covers `old`.
fn paths(text: &[char], old: &str) -> Vec<Range<usize>> {
    let wanted: Vec<char> = old.trim_end_matches('/').chars().collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let part = |c: &char| c.is_ascii_alphanumeric() || "_.:+@-".contains(*c);
    let mut found = Vec::new();
    let mut next = 0;
    for (at, window) in text.windows(wanted.len()).enumerate() {
        let before = at.checked_sub(1).and_then(|i| text.get(i));
        let end = at + wanted.len();
        if at >= next
            && window == wanted.as_slice()
            && before.is_none_or(|c| !part(c) && !"/$}".contains(*c))
            && text.get(end).is_none_or(|c| !part(c))
        {
            found.push(at..end);
            next = end;
        }
    }
    found
}

/// A command's word and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellWord {
    /// Its text without quotes around it.
    pub text: String,
    /// Its characters.
    pub range: Range<usize>,
}

/// The simple commands of a command line, roughly as sh(1) sees them: split at `;`, `&`, `|`, newlines, braces and
/// parentheses; quotes only separate words, so that `sh -c 'ifconfig …'` is seen into.
#[must_use]
pub fn commands(text: &[char]) -> Vec<Vec<ShellWord>> {
    let mut all = vec![Vec::new()];
    let mut word: Option<ShellWord> = None;
    for (at, c) in text.iter().enumerate() {
        let ends = ";&|\n(){}".contains(*c);
        if ends || c.is_whitespace() || "'\"`".contains(*c) {
            if let (Some(done), Some(command)) = (word.take(), all.last_mut()) {
                command.push(done);
            }
            if ends {
                all.push(Vec::new());
            }
            continue;
        }
        let current = word.get_or_insert(ShellWord { text: String::new(), range: at..at });
        current.text.push(*c);
        current.range.end = at + 1;
    }
    if let (Some(done), Some(command)) = (word, all.last_mut()) {
        command.push(done);
    }
    all.retain(|command| !command.is_empty());
    all
}

/// The interface and the arguments of an ifconfig(8) command, wherever it stands in `command`
/// (`jexec web ifconfig …`, `/sbin/ifconfig …`).
#[must_use]
pub fn ifconfig(command: &[ShellWord]) -> Option<(&str, &[ShellWord])> {
    let at = command.iter().position(|w| w.text.rsplit('/').next() == Some("ifconfig"))?;
    let mut arguments = command.get(at + 1..)?;
    while let Some((first, rest)) = arguments.split_first() {
        if !first.text.starts_with('-') {
            return Some((&first.text, rest));
        }
        // -j JAIL and -f FORMAT take an argument of their own.
        let skip = usize::from(["-j", "-f", "-g", "-G"].contains(&first.text.as_str()));
        arguments = rest.get(skip..)?;
    }
    None
}

/// Where an ifconfig(8) command for one of `interfaces` sets `keyword` (fib, mtu) to `old`.
fn settings<'t>(
    text: &'t [char],
    interfaces: &'t [String],
    keyword: &'t str,
    old: u32,
) -> impl Iterator<Item = Range<usize>> + 't {
    commands(text).into_iter().flat_map(move |command| {
        let Some((interface, arguments)) = ifconfig(&command) else { return Vec::new() };
        if !interfaces.iter().any(|i| i == interface) {
            return Vec::new();
        }
        let pairs = arguments.iter().zip(arguments.iter().skip(1));
        pairs
            .filter(|(word, value)| word.text == keyword && value.text == old.to_string())
            .map(|(_, value)| value.range.clone())
            .collect()
    })
}

/// The other end of an epair of any unit whose two ends are given names in one command line, of which one is `inside`:
/// `p=$(ifconfig epair create) && ifconfig $p name web0 && ifconfig ${p%a}b name web1` (Bastille since 1.0).
#[must_use]
pub fn twin(text: &str, inside: &str) -> Option<String> {
    let all = commands(&text.chars().collect::<Vec<_>>());
    if !all.iter().any(|words| ifconfig(words).is_some_and(|(i, arguments)| i == "epair" && is_create(arguments))) {
        return None;
    }
    let words: Vec<&str> = all.iter().flatten().map(|word| word.text.as_str()).collect();
    let pairs = words.iter().zip(words.iter().skip(1));
    let named: Vec<&str> = pairs.filter(|(word, _)| **word == "name").map(|(_, name)| *name).collect();
    match *named.as_slice() {
        [one, other] if other == inside => Some(one.to_owned()),
        [other, one] if other == inside => Some(one.to_owned()),
        _ => None,
    }
}

fn is_create(arguments: &[ShellWord]) -> bool {
    matches!(arguments, [only] if only.text == "create")
}

/// The interfaces that belong to the jail: its epairs' ends, what `vnet.interface` names, and the names that
/// `ifconfig epair7b name eth0` gives them. `values` are (parameter, text).
#[must_use]
pub fn interfaces(values: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (parameter, text) in values.iter().filter(|(p, _)| names_interfaces(p)) {
        for unit in units(text) {
            found.extend([format!("epair{unit}"), format!("epair{unit}a"), format!("epair{unit}b")]);
        }
        if parameter == "vnet.interface" {
            found.extend(text.split_whitespace().map(str::to_owned));
        }
    }
    let twins = found.iter().flat_map(|inside| values.iter().filter_map(|(_, text)| twin(text, inside)));
    found.extend(twins.collect::<Vec<_>>());
    for (_, text) in values {
        for command in commands(&text.chars().collect::<Vec<_>>()) {
            let Some((interface, arguments)) = ifconfig(&command) else { continue };
            let renamed = arguments.iter().zip(arguments.iter().skip(1)).find(|(word, _)| word.text == "name");
            if let Some((_, name)) = renamed
                && found.iter().any(|known| known == interface)
            {
                found.push(name.text.clone());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn only_whole_epair_names_count() {
        assert_eq!(units("ifconfig epair7a up; ifconfig epair11b; e=epair3 x"), [7, 11, 3]);
        assert_eq!(
            units("epair7c epair7a_web my_epair7 epair epair07 epair99999999999 /x/epair7 $epair7"),
            Vec::<u32>::new()
        );
        assert_eq!(units("epair1a.10 (epair2)"), [1, 2]);
    }

    #[test]
    fn paths_match_at_their_borders() {
        let text = chars("/j/web /j/web2 /j/web/data /x/j/web /j/web. '/j/web'");
        let found = paths(&text, "/j/web");
        assert_eq!(found.len(), 3);
        assert_eq!(found.iter().map(|r| r.start).collect::<Vec<_>>(), [0, 15, 45]);
    }

    #[test]
    fn fib_counts_only_for_the_jails_own_interface() {
        let own = vec!["epair7a".to_owned()];
        let line = "ifconfig epair7a up fib 1 && /sbin/ifconfig epair8a fib 1; setfib 1 true";
        let found: Vec<_> = settings(&chars(line), &own, "fib", 1).collect();
        assert_eq!(found.iter().map(|r| (r.start, r.end)).collect::<Vec<_>>(), [(24, 25)]);
        assert_eq!(settings(&chars("sh -c 'ifconfig epair7a fib 1'"), &own, "fib", 1).count(), 1);
    }

    #[test]
    fn names_given_to_an_end_belong_to_the_jail() {
        let values = [("exec.prestart".to_owned(), "ifconfig epair7b name eth0".to_owned())];
        assert_eq!(interfaces(&values), ["epair7", "epair7a", "epair7b", "eth0"]);
    }
}
