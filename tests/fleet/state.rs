//! The state of all hosts before and after (tests/acceptance/state.sh).

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::bench::Fleet;
use crate::bench::text;

/// Every line of every host's state, with the section it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct States(BTreeMap<String, Vec<String>>);

impl Fleet {
    /// The state of all hosts, asked at the same time.
    pub fn states(&self) -> States {
        let hosts = ["small", "spare", "big", "client"];
        let asked = hosts.map(|host| (host, self.script(host, "state.sh", &[]).spawn().expect("ssh runs")));
        let mut states = BTreeMap::new();
        for (host, child) in asked {
            let output = child.wait_with_output().expect("ssh ends");
            assert!(output.status.success(), "state.sh on {host}: {}", text(&output));
            let mut section = String::new();
            let mut lines = Vec::new();
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                match line.strip_prefix("== ") {
                    Some(name) => section = name.to_owned(),
                    None => {
                        // The files of WireGuard are printed whole: each is a section of its own.
                        if let Some((_, file)) = line.split_once(" root:wheel ")
                            && file.starts_with("/usr/local/etc/wireguard/")
                            && section.starts_with("file")
                        {
                            section = format!("file {file}");
                        }
                        lines.push(format!("{section}: {line}"));
                    }
                }
            }
            assert!(lines.len() > 10, "state.sh said too little on {host}: {}", text(&output));
            states.insert(host.to_owned(), lines);
        }
        States(states)
    }
}

impl States {
    /// What differs, a line each: `-spare: section: line` was there before, `+…` is new. Empty when nothing does.
    pub fn difference(&self, after: &States) -> Vec<String> {
        let mut all = Vec::new();
        for (host, before) in &self.0 {
            let now = &after.0[host];
            let missing = minus(before, now).into_iter().map(|line| format!("-{host}: {line}"));
            let new = minus(now, before).into_iter().map(|line| format!("+{host}: {line}"));
            all.extend(missing.chain(new));
        }
        all
    }

    /// Only the lines that `wanted` picks, each with its section in front.
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> States {
        let of = |lines: &Vec<String>| lines.iter().filter(|l| wanted(l)).cloned().collect();
        States(self.0.iter().map(|(host, lines)| (host.clone(), of(lines))).collect())
    }

    /// Requires that nothing differs but lines that `allowed` justifies.
    #[track_caller]
    pub fn same_but(&self, after: &States, context: &str, allowed: impl Fn(&str) -> bool) {
        let mut said = String::new();
        // The hash of the file stands for them here; they are for whom the order of its lines does not matter.
        let is_told_by_hash = |line: &String| line.contains(": other lines of rc.conf: ");
        let difference = self.difference(after);
        for line in difference.iter().filter(|line| !is_told_by_hash(line) && !allowed(line)) {
            let _ = writeln!(said, "{line}");
        }
        assert!(said.is_empty(), "the hosts are not as they were:\n{said}\n{context}");
    }

    /// Requires that nothing differs.
    #[track_caller]
    pub fn same(&self, after: &States, context: &str) {
        self.same_but(after, context, |_| false);
    }

    /// Lines of a host that contain `part`.
    pub fn lines<'a>(&'a self, host: &str, part: &'a str) -> impl Iterator<Item = &'a str> {
        self.0[host].iter().map(String::as_str).filter(move |line| line.contains(part))
    }
}

/// The lines of `a` that `b` has not, or has fewer times.
fn minus(a: &[String], b: &[String]) -> Vec<String> {
    let mut left: BTreeMap<&String, usize> = BTreeMap::new();
    b.iter().for_each(|line| *left.entry(line).or_default() += 1);
    let mut rest = Vec::new();
    for line in a {
        match left.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => rest.push(line.clone()),
        }
    }
    rest
}
