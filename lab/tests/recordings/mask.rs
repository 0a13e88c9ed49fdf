//! Takes out of an answer what differs from host to host.

use crate::recording::Answer;

/// The peers' public keys of the session, which are the same everywhere.
const PEERS: [&str; 2] =
    ["2gk18S9cYHKOIkhpOdTAQ2vkmP9KXAY8orx3/7wmjQc=", "Hif0S/LOiYiKcUKsdLnhTI5gzGcqg1Jz4alUbm1XEy0="];

/// MAC addresses, interface and next hop numbers, jail ids, process ids, dates, sizes and times as words.
pub fn masked(answer: &Answer) -> Answer {
    Answer { out: text(&answer.out), err: text(&answer.err), status: answer.status }
}

/// Words that are numbers and nothing else, for answers with ids that nothing marks as such.
pub fn numbers(text: &str) -> String {
    let number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let line =
        |line: &str| line.split(' ').map(|word| if number(word) { "N" } else { word }).collect::<Vec<_>>().join(" ");
    text.lines().map(|text| line(text) + "\n").collect()
}

fn text(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(|text| line(text.trim_end())).collect();
    // Peers come in no order (contract 3.1).
    for group in lines.chunk_by_mut(|one, next| of_peer(one) && of_peer(next)) {
        group.sort_unstable();
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn of_peer(line: &str) -> bool {
    PEERS.iter().any(|key| line.contains(key))
}

fn line(line: &str) -> String {
    let mut masked = String::new();
    for word in line.split_inclusive(|c: char| " \t\",()".contains(c)) {
        let end = word.trim_end_matches(|c: char| " \t\",()".contains(c));
        masked += &self::word(end);
        masked += &word[end.len()..];
    }
    masked = prefixes(&next_hop(&links(&masked)));
    // time(1) -h, and the first column of stat's recording: seconds.
    if let Some((_, "")) = masked.rsplit_once("s sys").filter(|_| masked.contains("s real")) {
        masked = "T".into();
    }
    for (before, shown) in [
        ("ifmaxaddr 0 port ", "N"),
        ("\"nhop\":", "N"),
        ("\"expires\":", "N"),
        ("expires in ", "N"),
        ("jid=", "N"),
        ("cpuset.id=", "N"),
        ("\"jid\":", "N"),
        ("\"cpusetid\":", "N"),
        ("running, pid: ", "N"),
        // ls -l: size and date.
        ("-  1 root  wheel  ", "L"),
        ("stddev = ", "T"),
        ("std-dev = ", "T"),
        ("Enabled for ", "T"),
    ] {
        masked = after(&masked, before, shown);
    }
    masked
}

/// `link#12` as `link#N`; in a table the next column stays where it is.
fn links(line: &str) -> String {
    let mut parts = line.split("link#");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let gap = if part[end..].starts_with(' ') { " ".repeat(end.saturating_sub(1)) } else { String::new() };
        out += &format!("link#N{gap}{}", &part[end..]);
    }
    out
}

/// The fourth column of `netstat -rnW`.
fn next_hop(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    match words.as_slice() {
        [_, _, flags, hop, mtu, _] if flags.starts_with('U') && number(hop) && number(mtu) => {
            line.replacen(&format!(" {hop} "), &format!(" {:>1$} ", "N", hop.len()), 1)
        }
        _ => line.into(),
    }
}

/// Allowed IPs of a peer in alphabetical order: FreeBSD has them in none (contract 3.1).
fn prefixes(line: &str) -> String {
    match line.rsplit_once("=\t") {
        Some((peer, list)) => {
            let mut words: Vec<&str> = list.split(' ').collect();
            words.sort_unstable();
            format!("{peer}=\t{}", words.join(" "))
        }
        None => line.into(),
    }
}

/// What stands behind `before`, up to a character that no number or time holds.
fn after(line: &str, before: &str, shown: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(before) {
        let (kept, behind) = rest.split_at(at + before.len());
        out += kept;
        // A number in quotes (jls) stays in quotes.
        let quote = if behind.starts_with('"') { "\"" } else { "" };
        let behind = &behind[quote.len()..];
        let end = match shown {
            "T" => behind.find('D'),
            "L" => behind.find('/'),
            _ => behind.find(|c: char| !c.is_ascii_digit()),
        }
        .unwrap_or(behind.len());
        out += quote;
        out += shown;
        rest = &behind[end..];
    }
    out + rest
}

fn word(word: &str) -> String {
    let mac = |word: &str| {
        word.len() == 17 && word.split(':').all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok())
    };
    let uuid = word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let digest = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = word.len() == 44 && word.ends_with('=') && !PEERS.contains(&word);
    match word {
        _ if mac(word) && word != "00:00:00:00:00:00" => "MAC".into(),
        _ if uuid && !word.starts_with("00000000-") => "UUID".into(),
        _ if digest => "DIGEST".into(),
        _ if key => "KEY".into(),
        _ => word.into(),
    }
}
