//! Preparing the hosts: `tests/acceptance/fleet.sh`, the same script that prepares real FreeBSD hosts, over the lab's SSH.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context as _;
use anyhow::Result;

use crate::world::place::Place;

/// Runs the script on the whole fleet; it leaves `fleet.yml` and `acceptance.env` in the lab's folder. Returns its exit status.
pub fn run(place: &Place) -> Result<i32> {
    let script = script()?;
    let status = Command::new("/bin/sh")
        .arg(&script)
        .arg("-F")
        .arg(place.file("ssh_config"))
        .arg("-o")
        .arg(&place.dir)
        .args(["--public-if", "vtnet0", "small", "spare", "big", "client"])
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", script.display()))?;
    let status = status.code().unwrap_or(1);
    if status != 0 {
        eprintln!("lab: {} failed (status {status}); the lab stays up for a look (lab shell NODE)", script.display());
    }
    Ok(status)
}

/// `$LAB_PREPARE`, or the script of the source tree this program was built from.
fn script() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LAB_PREPARE") {
        return Ok(PathBuf::from(path));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests").join("acceptance/fleet.sh");
    anyhow::ensure!(path.exists(), "no {} (use --bare for hosts that are not prepared)", path.display());
    Ok(path)
}
