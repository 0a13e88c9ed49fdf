//! route(8), as in FreeBSD 13.2 (contract 1.1–1.4, recordings `route-*`).

mod change;
mod get;
mod parse;

use crate::context::Context;
use crate::freebsd::network::kernel;
use crate::freebsd::network::table;

/// sysexits(3).
const EX_USAGE: i32 = 64;

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let (flags, rest) = parse::flags(args);
    let Some(verb) = rest.first() else {
        return usage(None);
    };
    match verb.as_str() {
        "add" | "delete" | "del" | "change" | "get" | "show" => {
            let request = match parse::request(ctx, &flags, verb, &rest[1..]) {
                Ok(request) => request,
                Err(refusal) => {
                    eprintln!("{}", refusal.text);
                    return refusal.status;
                }
            };
            match verb.as_str() {
                "get" | "show" => get::run(ctx, &request),
                _ => change::run(ctx, &request, flags.quiet),
            }
        }
        "flush" => flush(ctx, &flags),
        "monitor" => {
            eprintln!("route: monitor is not in the lab");
            1
        }
        other => usage(Some(other)),
    }
}

fn usage(keyword: Option<&str>) -> i32 {
    if let Some(keyword) = keyword {
        eprintln!("route: bad keyword: {keyword}");
    }
    eprintln!("usage: route [-j jail] [-46dnqtv] command [[modifiers] args]");
    EX_USAGE
}

/// `route flush`: every route with a gateway, in the caller's FIB.
fn flush(ctx: &Context, flags: &parse::Flags) -> i32 {
    let fib = crate::net::fibs::of_process();
    let number = crate::net::fibs::table(fib).to_string();
    for v6 in [false, true] {
        if flags.v6.is_some_and(|only| only != v6) {
            continue;
        }
        let entries = match table::read(ctx, fib, v6) {
            Ok(entries) => entries,
            Err(error) => {
                eprintln!("route: {error}");
                return 1;
            }
        };
        for entry in entries.iter().filter(|e| e.gateway.is_some() && !e.own) {
            let family = if v6 { "-6" } else { "-4" };
            if let Err(error) = kernel::ip(&[family, "route", "del", &entry.to.cidr(), "table", &number]) {
                eprintln!("route: {error}");
                return 1;
            }
            if !flags.quiet {
                println!("{:<20.20} {:<20.20} done", entry.destination(), entry.via());
            }
        }
    }
    0
}
