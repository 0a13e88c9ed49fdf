//! Several scripts for one host as one command, so that what a host does one after the other costs one round trip.
//!
//! Each part runs as it would by itself: a shell of its own with its own deadline, lock and guard, all in one turn of the
//! jail. Behind each the host prints a mark with the part's exit status on both outputs. The first part that fails is the
//! last one that runs.

use std::ops::Range;

use crate::effect::command::Command;
use crate::effect::command::Form;
use crate::effect::commands::terminator;

/// Seconds that timeout(1) gives a part between its signals, `-k` ([`Command::on_the_host`]).
const KILL: u32 = 10;

/// Scripts that go to a host together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    parts: Vec<Command>,
    mark: String,
}

impl Chain {
    /// `mark` must be nothing that a part could print: a long random word. Nothing where these are no parts of one chain.
    #[must_use]
    pub fn of(parts: Vec<Command>, mark: &str) -> Option<Chain> {
        let first = parts.first()?;
        let fit = parts.iter().all(|part| can_follow(first, part));
        fit.then(|| Chain { parts, mark: mark.to_owned() })
    }

    /// The one command; nothing of an empty chain.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        let first = self.parts.first()?;
        let script: String = self.parts.iter().map(|part| self.text(part)).collect();
        let mut command = Command::script(&first.host, self.parts.iter().map(longest).sum(), script);
        command.turn.clone_from(&first.turn);
        Some(command)
    }

    fn text(&self, part: &Command) -> String {
        let script = part.stdin().unwrap_or_default();
        let (end, line, mark) = (terminator(&script), part.on_the_host(), &self.mark);
        format!(
            "rc=0\n{line} <<'{end}' || rc=$?\n{script}{end}\nprintf '\\n{mark} %s\\n' $rc\nprintf '\\n{mark} %s\\n' $rc >&2\n[ $rc -eq 0 ] || exit $rc\n"
        )
    }

    /// Reads what it prints.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks {
            mark: format!("\n{} ", self.mark).into_bytes(),
            text: Vec::new(),
            begin: 0,
            searched: 0,
            ends: Vec::new(),
        }
    }
}

/// Seconds after which the host has ended this part, whatever it does.
#[must_use]
pub fn longest(part: &Command) -> u32 {
    part.timeout + KILL + part.lock.as_ref().map_or(0, |lock| lock.seconds)
}

/// Can these two go to their host as one command? Scripts that wait for the same turn, so that nothing else comes in
/// between.
#[must_use]
pub fn can_follow(first: &Command, second: &Command) -> bool {
    let is_part = |c: &Command| matches!(c.form, Form::Script(_)) && c.turn.is_some();
    is_part(first) && is_part(second) && first.host == second.host && first.turn == second.turn
}

/// The output of a chain, taken apart by its marks as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    mark: Vec<u8>,
    text: Vec<u8>,
    /// Behind the last mark.
    begin: usize,
    /// No mark begins before.
    searched: usize,
    ends: Vec<End>,
}

/// The end of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    said: Range<usize>,
    status: i32,
}

impl Marks {
    /// Takes what comes next.
    pub fn hear(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        while let Some(at) = self.next() {
            let Some((end, behind)) = self.end(at) else {
                self.searched = at;
                return;
            };
            self.ends.push(end);
            (self.begin, self.searched) = (behind, behind);
        }
        // What may be the beginning of a mark is looked at again.
        self.searched = self.begin.max(self.text.len().saturating_sub(self.mark.len()));
    }

    /// Where the next mark begins.
    fn next(&self) -> Option<usize> {
        let rest = self.text.get(self.searched..)?;
        let at = rest.windows(self.mark.len()).position(|window| window == self.mark)?;
        Some(self.searched + at)
    }

    /// What the mark there tells, and what is behind it; nothing before all of it has come.
    fn end(&self, at: usize) -> Option<(End, usize)> {
        let number = self.text.get(at + self.mark.len()..)?;
        let length = number.iter().position(|byte| *byte == b'\n')?;
        // The host's own digits; whatever else is there was no success.
        let status = number.get(..length).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let end = End { said: self.begin..at, status: status.unwrap_or(-1) };
        Some((end, at + self.mark.len() + length + 1))
    }

    /// The exit status that this mark tells.
    #[must_use]
    pub fn status(&self, number: usize) -> Option<i32> {
        self.ends.get(number).map(|end| end.status)
    }

    /// How many have come.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// What came before that mark and behind the one before it, counted from 0.
    #[must_use]
    pub fn said(&self, number: usize) -> &[u8] {
        self.ends.get(number).and_then(|end| self.text.get(end.said.clone())).unwrap_or_default()
    }

    /// What has been said since.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.text.get(self.begin..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Stdio;

    use proptest::prelude::*;

    use super::*;
    use crate::effect::command::Lock;
    use crate::model::JailName;
    use crate::model::NodeName;

    const MARK: &str = "0123456789abcdef";

    fn part(text: &str) -> Command {
        Command::script(&NodeName::new("big").unwrap(), 60, text).in_turn(&JailName::new("web").unwrap())
    }

    /// What a shell of this machine makes of it, without the turn: status, and what each part said.
    fn run(parts: &[&str]) -> (i32, Vec<(String, i32)>, String) {
        let chain = Chain::of(parts.iter().map(|text| part(text)).collect(), MARK).unwrap();
        let script = chain.command().unwrap().stdin().unwrap();
        let mut sh = std::process::Command::new("/bin/sh");
        let mut child =
            sh.arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (mut marks, mut said) = (chain.marks(), Vec::new());
        output.stdout.iter().for_each(|byte| marks.hear(&[*byte]));
        for number in 0..marks.count() {
            said.push((String::from_utf8_lossy(marks.said(number)).into_owned(), marks.status(number).unwrap()));
        }
        let mut errors = chain.marks();
        errors.hear(&output.stderr);
        let last = String::from_utf8_lossy(errors.said(said.len() - 1)).into_owned();
        (output.status.code().unwrap(), said, last)
    }

    #[test]
    fn parts_run_in_order_each_in_its_own_shell_until_one_fails() {
        let all = run(&["x=1; echo one; cat", "echo ${x-unset}; echo 'JAILFERRY_END'", ":"]);
        let said = |text: &str, status| (text.to_owned(), status);
        assert_eq!(all, (0, vec![said("one\n", 0), said("unset\nJAILFERRY_END\n", 0), said("", 0)], String::new()));
        let broken = run(&["echo fine >&2", "printf half; echo why >&2; exit 25", "echo never"]);
        assert_eq!(broken, (25, vec![said("", 0), said("half", 25)], "why\n".to_owned()));
    }

    #[test]
    fn only_scripts_of_one_turn_go_together() {
        let lonely = Command::script(&NodeName::new("big").unwrap(), 60, "true");
        let other = Command::script(&NodeName::new("big").unwrap(), 60, "true").in_turn(&JailName::new("db").unwrap());
        let small = Command::script(&NodeName::new("small").unwrap(), 60, "").in_turn(&JailName::new("web").unwrap());
        let program =
            Command::argv(&NodeName::new("big").unwrap(), 60, ["true"]).in_turn(&JailName::new("web").unwrap());
        for stranger in [lonely, other, small, program] {
            assert_eq!(Chain::of(vec![part("true"), stranger], MARK), None);
        }
        assert_eq!(Chain::of(vec![], MARK), None);
        let long = part("true").under(Lock::edits());
        let chain = Chain::of(vec![part("true"), long], MARK).unwrap().command().unwrap();
        assert_eq!((chain.timeout, chain.turn), (60 + 10 + 60 + 10 + 150, Some(JailName::new("web").unwrap())));
    }

    proptest! {
        /// However it comes in pieces, and whatever the parts print that is not the mark.
        #[test]
        fn what_parts_said_is_told_apart(
            said in prop::collection::vec("[\\n 0-9a-f]{0,20}", 0..5),
            rest in "[\\n 0-9a-f]{0,20}",
            size in 1_usize..9,
        ) {
            let chain = Chain::of(vec![part("true")], MARK).unwrap();
            let mut text = String::new();
            for (number, said) in said.iter().enumerate() {
                text.push_str(&format!("{said}\n{MARK} {number}\n"));
            }
            text.push_str(&rest);
            let mut marks = chain.marks();
            text.as_bytes().chunks(size).for_each(|piece| marks.hear(piece));
            prop_assert_eq!(marks.count(), said.len());
            for (number, said) in said.iter().enumerate() {
                prop_assert_eq!(marks.said(number), said.as_bytes());
                prop_assert_eq!(marks.status(number), i32::try_from(number).ok());
            }
            prop_assert_eq!(marks.rest(), rest.as_bytes());
        }
    }
}
