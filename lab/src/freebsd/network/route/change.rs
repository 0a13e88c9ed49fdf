//! `route add`, `delete` and `change`, with the traps of contract 0.3, 0.4 and 1.2.

use crate::context::Context;
use crate::freebsd::network::kernel;
use crate::freebsd::network::route::parse::Hop;
use crate::freebsd::network::route::parse::Request;
use crate::freebsd::network::table;
use crate::freebsd::network::table::Entry;
use crate::net::fibs;

/// Works on every FIB asked for; 1 when one of them failed.
pub fn run(ctx: &Context, request: &Request, quiet: bool) -> i32 {
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for fib in &request.fibs {
        match one(ctx, request, *fib) {
            Ok(()) => done.push(fib.to_string()),
            Err(reason) => failed.push((*fib, reason)),
        }
    }
    if !quiet {
        let what = if request.host { "host" } else { "net" };
        // The v4 echo loses the length, the v6 one keeps it (contract 1.1).
        let to = if request.to.address.is_ipv4() {
            request.typed.split('/').next().unwrap_or(&request.typed)
        } else {
            &request.typed
        };
        let to = if request.to.length == 0 && request.to.address.is_ipv4() { "default" } else { to };
        let via = request.hop_typed.as_ref().map(|hop| format!(": gateway {hop}")).unwrap_or_default();
        let line = |fibs: &str| {
            let fibs = if request.fib_given { format!(" fib {fibs}") } else { String::new() };
            format!("{} {what} {to}{via}{fibs}", request.verb)
        };
        if !done.is_empty() {
            println!("{}", line(&done.join(",")));
        }
        for (fib, reason) in &failed {
            println!("{}: {reason}", line(&fib.to_string()));
        }
    }
    i32::from(!failed.is_empty())
}

fn not_found() -> String {
    eprintln!("route: route has not been found");
    "not in table".into()
}

fn one(ctx: &Context, request: &Request, fib: u32) -> Result<(), String> {
    let v6 = request.to.address.is_ipv6();
    let entries = table::read(ctx, fib, v6).map_err(|e| e.to_string())?;
    let present = table::exact(&entries, request.to);
    match request.verb.as_str() {
        "add" => add(request, fib, &entries, &present),
        "delete" => delete(request, fib, &present),
        _ => change(request, fib, &entries, &present),
    }
}

fn add(request: &Request, fib: u32, entries: &[Entry], present: &[&Entry]) -> Result<(), String> {
    let exists = || Err("route already in table".to_string());
    match &request.hop {
        Hop::Gateway(gateway) if !present.is_empty() => {
            // GENERIC has ROUTE_MPATH: another gateway makes a second path, silently (contract 0.4).
            let all_gateways = present.iter().all(|e| e.gateway.is_some() && !e.reject);
            if request.reject || !all_gateways || present.iter().any(|e| e.gateway == Some(*gateway)) {
                return exists();
            }
            install(request, fib, entries, "append")
        }
        _ if !present.is_empty() => exists(),
        _ => install(request, fib, entries, "add"),
    }
}

fn install(request: &Request, fib: u32, entries: &[Entry], verb: &str) -> Result<(), String> {
    let family = if request.to.address.is_ipv6() { "-6" } else { "-4" };
    let to = request.to.network().cidr();
    let number = fibs::table(fib).to_string();
    let mut args: Vec<String> = [family, "route", verb].map(String::from).to_vec();
    if request.reject || request.blackhole {
        args.push(if request.blackhole { "blackhole" } else { "unreachable" }.into());
        args.push(to);
    } else {
        args.push(to);
        match &request.hop {
            Hop::Interface(name) => {
                let name = request.ifp.as_ref().unwrap_or(name);
                args.extend(["dev".into(), kernel::device(name)]);
            }
            Hop::Gateway(gateway) => {
                // The gateway is looked up in this FIB, as FreeBSD does; Linux would look into `main` as well.
                let way = table::longest(entries, *gateway)
                    .filter(|e| e.gateway.is_none() || e.to.length == 0)
                    .ok_or("Network is unreachable")?;
                // A gateway that is an own address means that address's interface.
                let device = if way.own { own_device(*gateway)? } else { kernel::device(&way.interface) };
                if way.own {
                    args.extend(["dev".into(), device]);
                } else {
                    args.extend(["via".into(), gateway.to_string(), "dev".into(), device, "onlink".into()]);
                }
            }
            Hop::None => return Err("Invalid argument".into()),
        }
    }
    args.extend(["table".into(), number, "proto".into(), "static".into()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    kernel::ip(&args).map(drop).map_err(|error| {
        let text = error.to_string();
        if text.contains("File exists") {
            "route already in table".into()
        } else if text.contains("down") {
            "Network is down".into()
        } else {
            text
        }
    })
}

fn own_device(address: std::net::IpAddr) -> Result<String, String> {
    let list = kernel::addresses(None).map_err(|e| e.to_string())?;
    list.into_iter()
        .find(|a| a.local.parse() == Ok(address))
        .map(|a| a.device)
        .ok_or_else(|| "Network is unreachable".into())
}

fn delete(request: &Request, fib: u32, present: &[&Entry]) -> Result<(), String> {
    let matching: Vec<&&Entry> = present
        .iter()
        .filter(|e| match &request.hop {
            Hop::Gateway(gateway) => e.gateway == Some(*gateway),
            _ => true,
        })
        .collect();
    // Two paths and no gateway named: the kernel does not guess.
    if matching.len() > 1 && request.hop == Hop::None {
        return Err(not_found());
    }
    let Some(entry) = matching.first() else {
        return Err(not_found());
    };
    if entry.own {
        return Err(not_found());
    }
    remove(entry, fib)
}

fn remove(entry: &Entry, fib: u32) -> Result<(), String> {
    let family = if entry.to.address.is_ipv6() { "-6" } else { "-4" };
    let (to, number) = (entry.to.network().cidr(), fibs::table(fib).to_string());
    let device = kernel::device(&entry.interface);
    let mut args = vec![family, "route", "del"];
    let gateway = entry.gateway.map(|g| g.to_string());
    if entry.reject || entry.blackhole {
        args.push(if entry.blackhole { "blackhole" } else { "unreachable" });
        args.push(&to);
    } else {
        args.push(&to);
        if let Some(gateway) = &gateway {
            args.extend(["via", gateway]);
        }
        args.extend(["dev", &device]);
    }
    args.extend(["table", &number]);
    kernel::ip(&args).map(drop).map_err(|e| e.to_string())
}

fn change(request: &Request, fib: u32, entries: &[Entry], present: &[&Entry]) -> Result<(), String> {
    let [entry] = present else {
        return Err(not_found());
    };
    if entry.own {
        return Err(not_found());
    }
    // The trap of contract 0.3: an interface route keeps its interface unless `-ifp` names the new one, and says it changed.
    if entry.gateway.is_none() && matches!(request.hop, Hop::Interface(_)) && request.ifp.is_none() {
        return Ok(());
    }
    if entry.gateway.is_some() == matches!(request.hop, Hop::Gateway(_)) || entry.gateway.is_none() {
        return install(request, fib, entries, "replace");
    }
    remove(entry, fib)?;
    install(request, fib, entries, "add")
}
