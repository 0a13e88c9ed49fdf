//! How a transfer whose stream broke goes on where it stopped: what the target has kept of it, whether that belongs to
//! this transfer, and what is sent then.
//!
//! `zfs receive -s` keeps what has arrived, and a token that says up to where (zfs-receive(8)). The source says what a
//! token means (`zfs send -nvP -t`, contract 5.4): only one of the very snapshot that the plan sends is used.

use crate::effect::command::Command;
use crate::effect::command::Form;
use crate::effect::command::Guard;
use crate::model::Guid;
use crate::model::SnapshotLabel;

/// What stands in printed commands where the token will be.
pub const TOKEN: &str = "RESUME-TOKEN";

/// What stands in printed commands where the name of the last snapshot that has arrived will be.
pub const ARRIVED: &str = "ARRIVED-SNAPSHOT";

/// A value of `receive_resume_token`: letters, digits and hyphens, safe in every shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeToken(String);

impl ResumeToken {
    /// `1-CHECKSUM-LENGTH-HEXADECIMAL`; `None` for anything else.
    #[must_use]
    pub fn new(text: &str) -> Option<ResumeToken> {
        let valid = |b: u8| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let whole = text.split('-').count() == 4 && text.split('-').all(|part| !part.is_empty());
        (whole && text.len() <= 8192 && text.bytes().all(valid)).then(|| ResumeToken(text.to_owned()))
    }
}

/// The commands of a transfer that goes on. In those that need it [`TOKEN`] stands in the token's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// On the target: ends what is still at work there for this transfer, and says what has been kept.
    pub ask: Command,
    /// On the source: ends the same there, and says what the token means.
    pub decode: Command,
    /// On the target: takes away what belongs to no transfer of this plan; only from a copy of ours.
    pub abort: Command,
    /// Sends the rest.
    pub from: Command,
    /// Receives it.
    pub to: Command,
    /// From node to node: what runs on the source in the place of both.
    pub direct: Option<Command>,
    /// Of several snapshots in one stream: what follows behind one that has arrived.
    pub onward: Option<Onward>,
    /// How often in a row it is tried without anything being gained.
    pub tries: u32,
}

/// How a stream of several snapshots goes on behind one of them; what receives that is [`Resume::to`]. In its commands
/// [`ARRIVED`] stands in the place of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onward {
    /// Sends those behind it.
    pub from: Command,
    /// From node to node: what runs on the source in the place of both.
    pub direct: Option<Command>,
    /// Behind which it can.
    pub through: Vec<SnapshotLabel>,
}

impl Onward {
    /// The same, behind that snapshot.
    #[must_use]
    pub fn behind(&self, arrived: &SnapshotLabel) -> Onward {
        let fill = |command: &Command| filled(command, ARRIVED, arrived.as_str());
        Onward { from: fill(&self.from), direct: self.direct.as_ref().map(fill), through: self.through.clone() }
    }
}

/// A command with a word in its place.
fn filled(command: &Command, place: &str, word: &str) -> Command {
    let fill = |text: &String| text.replace(place, word);
    let form = match &command.form {
        Form::Argv(words) => Form::Argv(words.iter().map(fill).collect()),
        Form::Script(body) => Form::Script(fill(body)),
    };
    Command { form, ..command.clone() }
}

/// What the target has of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The whole snapshot; only the answer was lost.
    Everything,
    /// A part, and the token to go on with.
    Part(ResumeToken),
    /// Nothing.
    Nothing,
}

/// What a token means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// It belongs to the snapshot that is sent.
    Ours {
        /// Bytes that the target has.
        kept: u64,
        /// Bytes that are left, as zfs(8) reckons.
        left: u64,
    },
    /// It belongs to something else, or the source cannot go on with it: why.
    Foreign(String),
}

impl Resume {
    /// The same, with the token.
    #[must_use]
    pub fn with(&self, token: &ResumeToken) -> Resume {
        let fill = |command: &Command| filled(command, TOKEN, &token.0);
        Resume {
            decode: fill(&self.decode),
            from: fill(&self.from),
            direct: self.direct.as_ref().map(fill),
            ..self.clone()
        }
    }

    /// Lets its scripts do nothing unless the guard holds.
    #[must_use]
    pub fn guarded(self, guard: &Guard) -> Resume {
        Resume {
            ask: self.ask.guarded(guard),
            decode: self.decode.guarded(guard),
            abort: self.abort.guarded(guard),
            ..self
        }
    }

    /// Everything that may run, in that order.
    #[must_use]
    pub fn commands(&self) -> Vec<&Command> {
        let sends = match &self.direct {
            Some(direct) => vec![direct],
            None => vec![&self.from, &self.to],
        };
        let onward = self.onward.as_ref().map(|onward| onward.direct.as_ref().unwrap_or(&onward.from));
        [&self.ask, &self.decode].into_iter().chain(sends).chain(onward).chain([&self.abort]).collect()
    }

    /// Reads the answer to [`Resume::ask`]; `None` when it is none.
    #[must_use]
    pub fn kept(answer: &str) -> Option<Kept> {
        let answer = match answer.split_once('\n') {
            Some((first, rest)) if first.starts_with("arrived ") => rest,
            _ => answer,
        };
        match answer.trim().split_once(' ') {
            Some(("guid", guid)) => guid.parse::<u64>().ok().map(|_| Kept::Everything),
            Some(("token", token)) => ResumeToken::new(token).map(Kept::Part),
            None if answer.trim() == "nothing" => Some(Kept::Nothing),
            _ => None,
        }
    }

    /// Of several snapshots in one stream: which is the last that the same answer says has arrived.
    #[must_use]
    pub fn arrived(&self, answer: &str) -> Option<&SnapshotLabel> {
        let newest = answer.lines().next()?.strip_prefix("arrived ")?;
        self.onward.as_ref()?.through.iter().find(|label| label.as_str() == newest)
    }

    /// Reads the answer to [`Resume::decode`].
    #[must_use]
    pub fn meaning(answer: &str) -> Meaning {
        let field = |name: &str| {
            answer.lines().find_map(|line| {
                let (key, value) = line.trim().split_once(" = ")?;
                (key == name).then_some(value)
            })
        };
        let hexadecimal = |name| field(name).and_then(|v| u64::from_str_radix(v.strip_prefix("0x")?, 16).ok());
        let of = field("toname").unwrap_or("a snapshot that it does not name");
        let mut guids = answer.lines().filter_map(|line| line.strip_prefix("guid ")?.parse::<u64>().ok()).map(Guid);
        let meant = hexadecimal("toguid").map(Guid);
        if !guids.any(|guid| Some(guid) == meant) {
            return Meaning::Foreign(format!("what was kept belongs to {of}"));
        }
        let size = answer.lines().find_map(|line| line.strip_prefix("size\t")?.parse::<u64>().ok());
        match (hexadecimal("bytes"), size) {
            (Some(kept), Some(left)) => Meaning::Ours { kept, left },
            _ => Meaning::Foreign(format!("the source cannot go on with {of}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeName;

    const TEXT: &str = "1-c05778d80-d0-789c636064000310a500c4ec50360710e72765a5269730303041";

    /// As `zfs send -nvP -t` of FreeBSD 13.2 answers, behind the snapshot's own GUID.
    const ANSWER: &str = "guid 4447060449815565669\nresume token contents:\nnvlist version: 0\n\tobject = 0x2\n\toffset = 0x860000\n\tbytes = 0x885ed8\n\ttoguid = 0x3db721eae5f21565\n\ttoname = zroot/jails/web/data@jailferry-r1-4\nfull\tzroot/jails/web/data@jailferry-r1-4\t12116632\nsize\t12116632\n";

    #[test]
    fn a_token_is_a_token_and_nothing_else() {
        assert!(ResumeToken::new(TEXT).is_some());
        for bad in ["", "-", "1-2-3", "1-a-b-$(id)", "1-a-b-c d", "1-a--c", "1-a-b-c-d", "1-A-b-c"] {
            assert!(ResumeToken::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_a_token_of_the_very_snapshot_is_ours() {
        assert_eq!(Resume::meaning(ANSWER), Meaning::Ours { kept: 0x88_5ed8, left: 12_116_632 });
        let other = ANSWER.replace("guid 4447060449815565669", "guid 18446744073709551615");
        assert_eq!(
            Resume::meaning(&other),
            Meaning::Foreign("what was kept belongs to zroot/jails/web/data@jailferry-r1-4".into())
        );
        let gone = format!(
            "{}cannot resume send: 'zroot/x@y' used in the initial send no longer exists\n",
            ANSWER.split("full").next().unwrap()
        );
        assert!(matches!(Resume::meaning(&gone), Meaning::Foreign(why) if why.contains("cannot go on")));
        assert!(matches!(Resume::meaning(""), Meaning::Foreign(_)));
    }

    #[test]
    fn what_is_kept_is_read_strictly() {
        assert_eq!(Resume::kept("nothing\n"), Some(Kept::Nothing));
        assert_eq!(Resume::kept("guid 12\n"), Some(Kept::Everything));
        assert_eq!(Resume::kept(&format!("token {TEXT}\n")), ResumeToken::new(TEXT).map(Kept::Part));
        assert_eq!(Resume::kept("arrived daily-2\nnothing\n"), Some(Kept::Nothing));
        assert_eq!(Resume::kept("arrived \nguid 7\n"), Some(Kept::Everything));
        for bad in ["", "arrived daily-2\n", "guid", "guid x", "token -", "token 1-2", "nothing else", "cannot open"] {
            assert_eq!(Resume::kept(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_token_is_put_where_it_belongs() {
        let host = NodeName::new("spare").unwrap();
        let plain = || Command::argv(&host, 1, ["true"]);
        let resume = Resume {
            ask: plain(),
            decode: Command::script(&host, 1, format!("zfs send -nvP -t {TOKEN} 2>&1 || :")),
            abort: plain(),
            from: Command::argv(&host, 1, ["zfs", "send", "-t", TOKEN]),
            to: plain(),
            direct: None,
            onward: None,
            tries: 1,
        };
        let filled = resume.with(&ResumeToken::new(TEXT).unwrap());
        assert_eq!(filled.from.text(), format!("zfs send -t {TEXT}"));
        assert_eq!(filled.decode.text(), format!("zfs send -nvP -t {TEXT} 2>&1 || :"));
    }
}
