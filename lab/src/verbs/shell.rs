//! `lab shell` and `lab client`.

use anyhow::Context as _;
use anyhow::Result;

use crate::world::enter;
use crate::world::nodes;
use crate::world::place::Place;

/// `lab shell NODE [-- CMD …]`.
pub fn shell(place: &Place, args: &[String]) -> Result<i32> {
    let (name, command) = args.split_first().context("usage: lab shell NODE [-- CMD …]")?;
    let node = nodes::find(name)?;
    let command = command.strip_prefix(&["--".to_string()]).unwrap_or(command);
    let command = if command.is_empty() { vec![node.shell.to_string()] } else { command.to_vec() };
    enter::run(place, node.name, &command, "")
}

/// `lab client [--] CMD …`.
pub fn client(place: &Place, args: &[String]) -> Result<i32> {
    let command = args.strip_prefix(&["--".to_string()]).unwrap_or(args);
    anyhow::ensure!(!command.is_empty(), "usage: lab client -- CMD …");
    enter::run(place, "client", command, ":/.lab/usr/bin:/.lab/usr/sbin")
}
