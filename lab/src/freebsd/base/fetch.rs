//! fetch(1) for HTTP.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::time::Duration;

use super::getopt::Options;
use super::getopt::getopt;
use crate::context::Context;
use crate::net::tcp;

/// fetch(1).
pub fn fetch(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("fetch", "146aAB:FMmN:nPpo:qRrS:sT:UvVw:i:l:d", args) else { return usage() };
    if options.operands.is_empty() {
        return usage();
    }
    let mut status = 0;
    for url in &options.operands {
        if let Err(problem) = get(&options, url) {
            eprintln!("fetch: {problem}");
            status = 1;
        }
    }
    status
}

fn get(options: &Options, url: &str) -> Result<(), String> {
    let (authority, path) = match url.strip_prefix("http://") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => return Err(format!("{url}: Protocol not supported")),
    };
    let limit =
        options.value('T').and_then(|value| value.parse().ok()).filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let family =
        |address: &SocketAddr| (!options.has('4') || address.is_ipv4()) && (!options.has('6') || address.is_ipv6());
    let target =
        if authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']') && port.parse::<u16>().is_ok()) {
            authority.to_string()
        } else {
            format!("{authority}:80")
        };
    let addresses: Vec<SocketAddr> =
        target.to_socket_addrs().map_err(|_| format!("{url}: Host does not resolve"))?.filter(family).collect();
    let mut last = format!("{url}: No address record");
    let failed = |error: io::Error| {
        let timed_out = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        format!("{url}: {}", if timed_out { "Operation timed out".to_string() } else { super::reason(&error) })
    };
    for address in addresses {
        let stream = match tcp::connect(address, limit) {
            Ok(stream) => stream,
            Err(error) => {
                last = failed(error);
                continue;
            }
        };
        stream.set_read_timeout(limit).map_err(failed)?;
        let mut reader = BufReader::new(stream);
        let path = if path.is_empty() { "/" } else { path };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: fetch libfetch/2.0\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        reader.get_mut().write_all(request.as_bytes()).map_err(failed)?;
        return answer(options, url, path, &mut reader).map_err(|error| match error {
            Problem::Text(text) => format!("{url}: {text}"),
            Problem::Io(error) => failed(error),
        });
    }
    Err(last)
}

enum Problem {
    Text(String),
    Io(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        Problem::Io(error)
    }
}

fn answer(options: &Options, url: &str, path: &str, reader: &mut impl BufRead) -> Result<(), Problem> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let code: u32 = line
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or(Problem::Text("Protocol error".into()))?;
    let mut length = None;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse::<u64>().ok();
        }
    }
    match code {
        200..=299 => {}
        404 => return Err(Problem::Text("Not Found".into())),
        403 => return Err(Problem::Text("Forbidden".into())),
        500..=599 => return Err(Problem::Text("Internal Server Error".into())),
        _ => return Err(Problem::Text("Protocol error".into())),
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    let name = options
        .value('o')
        .map(str::to_string)
        .unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default().to_string());
    if name == "-" {
        io::stdout().write_all(&body)?;
    } else {
        let name = if name.is_empty() { "fetch.out".to_string() } else { name };
        let write = |name: &str| {
            File::options().write(true).create(true).truncate(name != "/dev/null").open(name)?.write_all(&body)
        };
        write(&name).map_err(|error| Problem::Text(format!("{name}: {}", super::reason(&error))))?;
    }
    if length.is_some_and(|length| length != body.len() as u64) {
        return Err(Problem::Text("transfer interrupted: size mismatch".into()));
    }
    if !options.has('q') {
        eprintln!("{url}  {} B", body.len());
    }
    Ok(())
}

fn usage() -> i32 {
    eprintln!(
        "usage: fetch [-146AadFlMmnPpqRrsUv] [-B bytes] [--bind-address=host] [-o file] [-S bytes] [-T seconds] [-w seconds] URL ..."
    );
    1
}
