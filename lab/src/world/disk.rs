//! A host's disk: a tmpfs with FreeBSD's folders. It is made once and survives reboots.
//!
//! /bin, /sbin, /usr/bin, /usr/sbin hold FreeBSD's names only, and all of them are links to this program: it emulates them, or writes them into the log and becomes Debian's program, through a link in
//! `/.lab/real` into `/.lab/usr` (Debian's /usr, read-only). So a script that calls `ip` or `/sbin/ifconfig.sh` fails here as it would on FreeBSD, and nothing that it runs is missing in the log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context as _;
use anyhow::Result;
use nix::mount::MsFlags;
use nix::mount::mount;

use super::etc;
use super::nodes::Node;
use super::place::Place;
use crate::freebsd;

/// Debian's tools that pass for FreeBSD's, by folder.
const PLAIN: &[(&str, &[&str])] = &[
    (
        "/bin",
        &[
            "[", "cat", "echo", "expr", "hostname", "kill", "ps", "pwd", "rmdir", "sleep", "stty", "sync", "tcsh",
            "test",
        ],
    ),
    (
        "/usr/bin",
        &[
            "basename",
            "bc",
            "bzip2",
            "chgrp",
            "cksum",
            "cmp",
            "column",
            "comm",
            "diff",
            "dirname",
            "env",
            "false",
            "file",
            "fold",
            "getconf",
            "getent",
            "groups",
            "gunzip",
            "gzip",
            "join",
            "killall",
            "less",
            "login",
            "mkfifo",
            "more",
            "nice",
            "nl",
            "nohup",
            "od",
            "paste",
            "printenv",
            "printf",
            "renice",
            "rev",
            "scp",
            "seq",
            "sftp",
            "sort",
            "split",
            "ssh",
            "ssh-add",
            "ssh-agent",
            "ssh-keygen",
            "ssh-keyscan",
            "su",
            "tar",
            "tee",
            "time",
            "true",
            "truncate",
            "tsort",
            "tty",
            "unexpand",
            "uniq",
            "uptime",
            "users",
            "which",
            "who",
            "whoami",
            "xz",
            "xzcat",
            "yes",
            "zcat",
            "zgrep",
            "zstd",
        ],
    ),
    ("/usr/sbin", &["chroot", "sshd", "vipw"]),
    ("/usr/local/bin", &["sudo"]),
];

/// FreeBSD's name for a Debian program with another name.
const RENAMED: &[(&str, &str)] =
    &[("/usr/bin/awk", "bin/original-awk"), ("/usr/libexec/sftp-server", "lib/openssh/sftp-server")];

const FOLDERS: &[(&str, u32)] = &[
    ("/.lab/bin", 0o755),
    ("/.lab/real", 0o755),
    ("/.lab/usr", 0o755),
    ("/bin", 0o755),
    ("/boot/kernel", 0o755),
    ("/dev", 0o755),
    ("/etc/defaults", 0o755),
    ("/etc/jail.conf.d", 0o755),
    ("/etc/rc.conf.d", 0o755),
    ("/etc/rc.d", 0o755),
    ("/etc/ssh", 0o755),
    ("/home/admin", 0o755),
    ("/lib", 0o755),
    ("/libexec", 0o755),
    ("/media", 0o755),
    ("/mnt", 0o755),
    ("/proc", 0o555),
    ("/rescue", 0o755),
    ("/root", 0o755),
    ("/run", 0o755),
    ("/sbin", 0o755),
    ("/tmp", 0o1777),
    ("/usr/bin", 0o755),
    ("/usr/home", 0o755),
    ("/usr/libexec", 0o755),
    ("/usr/local/bin", 0o755),
    ("/usr/local/etc/rc.d", 0o755),
    ("/usr/local/etc/wireguard", 0o700),
    ("/usr/local/sbin", 0o755),
    ("/usr/sbin", 0o755),
    ("/var/cron/tabs", 0o700),
    ("/var/db", 0o755),
    ("/var/empty", 0o555),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
];

/// Makes the disk of `node` at `place.disks()/NAME`.
pub fn make(place: &Place, node: &Node) -> Result<()> {
    let root = place.disks().join(node.name);
    fs::create_dir_all(&root)?;
    mount(Some("lab"), &root, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .with_context(|| format!("cannot mount the disk of {}", node.name))?;
    for (folder, mode) in FOLDERS {
        let path = inside(&root, folder);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
    }
    links(&root)?;
    freebsd::base::own::install(&inside(&root, "/.lab"))?;
    etc::write(&root, place, node)
}

fn links(root: &Path) -> Result<()> {
    let emulated: Vec<&freebsd::Command> = freebsd::commands().collect();
    for command in &emulated {
        let folder = inside(root, command.dir);
        fs::create_dir_all(&folder)?;
        link("/.lab/bin/lab", &folder.join(command.name))?;
    }
    freebsd_version(root)?;
    for tool in freebsd::base::plain::TOOLS {
        link("/.lab/bin/lab", &inside(root, tool.dir).join(tool.name))?;
    }
    for (folder, names) in PLAIN {
        for name in names.iter().filter(|name| !emulated.iter().any(|command| command.name == **name)) {
            let Some(from) = ["bin", "sbin"].iter().find(|dir| Path::new("/usr").join(dir).join(name).exists()) else {
                continue;
            };
            // Through /etc/alternatives, which a host does not have, to the program itself.
            let real = fs::canonicalize(Path::new("/usr").join(from).join(name))?;
            let real = real.strip_prefix("/usr").map(Path::to_path_buf).unwrap_or_else(|_| Path::new(from).join(name));
            logged(root, &inside(root, folder).join(name), &real.display().to_string())?;
        }
    }
    for (path, from) in
        RENAMED.iter().filter(|(path, _)| !emulated.iter().any(|command| path.ends_with(&format!("/{}", command.name))))
    {
        logged(root, &inside(root, path), from)?;
    }
    // Debian's libraries under FreeBSD's folders: /lib stays a real folder, as jail roots mount it.
    for entry in fs::read_dir("/usr/lib")?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.contains("linux-gnu") || name.starts_with("ld-") {
            link(&format!("/.lab/usr/lib/{name}"), &root.join("lib").join(name.as_ref()))?;
        }
    }
    link("/.lab/usr/lib", &root.join("usr/lib"))?;
    link("/.lab/usr/libexec/sudo", &root.join("usr/libexec/sudo"))?;
    link("/.lab/usr/share", &root.join("usr/share"))?;
    link("/.lab/usr/lib64", &root.join("lib64"))?;
    link("../run", &root.join("var/run"))
}

/// A name of FreeBSD's behind which stands `real`, a program below /usr: this program comes first, for the log.
fn logged(root: &Path, at: &Path, real: &str) -> Result<()> {
    let name = at.file_name().context("a command has a name")?;
    link(&format!("/.lab/usr/{real}"), &inside(root, "/.lab").join(freebsd::base::plain::AS_THEY_ARE).join(name))?;
    link("/.lab/bin/lab", at)
}

/// /bin/freebsd-version is a script on FreeBSD, and the only place that says which version a userland is (a jail's, above all): administrators read the line.
fn freebsd_version(root: &Path) -> Result<()> {
    let path = inside(root, "/bin/freebsd-version");
    let release = crate::context::Host::default().osrelease;
    let text = format!(
        "#!/bin/sh\n\nUSERLAND_VERSION=\"{release}\"\nexport USERLAND_VERSION\nexec /.lab/bin/lab as freebsd-version \"$@\"\n"
    );
    fs::remove_file(&path)?;
    fs::write(&path, text).context("cannot write freebsd-version")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).context("cannot make freebsd-version executable")
}

fn link(to: &str, at: &Path) -> Result<()> {
    match symlink(to, at) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.with_context(|| format!("cannot link {}", at.display())),
    }
}

/// An absolute path of the host, seen from outside.
pub fn inside(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}
