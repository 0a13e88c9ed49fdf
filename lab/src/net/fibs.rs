//! FIBs. FIB N is kernel table [`table`]`(N)`, chosen by `fwmark`: the nft table `fibs` maps the ingress interface to a mark in prerouting (in the bridge family
//! too: FreeBSD takes the FIB from the bridge *member* epairNa, not from bridge0), replies and accepted TCP connections keep it (`fwmark_reflect`,
//! `tcp_fwmark_accept`).

use std::fs;
use std::io;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use crate::context::Context;

/// The most FIBs a host of the lab can have.
pub const MOST: u32 = 16;

/// The kernel's routing table for a FIB: FIB 0 is `main` (254), FIB N is 1000 + N. `route` and `netstat` use it as `ip route … table N`.
pub fn table(fib: u32) -> u32 {
    if fib == 0 { 254 } else { 1000 + fib }
}

/// `net.fibs` of this host: how many there are now. A jail has one (contract 1.6).
pub fn count(ctx: &Context) -> u32 {
    if ctx.jail.is_some() {
        return 1;
    }
    fs::read_to_string(ctx.run.join("fibs/count")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1)
}

/// Makes the table and the rules, with `count` FIBs. Called at boot with `net.fibs` from /boot/loader.conf, and by `sysctl net.fibs=N` (upwards only).
pub fn install(ctx: &Context, count: u32) -> io::Result<()> {
    let dir = ctx.run.join("fibs");
    fs::create_dir_all(dir.join("interface"))?;
    let first = !dir.join("count").exists();
    let from = if first { 1 } else { self::count(ctx) };
    let mut rules = String::new();
    for fib in from..count {
        // Before `main` (32766), after `local` (0). A miss in FIB N is a miss, not a look into FIB 0.
        rules += &format!("rule add fwmark {fib} lookup {} priority {}\n", table(fib), 1000 + fib);
        rules += &format!("rule add fwmark {fib} unreachable priority {}\n", 1100 + fib);
    }
    if !rules.is_empty() {
        for family in ["-4", "-6"] {
            feed("ip", &[family, "-batch", "-"], &rules)?;
        }
    }
    if first {
        feed(
            "nft",
            &["-f", "-"],
            "table inet fibs {\n map of { type ifname : mark; }\n chain in { type filter hook prerouting priority -150; meta mark set iifname map @of; }\n}\n\
             table bridge fibs {\n map of { type ifname : mark; }\n chain in { type filter hook prerouting priority -300; meta mark set iifname map @of; }\n}\n",
        )?;
        for knob in ["ipv4/fwmark_reflect", "ipv6/fwmark_reflect", "ipv4/tcp_fwmark_accept"] {
            fs::write(format!("/proc/sys/net/{knob}"), "1")?;
        }
    }
    fs::write(dir.join("count"), count.to_string())
}

/// `ifconfig IF fib N`: packets that enter by `interface` are looked up in FIB `fib`. Fails with `InvalidInput` (EINVAL) when there is no such FIB;
/// the caller only warns, as ifconfig(8) does (contract 0.6).
pub fn set_interface(ctx: &Context, interface: &str, fib: u32) -> io::Result<()> {
    if fib >= count(ctx) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let file = ctx.run.join("fibs/interface").join(interface);
    let known = self::interface(ctx, interface);
    let mut script = String::new();
    for family in ["inet", "bridge"] {
        if known != 0 {
            script += &format!("delete element {family} fibs of {{ \"{interface}\" }}\n");
        }
        if fib != 0 {
            script += &format!("add element {family} fibs of {{ \"{interface}\" : {fib} }}\n");
        }
    }
    if !script.is_empty() {
        feed("nft", &["-f", "-"], &script)?;
    }
    if fib == 0 { fs::remove_file(file).or_else(absent_is_fine) } else { fs::write(file, fib.to_string()) }
}

/// The FIB of an interface (0 when never set). For the `fib:` line of ifconfig.
pub fn interface(ctx: &Context, interface: &str) -> u32 {
    fs::read_to_string(ctx.run.join("fibs/interface").join(interface))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// To be called when an interface is destroyed or leaves for a jail: its name may come back with another meaning.
pub fn forget_interface(ctx: &Context, interface: &str) -> io::Result<()> {
    if self::interface(ctx, interface) == 0 { Ok(()) } else { set_interface(ctx, interface, 0) }
}

/// The FIB of this process (`net.my_fibnum`): setfib(1) hands it down as `LAB_FIB`; the lab's own tools (ping, fetch, nc, route, netstat) honour it,
/// by [`mark_socket`] where they open sockets.
pub fn of_process() -> u32 {
    std::env::var("LAB_FIB").ok().and_then(|fib| fib.parse().ok()).unwrap_or(0)
}

/// Puts a socket into this process's FIB (SO_MARK).
pub fn mark_socket(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    match of_process() {
        0 => Ok(()),
        fib => nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::Mark, &fib).map_err(io::Error::from),
    }
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Runs a program with `input` on its standard input; its complaints become the error's text.
pub fn feed(program: &str, args: &[&str], input: &str) -> io::Result<()> {
    let mut child = Command::new(super::tool(program))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()))?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }
}
