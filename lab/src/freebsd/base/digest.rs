//! sha256(1) and md5(1).

use std::fs::File;
use std::io;
use std::io::Read;

use sha2::Digest;
use sha2::Sha256;

use super::getopt::getopt;
use crate::context::Context;
use crate::net::tool;

/// sha256(1).
pub fn sha256(_ctx: &Context, args: &[String]) -> i32 {
    run("sha256", "SHA256", args, |reader| {
        let mut digest = Sha256::new();
        io::copy(reader, &mut digest)?;
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    })
}

/// md5(1).
pub fn md5(_ctx: &Context, args: &[String]) -> i32 {
    run("md5", "MD5", args, |reader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let mut child = std::process::Command::new(tool("md5sum"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            io::Write::write_all(&mut stdin, &bytes)?;
        }
        let output = child.wait_with_output()?;
        Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or_default().to_string())
    })
}

fn run(name: &str, title: &str, args: &[String], digest: impl Fn(&mut dyn Read) -> io::Result<String>) -> i32 {
    let Some(options) = getopt(name, "c:pqrs:tx", args) else {
        eprintln!("usage: {name} [-pqrtx] [-c string] [-s string] [files ...]");
        return 1;
    };
    let mut status = 0;
    let mut show = |what: &str, hash: String| {
        match () {
            () if options.has('q') => println!("{hash}"),
            () if options.has('r') => println!("{hash} {what}"),
            () => println!("{title} ({what}) = {hash}"),
        }
        if options.value('c').is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&hash)) {
            status = 2;
        }
    };
    if let Some(text) = options.value('s') {
        if let Ok(hash) = digest(&mut text.as_bytes()) {
            show(&format!("\"{text}\""), hash);
        }
        return status;
    }
    if options.operands.is_empty() {
        match digest(&mut io::stdin().lock()) {
            Ok(hash) => println!("{hash}"),
            Err(error) => {
                eprintln!("{name}: stdin: {}", super::reason(&error));
                return 1;
            }
        }
        return 0;
    }
    let mut failed = false;
    for file in &options.operands {
        match File::open(file).and_then(|mut file| digest(&mut file)) {
            Ok(hash) => show(file, hash),
            Err(error) => {
                eprintln!("{name}: {file}: {}", super::reason(&error));
                failed = true;
            }
        }
    }
    if failed { 1 } else { status }
}
