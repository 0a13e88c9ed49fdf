//! What is written on a dataset about the run that moves it, for whoever has only that host left.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::model::InvalidName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RunId;

/// Run, owner, and how it stands with this dataset. On a host: two user properties, the state as `RUN:STATE:PEER`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The run.
    pub run: RunId,
    /// Who drives it, or drove it, if it is known.
    pub owner: Option<Owner>,
    /// How it stands with the dataset.
    pub standing: Standing,
    /// The host at the other end.
    pub peer: Option<NodeName>,
}

/// How it stands with a dataset that a run moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// At the source: the jail is being moved away. Which copy is the live one only both hosts together tell.
    Leaving,
    /// At the target: being received, or not yet accepted.
    Arriving,
    /// At the target: accepted, the live copy.
    Arrived,
    /// At the source: the jail was moved away, this is the old copy.
    Parked,
}

impl Standing {
    const ALL: [Standing; 4] = [Standing::Leaving, Standing::Arriving, Standing::Arrived, Standing::Parked];

    /// The word on the host.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Standing::Leaving => "leaving",
            Standing::Arriving => "arriving",
            Standing::Arrived => "arrived",
            Standing::Parked => "parked",
        }
    }

    fn of(word: &str) -> Option<Standing> {
        Standing::ALL.into_iter().find(|s| s.word() == word)
    }
}

impl Notice {
    /// The value of the property `org.jailferry:state`: one word for every shell.
    #[must_use]
    pub fn state(&self) -> String {
        let peer = self.peer.as_ref().map(|p| format!(":{p}")).unwrap_or_default();
        format!("{}:{}{peer}", self.run, self.standing.word())
    }

    /// Reads the values of both properties as a host tells them; `-` and nothing stand for no value.
    #[must_use]
    pub fn read(state: &str, owner: &str) -> Option<Notice> {
        let mut notice: Notice = state.parse().ok()?;
        notice.owner = Owner::new(owner).ok().filter(|o| o.as_str() != "-");
        Some(notice)
    }

    /// In words.
    #[must_use]
    pub fn told(&self) -> String {
        let Notice { run, owner, standing, peer } = self;
        let who = owner.as_ref().map(|o| format!(" of {o}")).unwrap_or_default();
        let peer = peer.as_ref().map_or("another host", NodeName::as_str);
        match standing {
            Standing::Leaving => format!("run {run}{who} moves it to {peer}"),
            Standing::Arriving => format!("run {run}{who} brings it from {peer} and has not been accepted"),
            Standing::Arrived => format!("run {run}{who} has brought it from {peer}; it is the live copy"),
            Standing::Parked => format!("run {run}{who} has moved it to {peer} and left this copy"),
        }
    }
}

impl FromStr for Notice {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Notice, InvalidName> {
        let invalid = || InvalidName {
            what: "notice on a dataset",
            text: text.chars().take(80).collect(),
            rule: "RUN:STATE or RUN:STATE:HOST",
        };
        let mut words = text.splitn(3, ':');
        let run = words.next().and_then(|w| RunId::new(w).ok()).ok_or_else(invalid)?;
        let standing = words.next().and_then(Standing::of).ok_or_else(invalid)?;
        let peer = words.next().map(NodeName::new).transpose()?;
        Ok(Notice { run, owner: None, standing, peer })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        for (standing, peer) in Standing::ALL.into_iter().zip([Some("big"), Some("big"), None, Some("a.b-c")]) {
            let notice = Notice {
                run: RunId::new("web-0123abcd").unwrap(),
                owner: Some(Owner::new("anna@laptop-1").unwrap()),
                standing,
                peer: peer.map(|p| NodeName::new(p).unwrap()),
            };
            assert_eq!(Notice::read(&notice.state(), "anna@laptop-1"), Some(notice));
        }
        assert_eq!(Notice::read("web-0123abcd:parked", "-").unwrap().owner, None);
        for other in ["", "-", "web-0123abcd", "web-0123abcd:gone:big", "web:parked:big", "web-0123abcd:parked:$(x)"] {
            assert_eq!(Notice::read(other, "a@b"), None, "{other}");
        }
    }
}
