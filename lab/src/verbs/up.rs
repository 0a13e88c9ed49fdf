//! `lab up`.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;

use crate::world::nodes::JUMP_PORT;
use crate::world::nodes::NODES;
use crate::world::place::Place;
use crate::world::spawn;

/// Raises the lab in `place`.
pub fn run(place: &Place, args: &[String]) -> Result<i32> {
    let bare = match args {
        [] => false,
        [flag] if flag == "--bare" => true,
        _ => bail!("usage: lab up [--bare]"),
    };
    if place.outer().is_some() {
        bail!("a lab runs already in {} (lab down ends it)", place.dir.display());
    }
    tools()?;
    folder(place)?;
    crate::freebsd::zfs::real::prepare(place, NODES)?;
    let mut listeners = Vec::new();
    for node in NODES.iter().filter(|node| node.jump.is_none()) {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")?;
        spawn::inherit(listener.as_raw_fd())?;
        listeners.push((node.name, listener));
    }
    keys(place)?;
    ssh_config(place, &listeners)?;
    start(place, &listeners)?;
    drop(listeners);
    hand_over(place)?;
    if !bare {
        let status = super::prepare::run(place)?;
        if status != 0 {
            return Ok(status);
        }
    }
    println!("The lab is up in {}", place.dir.display());
    println!("  ssh -F {} small   (also spare, big, client)", place.file("ssh_config").display());
    println!("  . {}", place.file("env").display());
    Ok(0)
}

/// Says at once, and by name, what `lab/setup.sh` would install.
fn tools() -> Result<()> {
    let missing: Vec<&str> =
        ["sshd", "ssh-keygen", "ip", "nft", "wg", "dash", "tcsh", "sudo", "ping", "original-awk", "ps", "conntrack"]
            .into_iter()
            .filter(|name| !crate::net::tool(name).is_absolute())
            .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        bail!("missing on this machine: {} (lab/setup.sh installs them)", missing.join(", "))
    }
}

/// An empty folder with a copy of this program: a lab that runs must not change when the program is built again.
fn folder(place: &Place) -> Result<()> {
    let dir = &place.dir;
    if dir.exists() {
        let ours = fs::read_dir(dir)?.next().is_none() || place.file("lab").exists();
        anyhow::ensure!(ours, "{} exists and is not a lab's folder", dir.display());
        fs::remove_dir_all(dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    fs::create_dir_all(place.file("keys")).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711))?;
    fs::copy("/proc/self/exe", place.file("lab")).context("cannot copy the program")?;
    Ok(())
}

fn keys(place: &Place) -> Result<()> {
    let mut files = vec![place.file("id_ed25519")];
    files.extend(NODES.iter().map(|node| place.file(&format!("keys/{}_ssh_host_ed25519_key", node.name))));
    let mut children = Vec::new();
    for file in &files {
        children.push(
            Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "jailferry-lab", "-f"])
                .arg(file)
                .spawn()
                .context("cannot run ssh-keygen")?,
        );
    }
    for mut child in children {
        anyhow::ensure!(child.wait()?.success(), "ssh-keygen failed");
    }
    let mut known = String::new();
    for node in NODES {
        let key = fs::read_to_string(place.file(&format!("keys/{}_ssh_host_ed25519_key.pub", node.name)))?;
        known += &format!("lab-{} {key}", node.name);
    }
    fs::write(place.file("known_hosts"), known).context("cannot write known_hosts")
}

fn ssh_config(place: &Place, listeners: &[(&str, TcpListener)]) -> Result<()> {
    let mut text = String::from("# The hosts of this lab, for `ssh -F`. Written by `lab up`.\n");
    for node in NODES {
        let port = match listeners.iter().find(|(name, _)| *name == node.name) {
            Some((_, listener)) => listener.local_addr()?.port(),
            None => JUMP_PORT,
        };
        text += &format!(
            "Host {}\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n  HostKeyAlias lab-{}\n",
            node.name, node.login, node.name
        );
        if let Some(jump) = node.jump {
            text += &format!("  ProxyJump {jump}\n");
        }
    }
    text += &format!(
        "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n  KexAlgorithms curve25519-sha256\n  \
         PreferredAuthentications publickey\n  LogLevel ERROR\n",
        place.file("id_ed25519").display(),
        place.file("known_hosts").display()
    );
    fs::write(place.file("ssh_config"), text).context("cannot write ssh_config")?;
    let env = format!(
        "# Environment for tools that use this lab (sh syntax).\nLAB_DIR={0}\nLAB_SSH_CONFIG={0}/ssh_config\nJAILFERRY_SSH_CONFIG={0}/ssh_config\nexport LAB_DIR LAB_SSH_CONFIG JAILFERRY_SSH_CONFIG\n",
        place.dir.display()
    );
    fs::write(place.file("env"), env).context("cannot write env")
}

fn start(place: &Place, listeners: &[(&str, TcpListener)]) -> Result<()> {
    let log = fs::File::options().create(true).append(true).open(place.file("lab.log"))?;
    let mut outer = Command::new(place.file("lab"));
    outer.arg("__outer").arg(&place.dir).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    for (name, listener) in listeners {
        outer.arg(format!("{name}={}", listener.as_raw_fd()));
    }
    let mut outer = outer.spawn().context("cannot start the lab")?;
    let mut lines = BufReader::new(outer.stdout.take().context("no output")?).lines();
    let pid = lines.next().transpose()?.and_then(|line| line.parse().ok());
    let Some(pid) = pid else { bail!("the lab did not start: {}", last_words(place)) };
    outer.wait()?;
    place.record(pid)?;
    match lines.next().transpose()?.as_deref() {
        Some("ready") => Ok(()),
        Some(other) => bail!("the lab did not start: {}", other.trim_start_matches("error ")),
        None => bail!("the lab did not start: {}", last_words(place)),
    }
}

fn last_words(place: &Place) -> String {
    let log = fs::read_to_string(place.file("lab.log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(5).collect();
    tail.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// With sudo, the key and the configuration belong to who called sudo: ssh is run by them.
fn hand_over(place: &Place) -> Result<()> {
    let id = |name: &str| std::env::var(name).ok().and_then(|id| id.parse::<u32>().ok());
    if let (Some(uid), Some(gid)) = (id("SUDO_UID"), id("SUDO_GID")) {
        for file in ["id_ed25519", "ssh_config", "known_hosts", "env"] {
            std::os::unix::fs::chown(place.file(file), Some(uid), Some(gid))?;
        }
    }
    Ok(())
}
