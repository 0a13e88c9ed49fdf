//! What the hosts say: the read-only questions to ask and one parser per tool's output.
//!
//! [`HostFacts`] is everything a plan needs to know of a host. Once it is clear which jail goes where, a second round
//! asks the source about the jail ([`JailFacts`]) and the target about its place ([`TargetFacts`]). One script, so one
//! round trip, a host and round.

pub mod fingerprint;
pub mod leftovers;
mod loads;
mod lookup;
pub mod parse;
pub mod questions;
#[cfg(test)]
mod recordings;
mod second_round;
mod types;
mod upkeep;

pub use loads::Loads;
pub use loads::Use;
pub use second_round::JailDataset;
pub use second_round::JailFacts;
pub use second_round::Mount;
pub use second_round::OfTheHost;
pub use second_round::Outside;
pub use second_round::PathKind;
pub use second_round::PropertyValue;
pub use second_round::TargetFacts;
pub use second_round::TextFile;
pub use second_round::User;
pub use types::Dataset;
pub use types::DatasetKind;
pub use types::HostFacts;
pub use types::Identity;
pub use types::Interface;
pub use types::JailConfiguration;
pub use types::Peer;
pub use types::Pf;
pub use types::PfFile;
pub use types::Pool;
pub use types::RcAssignment;
pub use types::RcConf;
pub use types::RcForm;
pub use types::Route;
pub use types::RunningJail;
pub use types::TableFile;
pub use types::WireGuard;
pub use types::WireGuardFile;
pub use types::ZfsVersion;
pub use upkeep::Boot;
pub use upkeep::PermanentArp;
pub use upkeep::Room;
