//! The running jails of a host: one file each, `/run/jails/NAME.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::context::Context;

/// A running jail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Jail {
    /// Its jid.
    pub jid: u32,
    /// Its name.
    pub name: String,
    /// Its first process, as the host numbers it; the jail's namespaces are that process's.
    pub pid: i32,
    /// Its root.
    pub path: String,
    /// `host.hostname`.
    pub hostname: String,
    /// Has it a network of its own?
    pub vnet: bool,
    /// Does it live without processes?
    pub persist: bool,
    /// Kernel parameters as they were set.
    pub parameters: BTreeMap<String, String>,
}

fn dir(ctx: &Context) -> PathBuf {
    ctx.run.join("jails")
}

fn file(ctx: &Context, name: &str) -> PathBuf {
    dir(ctx).join(format!("{name}.json"))
}

/// All running jails, by jid. A jail's view has none.
pub fn list(ctx: &Context) -> Vec<Jail> {
    if ctx.jail.is_some() {
        return Vec::new();
    }
    let mut jails: Vec<Jail> = fs::read_dir(dir(ctx))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "json"))
        .filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok())
        .filter(|jail: &Jail| alive(jail.pid))
        .collect();
    jails.sort_by_key(|jail| jail.jid);
    jails
}

/// A process that is there and has not ended.
pub fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().chars().next()))
        .flatten()
        .is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// A jail by name, or by jid when the name is a number.
pub fn find(ctx: &Context, name: &str) -> Option<Jail> {
    let jid = name.parse::<u32>().ok();
    list(ctx).into_iter().find(|jail| match jid {
        Some(jid) => jail.jid == jid,
        None => jail.name == name,
    })
}

/// The next free jid: numbers are not used again before the next boot.
pub fn next_jid(ctx: &Context) -> io::Result<u32> {
    fs::create_dir_all(dir(ctx))?;
    let lock = fs::File::create(dir(ctx).join(".lock"))?;
    lock.lock()?;
    let counter = dir(ctx).join(".jid");
    let jid = fs::read_to_string(&counter).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0) + 1;
    fs::write(counter, format!("{jid}\n"))?;
    Ok(jid)
}

/// Writes a jail down.
pub fn save(ctx: &Context, jail: &Jail) -> io::Result<()> {
    fs::create_dir_all(dir(ctx))?;
    let temporary = dir(ctx).join(format!(".{}.new", jail.name));
    fs::write(&temporary, serde_json::to_vec(jail)?)?;
    fs::rename(temporary, file(ctx, &jail.name))
}

/// Forgets a jail.
pub fn forget(ctx: &Context, name: &str) -> io::Result<()> {
    match fs::remove_file(file(ctx, name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
