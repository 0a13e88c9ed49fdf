//! A running lab: one outer namespace, the internet switch, the hosts inside.
//!
//! `lab up` → [`supervisor`] (pid 1 of the outer pid, network and mount namespace; everything ends with it) → one [`host`] each (pid 1 of its own namespaces, on
//! a tmpfs disk made by [`disk`], with a network card from [`links`] and SSH through [`inetd`]).

pub mod control;
pub mod disk;
pub mod enter;
pub mod etc;
pub mod host;
pub mod inetd;
pub mod links;
pub mod nodes;
pub mod place;
pub mod spawn;
pub mod supervisor;
