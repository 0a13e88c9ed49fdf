//! Probes with the base system's tools: contract 6.5.

use std::net::IpAddr;

use crate::effect::Probe;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::SHORT;
use crate::effect::shell;
use crate::model::NodeName;

/// `-D -s` takes the payload: the packet less the IP and ICMP headers. `-u` on IPv6, since ping6 would otherwise
/// fragment at 1280 and the test would always pass.
fn ping(address: IpAddr, size: Option<u32>) -> String {
    let (family, headers) = match address {
        IpAddr::V4(_) => ("ping -n -q", 28),
        IpAddr::V6(_) => ("ping -6 -n -q -u", 48),
    };
    match size {
        Some(size) => format!("{family} -D -s {} -c 1 -t 1 {address}", size.saturating_sub(headers)),
        None => format!("{family} -c 1 -t 1 {address}"),
    }
}

/// Tries until it succeeds or the time is over; the last try's output is shown.
fn until(seconds: u32, command: &str, failure: &str) -> String {
    format!(
        "end=$(($(date +%s) + {seconds}))\nwhile ! out=$({command} 2>&1); do\n  if [ \"$(date +%s)\" -ge $end ]; then printf '%s\\n' \"$out\" {} >&2; exit 21; fi\n  sleep 0.2\ndone",
        shell::word(failure)
    )
}

pub(super) fn probe(host: &NodeName, probe: &Probe) -> Work {
    let script = match probe {
        Probe::Ping { address, size, fib, seconds } => {
            let what = match size {
                Some(size) => format!("{address} does not answer packets of {size} bytes"),
                None => format!("{address} does not answer"),
            };
            let from = if *fib == 0 { String::new() } else { format!("setfib {fib} ") };
            until(*seconds, &format!("{from}{}", ping(*address, *size)), &what)
        }
        Probe::PingFromInside { jail, address, size, seconds } => until(
            *seconds,
            &format!("jexec -l {jail} {}", ping(*address, *size)),
            &format!("{address} does not answer jail {jail}"),
        ),
        Probe::Tcp { address, port, seconds } => until(
            *seconds,
            &format!("nc -z -w 2 {address} {port}"),
            &format!("nothing accepts connections on {address} port {port}"),
        ),
        Probe::Http { url, status: _, body, seconds } => {
            let fetch = format!("fetch -q -T 5 -o - {}", shell::word(url));
            match body {
                None => until(*seconds, &fetch, &format!("{url} does not answer with success")),
                Some(text) => until(
                    *seconds,
                    &format!("{fetch} | grep -F {}", shell::word(text)),
                    &format!("{url} does not answer with {text:?} in the body"),
                ),
            }
        }
        Probe::Inside { jail, argv, seconds } => until(
            *seconds,
            &format!("jexec -l {jail} {}", shell::line(argv)),
            &format!("{} fails inside jail {jail}", shell::line(argv)),
        ),
    };
    let timeout = match probe {
        Probe::Ping { seconds, .. }
        | Probe::PingFromInside { seconds, .. }
        | Probe::Tcp { seconds, .. }
        | Probe::Http { seconds, .. }
        | Probe::Inside { seconds, .. } => SHORT.saturating_add(*seconds),
    };
    Work::Run(vec![Command::script(host, timeout, script)])
}
