//! Arguments that several commands share: how a jail is moved, and how many at the same time.

use std::num::NonZeroU64;

use clap::Args;
use jiff::SignedDuration;

use crate::playbook::Batch;
use crate::playbook::Options;
use crate::playbook::Transfer;
use crate::playbook::Verify;
use crate::playbook::batch::Parallel;
use crate::playbook::duration_argument;
use crate::playbook::rate_argument;

/// How a jail is moved, over what fleet.yml says.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Which way the data takes: through this machine, or from node to node through the tunnel [default: as fleet.yml says]
    #[arg(long, value_name = "WAY", value_enum)]
    transfer: Option<Transfer>,
    /// Try the jail first: start a clone of the copy at the target, without a way out, and ask it the jail's checks [default: as fleet.yml says]
    #[arg(long)]
    dress_rehearsal: bool,
    /// Move although nobody may answer for this long, such as 30s; when more is to be expected, the jail is not stopped [default: as fleet.yml says]
    #[arg(long, value_name = "TIME", value_parser = duration_argument)]
    accept_blackout: Option<SignedDuration>,
    /// Send at most so many bytes a second, such as 20MiB, through this machine while the jail works [default: as fleet.yml says]
    #[arg(long, value_name = "SIZE", value_parser = rate_argument)]
    rate_limit: Option<NonZeroU64>,
    /// How the first copy is compared with the source before the jail stops [default: as fleet.yml says]
    #[arg(long, value_name = "WAY", value_enum)]
    verify: Option<Verify>,
}

impl How {
    pub(super) fn options(&self) -> Options {
        let dress_rehearsal = self.dress_rehearsal.then_some(true);
        Options {
            transfer: self.transfer,
            dress_rehearsal,
            accept_blackout: self.accept_blackout,
            rate_limit: self.rate_limit,
            verify: self.verify,
            ..Options::default()
        }
    }
}

/// The same for a jail that is to leave where it is.
#[derive(Debug, Args)]
pub(super) struct Leaving {
    #[command(flatten)]
    how: How,
    /// Move a jail that does not answer or pass its checks where it runs, or whose datasets somebody else uses: do not ask
    /// first
    /// [default: as fleet.yml says]
    #[arg(long)]
    no_check_first: bool,
}

impl Leaving {
    pub(super) fn options(&self) -> Options {
        Options { check_first: self.no_check_first.then_some(false), ..self.how.options() }
    }
}

/// How many moves at the same time.
#[derive(Debug, Args)]
pub(super) struct Together {
    /// Moves at the same time; their copies run side by side, one cuts over at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    parallel: u32,
}

impl Together {
    /// All moves have one node in common, so it and its links take as many.
    pub(super) fn batch(&self) -> Batch {
        let moves = self.parallel;
        Batch { parallel: Parallel { moves, per_node: moves, per_link: moves }, ..Batch::default() }
    }
}
