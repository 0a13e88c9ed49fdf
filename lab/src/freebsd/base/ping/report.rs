//! What ping prints.

use std::net::IpAddr;
use std::time::Duration;

use super::Asked;
use super::echo::Reply;

/// Counts and times.
pub struct Report {
    /// Packets sent.
    pub sent: u64,
    /// Round trips of the replies, in milliseconds.
    pub replies: Vec<f64>,
    seen: std::collections::HashSet<u16>,
    duplicates: u64,
}

impl Report {
    /// Prints the first line.
    pub fn begin(asked: &Asked, source: IpAddr) -> Report {
        match asked.address {
            IpAddr::V4(address) => println!("PING {} ({address}): {} data bytes", asked.host, asked.size),
            IpAddr::V6(address) => {
                println!("PING6({}=40+8+{} bytes) {source} --> {address}", asked.size + 48, asked.size)
            }
        }
        Report { sent: 0, replies: Vec::new(), seen: std::collections::HashSet::new(), duplicates: 0 }
    }

    /// Counts (and prints) a reply.
    pub fn received(&mut self, asked: &Asked, reply: &Reply, after: Duration) {
        let milliseconds = after.as_secs_f64() * 1000.0;
        if !self.seen.insert(reply.sequence) {
            self.duplicates += 1;
            return;
        }
        self.replies.push(milliseconds);
        if !asked.quiet {
            match asked.address {
                IpAddr::V4(address) => {
                    println!(
                        "{} bytes from {address}: icmp_seq={} ttl={} time={milliseconds:.3} ms",
                        reply.length, reply.sequence, reply.ttl
                    );
                }
                IpAddr::V6(address) => {
                    println!(
                        "{} bytes from {address}, icmp_seq={} hlim={} time={milliseconds:.3} ms",
                        reply.length, reply.sequence, reply.ttl
                    );
                }
            }
        }
    }

    /// Prints the last lines; the exit status.
    pub fn end(&self, asked: &Asked) -> i32 {
        let received = self.replies.len() as u64;
        let (program, deviation) = if asked.address.is_ipv4() { ("ping", "stddev") } else { ("ping6", "std-dev") };
        println!("\n--- {} {program} statistics ---", asked.host);
        let duplicates = if self.duplicates > 0 { format!("+{} duplicates, ", self.duplicates) } else { String::new() };
        let lost =
            if self.sent == 0 { 0.0 } else { (self.sent.saturating_sub(received)) as f64 * 100.0 / self.sent as f64 };
        println!("{} packets transmitted, {received} packets received, {duplicates}{lost:.1}% packet loss", self.sent);
        if received == 0 {
            return 2;
        }
        let mean = self.replies.iter().sum::<f64>() / received as f64;
        let least = self.replies.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.replies.iter().copied().fold(0.0, f64::max);
        let variance = self.replies.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / received as f64;
        println!("round-trip min/avg/max/{deviation} = {least:.3}/{mean:.3}/{most:.3}/{:.3} ms", variance.sqrt());
        0
    }
}
