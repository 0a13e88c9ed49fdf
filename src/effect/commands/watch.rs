//! The blackout as somebody outside sees it: one echo request every tenth of a second, and the longest hole in the
//! answers (ping(8), daemon(8)).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::SHORT;
use crate::model::NodeName;
use crate::model::RunId;

/// Milliseconds between requests.
const EVERY: u64 = 100;
/// Requests after which ping ends by itself, should nobody end it: ten minutes.
const LAST: u32 = 6000;

fn file(run: &RunId) -> String {
    format!("/var/run/jailferry-{run}.watch")
}

/// daemon(8) keeps it away from the SSH session; `-c` bounds it whatever happens to us.
pub(super) fn watch(host: &NodeName, address: IpAddr, run: &RunId) -> Work {
    let file = file(run);
    let ping = if address.is_ipv4() { "ping" } else { "ping -6" };
    let script = format!(
        "if [ -e {file}.pid ] && pgrep -F {file}.pid >/dev/null 2>&1; then exit 0; fi\nrm -f {file}\ndaemon -f -p {file}.pid -o {file} {ping} -n -i 0.{} -c {LAST} {address}",
        EVERY / 100
    );
    Work::Run(vec![Command::script(host, SHORT, script)])
}

/// SIGINT lets ping write out what it has seen; daemon(8) removes the pid file when it is gone.
pub(super) fn unwatch(host: &NodeName, run: &RunId) -> Work {
    let file = file(run);
    let script = format!(
        "pid=$(cat {file}.pid 2>/dev/null) || pid=\nif [ -n \"$pid\" ]; then kill -INT \"$pid\" 2>/dev/null || :; fi\nn=0\nwhile [ -e {file}.pid ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done\ncat {file} 2>/dev/null || :\nrm -f {file} {file}.pid"
    );
    Work::Run(vec![Command::script(host, SHORT, script)])
}

/// The longest time without an answer between two answers, from what ping printed; `None` with fewer than two answers.
/// Accurate to one interval.
#[must_use]
pub fn longest_silence(output: &str) -> Option<Duration> {
    let answered: BTreeSet<u64> = output
        .lines()
        .filter(|line| line.contains(" bytes from "))
        .filter_map(|line| line.split("icmp_seq=").nth(1)?.split([' ', ',']).next()?.parse().ok())
        .collect();
    let holes = answered.iter().zip(answered.iter().skip(1)).map(|(a, b)| b.saturating_sub(a + 1));
    holes.max().map(|lost| Duration::from_millis(lost.saturating_mul(EVERY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_hole_counts() {
        let line = |n: u64| format!("64 bytes from 192.168.123.50: icmp_seq={n} ttl=63 time=0.4 ms\n");
        let output: String = [0, 1, 3, 4, 15, 16].into_iter().map(line).collect();
        assert_eq!(longest_silence(&output), Some(Duration::from_millis(1000)));
        assert_eq!(longest_silence(&line(1)), None);
        let six = "16 bytes from 2001:db8::50, icmp_seq=0 hlim=62 time=0.1 ms\n16 bytes from 2001:db8::50, icmp_seq=2 hlim=62 time=0.1 ms\n";
        assert_eq!(longest_silence(six), Some(Duration::from_millis(100)));
        assert_eq!(longest_silence("PING x\nnoise icmp_seq=7\n"), None);
    }
}
