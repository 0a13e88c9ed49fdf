//! Preparing the hosts: `tests/acceptance/prepare.sh`, the same script that prepares real FreeBSD hosts.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use anyhow::Result;

use crate::world::enter;
use crate::world::place::Place;

/// Runs the script in the hub and the nodes. Returns the first bad status.
pub fn run(place: &Place) -> Result<i32> {
    let script = script()?;
    let text = fs::read(&script).with_context(|| format!("cannot read {}", script.display()))?;
    for node in ["small", "spare", "big"] {
        fs::write(place.on_disk(node, "/root/prepare.sh")?, &text)?;
    }
    for node in ["small", "spare", "big"] {
        let argv = ["/bin/sh", "/root/prepare.sh", node].map(str::to_string);
        let status = enter::run(place, node, &argv, "")?;
        if status != 0 {
            eprintln!(
                "lab: prepare.sh failed on {node} (status {status}); the lab stays up for a look (lab shell {node})"
            );
            return Ok(status);
        }
    }
    Ok(0)
}

/// `$LAB_PREPARE`, or the script of the source tree this program was built from.
fn script() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LAB_PREPARE") {
        return Ok(PathBuf::from(path));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests").join("acceptance/prepare.sh");
    anyhow::ensure!(path.exists(), "no {} (use --bare for hosts that are not prepared)", path.display());
    Ok(path)
}
