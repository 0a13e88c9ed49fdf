//! The lab's own verbs: `lab up`, `lab down` ….

mod down;
mod fault;
mod log;
mod misfortune;
mod prepare;
mod reboot;
mod shell;
mod status;
mod up;
mod watch;

use std::os::fd::RawFd;
use std::path::PathBuf;

use anyhow::Context as _;
use anyhow::Result;

use crate::world::inetd::Door;
use crate::world::place::Place;
use crate::world::*;

const USAGE: &str = "\
usage: lab [--name N | --dir D] VERB …
  up [--bare]             raise the lab: hosts small (hub), spare, big, client; prepared by tests/acceptance/fleet.sh unless --bare
  down                    end it; nothing is left
  status                  what runs
  shell NODE [-- CMD …]   a root shell (or a command) in a host, without SSH
  client [--] CMD …       a command on the client; Debian's tools are in its PATH too
  reboot [--hard] NODE    boot a host anew; --hard pulls the plug first
  log NODE [--json] [--ssh | --jails]   every program that was started on the host (what a shell does itself, such as echo or test, starts none); --ssh: command strings
                          and scripts that came over SSH, whole; --jails: when each jail began to be and had ended, to the microsecond
  fault NODE add --match PART|--match-file FILE [--script] [--at-end] [--nth N] [--when before|after] --do ACTION
                          ACTION: fail:STATUS[:STDERR], hang (until it is cleared), kill:PATTERN, reboot, drop-ssh, cut (drop-ssh, and nobody gets in until it is cleared), twice
  fault NODE list | clear [ID]
  clock NODE SECONDS      the host's clock is wrong by so much from now on (0: right again)
  pool NODE suspend|resume   what writes to the host's pool waits, and cannot be ended, until it is resumed
  watch [--json] [--seconds N]   every change of which jails run where and who owns which prefix at the hub
  as NAME ARGS …          run a FreeBSD command of the lab right here (for tests)";

/// Runs `lab ARGS…` and returns the exit status.
pub fn run(args: &[String]) -> i32 {
    match try_run(args) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("lab: {error:#}");
            1
        }
    }
}

fn try_run(args: &[String]) -> Result<i32> {
    let (chosen, rest) = choose(args)?;
    let Some((verb, rest)) = rest.split_first() else {
        eprintln!("{USAGE}");
        return Ok(64);
    };
    match verb.as_str() {
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(0)
        }
        "__outer" => supervisor::outer(&place_at(rest)?, &listeners(rest)),
        "__host" => hosted(rest),
        "__router" => links::router().map(|()| 0),
        "__shutdown" => supervisor::shutdown(rest.first().context("no pid")?.parse()?),
        verb => {
            if !nix::unistd::geteuid().is_root() {
                eprintln!(
                    "lab: {verb}: the lab makes namespaces and mounts, so it needs root: run it as root or with sudo"
                );
                return Ok(77);
            }
            let place = chosen.place()?;
            match verb {
                "up" => up::run(&place, rest),
                "down" => down::run(&place),
                "status" => status::run(&place),
                "shell" => shell::shell(&place, rest),
                "client" => shell::client(&place, rest),
                "reboot" => reboot::run(&place, rest),
                "log" => log::run(&place, rest),
                "clock" => misfortune::clock(&place, rest),
                "pool" => misfortune::pool(&place, rest),
                "fault" => fault::run(&place, rest),
                "watch" => watch::run(&place, rest),
                other => {
                    eprintln!("lab: unknown verb {other}\n{USAGE}");
                    Ok(64)
                }
            }
        }
    }
}

struct Chosen {
    dir: Option<String>,
    name: Option<String>,
}

impl Chosen {
    fn place(&self) -> Result<Place> {
        Place::choose(self.dir.as_deref(), self.name.as_deref())
    }
}

/// Takes `--name N` and `--dir D` out of the arguments, up to `--`.
fn choose(args: &[String]) -> Result<(Chosen, Vec<String>)> {
    let mut chosen = Chosen { dir: None, name: None };
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--dir" => chosen.dir = Some(args.next().context("--dir needs a folder")?.clone()),
            "--name" => chosen.name = Some(args.next().context("--name needs a name")?.clone()),
            "--" => {
                rest.push(arg.clone());
                rest.extend(args.cloned());
                break;
            }
            _ => rest.push(arg.clone()),
        }
    }
    Ok((chosen, rest))
}

fn place_at(args: &[String]) -> Result<Place> {
    Ok(Place { dir: PathBuf::from(args.first().context("no folder")?) })
}

fn listeners(args: &[String]) -> Vec<(String, RawFd)> {
    args.iter()
        .skip(1)
        .filter_map(|arg| arg.split_once('='))
        .filter_map(|(name, fd)| Some((name.to_string(), fd.parse().ok()?)))
        .collect()
}

fn hosted(args: &[String]) -> Result<i32> {
    let name = args.get(1).context("no host")?;
    let mut doors = Vec::new();
    let mut jump = None;
    for (kind, fd) in listeners(args.get(1..).unwrap_or_default()) {
        match kind.as_str() {
            "listener" => doors.push(Door::Listener(fd)),
            "handed" => doors.push(Door::Handed(fd)),
            _ => jump = Some(fd),
        }
    }
    host::run(&place_at(args)?, name, &doors, jump)
}
