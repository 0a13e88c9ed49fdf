//! Interfaces of a jail with a network of its own.

use std::process::Command;

use super::registry::Jail;
use crate::net::tool;

/// `ip` in a jail's network namespace.
fn ip_in(jail: &Jail, args: &[&str]) -> Result<String, String> {
    let output = Command::new(tool("nsenter"))
        .args(["-t", &jail.pid.to_string(), "-n"])
        .arg(tool("ip"))
        .args(args)
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_string())
    }
}

/// `ifconfig IF -vnet JAIL`: takes an interface back to the host.
pub fn take_back(jail: &Jail, interface: &str) -> Result<(), String> {
    ip_in(jail, &["link", "set", "dev", interface, "netns", &std::process::id().to_string()]).map(drop).map_err(
        |text| {
            if text.contains("Cannot find device") {
                "ioctl (SIOCSIFRVNET): Device not configured".into()
            } else {
                format!("ioctl (SIOCSIFRVNET): {text}")
            }
        },
    )
}

/// Takes every interface back, as the kernel does when a vnet ends.
pub fn take_all_back(jail: &Jail) -> Result<(), String> {
    let text = ip_in(jail, &["-j", "link", "show"])?;
    let links: Vec<serde_json::Value> = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    for link in links {
        let name = link["ifname"].as_str().unwrap_or_default();
        if !matches!(name, "lo" | "lo0" | "") {
            take_back(jail, name)?;
        }
    }
    Ok(())
}
