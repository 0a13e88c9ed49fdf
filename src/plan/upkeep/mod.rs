//! What is wrong with a host as such, whatever jail moves: `host` what stands in the way of any move, `boot` what
//! the next boot would not make again, `files` where a WireGuard file and its interface differ.

mod boot;
mod files;
mod host;

use crate::facts::HostFacts;
use crate::model::InterfaceName;
use crate::model::NodeName;
use crate::plan::finding::Findings;

pub use files::without_save_config;
pub use host::apart;

/// A host, and what of it carries jails.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// Its name.
    pub node: &'a NodeName,
    /// What it said.
    pub facts: &'a HostFacts,
    /// The bridge of its jails, if it has jails.
    pub bridge: Option<&'a InterfaceName>,
    /// Its interface of the tunnel.
    pub tunnel: Option<&'a InterfaceName>,
    /// Is it the one whose AllowedIPs say where each prefix is?
    pub is_hub: bool,
    /// Is it only left by a jail?
    pub leaves: bool,
}

/// What would make a move that uses this host fail, or surprise.
pub fn needs(host: &Host<'_>, findings: &mut Findings) {
    host::folders(host, findings);
    host::limits(host, findings);
    host::links(host, findings);
}

/// What a reboot of this host would undo.
pub fn lasts(host: &Host<'_>, findings: &mut Findings) {
    boot::settings(host, findings);
    boot::interfaces(host, findings);
    boot::routes(host, findings);
    boot::jails(host, findings);
    boot::datasets(host, findings);
    files::differ(host, findings);
    files::makes_routes(host, findings);
    files::rewritten(host, findings);
    host::neighbours(host, findings);
    host::unreadable(host, findings);
}
