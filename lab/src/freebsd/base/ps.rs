//! ps(1): `-J JAIL` by the jail's name and the keyword `jid`; the rest is Debian's.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::getopt::getopt;
use super::wrapped::become_tool;
use crate::context::Context;
use crate::freebsd::jail::registry;

/// ps(1).
pub fn ps(ctx: &Context, args: &[String]) -> i32 {
    if let Some(at) = args.iter().position(|arg| arg == "-J") {
        return of_jail(args, at);
    }
    if let Some(columns) = columns(args)
        && columns.iter().any(|(keyword, _)| keyword == "jid")
    {
        return listing(ctx, &columns);
    }
    become_tool("ps", args)
}

fn of_jail(args: &[String], at: usize) -> i32 {
    let Some(jail) = args.get(at + 1) else {
        eprintln!("ps: option requires an argument -- J");
        return 1;
    };
    let pids: Vec<String> = processes()
        .filter(|(_, folder)| fs::read_to_string(folder.join("root/.lab/jail")).is_ok_and(|name| name.trim() == jail))
        .map(|(pid, _)| pid)
        .collect();
    let mut out: Vec<String> = args[..at].iter().chain(&args[at + 2..]).cloned().collect();
    out.extend(["-p".to_string(), if pids.is_empty() { "999999999".into() } else { pids.join(",") }]);
    become_tool("ps", &out)
}

/// Numbers and folders of all processes.
fn processes() -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    named.filter(|(pid, _)| pid.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The keywords of `-o`, each with its heading; none when there is no `-o`.
fn columns(args: &[String]) -> Option<Vec<(String, String)>> {
    let options = getopt("ps", "aCcdeHhjlmSTuvwXxO:o:t:p:U:G:", args)?;
    let mut all = Vec::new();
    for (_, value) in options.given.iter().filter(|(flag, _)| *flag == 'o') {
        let text = value.as_deref().unwrap_or_default();
        // What follows `=` is the heading, commas included (ps(1)).
        let (words, heading) = text.split_once('=').map_or((text, None), |(words, heading)| (words, Some(heading)));
        let words: Vec<&str> = words.split(',').collect();
        for (index, word) in words.iter().enumerate() {
            let own = heading.filter(|_| index + 1 == words.len()).map(str::to_owned);
            all.push(((*word).to_owned(), own.unwrap_or_else(|| word.to_uppercase().replace("PCPU", "%CPU"))));
        }
    }
    (!all.is_empty()).then_some(all)
}

fn listing(ctx: &Context, columns: &[(String, String)]) -> i32 {
    let space = |folder: &Path| fs::read_link(folder.join("ns/pid")).ok();
    let list = registry::list(ctx);
    // A jail of FreeBSD has no first process.
    let first: Vec<String> = list.iter().map(|jail| jail.pid.to_string()).collect();
    let jails: HashMap<PathBuf, u32> = list
        .into_iter()
        .filter_map(|jail| Some((space(Path::new(&format!("/proc/{}", jail.pid)))?, jail.jid)))
        .collect();
    for (keyword, _) in columns {
        if !["jid", "pid", "pcpu", "%cpu", "rss", "command"].contains(&keyword.as_str()) {
            eprintln!("ps: {keyword}: keyword not found");
            return 1;
        }
    }
    let mut rows = Vec::new();
    if columns.iter().any(|(_, heading)| !heading.is_empty()) {
        rows.push(columns.iter().map(|(_, heading)| heading.clone()).collect::<Vec<_>>());
    }
    for (pid, folder) in processes().filter(|(pid, _)| !first.contains(pid)) {
        let jid = space(&folder).and_then(|s| jails.get(&s).copied()).unwrap_or(0);
        // It may have ended meanwhile.
        let Some(used) = Used::read(&folder) else { continue };
        let cell = |keyword: &str| match keyword {
            "jid" => jid.to_string(),
            "pid" => pid.clone(),
            "rss" => used.kibibytes.to_string(),
            "command" => used.command.clone(),
            _ => format!("{:.1}", used.share),
        };
        rows.push(columns.iter().map(|(keyword, _)| cell(keyword)).collect());
    }
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(at, cell)| {
                let width = rows.iter().map(|r| r[at].len()).max().unwrap_or(0);
                if columns[at].0 == "command" { cell.clone() } else { format!("{cell:>width$}") }
            })
            .collect();
        println!("{}", cells.join(" ").trim_end());
    }
    0
}

/// What a process uses. FreeBSD's share decays over about a minute; here it is that of its whole life.
struct Used {
    share: f64,
    kibibytes: u64,
    command: String,
}

impl Used {
    fn read(folder: &Path) -> Option<Used> {
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // proc_pid_stat(5), counted from the third: utime, stime, starttime in ticks, rss in pages.
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let ticks = (number(11)? + number(12)?) as f64;
        let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
        let lived = (uptime * 100.0 - number(19)? as f64).max(1.0);
        let command = fs::read_to_string(folder.join("cmdline")).ok()?.replace('\0', " ").trim_end().to_owned();
        Some(Used { share: 100.0 * ticks / lived, kibibytes: number(21)? * 4, command })
    }
}
