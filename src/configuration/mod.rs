//! Configuration files of the hosts, edited losslessly: what need not change stays as the administrator wrote it.
//!
//! [`jail_conf`] rewrites a jail's configuration for another host (bridge, epair unit, FIB, MTU, paths), [`fstab`] its
//! mount table. [`wireguard_conf`], [`rc_conf`] and [`pf_table`] build scripts of base system tools that edit files *on*
//! the host: a WireGuard file holds the private key, which never leaves its host (design promise 7).

pub mod fstab;
pub mod jail_conf;
pub mod pf_table;
pub mod rc_conf;
pub mod wireguard_conf;

#[cfg(test)]
pub(crate) mod sh;
