//! kldload(8), kldunload(8), kldstat(8): which modules are loaded, in `/run/kld`.

use std::fs;
use std::io;

use crate::context::Context;
use crate::net::fibs;

/// Files with the modules in them.
const FILES: &[(&str, &[&str])] = &[
    ("if_epair", &["if_epair"]),
    ("if_bridge", &["if_bridge", "bridgestp"]),
    ("bridgestp", &["bridgestp"]),
    ("if_wg", &["wg"]),
    ("if_vxlan", &["if_vxlan"]),
    ("if_tuntap", &["if_tuntap"]),
    ("pf", &["pf"]),
    ("pflog", &["pflog"]),
    ("zfs", &["zfsctrl", "zfs", "zfs_zvol"]),
    ("nullfs", &["nullfs"]),
    ("fdescfs", &["fdescfs"]),
    ("tmpfs", &["tmpfs"]),
    ("mac_do", &["mac_do"]),
];

/// What a host has from the beginning: the loader loads zfs, and nullfs comes with the first jail; GENERIC holds tmpfs and tuntap.
const ALWAYS: &[&str] = &["zfs", "nullfs", "tmpfs", "fdescfs", "if_tuntap"];

fn loaded(ctx: &Context) -> Vec<String> {
    let text = fs::read_to_string(ctx.run.join("kld")).unwrap_or_default();
    ALWAYS.iter().map(|name| name.to_string()).chain(text.lines().map(str::to_string)).collect()
}

/// Is a file loaded?
pub fn is_loaded(ctx: &Context, file: &str) -> bool {
    loaded(ctx).iter().any(|known| known == file)
}

/// Loads a file if it is not, as the kernel does when a cloner is first used.
pub fn autoload(ctx: &Context, file: &str) -> io::Result<()> {
    // A jail has no say in it, and the host's list is not in its sight.
    if ctx.jail.is_some() || is_loaded(ctx, file) {
        return Ok(());
    }
    fs::create_dir_all(&ctx.run)?;
    let path = ctx.run.join("kld");
    let old = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, format!("{old}{file}\n"))
}

fn stem(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(".ko").unwrap_or(name)
}

/// kldload(8).
pub fn load(ctx: &Context, args: &[String]) -> i32 {
    let quiet = args.iter().any(|a| a == "-n" || a == "-nq" || a == "-qn");
    let mut status = 0;
    for name in args.iter().filter(|a| !a.starts_with('-')) {
        let file = stem(name);
        if !FILES.iter().any(|(known, _)| *known == file) {
            eprintln!("kldload: can't load {name}: No such file or directory");
            status = 1;
        } else if is_loaded(ctx, file) {
            if !quiet {
                eprintln!("kldload: can't load {name}: module already loaded or in kernel");
                status = 1;
            }
        } else if let Err(error) = autoload(ctx, file) {
            eprintln!("kldload: can't load {name}: {error}");
            status = 1;
        }
    }
    if args.iter().all(|a| a.starts_with('-')) {
        eprintln!("usage: kldload [-nqv] file ...");
        return 1;
    }
    status
}

/// kldunload(8).
pub fn unload(ctx: &Context, args: &[String]) -> i32 {
    let mut status = 0;
    for name in args.iter().filter(|a| !a.starts_with('-')) {
        let file = stem(name);
        if !is_loaded(ctx, file) {
            eprintln!("kldunload: can't find file {name}");
            status = 1;
            continue;
        }
        let left: String = loaded(ctx)
            .into_iter()
            .filter(|known| known != file && !ALWAYS.contains(&known.as_str()))
            .map(|known| format!("{known}\n"))
            .collect();
        if ALWAYS.contains(&file) {
            eprintln!("kldunload: can't unload file: Device busy");
            status = 1;
        } else if let Err(error) = fs::write(ctx.run.join("kld"), left) {
            eprintln!("kldunload: {error}");
            status = 1;
        } else if file == "pf" {
            // Without the module there is no filter. A missing table is what we want.
            let _ = fibs::feed("nft", &["-f", "-"], "table inet pf\ndelete table inet pf\n");
            let _ = fs::remove_file(ctx.run.join("pf.json"));
        }
    }
    status
}

/// kldstat(8).
pub fn stat(ctx: &Context, args: &[String]) -> i32 {
    let quiet = args.iter().any(|a| a.starts_with('-') && a.contains('q'));
    let after =
        |flag: &str| args.iter().position(|a| a.starts_with('-') && a.ends_with(flag)).and_then(|at| args.get(at + 1));
    let files = loaded(ctx);
    if let Some(module) = after("m") {
        let found =
            FILES.iter().any(|(file, modules)| files.iter().any(|f| f == file) && modules.contains(&module.as_str()));
        return answer(found, quiet, || format!("can't find module {module}"));
    }
    if let Some(name) = after("n") {
        return answer(is_loaded(ctx, stem(name)) || stem(name) == "kernel", quiet, || {
            format!("can't find file {name}")
        });
    }
    if let Some(unknown) = args.iter().find(|a| a.starts_with('-') && !matches!(a.as_str(), "-v" | "-h" | "-q")) {
        eprintln!("kldstat: illegal option -- {}", unknown.trim_start_matches('-'));
        eprintln!("usage: kldstat [-dhqv] [-i id] [-n filename]\n       kldstat [-dq] [-m modname]");
        return 1;
    }
    let verbose = args.iter().any(|a| a == "-v");
    println!("Id Refs Address                Size Name");
    println!(" 1 {:>4} 0xffffffff80200000  1f3e2d0 kernel", files.len() + 1);
    for (id, file) in files.iter().enumerate() {
        let path = if verbose { format!(" (/boot/kernel/{file}.ko)") } else { String::new() };
        println!(
            "{:>2}    1 0x{:x} {:>8x} {file}.ko{path}",
            id + 2,
            0xffff_ffff_8213_9000u64 + (id as u64) * 0x40000,
            0x2_3000
        );
        if verbose {
            println!("\tContains modules:\n\t\t Id Name");
            for (number, module) in FILES.iter().filter(|(f, _)| f == file).flat_map(|(_, m)| m.iter()).enumerate() {
                println!("\t\t{:>3} {module}", 500 + id * 4 + number);
            }
        }
    }
    0
}

fn answer(found: bool, quiet: bool, text: impl Fn() -> String) -> i32 {
    if !found && !quiet {
        eprintln!("kldstat: {}: No such file or directory", text());
    }
    i32::from(!found)
}
