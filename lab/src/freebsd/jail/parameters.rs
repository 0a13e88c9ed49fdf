//! Which parameters jail(8) of 13.2 knows (contract 2.7): its own, and the kernel's `security.jail.param.*`.

/// jail(8)'s own, not the kernel's.
const OWN: &[&str] = &[
    "exec.prepare",
    "exec.prestart",
    "exec.created",
    "exec.start",
    "exec.stop",
    "exec.prestop",
    "exec.poststart",
    "exec.poststop",
    "exec.release",
    "exec.clean",
    "exec.consolelog",
    "exec.fib",
    "exec.jail_user",
    "exec.system_jail_user",
    "exec.system_user",
    "exec.timeout",
    "command",
    "depend",
    "interface",
    "ip_hostname",
    "mount",
    "mount.devfs",
    "mount.fdescfs",
    "mount.fstab",
    "mount.procfs",
    "stop.timeout",
    "vnet.interface",
    "allow.dying",
];

/// The kernel's, as `sysctl -N security.jail.param` lists them with if_epair, nullfs and zfs loaded.
const KERNEL: &[&str] = &[
    "allow.chflags",
    "allow.mlock",
    "allow.mount",
    "allow.mount.devfs",
    "allow.mount.fdescfs",
    "allow.mount.nullfs",
    "allow.mount.tmpfs",
    "allow.mount.zfs",
    "allow.quotas",
    "allow.raw_sockets",
    "allow.read_msgbuf",
    "allow.reserved_ports",
    "allow.set_hostname",
    "allow.socket_af",
    "allow.suser",
    "allow.sysvipc",
    "allow.unprivileged_proc_debug",
    "children.cur",
    "children.max",
    "cpuset.id",
    "devfs_ruleset",
    "dying",
    "enforce_statfs",
    "host",
    "host.domainname",
    "host.hostid",
    "host.hostname",
    "host.hostuuid",
    "ip4",
    "ip4.addr",
    "ip4.saddrsel",
    "ip6",
    "ip6.addr",
    "ip6.saddrsel",
    "jid",
    "name",
    "osreldate",
    "osrelease",
    "parent",
    "path",
    "persist",
    "securelevel",
    "sysvmsg",
    "sysvsem",
    "sysvshm",
    "vnet",
    "zfs",
    "zfs.mount_snapshot",
];

fn positive(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((head, tail)) => format!("{head}.{}", tail.strip_prefix("no").unwrap_or(tail)),
        None => name.strip_prefix("no").unwrap_or(name).into(),
    }
}

/// Does jail(8) take it?
pub fn is_known(name: &str) -> bool {
    OWN.contains(&name)
        || KERNEL.contains(&name)
        || KERNEL.contains(&positive(name).as_str())
        || OWN.contains(&positive(name).as_str())
}

/// Is it the kernel's, in either spelling?
pub fn goes_to_kernel(name: &str) -> bool {
    !OWN.contains(&name) && (KERNEL.contains(&name) || KERNEL.contains(&positive(name).as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert!(is_known("allow.noraw_sockets") && is_known("novnet") && is_known("exec.start"));
        assert!(!is_known("zfs.dataset") && !is_known(".include") && !is_known("meta"));
        assert!(goes_to_kernel("vnet") && !goes_to_kernel("exec.clean"));
    }
}
