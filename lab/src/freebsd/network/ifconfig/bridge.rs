//! if_bridge(4): members.

use crate::freebsd::network::kernel;
use crate::freebsd::network::kernel::Link;

/// The bridge's part of ifconfig's output.
pub fn print(bridge: &Link) {
    println!("\tid 00:00:00:00:00:00 priority 32768 hellotime 2 fwddelay 15");
    println!("\tmaxage 20 holdcnt 6 proto rstp maxaddr 2000 timeout 1200");
    println!("\troot id 00:00:00:00:00:00 priority 32768 ifcost 0 port 0");
    // The newest member comes first, as in the kernel's list.
    for member in members(bridge).iter().rev() {
        println!("\tmember: {} flags=143<LEARNING,DISCOVER,AUTOEDGE,AUTOPTP>", member.name);
        println!("\t        ifmaxaddr 0 port {} priority 128 path cost 2000", member.index);
    }
}

fn members(bridge: &Link) -> Vec<Link> {
    kernel::links()
        .unwrap_or_default()
        .into_iter()
        .filter(|link| link.bridge.as_deref() == Some(bridge.device.as_str()))
        .collect()
}

/// `addm NAME`, with FreeBSD's refusals (contract 2.6).
pub fn add(bridge: &Link, name: &str) -> Result<(), String> {
    let text = |reason: &str| format!("BRDGADD {name}: {reason}");
    let member =
        kernel::find(name).map_err(|e| text(&e.to_string()))?.ok_or_else(|| text("No such file or directory"))?;
    match &member.bridge {
        Some(device) if *device == bridge.device => return Err(text("File exists")),
        Some(_) => return Err(text("Device busy")),
        None => {}
    }
    // The first member sets the bridge's MTU; the others must have it.
    if member.mtu != bridge.mtu && !members(bridge).is_empty() || member.name == "lo0" {
        return Err(text("Invalid argument"));
    }
    if member.mtu != bridge.mtu && bridge.mtu == 1500 {
        return Err(text("Invalid argument"));
    }
    kernel::ip(&["link", "set", "dev", &member.device, "master", &bridge.device])
        .map(drop)
        .map_err(|e| text(&e.to_string()))
}

/// `deletem NAME`.
pub fn delete(bridge: &Link, name: &str) -> Result<(), String> {
    let absent = || format!("BRDGDEL {name}: No such file or directory");
    let member = kernel::find(name).map_err(|e| e.to_string())?.ok_or_else(absent)?;
    if member.bridge.as_deref() != Some(bridge.device.as_str()) {
        return Err(absent());
    }
    kernel::ip(&["link", "set", "dev", &member.device, "nomaster"]).map(drop).map_err(|e| e.to_string())
}
