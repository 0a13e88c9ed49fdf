//! The emulated zfs(8) and zpool(8), run as programs in a mount namespace of their own.

#[path = "zfs/answers.rs"]
mod answers;
#[path = "zfs/behaviour.rs"]
mod behaviour;
#[path = "zfs/sandbox.rs"]
mod sandbox;
