//! FreeBSD's own programs, built for Linux, in the place of Debian's and of the emulation's, for labs that were raised with `LAB_FREEBSD=FOLDER` (CONTRIBUTING.md): what a
//! script does in FreeBSD's sh(1), sed(1) or grep(1) is best asked of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use anyhow::Result;

use crate::context::Context;

/// Where a host has them, below `/.lab`.
const FOLDER: &str = "freebsd";

/// FreeBSD's program of that name, if this host has it. Two things no program but the emulation's knows of: date(1) a wrong clock (`lab clock`), and what opens connections the
/// FIB that setfib(1) chose.
pub fn find(ctx: &Context, name: &str) -> Option<PathBuf> {
    let path = ctx.state.join(FOLDER).join(name);
    let emulated = || match name {
        "date" => ctx.state.join("clock").exists(),
        "fetch" | "nc" => std::env::var_os("LAB_FIB").is_some(),
        _ => false,
    };
    (!name.contains('/') && path.exists() && !emulated()).then_some(path)
}

/// Becomes it; the exit status where it does not.
pub fn run(program: &Path, name: &str, args: &[String]) -> i32 {
    let error = Command::new(program).arg0(name).args(args).exec();
    eprintln!("{name}: {}", super::reason(&error));
    127
}

/// Copies the programs of `$LAB_FREEBSD` to a host's disk.
pub fn install(lab: &Path) -> Result<()> {
    let Some(from) = std::env::var_os("LAB_FREEBSD").map(PathBuf::from) else { return Ok(()) };
    let to = lab.join(FOLDER);
    fs::create_dir_all(&to)?;
    let mut copied = 0;
    for entry in fs::read_dir(&from).with_context(|| format!("LAB_FREEBSD={}", from.display()))? {
        let path = entry?.path();
        let program = fs::metadata(&path)?;
        if let Some(name) = path.file_name().filter(|_| program.is_file() && program.permissions().mode() & 0o111 != 0)
        {
            fs::copy(&path, to.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
            copied += 1;
        }
    }
    // Nobody must believe that he sees FreeBSD's where he sees Debian's.
    anyhow::ensure!(copied > 0, "LAB_FREEBSD={}: no program in it", from.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Host;

    #[test]
    fn what_the_host_has_comes_first_but_for_a_wrong_clock() {
        let state = tempfile::tempdir().expect("a folder");
        let ctx =
            Context { host: Host::default(), jail: None, state: state.path().into(), run: state.path().join("run") };
        assert_eq!(find(&ctx, "date"), None);
        let folder = state.path().join(FOLDER);
        fs::create_dir(&folder).expect("a folder");
        for name in ["date", "sed"] {
            fs::write(folder.join(name), "").expect("a file");
        }
        assert_eq!(find(&ctx, "date"), Some(folder.join("date")));
        fs::write(state.path().join("clock"), "86400").expect("a file");
        assert_eq!(find(&ctx, "date"), None);
        assert_eq!(find(&ctx, "sed"), Some(folder.join("sed")));
        assert_eq!(find(&ctx, "../freebsd/sed"), None);
    }
}
