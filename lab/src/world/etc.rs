//! The files of a freshly installed host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context as _;
use anyhow::Result;
use sha2::Digest;
use sha2::Sha256;

use super::disk::inside;
use super::nodes::Node;
use super::place::Place;
use crate::context::Host;

/// uid and gid of the plain user `admin`.
const ADMIN: u32 = 1001;

/// Writes /etc and friends, and the lab's own files of the host.
pub fn write(root: &Path, place: &Place, node: &Node) -> Result<()> {
    let put = |path: &str, mode: u32, text: &str| put(root, path, mode, text);
    let host =
        Host { name: node.name.into(), hostuuid: uuid(place, node), shell: node.shell.into(), ..Host::default() };
    put("/.lab/host.json", 0o644, &serde_json::to_string(&host)?)?;
    put("/.lab/jail", 0o644, "")?;
    put("/.lab/control", 0o666, "")?;
    put("/.lab/bin/lab", 0o755, "")?;
    for log in ["commands.log", "ssh.log", "jails.log"] {
        put(&format!("/.lab/{log}"), 0o666, "")?;
    }
    put("/.lab/mounts", 0o666, "")?;
    put("/.lab/faults", 0o666, "")?;

    put("/etc/passwd", 0o644, &passwd(node.shell))?;
    put("/etc/master.passwd", 0o600, "")?;
    put("/etc/shadow", 0o600, "root:*:19000:0:99999:7:::\nadmin:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n")?;
    put(
        "/etc/group",
        0o644,
        "wheel:*:0:root,admin\ndaemon:*:1:\noperator:*:5:root\ntty:*:4:\nsshd:*:22:\nwww:*:80:\nadmin:*:1001:\nnogroup:*:65533:\nnobody:*:65534:\n",
    )?;
    put(
        "/etc/nsswitch.conf",
        0o644,
        "passwd: files\nshadow: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
    )?;
    put("/etc/hosts", 0o644, &format!("::1 localhost\n127.0.0.1 localhost {}\n", node.name))?;
    put("/etc/services", 0o644, SERVICES)?;
    put("/etc/netconfig", 0o644, NETCONFIG)?;
    put("/etc/protocols", 0o644, "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\n")?;
    put(
        "/etc/fstab",
        0o644,
        "# Device\tMountpoint\tFStype\tOptions\tDump\tPass#\n/dev/gpt/rootfs\t/\tufs\trw\t1\t1\n",
    )?;
    put("/etc/hostid", 0o644, &format!("{}\n", host.hostuuid))?;
    put("/etc/shells", 0o644, "/bin/sh\n/bin/csh\n/bin/tcsh\n")?;
    put(
        "/etc/rc.conf",
        0o644,
        &format!("hostname=\"{}\"\nifconfig_vtnet0=\"DHCP\"\nsshd_enable=\"YES\"\n", node.name),
    )?;
    put("/etc/defaults/rc.conf", 0o644, DEFAULTS)?;
    put("/etc/sysctl.conf", 0o644, "# Settings that rc.d/sysctl applies at boot.\n")?;
    put("/boot/loader.conf", 0o644, "kern.geom.label.disk_ident.enable=\"0\"\n")?;
    put("/boot/kernel/kernel", 0o555, &format!("FreeBSD {} GENERIC\n", host.osrelease))?;
    put("/etc/ssh/sshd_config", 0o644, &sshd(node.login))?;
    put("/usr/local/etc/sudoers", 0o440, SUDOERS)?;
    put("/etc/sudoers", 0o440, SUDOERS)?;
    fs::create_dir_all(inside(root, "/etc/pam.d"))?;
    put(
        "/etc/pam.d/other",
        0o644,
        "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
    )?;

    let key = fs::read_to_string(place.file("id_ed25519.pub")).context("the lab has no key")?;
    for (home, owner) in [("/root", 0), ("/home/admin", ADMIN)] {
        fs::create_dir_all(inside(root, &format!("{home}/.ssh")))?;
        put(&format!("{home}/.ssh/authorized_keys"), 0o600, &key)?;
        for path in ["", "/.ssh", "/.ssh/authorized_keys"] {
            std::os::unix::fs::chown(inside(root, &format!("{home}{path}")), Some(owner), Some(owner))?;
        }
        fs::set_permissions(inside(root, &format!("{home}/.ssh")), fs::Permissions::from_mode(0o700))?;
    }
    for file in ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"] {
        let text =
            fs::read_to_string(place.file(&format!("keys/{}_{file}", node.name))).context("the host has no key")?;
        put(&format!("/etc/ssh/{file}"), if file.ends_with(".pub") { 0o644 } else { 0o600 }, &text)?;
    }
    Ok(())
}

fn put(root: &Path, path: &str, mode: u32, text: &str) -> Result<()> {
    let path = inside(root, path);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}

/// The same lab and host always have the same UUID.
fn uuid(place: &Place, node: &Node) -> String {
    let digest = Sha256::digest(format!("{}/{}", place.dir.display(), node.name));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-4{}-8{}-{}", &hex[0..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

fn passwd(shell: &str) -> String {
    format!(
        "root:*:0:0:Charlie &:/root:{shell}\ntoor:*:0:0:Bourne-again Superuser:/root:\ndaemon:*:1:1:Owner of many system processes:/root:/usr/sbin/nologin\nsshd:*:22:22:Secure Shell Daemon:/var/empty:/usr/sbin/nologin\n\
         www:*:80:80:World Wide Web Owner:/nonexistent:/usr/sbin/nologin\nadmin:*:{ADMIN}:{ADMIN}:Administrator:/home/admin:/bin/sh\n\
         nobody:*:65534:65534:Unprivileged user:/nonexistent:/usr/sbin/nologin\n"
    )
}

fn sshd(login: &str) -> String {
    let root = if login == "root" { "prohibit-password" } else { "no" };
    format!(
        "PermitRootLogin {root}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\nPrintMotd no\n\
         HostKey /etc/ssh/ssh_host_ed25519_key\nPidFile none\nSetEnv PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin\n\
         Subsystem sftp /usr/libexec/sftp-server\n"
    )
}

const SUDOERS: &str = "Defaults !use_pty, !lecture, secure_path=\"/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin\"\nroot ALL=(ALL:ALL) ALL\nadmin ALL=(ALL:ALL) NOPASSWD: ALL\n";

const SERVICES: &str = "ssh\t22/tcp\nsmtp\t25/tcp\ndomain\t53/tcp\ndomain\t53/udp\nhttp\t80/tcp\nntp\t123/udp\nhttps\t443/tcp\nhttp-alt\t8080/tcp\n";

/// netconfig(5), as FreeBSD has it.
const NETCONFIG: &str = "udp6       tpi_clts      v     inet6    udp     -       -\ntcp6       tpi_cots_ord  v     inet6    tcp     -       -\n\
udp        tpi_clts      v     inet     udp     -       -\ntcp        tpi_cots_ord  v     inet     tcp     -       -\n\
rawip      tpi_raw       -     inet      -      -       -\nlocal      tpi_cots_ord  -     loopback  -      -       -\n";

const DEFAULTS: &str = "# The defaults that the lab's rc reads; /etc/rc.conf overrides them.\n\
rc_conf_files=\"/etc/rc.conf /etc/rc.conf.local\"\njail_enable=\"NO\"\njail_conf=\"/etc/jail.conf\"\njail_list=\"\"\njail_reverse_stop=\"NO\"\npf_enable=\"NO\"\npf_rules=\"/etc/pf.conf\"\n\
gateway_enable=\"NO\"\nipv6_gateway_enable=\"NO\"\ncloned_interfaces=\"\"\nstatic_routes=\"\"\nipv6_static_routes=\"\"\nzfs_enable=\"NO\"\ninetd_enable=\"NO\"\narpproxy_all=\"NO\"\n\
sshd_enable=\"NO\"\nkld_list=\"\"\n";
