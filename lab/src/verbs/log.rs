//! `lab log`.

use std::fs;

use anyhow::Context as _;
use anyhow::Result;

use crate::journal;
use crate::world::nodes;
use crate::world::place::Place;

/// `lab log NODE [--json] [--ssh | --jails]`.
pub fn run(place: &Place, args: &[String]) -> Result<i32> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let name =
        args.iter().find(|arg| !arg.starts_with("--")).context("usage: lab log NODE [--json] [--ssh | --jails]")?;
    let node = nodes::find(name)?;
    let file = match (has("--ssh"), has("--jails")) {
        (true, _) => "/.lab/ssh.log",
        (_, true) => "/.lab/jails.log",
        _ => "/.lab/commands.log",
    };
    let path = place.on_disk(node.name, file)?;
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if has("--ssh") || has("--jails") {
        print!("{text}");
        return Ok(0);
    }
    for entry in journal::merge(&text) {
        if has("--json") {
            println!("{}", serde_json::to_string(&entry)?);
        } else {
            let status = entry.status.map(|status| status.to_string()).unwrap_or_else(|| "-".into());
            let jail = entry.jail.map(|jail| format!(" [{jail}]")).unwrap_or_default();
            println!("{:.3} {status:>3}{jail} {}", entry.time, entry.argv.join(" "));
        }
    }
    Ok(0)
}
