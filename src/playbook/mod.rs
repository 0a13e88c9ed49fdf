//! What a person writes: `fleet.yml` and playbooks, read with every finding at once.
//!
//! Bytes go in, a value and findings come out ([`read_fleet`], [`read_playbook`]); no file, clock or host is touched.
//! The way in has four stations, one file each:
//!
//! - [`source`]: bytes to text, line and column;
//! - `yaml`: text to a tree in which every value knows its place (the only user of the YAML crate);
//! - `reader`: the tree to typed values, collecting what is wrong instead of stopping at it;
//! - [`diagnostic`] and [`render`]: what is wrong, as data and as text with a snippet.
//!
//! What the files hold is in [`fleet`], [`fabric`], [`check`], [`publish`], [`amounts`], [`options`], [`moves`], [`batch`] and
//! [`rebalance`]; their comments become the descriptions of `schema/*.json`, which editors show while one types.

pub mod amounts;
pub mod batch;
pub mod check;
pub mod diagnostic;
pub mod fabric;
pub mod fleet;
pub mod moves;
pub mod options;
pub mod publish;
mod read;
mod reader;
pub mod rebalance;
pub mod render;
pub mod report;
pub mod rules;
pub mod source;
pub mod window;
mod yaml;

pub use batch::Batch;
pub use check::Check;
pub use check::HttpTarget;
pub use check::Probe;
pub use check::Vantage;
pub use fabric::Fabric;
pub use fleet::Fleet;
pub use fleet::JailSpec;
pub use fleet::Node;
pub use moves::Drain;
pub use moves::Move;
pub use moves::Playbook;
pub(crate) use options::DurationText;
pub use options::Options;
pub use options::Precopy;
pub use options::Settings;
pub use options::Transfer;
pub use options::Verify;
pub use publish::Egress;
pub use publish::Outside;
pub use publish::Proto;
pub use publish::Publish;
pub use read::options::duration_argument;
pub use read::options::rate_argument;
pub use rebalance::Rebalance;
pub use render::Look;
pub use report::Kind;
pub use report::Reading;
pub use report::Report;
pub use report::kind_of;
pub use report::read_fleet;
pub use report::read_playbook;
pub use rules::tunnel_conflicts;
