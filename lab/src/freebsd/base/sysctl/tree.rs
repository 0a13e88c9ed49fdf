//! The variables: the kernel's own where Linux has one of the same meaning, else a value that lasts until the next boot.

use std::fs;
use std::path::Path;

use crate::context::Context;
use crate::net::fibs;

/// Where a variable's value is.
enum Kind {
    /// A file of Linux's /proc/sys.
    Kernel(&'static [&'static str]),
    /// In every interface's folder of /proc/sys, and in `all` and `default`: folder and knob.
    Interfaces(&'static str, &'static str),
    /// Kept by the lab until the next boot; this is the value after a boot.
    Kept(&'static str),
    /// Cannot be set.
    Fixed(fn(&Context) -> String),
    /// There when the processor has this flag (/proc/cpuinfo).
    Processor(&'static str, &'static str),
    /// A jail parameter: exists, nothing else.
    Parameter,
    /// net.fibs.
    Fibs,
}

const VARIABLES: &[(&str, Kind)] = &[
    // aesni(4) is there whether the processor can or not; it attaches where it can.
    ("dev.aesni.0.%desc", Kind::Processor("aes", "AES-CBC,AES-CCM,AES-GCM,AES-ICM,AES-XTS")),
    ("hw.machine", Kind::Fixed(|_| "amd64".into())),
    ("hw.machine_arch", Kind::Fixed(|_| "amd64".into())),
    ("hw.model", Kind::Fixed(|_| "Lab CPU".into())),
    ("hw.ncpu", Kind::Fixed(|_| cpus().to_string())),
    ("hw.pagesize", Kind::Fixed(|_| "4096".into())),
    ("hw.physmem", Kind::Fixed(|_| (memory("MemTotal") * 1024).to_string())),
    ("kern.boottime", Kind::Fixed(|_| boottime())),
    ("kern.features.vimage", Kind::Fixed(|_| "1".into())),
    (
        "kern.hostname",
        Kind::Fixed(|_| nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()),
    ),
    ("kern.hostuuid", Kind::Fixed(|ctx| ctx.host.hostuuid.clone())),
    ("kern.ident", Kind::Fixed(|_| "GENERIC".into())),
    ("kern.osreldate", Kind::Fixed(|ctx| ctx.host.osreldate.to_string())),
    ("kern.osrelease", Kind::Fixed(|ctx| ctx.host.osrelease.clone())),
    ("kern.ostype", Kind::Fixed(|_| "FreeBSD".into())),
    ("kern.racct.enable", Kind::Fixed(|_| "0".into())),
    ("kern.securelevel", Kind::Kept("-1")),
    ("kern.smp.cpus", Kind::Fixed(|_| cpus().to_string())),
    ("net.add_addr_allfibs", Kind::Kept("0")),
    ("net.fibs", Kind::Fibs),
    ("net.inet.carp.allow", Kind::Kept("1")),
    ("net.inet.icmp.drop_redirect", Kind::Kept("0")),
    ("net.inet.ip.forwarding", Kind::Kernel(&["ipv4/ip_forward"])),
    ("net.inet.ip.redirect", Kind::Interfaces("ipv4", "send_redirects")),
    ("net.inet6.ip6.dad_count", Kind::Kept("1")),
    ("net.inet6.ip6.forwarding", Kind::Kernel(&["ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding"])),
    ("net.inet6.ip6.redirect", Kind::Kept("1")),
    ("net.link.bridge.inherit_mac", Kind::Kept("0")),
    ("net.link.bridge.pfil_bridge", Kind::Kept("1")),
    ("net.link.bridge.pfil_local_phys", Kind::Kept("0")),
    ("net.link.bridge.pfil_member", Kind::Kept("1")),
    ("net.link.bridge.pfil_onlyip", Kind::Kept("1")),
    ("net.link.ether.inet.garp_rexmit_count", Kind::Kept("0")),
    ("net.link.ether.inet.proxyall", Kind::Kernel(&["ipv4/conf/all/proxy_arp"])),
    ("net.my_fibnum", Kind::Fixed(|_| fibs::of_process().to_string())),
    ("net.route.multipath", Kind::Kept("1")),
    ("security.jail.jailed", Kind::Fixed(|ctx| u8::from(ctx.jail.is_some()).to_string())),
    ("security.jail.param.allow.chflags", Kind::Parameter),
    ("security.jail.param.allow.mlock", Kind::Parameter),
    ("security.jail.param.allow.mount", Kind::Parameter),
    ("security.jail.param.allow.mount.devfs", Kind::Parameter),
    ("security.jail.param.allow.mount.fdescfs", Kind::Parameter),
    ("security.jail.param.allow.mount.nullfs", Kind::Parameter),
    ("security.jail.param.allow.mount.procfs", Kind::Parameter),
    ("security.jail.param.allow.mount.tmpfs", Kind::Parameter),
    ("security.jail.param.allow.mount.zfs", Kind::Parameter),
    ("security.jail.param.allow.nfsd", Kind::Parameter),
    ("security.jail.param.allow.quotas", Kind::Parameter),
    ("security.jail.param.allow.raw_sockets", Kind::Parameter),
    ("security.jail.param.allow.read_msgbuf", Kind::Parameter),
    ("security.jail.param.allow.reserved_ports", Kind::Parameter),
    ("security.jail.param.allow.set_hostname", Kind::Parameter),
    ("security.jail.param.allow.socket_af", Kind::Parameter),
    ("security.jail.param.allow.suser", Kind::Parameter),
    ("security.jail.param.allow.sysvipc", Kind::Parameter),
    ("security.jail.param.allow.unprivileged_proc_debug", Kind::Parameter),
    ("security.jail.param.allow.vmm", Kind::Parameter),
    ("security.jail.param.children.cur", Kind::Parameter),
    ("security.jail.param.children.max", Kind::Parameter),
    ("security.jail.param.cpuset.id", Kind::Parameter),
    ("security.jail.param.devfs_ruleset", Kind::Parameter),
    ("security.jail.param.dying", Kind::Parameter),
    ("security.jail.param.enforce_statfs", Kind::Parameter),
    ("security.jail.param.host", Kind::Parameter),
    ("security.jail.param.host.domainname", Kind::Parameter),
    ("security.jail.param.host.hostid", Kind::Parameter),
    ("security.jail.param.host.hostname", Kind::Parameter),
    ("security.jail.param.host.hostuuid", Kind::Parameter),
    ("security.jail.param.ip4", Kind::Parameter),
    ("security.jail.param.ip4.addr", Kind::Parameter),
    ("security.jail.param.ip4.saddrsel", Kind::Parameter),
    ("security.jail.param.ip6", Kind::Parameter),
    ("security.jail.param.ip6.addr", Kind::Parameter),
    ("security.jail.param.ip6.saddrsel", Kind::Parameter),
    ("security.jail.param.jid", Kind::Parameter),
    ("security.jail.param.linux", Kind::Parameter),
    ("security.jail.param.linux.osname", Kind::Parameter),
    ("security.jail.param.linux.osrelease", Kind::Parameter),
    ("security.jail.param.linux.oss_version", Kind::Parameter),
    ("security.jail.param.name", Kind::Parameter),
    ("security.jail.param.osreldate", Kind::Parameter),
    ("security.jail.param.osrelease", Kind::Parameter),
    ("security.jail.param.parent", Kind::Parameter),
    ("security.jail.param.path", Kind::Parameter),
    ("security.jail.param.persist", Kind::Parameter),
    ("security.jail.param.securelevel", Kind::Parameter),
    ("security.jail.param.sysvmsg", Kind::Parameter),
    ("security.jail.param.sysvsem", Kind::Parameter),
    ("security.jail.param.sysvshm", Kind::Parameter),
    ("security.jail.param.vnet", Kind::Parameter),
    ("vfs.zfs.version.module", Kind::Fixed(|_| "2.1.9-FreeBSD_g92e0d9d18".into())),
    ("vm.loadavg", Kind::Fixed(|_| loadavg())),
    ("vm.stats.vm.v_free_count", Kind::Fixed(|_| (memory("MemAvailable") / 4).to_string())),
];

fn find(name: &str) -> Option<&'static Kind> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
}

/// All names.
pub fn names(ctx: &Context) -> Vec<String> {
    VARIABLES.iter().map(|(name, _)| name.to_string()).filter(|name| read(ctx, name).is_some()).collect()
}

/// The leaves below a node such as `net.inet.ip`.
pub fn below(ctx: &Context, node: &str) -> Vec<String> {
    names(ctx).into_iter().filter(|name| name.strip_prefix(node).is_some_and(|rest| rest.starts_with('.'))).collect()
}

/// A variable's value; none if there is no such leaf.
pub fn read(ctx: &Context, name: &str) -> Option<String> {
    let value = match find(name)? {
        Kind::Kernel(files) => first(Path::new("/proc/sys/net").join(files.first()?)),
        Kind::Interfaces(family, knob) => first(Path::new("/proc/sys/net").join(family).join("conf/all").join(knob)),
        Kind::Kept(boot) => fs::read_to_string(kept(ctx, name)).unwrap_or_else(|_| boot.to_string()),
        Kind::Fixed(value) => value(ctx),
        Kind::Processor(flag, value) => has(flag).then(|| value.to_string())?,
        Kind::Parameter => String::new(),
        Kind::Fibs => fibs::count(ctx).to_string(),
    };
    Some(value)
}

/// Sets it. The error is what follows `sysctl: `.
pub fn write(ctx: &Context, name: &str, value: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{name}={value}: {}", super::super::reason(&error));
    match find(name) {
        Some(Kind::Kernel(files)) => {
            files.iter().try_for_each(|file| fs::write(Path::new("/proc/sys/net").join(file), value)).map_err(failed)
        }
        Some(Kind::Interfaces(family, knob)) => {
            let folders = fs::read_dir(Path::new("/proc/sys/net").join(family).join("conf")).map_err(failed)?;
            folders.flatten().try_for_each(|folder| fs::write(folder.path().join(knob), value)).map_err(failed)
        }
        Some(Kind::Kept(_))
            if name == "kern.securelevel"
                && value.parse::<i64>().ok() < read(ctx, name).and_then(|now| now.parse().ok()) =>
        {
            Err(format!("{name}={value}: Operation not permitted"))
        }
        Some(Kind::Kept(_)) => {
            let path = kept(ctx, name);
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, value)).map_err(failed)
        }
        Some(Kind::Fibs) => {
            // Only upwards, and never in a jail (contract 1.6).
            let wanted = value.parse().unwrap_or(0);
            if ctx.jail.is_some() || wanted < fibs::count(ctx) || wanted > fibs::MOST {
                return Err(format!("{name}={value}: Invalid argument"));
            }
            fibs::install(ctx, wanted).map_err(failed)
        }
        Some(Kind::Fixed(_) | Kind::Processor(..) | Kind::Parameter) | None => {
            Err(format!("oid '{name}' is read only"))
        }
    }
}

fn kept(ctx: &Context, name: &str) -> std::path::PathBuf {
    // A jail with its own network stack has its own net.* variables.
    let owner = ctx.jail.as_deref().unwrap_or("host");
    ctx.run.join("sysctl").join(owner).join(name)
}

fn first(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_string()).unwrap_or_else(|_| "0".into())
}

fn has(flag: &str) -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().any(|line| line.starts_with("flags") && line.split_whitespace().any(|word| word == flag))
}

fn cpus() -> usize {
    std::thread::available_parallelism().map(usize::from).unwrap_or(1)
}

fn memory(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn loadavg() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    format!("{{ {} }}", averages.join(" "))
}

fn boottime() -> String {
    // The host's pid 1 began with the host: the time of its folder in /proc.
    let seconds = fs::metadata("/proc/1").and_then(|meta| meta.created().or_else(|_| meta.modified())).ok();
    let seconds = seconds
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|since| since.as_secs())
        .unwrap_or(0);
    format!("{{ sec = {seconds}, usec = 0 }}")
}
