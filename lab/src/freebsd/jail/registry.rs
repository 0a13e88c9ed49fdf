//! The running jails of a host: one file each, `/run/jails/NAME.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

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
    /// Removed, but its connections keep it dying until then (seconds since the epoch).
    #[serde(default)]
    pub dying_until: Option<u64>,
    /// The file system of its root was unmounted by force since: what is mounted there now is another.
    #[serde(default)]
    pub rootless: bool,
}

/// How long a closed connection stays in TIME_WAIT: twice net.inet.tcp.msl, in seconds.
const TIME_WAIT: u64 = 60;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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

/// Jails that are removed and still there because of their connections, by jid.
pub fn dying(ctx: &Context) -> Vec<Jail> {
    if ctx.jail.is_some() {
        return Vec::new();
    }
    let mut jails: Vec<Jail> = fs::read_dir(dir(ctx).join("dying"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok())
        .filter(|jail: &Jail| jail.dying_until.is_some_and(|until| now() < until))
        .collect();
    jails.sort_by_key(|jail| jail.jid);
    jails
}

/// A jail that is being removed: dying for as long as its connections have to be remembered (kern_jail.c, the references
/// of their credentials; seen on 15.0). Asked while its network is there.
pub fn dies(ctx: &Context, jail: &Jail) -> io::Result<()> {
    let table = |name: &str| fs::read_to_string(format!("/proc/{}/net/{name}", jail.pid)).unwrap_or_default();
    // The fourth column is the state, 0A listens and 07 is closed (include/net/tcp_states.h).
    let counts = |line: &str| line.split_whitespace().nth(3).is_some_and(|state| !matches!(state, "0A" | "07"));
    if !jail.vnet || !["tcp", "tcp6"].iter().any(|name| table(name).lines().skip(1).any(counts)) {
        return Ok(());
    }
    let folder = dir(ctx).join("dying");
    fs::create_dir_all(&folder)?;
    let jail = Jail { dying_until: Some(now() + TIME_WAIT), ..jail.clone() };
    fs::write(folder.join(format!("{}.json", jail.jid)), serde_json::to_vec(&jail)?)
}

/// What was mounted on `mount` is unmounted by force: dying jails hold nothing there any more (vgonel).
pub fn revoke(ctx: &Context, mount: &str) -> io::Result<()> {
    for jail in dying(ctx).into_iter().filter(|jail| Path::new(&jail.path).starts_with(mount)) {
        let file = dir(ctx).join("dying").join(format!("{}.json", jail.jid));
        fs::write(file, serde_json::to_vec(&Jail { rootless: true, ..jail })?)?;
    }
    Ok(())
}

/// Forgets a jail.
pub fn forget(ctx: &Context, name: &str) -> io::Result<()> {
    match fs::remove_file(file(ctx, name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
