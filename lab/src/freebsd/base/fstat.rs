//! fstat(1): `-f FILE`, who has something open on the file system that holds it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::getopt::getopt;
use super::processes;
use crate::context::Context;

/// fstat(1).
pub fn fstat(ctx: &Context, args: &[String]) -> i32 {
    let options = getopt("fstat", "fmnsvM:N:p:u:", args);
    let Some((options, [file])) =
        options.as_ref().and_then(|o| Some((o, <&[String; 1]>::try_from(&o.operands[..]).ok()?)))
    else {
        eprintln!("usage: fstat [-fmnsv] [-M core] [-N system] [-p pid] [-u user] [file ...]");
        return 1;
    };
    if !options.has('f') {
        eprintln!("fstat: the lab knows -f only");
        return 1;
    }
    println!("USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W");
    let mounts = crate::mounts::list(ctx).unwrap_or_default();
    let on = |path: &Path| {
        mounts.iter().map(|m| m.dir.as_str()).filter(|dir| path.starts_with(dir)).max_by_key(|dir| dir.len())
    };
    let here = on(Path::new(file));
    for process in processes::of_the_host() {
        let (pid, command) = (&process.pid, &process.command);
        for link in [process.folder.join("cwd"), process.folder.join("root")].into_iter().chain(process.open()) {
            let Ok(path) = fs::read_link(&link) else { continue };
            if path.is_absolute() && on(&path).is_some() && on(&path) == here {
                let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let name = if name == "cwd" { "wd" } else { &name };
                let inode = fs::metadata(&path).map_or(0, |m| m.ino());
                println!(
                    "root     {:<10.10} {pid:>5} {name:>4} {} {inode:>6} drwxr-xr-x       0  r",
                    command,
                    here.unwrap_or("/")
                );
            }
        }
    }
    0
}
