//! `lab status`.

use anyhow::Result;

use crate::world::nodes::NODES;
use crate::world::place::Place;

/// Prints what runs; status 1 when no lab does.
pub fn run(place: &Place) -> Result<i32> {
    let Some(pid) = place.outer() else {
        println!("no lab in {}", place.dir.display());
        return Ok(1);
    };
    println!("lab in {} (process {pid})", place.dir.display());
    for node in NODES {
        let disk = place.on_disk(node.name, "")?;
        let up = disk.with_file_name(format!("{}.pid", node.name)).exists();
        let way = node.jump.map(|jump| format!("through {jump}")).unwrap_or_else(|| "directly".into());
        println!("  {:8}{:6}ssh as {} {way}", node.name, if up { "up" } else { "down" }, node.login);
    }
    Ok(0)
}
