//! Probes with the base system's tools: contract 6.5.

use std::net::IpAddr;

use crate::effect::Probe;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::JAIL;
use crate::effect::commands::SHORT;
use crate::effect::commands::canary;
use crate::effect::commands::users;
use crate::effect::shell;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;

/// `-D -s` takes the payload: the packet less the IP and ICMP headers. `-u` on IPv6, since ping6 would otherwise
/// fragment at 1280 and the test would always pass.
pub(super) fn ping(address: IpAddr, size: Option<u32>, source: Option<IpAddr>) -> String {
    let (family, headers) = match address {
        IpAddr::V4(_) => ("ping -n -q", 28),
        IpAddr::V6(_) => ("ping -6 -n -q -u", 48),
    };
    let from = source.map(|s| format!(" -S {s}")).unwrap_or_default();
    match size {
        Some(size) => format!("{family}{from} -D -s {} -c 1 -t 1 {address}", size.saturating_sub(headers)),
        None => format!("{family}{from} -c 1 -t 1 {address}"),
    }
}

/// Host, port and path of an `http://` URL; `None` for any other.
fn plain_http(url: &str) -> Option<(&str, u16, &str)> {
    let rest = url.strip_prefix("http://")?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let path = if path.is_empty() { "/" } else { path };
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']')?;
        let port = if after.is_empty() { 80 } else { after.strip_prefix(':')?.parse().ok()? };
        return Some((host, port, path));
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?, path)),
        None => Some((authority, 80, path)),
    }
}

/// Seconds that a try may last, up to ten beyond the check's own: what sends a byte now and then is never idle, and a
/// command may hang. `end` is when no other try begins.
const LEFT: &str = "$((end - $(date +%s) + 10))";

/// The status itself is asked of plain HTTP with nc(1): fetch(1) follows redirects and knows only success and failure.
/// TLS needs fetch(1), for which only success can be expected (the preflight refuses any other).
fn http(at: &str, url: &str, status: u16, body: Option<&str>, source: Option<IpAddr>, seconds: u32) -> String {
    let from = source.map(|s| format!(" -s {s}")).unwrap_or_default();
    let ask = match plain_http(url) {
        Some((host, port, path)) => format!(
            "printf 'GET %s HTTP/1.0\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' {} {} | timeout --foreground {LEFT} {at}nc -w 5{from} {} {port}",
            shell::word(path),
            shell::word(host),
            shell::word(host),
        ),
        None => format!(
            "timeout --foreground {LEFT} {at}fetch -q -T 5 -o - {} && printf '\\nHTTP/1.0 200\\n'",
            shell::word(url)
        ),
    };
    let wanted = match body {
        Some(text) => format!(" && printf '%s\\n' \"$out\" | grep -qF -e {}", shell::word(text)),
        None => String::new(),
    };
    let failure = match body {
        Some(text) => format!("{url} does not answer with status {status} and {text:?} in the body"),
        None => format!("{url} does not answer with status {status}"),
    };
    format!(
        "ask() {{ {ask}; }}\nend=$(($(date +%s) + {seconds}))\nwhile :; do\n  out=$(ask 2>&1 | head -c 1000000) || :\n  status=$(printf '%s\\n' \"$out\" | sed -n 's|^HTTP/[0-9.]* \\([0-9][0-9][0-9]\\).*|\\1|p' | head -n 1)\n  if [ \"$status\" = {status} ]{wanted}; then exit 0; fi\n  if [ \"$(date +%s)\" -ge $end ]; then\n    printf '%s\\n' \"$out\" | head -n 20 >&2\n    echo {} >&2\n    exit 21\n  fi\n  sleep 0.2\ndone",
        shell::word(&failure)
    )
}

/// Tries until it succeeds or the time is over; the last try's output is shown.
fn until(seconds: u32, command: &str, failure: &str) -> String {
    format!(
        "end=$(($(date +%s) + {seconds}))\nwhile ! out=$({command} 2>&1); do\n  if [ \"$(date +%s)\" -ge $end ]; then printf '%s\\n' \"$out\" {} >&2; exit 21; fi\n  sleep 0.2\ndone",
        shell::word(failure)
    )
}

/// A command of the user's in a jail. What it leaves running does not hold our output open, which is a file for that
/// reason (a full /tmp costs its words only).
fn inside(jail: &JailName, argv: &[String], seconds: u32) -> String {
    let command = shell::line(argv);
    format!(
        "said=$(mktemp -t jailferry) && trap 'rm -f \"$said\"' EXIT || said=/dev/null\nend=$(($(date +%s) + {seconds}))\nwhile ! timeout --foreground -k 5 {LEFT} jexec -l {jail} {command} >\"$said\" 2>&1; do\n  if [ \"$(date +%s)\" -ge $end ]; then head -c 10000 \"$said\" >&2; echo {} >&2; exit 21; fi\n  sleep 0.2\ndone",
        shell::word(&format!("{command} fails inside jail {jail}")),
    )
}

fn runs(jail: &JailName, root: &RemotePath) -> String {
    let why = format!("jail {jail} does not run from {root}: it was stopped or moved since this was planned");
    let (root, why) = (shell::word(root.as_str()), shell::word(&why));
    format!("[ \"$(jls -j {jail} path 2>/dev/null)\" = {root} ] || {{ echo {why} >&2; exit 21; }}")
}

pub(super) fn probe(host: &NodeName, probe: &Probe) -> Work {
    ask(host, "", probe)
}

/// `at`: what gets the asking tool to where it runs, such as `jexec -l web `; nothing on the host itself.
fn ask(host: &NodeName, at: &str, probe: &Probe) -> Work {
    let script = match probe {
        Probe::Trial(trial) => return canary::try_it(trial, host),
        Probe::Within { jail, asked } => return ask(host, &format!("jexec -l {jail} "), asked),
        Probe::Ping { address, size, fib, source, seconds } => {
            let what = match size {
                Some(size) => format!("{address} does not answer packets of {size} bytes"),
                None => format!("{address} does not answer"),
            };
            let from = if *fib == 0 { String::new() } else { format!("setfib {fib} ") };
            until(*seconds, &format!("{from}{}", ping(*address, *size, *source)), &what)
        }
        Probe::PingFromInside { jail, address, size, seconds } => until(
            *seconds,
            &format!("jexec -l {jail} {}", ping(*address, *size, None)),
            &format!("{address} does not answer jail {jail}"),
        ),
        Probe::Tcp { address, port, source, seconds } => until(
            *seconds,
            &format!("{at}nc -z -w 2{} {address} {port}", source.map(|s| format!(" -s {s}")).unwrap_or_default()),
            &format!("nothing accepts connections on {address} port {port}"),
        ),
        Probe::Http { url, status, body, source, seconds } => {
            http(at, url, *status, body.as_deref(), *source, *seconds)
        }
        Probe::Inside { jail, argv, seconds } => inside(jail, argv, *seconds),
        Probe::Runs { jail, root } => runs(jail, root),
        Probe::Unused { jail, root, datasets } => users::none(jail, root.as_str(), datasets),
    };
    let timeout = match probe {
        Probe::Trial(trial) => trial.seconds,
        Probe::Within { .. } | Probe::Runs { .. } => SHORT,
        Probe::Unused { .. } => JAIL,
        Probe::Ping { seconds, .. }
        | Probe::PingFromInside { seconds, .. }
        | Probe::Tcp { seconds, .. }
        | Probe::Http { seconds, .. }
        | Probe::Inside { seconds, .. } => SHORT.saturating_add(*seconds),
    };
    Work::Run(vec![Command::script(host, timeout, script)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        assert_eq!(plain_http("http://192.168.123.50/"), Some(("192.168.123.50", 80, "/")));
        assert_eq!(plain_http("http://[2001:db8::50]:8080/a?b=%20"), Some(("2001:db8::50", 8080, "/a?b=%20")));
        assert_eq!(plain_http("http://www.example.org:81"), Some(("www.example.org", 81, "/")));
        assert_eq!(plain_http("https://www.example.org/"), None);
        assert_eq!(plain_http("http://host:port/"), None);
    }
}
