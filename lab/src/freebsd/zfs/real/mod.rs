//! The real OpenZFS behind FreeBSD's zfs(8) and zpool(8), for labs that were raised with `LAB_ZFS=real`.
//!
//! All hosts share the machine's one kernel, so the pool `jfpool` of the host `big` is `labNNN-big-jfpool` there, in a
//! file of the lab's folder. [`names`] puts that into the arguments and takes it out of what is answered; [`mounted`]
//! tells mount(8) of the lab what the kernel has mounted. Everything else is OpenZFS's own: its refusals, its texts, its
//! streams. What FreeBSD does otherwise: `jailed` is `zoned` on Linux (translated), there is no `zfs jail`, and a dataset
//! that is in use in a jail could be unmounted (refused here, as there).

mod mounted;
mod names;
mod pump;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context as _;
use nix::mount::MsFlags;
use nix::mount::mount;
use serde::Deserialize;
use serde::Serialize;

use crate::context::Context;
use crate::net::tool;
use crate::world::nodes::Node;
use crate::world::place::Place;
use names::Names;

/// What a host knows of its real pools: `/.lab/real-zfs.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Real {
    /// What every pool of the lab begins with in the kernel.
    lab: String,
    /// What those of this host begin with.
    host: String,
    /// Where the host's folders with pools in files are for the kernel.
    folder: PathBuf,
    /// The host's pools, by the host's names.
    pools: Vec<String>,
}

const FILE: &str = "real-zfs.json";

/// Makes the place for a lab's pools, if it shall have real ones.
pub fn prepare<'a>(place: &Place, nodes: impl IntoIterator<Item = &'a Node>) -> anyhow::Result<()> {
    match std::env::var("LAB_ZFS").as_deref() {
        Err(_) | Ok("" | "emulated") => return Ok(()),
        Ok("real") => {}
        Ok(other) => anyhow::bail!("LAB_ZFS={other}: either `real` or `emulated`"),
    }
    anyhow::ensure!(Path::new("/dev/zfs").exists(), "LAB_ZFS=real, but this kernel has no ZFS (no /dev/zfs)");
    for node in nodes {
        fs::create_dir_all(pools(place, node))?;
    }
    fs::write(place.file("zfs"), format!("lab{}-", std::process::id())).context("cannot write the lab's key")
}

fn pools(place: &Place, node: &Node) -> PathBuf {
    place.file("pools").join(node.name)
}

/// Gives a host, whose root is still seen at `root`, what the tools need. Nothing where the lab's pools are emulated.
pub fn enter(place: &Place, node: &Node, root: &Path) -> anyhow::Result<()> {
    let Ok(lab) = fs::read_to_string(place.file("zfs")) else { return Ok(()) };
    let at = |path: &Path| crate::world::disk::inside(root, &path.display().to_string());
    let folder = pools(place, node);
    let bind =
        |from: &Path| mount(Some(from), &at(from), None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>);
    let device = Path::new("/dev/zfs");
    fs::write(at(device), "")?;
    bind(device)?;
    // The kernel looks for a pool's file by the same path as the tools.
    for dir in [folder.as_path(), Path::new("/sys/module/zfs")] {
        fs::create_dir_all(at(dir))?;
        bind(dir)?;
    }
    let state = at(Path::new("/.lab"));
    if !state.join(FILE).exists() {
        Real { host: format!("{lab}{}-", node.name), lab, folder, pools: Vec::new() }.save(&state)?;
    }
    Ok(())
}

/// At a host's boot: pools that are in no cache file are not there, and no key is loaded.
pub fn boot(ctx: &Context) {
    let Some(mut real) = Real::load(&ctx.state) else { return };
    for pool in std::mem::take(&mut real.pools) {
        let there = format!("{}{pool}", real.host);
        let kept = output("zpool", &["get", "-H", "-o", "value", "cachefile", &there]).trim() != "none";
        // What was mounted before the reboot may take the kernel a moment.
        for _ in 0..100 {
            if succeeds("zpool", &["export", "-f", &there]) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        if kept {
            let folder = real.folder.display().to_string();
            // A pool in a file deep below: `-d` does not look into folders.
            let dirs: Vec<String> = folders(&real.folder).into_iter().flat_map(|dir| ["-d".to_owned(), dir]).collect();
            let mut args = vec!["import", "-N", "-d", &folder];
            args.extend(dirs.iter().map(String::as_str));
            args.push(&there);
            if succeeds("zpool", &args) {
                real.pools.push(pool);
            }
        }
    }
    if let Err(error) = real.save(&ctx.state) {
        eprintln!("lab: {FILE}: {error}");
    }
}

/// Destroys the pools of a lab that has ended.
pub fn forget(place: &Place) {
    let Ok(lab) = fs::read_to_string(place.file("zfs")) else { return };
    for pool in output("zpool", &["list", "-H", "-o", "name"]).lines().filter(|pool| pool.starts_with(&lab)) {
        for _ in 0..100 {
            if succeeds("zpool", &["destroy", "-f", pool]) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

fn folders(top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut ahead = vec![top.to_path_buf()];
    while let Some(dir) = ahead.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                found.push(entry.path().display().to_string());
                ahead.push(entry.path());
            }
        }
    }
    found
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(tool(program)).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    let status = Command::new(tool(program))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

impl Real {
    /// None: the host's ZFS is emulated.
    pub fn load(state: &Path) -> Option<Real> {
        serde_json::from_slice(&fs::read(state.join(FILE)).ok()?).ok()
    }

    fn save(&self, state: &Path) -> std::io::Result<()> {
        super::store::write_aside(&state.join(FILE), &serde_json::to_vec_pretty(self)?)
    }

    fn names(&self) -> Names {
        Names { lab: self.lab.clone(), host: self.host.clone(), folder: self.folder.clone(), pools: self.pools.clone() }
    }

    /// Runs `zfs ARGS`.
    pub fn zfs(self, ctx: &Context, args: &[String]) -> i32 {
        let verb = args.first().map(String::as_str).unwrap_or_default();
        let flag = |flag: &str| args.iter().skip(1).any(|arg| arg == flag);
        let pools: Vec<String> = self.pools.iter().map(|pool| format!("{}{pool}", self.host)).collect();
        if matches!(verb, "unmount" | "umount")
            && let Some(refusal) = args.last().and_then(|name| mounted::in_a_jail(ctx, &self.names(), name))
        {
            if !flag("-f") {
                eprintln!("{refusal}");
                return 1;
            }
            args.last().into_iter().for_each(|name| mounted::revoke(ctx, &self.names(), name));
        }
        if matches!(verb, "mount" | "unmount" | "umount") && (flag("-a") || flag("-va") || flag("-av")) {
            return self.each(ctx, verb, &pools);
        }
        let mut words = self.names().put_in(args);
        if matches!(verb, "list" | "get") && !self.names_one(args) {
            if pools.is_empty() {
                eprintln!("no datasets available");
                return 0;
            }
            words.push("-r".into());
            words.rotate_right(1);
            words.swap(0, 1);
            words.extend(pools);
        } else if matches!(verb, "load-key" | "unload-key") && flag("-a") {
            words.retain(|word| word != "-a");
            words.push("-r".into());
            words.extend(pools);
        }
        // A stream is nobody's text.
        let stream = verb == "send"
            && !args.iter().skip(1).any(|arg| arg.starts_with('-') && !arg.starts_with("--") && arg.contains('n'));
        let status = pump::run(&self.names(), "zfs", &words, stream);
        let looks = ["list", "get", "send", "hold", "release", "holds", "bookmark", "snapshot", "version", "diff"];
        if !looks.contains(&verb) {
            mounted::tell(ctx, &self.names());
        }
        status
    }

    /// `zfs mount -a` and its opposite, for this host's pools only.
    fn each(&self, ctx: &Context, verb: &str, pools: &[String]) -> i32 {
        let mounting = verb == "mount";
        let mut status = 0;
        for pool in pools {
            let table = output(
                "zfs",
                &["list", "-H", "-r", "-t", "filesystem", "-o", "name,canmount,mounted,mountpoint,keystatus", pool],
            );
            let mut rows: Vec<Vec<&str>> = table.lines().map(|row| row.split('\t').collect()).collect();
            if !mounting {
                rows.reverse();
            }
            for row in rows {
                let [name, canmount, is, point, key] = row.as_slice() else { continue };
                let wanted = *is == "no" && *canmount == "on" && point.starts_with('/') && *key != "unavailable";
                if if mounting { wanted } else { *is == "yes" } {
                    status |= pump::run(&self.names(), "zfs", &[verb.to_owned(), (*name).to_owned()], false);
                }
            }
        }
        mounted::tell(ctx, &self.names());
        status
    }

    /// Does a list or a question name what it is about?
    fn names_one(&self, args: &[String]) -> bool {
        let names = self.names();
        // What begins with `/` is a mount point; a name of no pool gets its refusal from the tool itself.
        let (mut seen, mut option) = (0, false);
        for word in args.iter().skip(1) {
            match word.strip_prefix('-') {
                _ if option => option = false,
                // A letter that takes a word, which may be glued to it.
                Some(flags) => {
                    let letter = flags.find(['o', 't', 's', 'S', 'd']);
                    option = letter.is_some_and(|at| at + 1 == flags.len());
                }
                None if names.is_one(word) || word.starts_with('/') => return true,
                None => seen += 1,
            }
        }
        // `get` has its properties before the names.
        seen > usize::from(args.first().is_some_and(|verb| verb == "get"))
    }

    /// Runs `zpool ARGS`.
    pub fn zpool(mut self, ctx: &Context, args: &[String]) -> i32 {
        let verb = args.first().map(String::as_str).unwrap_or_default();
        let mut words = self.names().put_in(args);
        match verb {
            "create" | "import" => words = self.files(verb, args),
            "list" | "get" | "status" | "scrub" | "sync"
                if !args.iter().skip(1).any(|arg| self.pools.contains(arg)) =>
            {
                let named = args.iter().skip(1).filter(|arg| !arg.starts_with('-')).count();
                let options = args.iter().skip(1).filter(|arg| matches!(arg.as_str(), "-o" | "-T")).count();
                if named <= options + usize::from(verb == "get") {
                    if self.pools.is_empty() {
                        eprintln!("no pools available");
                        return 0;
                    }
                    words.extend(self.pools.iter().map(|pool| format!("{}{pool}", self.host)));
                }
            }
            _ => {}
        }
        let status = pump::run(&self.names(), "zpool", &words, false);
        if status == 0 {
            let named = |args: &[String]| args.iter().skip(1).find(|arg| self.pools.contains(arg)).cloned();
            match (verb, named(args)) {
                ("destroy" | "export", Some(pool)) => self.pools.retain(|other| *other != pool),
                ("create" | "import", _) => {
                    let all = output("zpool", &["list", "-H", "-o", "name"]);
                    self.pools =
                        all.lines().filter_map(|pool| pool.strip_prefix(&self.host)).map(str::to_owned).collect();
                }
                _ => {}
            }
            if let Err(error) = self.save(&ctx.state) {
                eprintln!("lab: {FILE}: {error}");
            }
        }
        mounted::tell(ctx, &self.names());
        status
    }

    /// `zpool create` and `zpool import`: the pool's name is new, and its file is where the kernel sees it.
    fn files(&self, verb: &str, args: &[String]) -> Vec<String> {
        let (mut words, mut option, mut named) = (Vec::new(), "", false);
        for arg in args {
            let there = self.folder.join(arg.trim_start_matches('/'));
            words.push(match option {
                "-d" => there.display().to_string(),
                "" if arg.starts_with('/') => {
                    copy_size(arg, &there);
                    there.display().to_string()
                }
                "" if !arg.starts_with('-') && arg != verb && !named => {
                    named = true;
                    format!("{}{arg}", self.host)
                }
                _ => arg.clone(),
            });
            option = if option.is_empty() && matches!(arg.as_str(), "-o" | "-O" | "-m" | "-d" | "-R" | "-c") {
                arg
            } else {
                ""
            };
        }
        words
    }
}

/// The pool's file for the kernel, as large as the one that the host made.
fn copy_size(here: &str, there: &Path) {
    let Ok(size) = fs::metadata(here).map(|file| file.len()) else { return };
    let made = there.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::File::create(there)?.set_len(size));
    if let Err(error) = made {
        eprintln!("lab: {}: {error}", there.display());
    }
}
