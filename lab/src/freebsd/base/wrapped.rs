//! Debian's tools behind FreeBSD's options, where only a few differ.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;

use super::getopt::getopt;
use crate::context::Context;
use crate::net::tool;

pub(super) fn become_tool(name: &str, args: &[String]) -> i32 {
    let error = Command::new(tool(name)).arg0(name).args(args).exec();
    eprintln!("{name}: {}", super::reason(&error));
    127
}

/// sed(1): `-i` takes its extension as the next argument; no GNU extensions in scripts.
pub fn sed(_ctx: &Context, args: &[String]) -> i32 {
    let mut out = vec!["--posix".to_string()];
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "-i" || arg == "-I" {
            let Some(extension) = rest.next() else {
                eprintln!("sed: option requires an argument -- i");
                return 1;
            };
            out.push(format!("-i{extension}"));
        } else if arg == "--" || !arg.starts_with('-') {
            out.push(arg.clone());
            if arg == "--" {
                out.extend(rest.by_ref().cloned());
            }
        } else if arg.starts_with("--") {
            eprintln!("sed: illegal option -- -");
            return 1;
        } else if let Some(extension) = arg.strip_prefix("-I").or_else(|| arg.strip_prefix("-i")) {
            out.push(format!("-i{extension}"));
        } else {
            // -l and -a have no harm here; -E, -n, -e, -f, -r, -s, -u are the same.
            out.push(arg.replace('a', ""));
            if arg.ends_with('e') || arg.ends_with('f') {
                out.extend(rest.next().cloned());
            }
        }
    }
    become_tool("sed", &out)
}

/// realpath(1): every part must exist.
pub fn realpath(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("realpath", "q", args) else {
        eprintln!("usage: realpath [-q] [path ...]");
        return 1;
    };
    let operands = if options.operands.is_empty() { vec![".".to_string()] } else { options.operands.clone() };
    let mut status = 0;
    for path in operands {
        match std::fs::canonicalize(&path) {
            Ok(real) => println!("{}", real.display()),
            Err(error) => {
                if !options.has('q') {
                    eprintln!("realpath: {path}: {}", super::reason(&error));
                }
                status = 1;
            }
        }
    }
    status
}

/// mktemp(1): `-t PREFIX` makes PREFIX.XXXXXXXX in TMPDIR.
pub fn mktemp(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("mktemp", "dp:qt:u", args) else {
        eprintln!(
            "usage: mktemp [-d] [-p tmpdir] [-q] [-t prefix] [-u] template ...\n       mktemp [-d] [-p tmpdir] [-q] [-u] -t prefix "
        );
        return 1;
    };
    let mut out: Vec<String> =
        options.given.iter().filter(|(flag, _)| "dqu".contains(*flag)).map(|(flag, _)| format!("-{flag}")).collect();
    let folder = options
        .value('p')
        .map(str::to_string)
        .or_else(|| std::env::var("TMPDIR").ok())
        .unwrap_or_else(|| "/tmp".into());
    match options.value('t') {
        Some(prefix) => out.push(format!("{folder}/{prefix}.XXXXXXXX")),
        None if options.operands.is_empty() => out.push(format!("{folder}/tmp.XXXXXXXX")),
        None => {}
    }
    out.extend(options.operands.iter().cloned());
    become_tool("mktemp", &out)
}

/// install(1): `-S` writes a temporary file beside the target and renames it.
pub fn install(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("install", "B:bCcD:df:g:h:l:M:m:N:o:pSsT:Uv", args) else {
        eprintln!(
            "usage: install [-bCcpSsUv] [-f flags] [-g group] [-m mode] [-o owner] [-M log] file1 file2\n       install -d [-lUv] [-g group] [-m mode] [-o owner] directory ..."
        );
        return 64;
    };
    let mut out = Vec::new();
    for (flag, value) in &options.given {
        match (flag, value) {
            ('g' | 'm' | 'o', Some(value)) => out.extend([format!("-{flag}"), value.clone()]),
            ('b' | 'C' | 'd' | 'p' | 's' | 'v', _) => out.push(format!("-{flag}")),
            _ => {}
        }
    }
    let mut operands = options.operands.clone();
    if options.has('S')
        && !options.has('d')
        && let [from, to] = operands.as_mut_slice()
    {
        if std::path::Path::new(&*to).is_dir() {
            *to = format!("{}/{}", to.trim_end_matches('/'), from.rsplit('/').next().unwrap_or_default());
        }
        let target = to.clone();
        *to = format!("{to}.INS@{}", std::process::id());
        let status = Command::new(tool("install")).arg0("install").args(&out).arg(&*from).arg(&*to).status();
        let good = status.is_ok_and(|status| status.success());
        if let Err(error) = if good { std::fs::rename(&*to, &target) } else { Ok(()) } {
            eprintln!("install: rename: {to} to {target}: {}", super::reason(&error));
            return 71;
        }
        return if good { 0 } else { 71 };
    }
    out.extend(operands);
    let status = Command::new(tool("install")).arg0("install").args(&out).status();
    if status.is_ok_and(|status| status.success()) { 0 } else { 71 }
}

/// dd(1): sizes such as `1m`, `64k`.
pub fn dd(_ctx: &Context, args: &[String]) -> i32 {
    let convert = |arg: &String| match arg.split_once('=') {
        Some((name @ ("bs" | "ibs" | "obs" | "count" | "seek" | "skip" | "oseek" | "iseek"), value)) => {
            format!("{name}={}", value.to_uppercase())
        }
        _ => arg.clone(),
    };
    become_tool("dd", &args.iter().map(convert).collect::<Vec<_>>())
}

/// date(1): `-r SECONDS`, `-j`, `-u`, `-f FORMAT`, `-v±N[ymwdHMS]`.
pub fn date(ctx: &Context, args: &[String]) -> i32 {
    let usage = || {
        eprintln!(
            "usage: date [-jnRu] [-I[date|hours|minutes|seconds]] [-f input_fmt]\n            [-r filename|seconds] [-v[+|-]val[y|m|w|d|H|M|S]]\n            [[[[[cc]yy]mm]dd]HH]MM[.SS] [new_date] [+output_fmt]"
        );
        1
    };
    let Some(options) = getopt("date", "f:jnRr:uv:", args) else { return usage() };
    let mut out = Vec::new();
    if options.has('u') {
        out.push("-u".to_string());
    }
    if options.has('R') {
        out.push("-R".to_string());
    }
    let mut operands = options.operands.iter();
    let mut when = String::new();
    if let Some(from) = options.value('r') {
        match from.parse::<i64>() {
            Ok(seconds) => when = format!("@{seconds}"),
            Err(_) => out.push(format!("--reference={from}")),
        }
    } else if let Some(format) = options.value('f') {
        let Some(text) = operands.next() else { return usage() };
        when = if format == "%s" { format!("@{text}") } else { text.replace('T', " ") };
    }
    // `lab clock`
    let wrong = std::fs::read_to_string(ctx.state.join("clock")).ok().and_then(|text| text.trim().parse::<i64>().ok());
    if let Some(wrong) = wrong.filter(|_| !options.has('r') && !options.has('f')) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        when = format!("@{}", i64::try_from(now.as_secs()).unwrap_or_default() + wrong);
    }
    for (_, shift) in options.given.iter().filter(|(flag, _)| *flag == 'v') {
        let shift = shift.as_deref().unwrap_or_default();
        let unit = match shift.chars().last() {
            Some('y') => "years",
            Some('m') => "months",
            Some('w') => "weeks",
            Some('d') => "days",
            Some('H') => "hours",
            Some('M') => "minutes",
            Some('S') => "seconds",
            _ => return usage(),
        };
        if !shift.starts_with(['+', '-']) {
            eprintln!("date: {shift}: Cannot apply date adjustment");
            return 1;
        }
        when += &format!(" {}{unit}", &shift[..shift.len() - 1]);
    }
    if !when.is_empty() {
        out.extend(["-d".to_string(), when]);
    }
    let formats: Vec<&String> = operands.collect();
    if formats.iter().any(|format| !format.starts_with('+')) {
        eprintln!("date: settimeofday (timeval): Operation not permitted");
        return 1;
    }
    out.extend(formats.into_iter().cloned());
    become_tool("date", &out)
}

/// pgrep(1): `-q`, `-j JAIL`; the rest is Debian's.
pub fn pgrep(ctx: &Context, args: &[String]) -> i32 {
    grep(ctx, "pgrep", args)
}

/// pkill(1).
pub fn pkill(ctx: &Context, args: &[String]) -> i32 {
    grep(ctx, "pkill", args)
}

fn grep(_ctx: &Context, name: &str, args: &[String]) -> i32 {
    let quiet = args.iter().any(|arg| arg == "-q");
    let mut command = Command::new(tool(name));
    command.arg0(name).args(args.iter().filter(|arg| *arg != "-q"));
    if quiet {
        command.stdout(Stdio::null());
    }
    match command.status() {
        Ok(status) => status.code().unwrap_or(3),
        Err(error) => {
            eprintln!("{name}: {}", super::reason(&error));
            3
        }
    }
}
