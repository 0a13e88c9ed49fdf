//! `lab reboot`.

use anyhow::Result;
use anyhow::bail;

use crate::world::control;
use crate::world::control::Request;
use crate::world::nodes;
use crate::world::place::Place;

/// `lab reboot [--hard] NODE`.
pub fn run(place: &Place, args: &[String]) -> Result<i32> {
    let (hard, node) = match args {
        [node] => (false, node),
        [flag, node] | [node, flag] if flag == "--hard" => (true, node),
        _ => bail!("usage: lab reboot [--hard] NODE"),
    };
    place.running()?;
    let node = nodes::find(node)?.name.to_string();
    control::ask(&place.file("control"), &Request::Reboot { node, hard, wait: true })?;
    Ok(0)
}
