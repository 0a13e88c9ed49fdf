//! Validated names and values of the domain: everything that later code may trust without looking again.
//!
//! Names that come from YAML or from a host are newtypes whose only constructor checks them (design promise 8:
//! input is hostile). Nothing here knows of SSH, clocks or files.

pub mod dataset;
pub mod landmark;
pub mod names;
pub mod notice;
pub mod prefix;

pub use dataset::Guid;
pub use dataset::Snapshot;
pub use dataset::SnapshotName;
pub use dataset::common_base;
pub use landmark::Landmark;
pub use names::DatasetName;
pub use names::InterfaceName;
pub use names::InvalidName;
pub use names::JailName;
pub use names::NodeName;
pub use names::Owner;
pub use names::PublicKey;
pub use names::RemotePath;
pub use names::RunId;
pub use names::SegmentName;
pub use names::SnapshotLabel;
pub use names::SshDestination;
pub use names::TableName;
pub use notice::Notice;
pub use notice::Standing;
pub use prefix::Family;
pub use prefix::InvalidPrefix;
pub use prefix::Prefix;
pub use prefix::longest_match;
