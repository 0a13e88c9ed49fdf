//! The kernel's side of the network: FIBs by marks, tunnels.

pub mod announce;
pub mod fibs;
pub mod tcp;
pub mod wg;

use std::path::Path;
use std::path::PathBuf;

/// Where one of Debian's programs is. In a host (and its jails) PATH shows FreeBSD's commands only; Debian's /usr is at `/.lab/usr`, so every Linux tool that the emulation
/// itself needs (ip, nft, wireguard-go …) is called by `tool("ip")`.
pub fn tool(name: &str) -> PathBuf {
    for dir in ["/.lab/usr/sbin", "/.lab/usr/bin", "/usr/sbin", "/usr/bin"] {
        let path = Path::new(dir).join(name);
        if path.exists() {
            return path;
        }
    }
    PathBuf::from(name)
}
