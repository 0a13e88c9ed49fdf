//! WireGuard interfaces: the kernel's where it has them, else a `wireguard-go` process per interface.

use std::io;
use std::process::Command;
use std::process::Stdio;

use super::tool;

/// `ifconfig NAME create` for a name such as `wg0`: makes the interface in this network namespace, down, without addresses.
pub fn create(name: &str) -> io::Result<()> {
    let kernel =
        Command::new(tool("ip")).args(["link", "add", name, "type", "wireguard"]).stderr(Stdio::null()).status()?;
    if kernel.success() {
        return Ok(());
    }
    // It goes into the background by itself once the interface is there: by starting itself again with WG_PROCESS_FOREGROUND=1, of which Go reads the first
    // mention, so the variable must not be there before. The one in the background keeps standard error: a pipe would never end.
    let status = Command::new(tool("wireguard-go"))
        .arg(name)
        .env_remove("WG_PROCESS_FOREGROUND")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("wireguard-go: {status}"))) }
}

/// `ifconfig NAME destroy`. wireguard-go ends by itself when its interface is gone.
pub fn destroy(name: &str) -> io::Result<()> {
    let output = Command::new(tool("ip")).args(["link", "del", name]).output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_string()))
    }
}
