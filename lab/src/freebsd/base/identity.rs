//! uname(1) and freebsd-version(1).

use super::getopt::getopt;
use crate::context::Context;

/// uname(1).
pub fn uname(ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("uname", "abiKmnoprsUv", args) else {
        eprintln!("usage: uname [-abiKmnoprsUv]");
        return 1;
    };
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = format!("FreeBSD {} releng/13.2-n254617-525ecfdad597 GENERIC", ctx.host.osrelease);
    let date = ctx.host.osreldate.to_string();
    let all = options.has('a');
    let mut words: Vec<&str> = Vec::new();
    // In this order, whatever the order of the flags (usr.bin/uname/uname.c print_uname()).
    for (flag, value) in [
        ('s', "FreeBSD"),
        ('n', host.as_str()),
        ('r', ctx.host.osrelease.as_str()),
        ('v', version.as_str()),
        ('m', "amd64"),
        ('p', "amd64"),
        ('i', "GENERIC"),
        ('K', date.as_str()),
        ('U', date.as_str()),
        ('b', "0000000000000000000000000000000000000000"),
    ] {
        if options.has(flag)
            || (flag == 's' && (options.has('o') || options.given.is_empty()))
            || (all && "snrvm".contains(flag))
        {
            words.push(value);
        }
    }
    println!("{}", words.join(" "));
    0
}

/// freebsd-version(1): installed kernel, running kernel, userland, in this order; `-j` a jail's userland.
pub fn freebsd_version(ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("freebsd-version", "kruj:", args) else {
        eprintln!("usage: freebsd-version [-kru] [-j jail]");
        return 1;
    };
    if !options.operands.is_empty() {
        eprintln!("usage: freebsd-version [-kru] [-j jail]");
        return 1;
    }
    if options.has('k') {
        let installed = std::fs::read_to_string("/boot/kernel/kernel").ok();
        match installed.as_deref().and_then(|text| text.split_whitespace().nth(1)) {
            Some(version) => println!("{version}"),
            None => {
                eprintln!("freebsd-version: unable to locate kernel");
                return 1;
            }
        }
    }
    if options.has('r') {
        println!("{}", ctx.host.osrelease);
    }
    if options.has('u') || (options.given.is_empty()) {
        // Set by the script /bin/freebsd-version, which belongs to this userland (a jail's may be another).
        println!("{}", std::env::var("USERLAND_VERSION").unwrap_or_else(|_| ctx.host.osrelease.clone()));
    }
    for (flag, jail) in &options.given {
        if *flag == 'j' {
            let jail = jail.clone().unwrap_or_default();
            let status = std::process::Command::new("/usr/sbin/jexec").args(["--", &jail, "freebsd-version"]).status();
            if !status.is_ok_and(|status| status.success()) {
                return 1;
            }
        }
    }
    0
}
