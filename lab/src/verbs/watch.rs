//! `lab watch`: looks twenty times a second which jails run where and which peer of the hub owns which prefix, and prints every change as one line of JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use anyhow::Result;
use anyhow::bail;
use serde::Serialize;

use crate::net::tool;
use crate::world::nodes::NODES;
use crate::world::place::Place;
use crate::world::spawn;

/// The hub's tunnel addresses of the nodes (docs/testbed.md): they name the peers.
const TUNNEL: [(&str, &str); 2] = [("10.77.0.2/32", "spare"), ("10.77.0.3/32", "big")];

#[derive(PartialEq, Serialize)]
struct Sample {
    /// Running jails, by host. A host that is down is absent.
    jails: BTreeMap<&'static str, Vec<String>>,
    /// The owner of each prefix at the hub: a host's name, or a peer's key.
    prefixes: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    #[serde(flatten)]
    sample: &'a Sample,
}

/// `lab watch [--json] [--seconds N]`.
pub fn run(place: &Place, args: &[String]) -> Result<i32> {
    let mut until = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match (arg.as_str(), rest.as_slice().first()) {
            ("--json", _) => {}
            ("--seconds", Some(seconds)) => {
                until = Some(Instant::now() + Duration::from_secs_f64(seconds.parse()?));
                rest.next();
            }
            _ => bail!("usage: lab watch [--json] [--seconds N]"),
        }
    }
    let mut last: Option<Sample> = None;
    while place.outer().is_some() && until.is_none_or(|until| Instant::now() < until) {
        let begin = Instant::now();
        let sample = sample(place)?;
        if last.as_ref() != Some(&sample) {
            let time =
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
            let mut out = std::io::stdout().lock();
            writeln!(out, "{}", serde_json::to_string(&Line { time, sample: &sample })?)?;
            out.flush()?;
            last = Some(sample);
        }
        std::thread::sleep(Duration::from_millis(50).saturating_sub(begin.elapsed()));
    }
    Ok(0)
}

fn sample(place: &Place) -> Result<Sample> {
    let mut sample = Sample { jails: BTreeMap::new(), prefixes: BTreeMap::new() };
    for node in NODES.iter().filter(|node| node.name != "client") {
        let Some(pid) = place.init(node.name) else { continue };
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        sample.jails.insert(node.name, jails(&root));
        if node.name == "small" {
            sample.prefixes = owners(pid, &root).unwrap_or_default();
        }
    }
    Ok(sample)
}

/// The registry of jail(8): one JSON file a jail, whose first process is alive.
fn jails(root: &Path) -> Vec<String> {
    let running = |path: PathBuf| -> Option<String> {
        let jail: serde_json::Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let stat = fs::read_to_string(root.join(format!("proc/{}/stat", jail.get("pid")?.as_i64()?))).ok()?;
        let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
        (state != 'Z' && state != 'X').then(|| jail.get("name")?.as_str().map(str::to_string))?
    };
    let entries = fs::read_dir(root.join("run/jails")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .filter_map(running)
        .collect();
    names.sort();
    names
}

fn owners(pid: i32, root: &Path) -> Result<BTreeMap<String, String>> {
    let mut peers: Vec<(String, Vec<String>)> = Vec::new();
    match UnixStream::connect(root.join("run/wireguard/wg0.sock")) {
        Ok(mut socket) => {
            // The cross-platform interface of userspace WireGuard.
            socket.set_read_timeout(Some(Duration::from_secs(1)))?;
            socket.write_all(b"get=1\n\n")?;
            socket.shutdown(std::net::Shutdown::Write)?;
            let mut text = String::new();
            socket.read_to_string(&mut text)?;
            for line in text.lines() {
                match line.split_once('=') {
                    Some(("public_key", key)) => peers.push((key.to_string(), Vec::new())),
                    Some(("allowed_ip", prefix)) => {
                        peers.last_mut().into_iter().for_each(|(_, prefixes)| prefixes.push(prefix.to_string()))
                    }
                    _ => {}
                }
            }
        }
        Err(_) => {
            let output = spawn::in_network_of(pid, tool("wg"))?.args(["show", "wg0", "allowed-ips"]).output()?;
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let mut words = line.split_whitespace().map(str::to_string);
                peers.push((words.next().unwrap_or_default(), words.filter(|word| word != "(none)").collect()));
            }
        }
    }
    let mut owners = BTreeMap::new();
    for (key, prefixes) in peers {
        let name = TUNNEL.iter().find(|(address, _)| prefixes.iter().any(|prefix| prefix == address));
        let owner = name.map_or(key, |(_, name)| name.to_string());
        owners.extend(prefixes.into_iter().map(|prefix| (prefix, owner.clone())));
    }
    Ok(owners)
}
