//! ping(8), both families, with FreeBSD's options, output and exit status (0: a reply came; 2: none; other: could not try).

mod echo;
mod report;

use std::net::IpAddr;
use std::net::ToSocketAddrs;
use std::time::Duration;
use std::time::Instant;

use super::getopt::getopt;
use crate::context::Context;

/// What was asked for.
pub struct Asked {
    /// The destination as typed.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// `-S`.
    pub source: Option<IpAddr>,
    /// `-c`.
    pub count: Option<u64>,
    /// `-i`.
    pub interval: Duration,
    /// `-t`: over all.
    pub timeout: Option<Duration>,
    /// `-W`: for the last reply.
    pub last: Duration,
    /// `-s`.
    pub size: usize,
    /// `-D`.
    pub whole: bool,
    /// `-u` (IPv6): use the path's MTU instead of the minimal one.
    pub path_mtu: bool,
    /// `-q`.
    pub quiet: bool,
    /// `-o`.
    pub one: bool,
}

/// ping(8).
pub fn ping(_ctx: &Context, args: &[String]) -> i32 {
    run(args, false)
}

/// ping6(8).
pub fn ping6(_ctx: &Context, args: &[String]) -> i32 {
    run(args, true)
}

fn run(args: &[String], six: bool) -> i32 {
    match parse(args, six) {
        Ok(asked) => echoes(&asked),
        Err(status) => status,
    }
}

fn parse(args: &[String], six: bool) -> Result<Asked, i32> {
    let usage = || {
        eprintln!(
            "usage:\tping [-4] [-AaDdfHLnoQqRrv] [-C pcp] [-c count] [-G sweepmaxsize]\n\t    [-g sweepminsize] [-h sweepincrsize] [-i wait] [-l preload]\n\t    [-M mask | time] [-m ttl] [-P policy] [-p pattern]\n\t    [-S src_addr] [-s packetsize] [-t timeout] [-W waittime]\n\t    [-z tos] IPv4-host\n\tping [-6] [-AaDdEfHnNoOquvyYZ] [-b bufsiz] [-c count] [-e gateway]\n\t    [-I interface] [-i wait] [-k addrtype] [-l preload]\n\t    [-m hoplimit] [-p pattern] [-P policy] [-S sourceaddr]\n\t    [-s packetsize] [-t timeout] [-W waittime] [IPv6-hops ...] IPv6-host"
        );
        64
    };
    let options = getopt("ping", "46AaC:c:DdfG:g:Hh:I:i:Ll:M:m:nop:QqRrS:s:t:uvW:z:", args).ok_or_else(usage)?;
    let [host] = options.operands.as_slice() else { return Err(usage()) };
    let six = six || options.has('6');
    let number = |flag: char, what: &str| match options.value(flag).map(|value| (value, value.parse::<f64>())) {
        None => Ok(None),
        Some((_, Ok(number))) if number >= 0.0 => Ok(Some(number)),
        Some((value, _)) => {
            eprintln!("ping: invalid {what}: `{value}'");
            Err(64)
        }
    };
    let wanted = |address: &IpAddr| if six { address.is_ipv6() } else { !options.has('4') || address.is_ipv4() };
    let resolve =
        |name: &str| (name, 0).to_socket_addrs().ok().and_then(|found| found.map(|found| found.ip()).find(wanted));
    let Some(address) = resolve(host) else {
        eprintln!("ping: cannot resolve {host}: {}", if six { "Name does not resolve" } else { "Unknown host" });
        return Err(68);
    };
    let source = match options.value('S') {
        None => None,
        Some(name) => Some(resolve(name).ok_or_else(|| {
            eprintln!("ping: cannot resolve {name}: Unknown host");
            68
        })?),
    };
    let size = number('s', "packet size")?.map_or(56, |size| size as usize);
    if size > 65507 {
        eprintln!("ping: packet size too large: {size} > 65507");
        return Err(64);
    }
    Ok(Asked {
        host: host.clone(),
        address,
        source,
        count: number('c', "count of packets to transmit")?.map(|count| count as u64),
        interval: Duration::from_secs_f64(number('i', "timing interval")?.unwrap_or(1.0).max(0.001)),
        timeout: number('t', "timeout")?.map(Duration::from_secs_f64),
        last: Duration::from_secs_f64(
            number('W', "timing interval")?.map_or(10.0, |milliseconds| milliseconds / 1000.0),
        ),
        size,
        whole: options.has('D'),
        path_mtu: options.has('u'),
        quiet: options.has('q'),
        one: options.has('o'),
    })
}

/// Without a route ping could not connect(2) its socket before it gave its rights up, and may then send nowhere (recording `setfib`).
fn refusal(asked: &Asked, error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENETUNREACH) if asked.address.is_ipv4() => "Capabilities insufficient".into(),
        _ => super::reason(error),
    }
}

fn echoes(asked: &Asked) -> i32 {
    let mut echo = match echo::Echo::open(asked) {
        Ok(echo) => echo,
        Err(error) => {
            eprintln!("ping: {}", super::reason(&error));
            return 71;
        }
    };
    let mut report = report::Report::begin(asked, echo.source());
    let begin = Instant::now();
    let over = asked.timeout.map(|timeout| begin + timeout);
    let mut sent_at: Vec<Instant> = Vec::new();
    let mut next = begin;
    let mut until: Option<Instant> = None;
    loop {
        let now = Instant::now();
        if over.is_some_and(|over| now >= over) || until.is_some_and(|until| now >= until) {
            break;
        }
        if until.is_none() && now >= next {
            if let Err(error) = echo.send(sent_at.len() as u16) {
                eprintln!("ping: sendto: {}", refusal(asked, &error));
            }
            report.sent += 1;
            sent_at.push(Instant::now());
            next += asked.interval;
            if asked.count.is_some_and(|count| sent_at.len() as u64 >= count) {
                until = Some(Instant::now() + asked.last);
            }
        }
        let limit = [over, until, until.is_none().then_some(next)].into_iter().flatten().min().unwrap_or(next);
        if let Ok(Some(reply)) = echo.receive(limit.saturating_duration_since(Instant::now()))
            && let Some(at) = sent_at.get(usize::from(reply.sequence))
        {
            report.received(asked, &reply, at.elapsed());
            if asked.one || asked.count.is_some_and(|count| report.replies.len() as u64 >= count) {
                break;
            }
        }
    }
    report.end(asked)
}
