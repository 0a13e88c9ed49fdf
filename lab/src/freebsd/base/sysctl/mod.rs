//! sysctl(8).

mod tree;

use super::getopt::Options;
use super::getopt::getopt;
use crate::context::Context;

const USAGE: &str = "usage: sysctl [-bdehiNnoqTtWx] [ -B <bufsize> ] [-f filename] name[=value] ...\n       sysctl [-bdehNnoqTtWx] [ -B <bufsize> ] -a";

/// sysctl(8).
pub fn sysctl(ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("sysctl", "AabB:def:hiNnoqTtWwXx", args) else {
        eprintln!("{USAGE}");
        return 1;
    };
    let mut names = options.operands.clone();
    if let Some(file) = options.value('f') {
        match std::fs::read_to_string(file) {
            Ok(text) => names.extend(
                text.lines()
                    .map(|line| line.split('#').next().unwrap_or_default().trim().replace('"', ""))
                    .filter(|line| !line.is_empty()),
            ),
            Err(error) => {
                eprintln!("sysctl: {file}: {}", super::reason(&error));
                return 1;
            }
        }
    } else if options.has('a') {
        names = tree::names(ctx);
    }
    if names.is_empty() {
        eprintln!("{USAGE}");
        return 1;
    }
    i32::from(names.iter().map(|name| one(ctx, &options, name)).filter(|good| !good).count() > 0)
}

fn one(ctx: &Context, options: &Options, asked: &str) -> bool {
    let (name, value) = match asked.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (asked.trim_end_matches('.'), None),
    };
    if let Some(old) = tree::read(ctx, name) {
        return match value {
            None => {
                show(options, name, &old);
                true
            }
            Some(value) => set(ctx, options, name, &old, value),
        };
    }
    let below = tree::below(ctx, name);
    if below.is_empty() {
        if !options.has('i') {
            // -q silences warnings, not this (sbin/sysctl/sysctl.c parse()).
            eprintln!("sysctl: unknown oid '{name}'");
        }
        return options.has('i');
    }
    if value.is_some() {
        eprintln!("sysctl: oid '{name}' isn't a leaf node");
        return false;
    }
    for name in below {
        let value = tree::read(ctx, &name).unwrap_or_default();
        show(options, &name, &value);
    }
    true
}

fn show(options: &Options, name: &str, value: &str) {
    let separator = if options.has('e') { "=" } else { ": " };
    if options.has('N') {
        println!("{name}");
    } else if options.has('b') {
        print!("{value}");
    } else if options.has('n') {
        println!("{value}");
    } else {
        println!("{name}{separator}{value}");
    }
}

fn set(ctx: &Context, options: &Options, name: &str, old: &str, value: &str) -> bool {
    if nix::unistd::geteuid().as_raw() != 0 {
        eprintln!("sysctl: {name}={value}: Operation not permitted");
        return false;
    }
    if old.parse::<i64>().is_ok() && value.parse::<i64>().is_err() {
        eprintln!("sysctl: invalid integer '{value}'");
        return false;
    }
    match tree::write(ctx, name, value) {
        Err(error) => {
            eprintln!("sysctl: {error}");
            false
        }
        Ok(()) => {
            if !options.has('q') {
                let label = if options.has('n') { String::new() } else { format!("{name}: ") };
                println!("{label}{old} -> {}", tree::read(ctx, name).unwrap_or_default());
            }
            true
        }
    }
}

/// A setting as the host has it now.
pub fn value(ctx: &Context, name: &str) -> Option<String> {
    tree::read(ctx, name)
}
