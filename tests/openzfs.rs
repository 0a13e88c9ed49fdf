//! The product's storage effects, exactly as a plan prints them, on a real OpenZFS: `make zfs-lab`.
//!
//! Source and target are two pools of one kernel, so datasets have other names there; everything else is as between two
//! hosts. [`reports`] has failures that others have met, by what goes wrong; [`home`] moves trees to and fro.

#[path = "openzfs/bench.rs"]
mod bench;
#[path = "openzfs/delegated.rs"]
mod delegated;
#[path = "openzfs/home.rs"]
mod home;
#[path = "openzfs/mover.rs"]
mod mover;
#[path = "openzfs/packages.rs"]
mod packages;
#[path = "openzfs/properties.rs"]
mod properties;
#[path = "openzfs/reports.rs"]
mod reports;
#[path = "openzfs/way_back.rs"]
mod way_back;
