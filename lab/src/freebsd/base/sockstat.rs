//! sockstat(1): `-u`, the sockets of the host's own processes that have a name; `-46l -p 53`, of which the lab has none.

use std::fs;

use super::getopt::getopt;
use super::processes;
use crate::context::Context;

/// sockstat(1).
pub fn sockstat(_ctx: &Context, args: &[String]) -> i32 {
    let options = getopt("sockstat", "46cIiLlnp:qSsUuvw", args).filter(|o| o.operands.is_empty());
    if options.as_ref().is_some_and(|o| o.has('l') && o.has('q') && o.value('p') == Some("53")) {
        return 0;
    }
    if !options.is_some_and(|o| o.has('u')) {
        eprintln!("sockstat: the lab knows -u, and port 53");
        return 1;
    }
    println!("USER     COMMAND    PID   FD  PROTO  LOCAL ADDRESS         FOREIGN ADDRESS");
    // Inode, kind and name of each: `Num: RefCount Protocol Flags Type St Inode Path` (proc_net(5)).
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let sockets: Vec<(&str, &str, &str)> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let kind = match *words.get(4)? {
                "0001" => "stream",
                "0002" => "dgram",
                _ => "seqpac",
            };
            Some((*words.get(6)?, kind, words.get(7).copied().filter(|path| path.starts_with('/'))?))
        })
        .collect();
    for process in processes::of_the_host() {
        let (pid, command) = (&process.pid, &process.command);
        for link in process.open() {
            let Ok(target) = fs::read_link(&link) else { continue };
            let target = target.to_string_lossy().into_owned();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            let Some((_, kind, path)) = sockets.iter().find(|(of, _, _)| Some(*of) == inode) else { continue };
            let descriptor = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
            println!("root     {command:<10.10} {pid:<5} {descriptor:<3} {kind:<6} {path}");
        }
    }
    0
}
