//! Preparing the hosts: `tests/acceptance/fleet.sh` over SSH, the same script that prepares real FreeBSD hosts. Writes `fleet.yml` and `acceptance.env` into the lab's folder.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use anyhow::Result;

use crate::world::place::Place;

/// Runs the script. Returns its status.
pub fn run(place: &Place) -> Result<i32> {
    let script = script()?;
    let status = Command::new("/bin/sh")
        .arg(&script)
        .arg("-F")
        .arg(place.file("ssh_config"))
        .arg("-o")
        .arg(&place.dir)
        .args(["--public-if", "vtnet0", "small", "spare", "big", "client"])
        .status()
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !status.success() {
        eprintln!("lab: {} failed ({status}); the lab stays up for a look (lab shell NODE)", script.display());
    }
    Ok(status.code().unwrap_or(1))
}

/// `$LAB_PREPARE`, or the script of the source tree this program was built from.
fn script() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LAB_PREPARE") {
        return Ok(PathBuf::from(path));
    }
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/acceptance/fleet.sh")).to_path_buf();
    anyhow::ensure!(path.exists(), "no {} (use --bare for hosts that are not prepared)", path.display());
    Ok(path)
}
