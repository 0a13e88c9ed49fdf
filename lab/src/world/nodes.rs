//! The hosts of the lab (docs/testbed.md).

/// How a host's network card is connected.
pub enum Card {
    /// On the internet switch: IPv4 and IPv6 address with prefix length.
    Internet { v4: &'static str, v6: &'static str },
    /// Behind a NAT router of its own: the router's outside address, its inside address, and the host's, with prefix length. IPv4 only, cannot be reached unasked.
    Behind { outside: &'static str, inside: &'static str, host: &'static str },
}

/// One host.
pub struct Node {
    /// Its name.
    pub name: &'static str,
    /// root's login shell.
    pub shell: &'static str,
    /// Who logs in: `root`, or a plain user with `sudo -n`.
    pub login: &'static str,
    /// Reached through this host only.
    pub jump: Option<&'static str>,
    /// Its card.
    pub card: Card,
}

/// All hosts.
pub const NODES: &[Node] = &[
    Node {
        name: "small",
        shell: "/bin/sh",
        login: "admin",
        jump: None,
        card: Card::Internet { v4: "203.0.113.1/24", v6: "2001:db8:ff::1/64" },
    },
    Node {
        name: "spare",
        shell: "/bin/csh",
        login: "root",
        jump: None,
        card: Card::Behind { outside: "203.0.113.12/24", inside: "10.0.12.1/24", host: "10.0.12.2/24" },
    },
    Node {
        name: "big",
        shell: "/bin/sh",
        login: "root",
        jump: Some("small"),
        card: Card::Behind { outside: "203.0.113.13/24", inside: "10.0.13.1/24", host: "10.0.13.2/24" },
    },
    Node {
        name: "client",
        shell: "/bin/sh",
        login: "root",
        jump: None,
        card: Card::Internet { v4: "203.0.113.100/24", v6: "2001:db8:ff::100/64" },
    },
];

/// The port on the jump host's loopback that leads to the host behind it.
pub const JUMP_PORT: u16 = 2203;

/// The host with that name.
pub fn find(name: &str) -> anyhow::Result<&'static Node> {
    NODES
        .iter()
        .find(|node| node.name == name)
        .ok_or_else(|| anyhow::anyhow!("no host named {name} in the lab (there are {})", names()))
}

fn names() -> String {
    NODES.iter().map(|node| node.name).collect::<Vec<_>>().join(", ")
}
