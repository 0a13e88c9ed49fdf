//! How a jail is moved: options that the fleet, a jail, a playbook, a move and the command line can each set.

use std::num::NonZeroU64;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::Serialize;

/// Which way the data of a jail takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transfer {
    /// Through the machine that jailferry runs on: needs no trust between the nodes.
    #[default]
    Relay,
    /// From node to node through the tunnel, with a key made for this run and removed afterwards.
    Direct,
}

/// How the copy is compared with the source before the jail stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// Not by content: by the GUIDs of snapshots, once the jail has stopped, as always.
    #[default]
    Guids,
    /// Owner, mode, size, time and the like of every file, and what is in one of sixteen.
    Sampled,
    /// What is in every file, besides.
    Deep,
}

/// When the rounds of copying end that run while the jail still works.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Precopy {
    /// At most this many incremental rounds; 0 means none, only the full copy. Without it, 3.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub rounds: Option<u32>,
    /// No further round once a round has less than this to send, such as `16MiB`. Without it, 16MiB.
    #[serde(default)]
    #[schemars(with = "Option<SizeText>")]
    pub until: Option<u64>,
}

/// Options as written: what is absent is decided by the next level.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Options {
    /// Which way the data takes. Without it, `relay`.
    #[serde(default)]
    pub transfer: Option<Transfer>,
    /// When the rounds of copying end that run while the jail still works.
    #[serde(default)]
    pub precopy: Option<Precopy>,
    /// How long the source's copy is kept after a move before a scheduled run may let go of it, such as `7 days`.
    /// Without it, until `jailferry finalize`.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub keep: Option<SignedDuration>,
    /// How long the machine that runs jailferry may be silent during the cut-over before the hosts go back by themselves,
    /// such as `30s`, from 5s to 10 min; the source starts the jail again after twice as long. Without it, 30s.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub lease: Option<SignedDuration>,
    /// Move even when the predicted blackout is this long, such as `2 min`; longer predictions refuse the move.
    /// Without it, no prediction refuses a move.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub accept_blackout: Option<SignedDuration>,
    /// Send at most so many bytes a second through the machine that runs jailferry as long as the jail works, such as
    /// `20MiB`; what is left when it has stopped goes as fast as it can. Without it, no limit.
    #[serde(default)]
    #[schemars(with = "Option<SizeText>")]
    pub rate_limit: Option<NonZeroU64>,
    /// Start a clone of the copy at the target, without a way out, and ask it the jail's checks before the jail stops.
    /// Without it, `false`.
    #[serde(default)]
    pub dress_rehearsal: Option<bool>,
    /// Ask the jail's checks where it runs, before anything is copied, and the echo requests by which every move is proven: one
    /// that fails there would take the move back once the jail has been down. And right before it stops, whether anybody else has something of its datasets, which could not
    /// be unmounted then. Without it, `true`; `false` lets a jail move that is not well where it is.
    #[serde(default)]
    pub check_first: Option<bool>,
    /// How the first copy is compared with the source while the jail still runs; the last one is by its GUIDs, always.
    /// Without it, `guids`.
    #[serde(default)]
    pub verify: Option<Verify>,
}

impl Options {
    /// These options, with what is absent taken from `lower` (a move's over its jail's over its fleet's).
    #[must_use]
    pub fn over(&self, lower: &Options) -> Options {
        let precopy = match (&self.precopy, &lower.precopy) {
            (Some(ours), Some(theirs)) => {
                Some(Precopy { rounds: ours.rounds.or(theirs.rounds), until: ours.until.or(theirs.until) })
            }
            (ours, theirs) => ours.as_ref().or(theirs.as_ref()).cloned(),
        };
        Options {
            transfer: self.transfer.or(lower.transfer),
            precopy,
            keep: self.keep.or(lower.keep),
            lease: self.lease.or(lower.lease),
            accept_blackout: self.accept_blackout.or(lower.accept_blackout),
            rate_limit: self.rate_limit.or(lower.rate_limit),
            dress_rehearsal: self.dress_rehearsal.or(lower.dress_rehearsal),
            check_first: self.check_first.or(lower.check_first),
            verify: self.verify.or(lower.verify),
        }
    }

    /// The options with nothing left open.
    #[must_use]
    pub fn settle(&self) -> Settings {
        let precopy = self.precopy.clone().unwrap_or_default();
        Settings {
            transfer: self.transfer.unwrap_or_default(),
            rounds: precopy.rounds.unwrap_or(3),
            until: precopy.until.unwrap_or(16 << 20),
            keep: self.keep,
            lease: self.lease.and_then(|l| u32::try_from(l.as_secs()).ok()).unwrap_or(30),
            accept_blackout: self.accept_blackout,
            rate_limit: self.rate_limit,
            dress_rehearsal: self.dress_rehearsal.unwrap_or(false),
            check_first: self.check_first.unwrap_or(true),
            verify: self.verify.unwrap_or_default(),
        }
    }
}

/// Options with nothing left open: what a plan is made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Which way the data takes.
    pub transfer: Transfer,
    /// At most this many incremental rounds while the jail runs.
    pub rounds: u32,
    /// Bytes below which no further round is worth it.
    pub until: u64,
    /// The age from which a schedule with `finalize: true` lets go of the source's copy; `None`: only a person does.
    pub keep: Option<SignedDuration>,
    /// Seconds of silence after which the hosts go back by themselves; the source after twice as long.
    pub lease: u32,
    /// The longest predicted blackout that does not refuse the move; `None` for any.
    pub accept_blackout: Option<SignedDuration>,
    /// Bytes a second through this machine while the jail works, at most.
    #[serde(default)]
    pub rate_limit: Option<NonZeroU64>,
    /// Is a clone tried at the target before the jail stops?
    #[serde(default)]
    pub dress_rehearsal: bool,
    /// Are the jail's checks asked where it runs, before anything is copied, and before it stops who else uses its datasets?
    #[serde(default)]
    pub check_first: bool,
    /// How the copy is compared before the jail stops.
    #[serde(default)]
    pub verify: Verify,
}

/// How a length of time is written, for the schema.
#[derive(schemars::JsonSchema)]
#[schemars(inline, transparent, description = "A length of time with its unit: 30s, 2 min, 12h, 7 days")]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct DurationText(
    #[schemars(regex(pattern = r"^[0-9]+([.][0-9]+)? *[a-z]+([ ,]*[0-9]+ *[a-z]+)*$"))] String,
);

/// How a number of bytes is written, for the schema.
#[derive(schemars::JsonSchema)]
#[schemars(inline, transparent, description = "A number of bytes with its unit: 512KiB, 16MiB, 1.5GiB")]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct SizeText(#[schemars(regex(pattern = r"^[0-9]+([.][0-9]+)? *([KkMmGgTt][Ii]?)?[Bb]?$"))] String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_level_wins_key_by_key() {
        let fleet = Options {
            transfer: Some(Transfer::Direct),
            precopy: Some(Precopy { rounds: Some(2), until: Some(1) }),
            ..Options::default()
        };
        let jail = Options { precopy: Some(Precopy { rounds: Some(9), until: None }), ..Options::default() };
        let settings = jail.over(&fleet).settle();
        assert_eq!((settings.transfer, settings.rounds, settings.until), (Transfer::Direct, 9, 1));
        let bare = Options::default().settle();
        assert_eq!((bare.transfer, bare.rounds, bare.until, bare.keep), (Transfer::Relay, 3, 16 << 20, None));
    }
}
