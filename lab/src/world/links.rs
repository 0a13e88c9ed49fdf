//! The cables: an internet switch in the outer network namespace, a NAT router before each host that needs one, a network card (`vtnet0`) in each host.

use std::collections::HashMap;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context as _;
use anyhow::Result;

use super::nodes::Card;
use super::nodes::NODES;
use super::nodes::Node;
use super::spawn;
use crate::net::tool;

/// All cables of the lab.
pub struct Links {
    routers: HashMap<&'static str, Child>,
}

impl Links {
    /// Makes the switch and the routers. To be called in the outer namespace.
    pub fn install() -> Result<Links> {
        let mut links = Links { routers: HashMap::new() };
        let mut batch = String::from("link set lo up\nlink add internet type bridge\nlink set internet up\n");
        for node in NODES {
            if let Card::Behind { .. } = node.card {
                let mut router = spawn::myself()
                    .arg("__router")
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .spawn()
                    .context("cannot start a router")?;
                batch += &format!(
                    "link add r-{0} type veth peer name outside netns {1}\nlink set r-{0} master internet up\n",
                    node.name,
                    ready(&mut router)?
                );
                links.routers.insert(node.name, router);
            }
        }
        ip(&batch)?;
        for node in NODES {
            if let (Card::Behind { outside, .. }, Some(router)) = (&node.card, links.routers.get(node.name)) {
                let pid = router.id() as i32;
                let mut sysctl = spawn::in_network_of(pid, tool("dash"))?;
                sysctl.args(["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]);
                spawn::fed(sysctl, "")?;
                ip_in(pid, &format!("link set lo up\naddress add {outside} dev outside\nlink set outside up\n"))?;
                let mut nft = spawn::in_network_of(pid, tool("nft"))?;
                nft.args(["-f", "-"]);
                spawn::fed(
                    nft,
                    "table ip router {\n chain nat { type nat hook postrouting priority 100; oifname \"outside\" masquerade; }\n \
                     chain unasked { type filter hook forward priority 0; iifname \"outside\" ct state established,related accept; iifname \"outside\" drop; }\n}\n",
                )?;
            }
        }
        Ok(links)
    }

    /// Puts a card into the network namespace of process `pid`.
    pub fn plug(&self, node: &Node, pid: i32) -> Result<()> {
        match (&node.card, self.routers.get(node.name)) {
            (Card::Internet { .. }, _) => ip(&format!(
                "link add c-{0} type veth peer name vtnet0 netns {pid}\nlink set c-{0} master internet up\n",
                node.name
            )),
            (Card::Behind { inside, .. }, Some(router)) => {
                let router = router.id() as i32;
                ip(&format!("link add inside netns {router} type veth peer name vtnet0 netns {pid}\n"))?;
                ip_in(router, &format!("address add {inside} dev inside\nlink set inside up\n"))
            }
            (Card::Behind { .. }, None) => anyhow::bail!("{} has no router", node.name),
        }
    }

    /// Pulls a host's card, so that the next one can have its name. Absent is fine: it goes with the host's namespace.
    pub fn unplug(&self, node: &Node) {
        let command = match self.routers.get(node.name) {
            Some(router) => spawn::in_network_of(router.id() as i32, tool("ip")).map(|mut ip| {
                ip.args(["link", "del", "inside"]);
                ip
            }),
            None => {
                let mut ip = Command::new(tool("ip"));
                ip.args(["link", "del", &format!("c-{}", node.name)]);
                Ok(ip)
            }
        };
        if let Ok(mut command) = command {
            let _absent = command.stderr(Stdio::null()).status();
        }
    }
}

/// The lines of `ip -batch` that configure a host's card from inside.
pub fn configure(node: &Node) -> String {
    let mut batch = String::from("link set lo up\n");
    match node.card {
        Card::Internet { v4, v6 } => {
            batch += &format!("address add {v4} dev vtnet0\naddress add {v6} dev vtnet0 nodad\nlink set vtnet0 up\n");
        }
        Card::Behind { inside, host, .. } => {
            let gateway = inside.split('/').next().unwrap_or(inside);
            batch += &format!("address add {host} dev vtnet0\nlink set vtnet0 up\nroute add default via {gateway}\n");
        }
    }
    batch
}

/// `lab __router`: a network namespace of its own, held by a process that only waits.
pub fn router() -> Result<()> {
    spawn::die_with_parent()?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    println!("ready");
    loop {
        nix::unistd::pause();
    }
}

fn ready(router: &mut Child) -> Result<u32> {
    use std::io::Read;
    let mut byte = [0u8; 1];
    router
        .stdout
        .as_mut()
        .context("the router has no output")?
        .read_exact(&mut byte)
        .context("the router did not start")?;
    Ok(router.id())
}

fn ip(batch: &str) -> Result<()> {
    let mut command = Command::new(tool("ip"));
    command.args(["-batch", "-"]);
    spawn::fed(command, batch)
}

fn ip_in(pid: i32, batch: &str) -> Result<()> {
    let mut command = spawn::in_network_of(pid, tool("ip"))?;
    command.args(["-batch", "-"]);
    spawn::fed(command, batch)
}
