//! The scripts of /etc that the lab's hosts boot with.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const SCRIPTS: &[(&str, u32, &str)] = &[
    ("etc/rc", 0o644, include_str!("scripts/rc")),
    ("etc/rc.shutdown", 0o644, include_str!("scripts/rc.shutdown")),
    ("etc/rc.subr", 0o644, include_str!("scripts/rc.subr")),
    ("etc/rc.d/kld", 0o555, include_str!("scripts/kld")),
    ("etc/rc.d/zfs", 0o555, include_str!("scripts/zfs")),
    ("etc/rc.d/sysctl", 0o555, include_str!("scripts/sysctl")),
    ("etc/rc.d/netif", 0o555, include_str!("scripts/netif")),
    ("etc/rc.d/pf", 0o555, include_str!("scripts/pf")),
    ("etc/rc.d/routing", 0o555, include_str!("scripts/routing")),
    ("etc/rc.d/devfs", 0o555, include_str!("scripts/devfs")),
    ("etc/rc.d/jail", 0o555, include_str!("scripts/jail")),
    ("etc/rc.d/inetd", 0o555, include_str!("scripts/inetd")),
    ("etc/rc.d/sshd", 0o555, include_str!("scripts/sshd")),
];

/// Writes the scripts under `root`; one that an administrator has changed stays as it is.
pub fn install(root: &Path) -> io::Result<()> {
    for (path, mode, text) in SCRIPTS {
        let path = root.join(path);
        if path.exists() {
            continue;
        }
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
    }
    Ok(())
}
