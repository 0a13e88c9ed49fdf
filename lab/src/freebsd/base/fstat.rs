//! fstat(1): `-f FILE`, who has something open on the file system that holds it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::getopt::getopt;
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
    let (here, own) = (on(Path::new(file)), fs::read_link("/proc/self/ns/mnt").ok());
    for process in fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Some(pid) = process.file_name().and_then(|n| n.to_str()).filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
        else {
            continue;
        };
        // Processes of jails have a mount namespace, and names, of their own.
        if fs::read_link(process.join("ns/mnt")).ok() != own {
            continue;
        }
        let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
        for link in [process.join("cwd"), process.join("root")].into_iter().chain(open) {
            let Ok(path) = fs::read_link(&link) else { continue };
            if path.is_absolute() && on(&path).is_some() && on(&path) == here {
                let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let name = if name == "cwd" { "wd" } else { &name };
                let inode = fs::metadata(&path).map_or(0, |m| m.ino());
                println!(
                    "root     {:<10.10} {pid:>5} {name:>4} {} {inode:>6} drwxr-xr-x       0  r",
                    command.trim_end(),
                    here.unwrap_or("/")
                );
            }
        }
    }
    0
}
