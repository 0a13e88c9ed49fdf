//! mount(8) and umount(8): real bind and tmpfs mounts behind the mount table of [`crate::mounts`].

pub mod fstab;
pub mod make;
mod show;
pub mod umount;

use make::make;

use crate::context::Context;
use crate::mounts::Mount;

const USAGE: &str = "usage: mount [-adflpruvw] [-F fstab] [-o options] [-t ufs | external_type]\n       mount [-dfpruvw] special | node\n       mount [-dfpruvw] [-o options] [-t ufs | external_type] special node";

/// mount(8).
pub fn mount(ctx: &Context, args: &[String]) -> i32 {
    let mut asked = Asked { fstype: "ufs".into(), fstab: "/etc/fstab".into(), ..Asked::default() };
    let mut operands = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some(flags) = arg.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            operands.push(arg.clone());
            continue;
        };
        let mut flags = flags.chars();
        while let Some(flag) = flags.next() {
            let mut value = || {
                let attached: String = flags.by_ref().collect();
                if attached.is_empty() { rest.next().cloned() } else { Some(attached) }
            };
            match flag {
                'a' => asked.all = true,
                'p' => asked.fstab_style = true,
                'r' => asked.opts.push("ro".into()),
                'w' => asked.opts.push("rw".into()),
                'v' | 'f' | 'l' => {}
                'u' => asked.update = true,
                'd' => asked.dry = true,
                'o' | 't' | 'F' => {
                    let Some(value) = value() else { return usage() };
                    match flag {
                        'o' => asked.opts.extend(value.split(',').map(str::to_string)),
                        't' => (asked.fstype, asked.typed) = (value, true),
                        _ => asked.fstab = value,
                    }
                }
                _ => {
                    eprintln!("mount: illegal option -- {flag}");
                    return usage();
                }
            }
        }
    }
    match operands.as_slice() {
        [] if asked.all => all(ctx, &asked),
        [] => show::show(ctx, asked.fstab_style, asked.typed.then_some(asked.fstype.as_str())),
        [node] => from_fstab(ctx, &asked, node),
        [special, node] => report(make(ctx, &asked.fstype, special, node, &asked.opts)),
        _ => usage(),
    }
}

/// `mount_nullfs`, `mount_tmpfs` … : the same with the type in the name.
pub fn mount_nullfs(ctx: &Context, args: &[String]) -> i32 {
    let (opts, operands) = options(args);
    match operands.as_slice() {
        [special, node] => report(make(ctx, "nullfs", special, node, &opts)),
        _ => {
            eprintln!("usage: mount_nullfs [-o options] target mount-point");
            64
        }
    }
}

fn options(args: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut opts, mut operands) = (Vec::new(), Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.strip_prefix("-o") {
            Some("") => opts.extend(rest.next().into_iter().flat_map(|value| value.split(',')).map(str::to_string)),
            Some(value) => opts.extend(value.split(',').map(str::to_string)),
            None => operands.push(arg.clone()),
        }
    }
    (opts, operands)
}

#[derive(Default)]
struct Asked {
    all: bool,
    fstab_style: bool,
    update: bool,
    dry: bool,
    fstype: String,
    typed: bool,
    fstab: String,
    opts: Vec<String>,
}

fn all(ctx: &Context, asked: &Asked) -> i32 {
    let lines = match fstab::read(&asked.fstab) {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("mount: {}: {}", asked.fstab, super::reason(&error));
            return 1;
        }
    };
    let mounted = crate::mounts::list(ctx).unwrap_or_default();
    let mut status = 0;
    for line in lines {
        let skipped = line.dir == "/" || line.fstype == "swap" || line.opts.iter().any(|opt| opt == "noauto");
        let wanted = !asked.typed || asked.fstype.split(',').any(|wanted| wanted == line.fstype);
        let dir = crate::mounts::real(std::path::Path::new(&line.dir));
        if skipped
            || !wanted
            || asked.dry
            || mounted.iter().any(|mount| mount.dir == dir && mount.source == line.source)
        {
            continue;
        }
        status = status.max(report(make(ctx, &line.fstype, &line.source, &line.dir, &line.opts)));
    }
    status
}

fn from_fstab(ctx: &Context, asked: &Asked, node: &str) -> i32 {
    if asked.update {
        let dir = crate::mounts::real(std::path::Path::new(node));
        return report(make::update(ctx, &dir, &asked.opts));
    }
    match fstab::read(&asked.fstab).unwrap_or_default().into_iter().find(|line| line.dir == node || line.source == node)
    {
        Some(line) => report(make(ctx, &line.fstype, &line.source, &line.dir, &line.opts)),
        None => {
            eprintln!("mount: {node}: unknown special file or file system");
            1
        }
    }
}

fn report(result: Result<Mount, String>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn usage() -> i32 {
    eprintln!("{USAGE}");
    1
}
