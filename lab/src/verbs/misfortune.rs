//! `lab clock`, `lab pool`: what can be wrong with a host for longer than one command takes.

use std::fs;
use std::io::ErrorKind;

use anyhow::Result;
use anyhow::bail;

use crate::world::nodes;
use crate::world::place::Place;

/// `lab clock NODE ±SECONDS`: its clock is wrong by so much from now on; 0: it is right again.
pub fn clock(place: &Place, args: &[String]) -> Result<i32> {
    let [name, seconds] = args else { bail!("usage: lab clock NODE SECONDS") };
    let seconds: i64 = seconds.parse()?;
    write(place, name, "/.lab/clock", (seconds != 0).then(|| seconds.to_string()))
}

/// `lab pool NODE suspend|resume`: what writes to a suspended pool waits, in the kernel, until it is resumed.
pub fn pool(place: &Place, args: &[String]) -> Result<i32> {
    match args {
        [name, verb] if verb == "suspend" => write(place, name, "/.lab/suspended", Some(String::new())),
        [name, verb] if verb == "resume" => write(place, name, "/.lab/suspended", None),
        _ => bail!("usage: lab pool NODE suspend|resume"),
    }
}

fn write(place: &Place, name: &str, path: &str, text: Option<String>) -> Result<i32> {
    let path = place.on_disk(nodes::find(name)?.name, path)?;
    match text {
        Some(text) => fs::write(path, text)?,
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        },
    }
    Ok(0)
}
