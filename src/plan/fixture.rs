//! Fleets for tests: the testbed of docs/testbed.md, and variations of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::effect::commands::sha256;
use crate::effect::simulate::World;
use crate::facts::Boot;
use crate::facts::Dataset;
use crate::facts::DatasetKind;
use crate::facts::HostFacts;
use crate::facts::Identity;
use crate::facts::Interface;
use crate::facts::JailDataset;
use crate::facts::JailFacts;
use crate::facts::Peer;
use crate::facts::Pf;
use crate::facts::Pool;
use crate::facts::PropertyValue;
use crate::facts::RcConf;
use crate::facts::Room;
use crate::facts::Route;
use crate::facts::RunningJail;
use crate::facts::TextFile;
use crate::facts::WireGuard;
use crate::facts::WireGuardFile;
use crate::model::DatasetName;
use crate::model::Family;
use crate::model::Guid;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::Landmark;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::Prefix;
use crate::model::PublicKey;
use crate::model::RemotePath;
use crate::playbook::Fleet;
use crate::playbook::JailSpec;
use crate::playbook::Node;
use crate::playbook::Options;

/// A fleet in a few words; the first node is the hub.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) nodes: Vec<NodeShape>,
    pub(crate) jails: Vec<JailShape>,
    /// Networks of the canary.
    pub(crate) canary: Vec<&'static str>,
    /// Nodes with a tunnel straight to each other, as pairs of indices.
    pub(crate) mesh: Vec<(usize, usize)>,
    /// net.add_addr_allfibs=1: every FIB has the networks of all bridges.
    pub(crate) all_fibs: bool,
    /// Hubs besides the first node, each with a tunnel to that one.
    pub(crate) more_hubs: Vec<MoreHub>,
}

/// Another hub.
#[derive(Debug, Clone)]
pub(crate) struct MoreHub {
    pub(crate) index: usize,
    /// The nodes that are its peers.
    pub(crate) behind: Vec<usize>,
    /// Are they peers of this hub only, or is it a second one to them, by an interface of its own?
    pub(crate) only: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct NodeShape {
    pub(crate) name: &'static str,
    /// FIB of its jails; with 0 the default route of FIB 0 leads into the tunnel.
    pub(crate) fib: u16,
    pub(crate) bridge: &'static str,
    pub(crate) parent: &'static str,
    /// Mount point of the parent.
    pub(crate) mount: &'static str,
    /// Does its WireGuard file belong to wg-quick(8)?
    pub(crate) quick: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct JailShape {
    pub(crate) name: &'static str,
    /// Index of its node.
    pub(crate) home: usize,
    /// The number of its own network; `None` for an address out of its node's.
    pub(crate) whole: Option<u16>,
    pub(crate) inet: bool,
    pub(crate) inet6: bool,
    pub(crate) unit: u32,
    pub(crate) autostart: bool,
    /// Has a dataset `data` below its own?
    pub(crate) data: bool,
}

/// Who drives the runs of tests.
pub(crate) fn tester() -> Owner {
    Owner::new("tests@here-0").unwrap()
}

pub(crate) fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

pub(crate) fn jail(name: &str) -> JailName {
    JailName::new(name).unwrap()
}

fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).unwrap()
}

fn dataset(name: &str) -> DatasetName {
    DatasetName::new(name).unwrap()
}

pub(crate) fn path(name: &str) -> RemotePath {
    RemotePath::new(name).unwrap()
}

fn landmark(family: Family) -> Landmark {
    match family {
        Family::Inet => "http://203.0.113.100/".parse().unwrap(),
        Family::Inet6 => "http://[2001:db8:ff::100]/".parse().unwrap(),
    }
}

/// From the number of a node's key to that of its second tunnel's.
const SECOND: usize = 10;

fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// The network number `n`: 192.168.(122+n).0/24 or 2001:db8:1:n::/72.
fn network(family: Family, n: u16) -> Prefix {
    match family {
        Family::Inet => p(&format!("192.168.{}.0/24", 122 + n)),
        Family::Inet6 => p(&format!("2001:db8:1:{n:x}::/72")),
    }
}

fn address(family: Family, n: u16, last: u16) -> IpAddr {
    match family {
        Family::Inet => format!("192.168.{}.{last}", 122 + n),
        Family::Inet6 => format!("2001:db8:1:{n:x}::{last}"),
    }
    .parse()
    .unwrap()
}

fn in_network(family: Family, n: u16, last: u16) -> IpNet {
    IpNet::new(address(family, n, last), network(family, n).length()).unwrap()
}

pub(crate) fn key(index: usize) -> PublicKey {
    let letter = char::from(b'A' + u8::try_from(index).unwrap());
    PublicKey::new(format!("{}=", letter.to_string().repeat(43))).unwrap()
}

impl JailShape {
    fn families(&self) -> Vec<Family> {
        let both = [(Family::Inet, self.inet), (Family::Inet6, self.inet6)];
        both.into_iter().filter(|(_, has)| *has).map(|(family, _)| family).collect()
    }

    fn number(&self) -> u16 {
        self.whole.unwrap_or(u16::try_from(self.home).unwrap())
    }

    fn last(&self) -> u16 {
        if self.whole.is_some() { 10 } else { 50 + u16::try_from(self.unit).unwrap() }
    }

    pub(crate) fn prefixes(&self) -> Vec<Prefix> {
        let of = |family| match self.whole {
            Some(n) => network(family, n),
            None => Prefix::host(address(family, self.number(), self.last())),
        };
        self.families().into_iter().map(of).collect()
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.families().into_iter().map(|f| address(f, self.number(), self.last())).collect()
    }

    fn running(&self, mount: &str) -> RunningJail {
        RunningJail {
            name: self.name.into(),
            jid: 1,
            path: format!("{mount}/{}", self.name),
            vnet: true,
            dying: false,
            addresses: self.families().into_iter().map(|f| in_network(f, self.number(), self.last())).collect(),
            gateways: self.families().into_iter().map(|f| address(f, self.number(), 1)).collect(),
            mtu: Some(1380),
        }
    }

    fn configuration(&self, place: &NodeShape) -> String {
        let JailShape { name, unit, .. } = self;
        let NodeShape { fib, bridge, mount, .. } = place;
        let fib = if *fib == 0 {
            String::new()
        } else {
            format!("    exec.prestart += \"/sbin/ifconfig epair{unit}a fib {fib}\";\t# out through the tunnel\n")
        };
        format!(
            "# {name}\n{name} {{\n    path = \"{mount}/{name}\";\n    mount.fstab = \"/etc/jail.{name}.fstab\";\n    vnet;\n    vnet.interface = \"epair{unit}b\";\n    exec.prestart = \"/sbin/ifconfig epair{unit} create\";\n{fib}    exec.prestart += \"/sbin/ifconfig {bridge} addm epair{unit}a\";\n    exec.prestart += \"/sbin/ifconfig epair{unit}a up\";\n    exec.start = \"/bin/sh /etc/rc\";\n    exec.poststop = \"/sbin/ifconfig epair{unit}a destroy\";\n    persist;\n}}\n"
        )
    }
}

fn text(text: &str) -> TextFile {
    TextFile { text: text.into(), sha256: sha256(text), mode: "644".into(), owner: (0, 0) }
}

fn route(destination: Prefix, out: &str, gateway: Option<&str>, flags: &str) -> Route {
    Route { destination, interface: interface(out), gateway: gateway.map(|g| g.parse().unwrap()), flags: flags.into() }
}

impl Shape {
    /// docs/testbed.md.
    pub(crate) fn testbed() -> Shape {
        let node = |name, fib| NodeShape {
            name,
            fib,
            bridge: "bridge0",
            parent: "jfpool/jails",
            mount: "/jf/jails",
            quick: false,
        };
        let jail = |name, home, whole, unit| JailShape {
            name,
            home,
            whole,
            inet: true,
            inet6: true,
            unit,
            autostart: true,
            data: true,
        };
        Shape {
            nodes: vec![node("small", 0), node("spare", 1), node("big", 1)],
            jails: vec![
                jail("web", 1, None, 0),
                jail("sib", 1, None, 1),
                jail("db", 1, Some(3), 2),
                jail("mail", 0, None, 3),
            ],
            canary: vec!["192.168.123.8/30", "2001:db8:1:1::8/126"],
            mesh: Vec::new(),
            all_fibs: false,
            more_hubs: Vec::new(),
        }
    }

    /// The testbed and a fourth host `far`, which is a hub, too.
    pub(crate) fn with_second_hub(hub: MoreHub) -> Shape {
        let mut shape = Shape::testbed();
        shape.nodes.push(NodeShape { name: "far", fib: 0, ..shape.nodes[0].clone() });
        // Not far's own network.
        shape.jails[2].whole = Some(30);
        shape.more_hubs.push(hub);
        shape
    }

    fn is_hub(&self, index: usize) -> bool {
        index == 0 || self.more_hubs.iter().any(|hub| hub.index == index)
    }

    /// The hub that a node's tunnel leads to.
    fn hub_of(&self, index: usize) -> usize {
        let only = self.more_hubs.iter().find(|hub| hub.only && hub.behind.contains(&index));
        only.map_or(0, |hub| hub.index)
    }

    /// The hub that a node's second tunnel leads to.
    fn second_hub_of(&self, index: usize) -> Option<usize> {
        self.more_hubs.iter().find(|hub| !hub.only && hub.behind.contains(&index)).map(|hub| hub.index)
    }

    /// The peers of a hub. The first one is in the middle of the others.
    fn peers_of_hub(&self, index: usize) -> Vec<Peer> {
        let all = || (0..self.nodes.len()).filter(move |other| *other != index);
        if index == 0 {
            let mut peers: Vec<Peer> = all().filter(|n| self.hub_of(*n) == 0).map(|n| self.peer(n)).collect();
            for peer in &mut peers {
                let region = all().filter(|n| self.hub_of(*n) != 0 && key(self.hub_of(*n)) == peer.public_key);
                peer.allowed.extend(region.flat_map(|n| self.peer(n).allowed));
            }
            return peers;
        }
        let (mut first, mut peers) = (self.peer(0), Vec::new());
        for other in all().filter(|n| *n != 0) {
            let mut peer = self.peer(other);
            if self.second_hub_of(other) == Some(index) {
                peer.public_key = key(other + SECOND);
                peer.allowed.insert(p(&format!("10.78.0.{}/32", other + 1)));
                peers.push(peer);
            } else if self.hub_of(other) == index {
                peers.push(peer);
            } else {
                first.allowed.extend(peer.allowed);
            }
        }
        peers.insert(0, first);
        peers
    }

    /// The tunnel to a second hub.
    fn second_tunnel(&self, index: usize) -> Option<WireGuard> {
        let allowed = BTreeSet::from([p("0.0.0.0/0"), p("::/0")]);
        let peer = Peer {
            public_key: key(self.second_hub_of(index)?),
            allowed,
            latest_handshake: 1_700_000_000,
            endpoint: None,
            keepalive: Some(true),
        };
        Some(WireGuard {
            interface: interface("wg1"),
            public_key: key(index + SECOND),
            listen_port: 51821,
            peers: vec![peer],
        })
    }

    pub(crate) fn fleet(&self) -> Fleet {
        let nodes = self.nodes.iter().enumerate().map(|(index, shape)| {
            let name = node(shape.name);
            let mut one = Node::named(&name).unwrap();
            one.bridge = Some(interface(shape.bridge));
            one.parent = Some(dataset(shape.parent));
            one.fib = (index > 0).then_some(shape.fib);
            one.mtu = Some(1380);
            (name, one)
        });
        let jails = self.jails.iter().map(|shape| {
            let spec = JailSpec { prefixes: shape.prefixes(), ..JailSpec::default() };
            (jail(shape.name), spec)
        });
        Fleet {
            hub: node(self.nodes[0].name),
            more_hubs: self.more_hubs.iter().map(|hub| node(self.nodes[hub.index].name)).collect(),
            nodes: nodes.collect(),
            jails: jails.collect(),
            tunnel: Vec::new(),
            canary: self.canary.iter().map(|t| p(t)).collect(),
            egress_check: self.canary.iter().map(|t| landmark(p(t).family())).collect(),
            ssh_config: None,
            options: Options::default(),
        }
    }

    /// Networks on a node's bridge: its own, and those of its jails that have one.
    fn networks(&self, index: usize) -> Vec<u16> {
        let own = u16::try_from(index).unwrap();
        let of_jails = self.jails.iter().filter(|j| j.home == index).filter_map(|j| j.whole);
        std::iter::once(own).chain(of_jails).collect()
    }

    fn peer(&self, index: usize) -> Peer {
        let mut allowed = BTreeSet::from([p(&format!("10.77.0.{}/32", index + 1))]);
        for n in self.networks(index) {
            allowed.extend([network(Family::Inet, n), network(Family::Inet6, n)]);
        }
        Peer { public_key: key(index), allowed, latest_handshake: 1_700_000_000, endpoint: None, keepalive: Some(true) }
    }

    fn host(&self, index: usize) -> HostFacts {
        let shape = &self.nodes[index];
        let hub = self.is_hub(index);
        let families = [Family::Inet, Family::Inet6];
        let mut addresses: Vec<IpNet> = Vec::new();
        let mut routes: BTreeMap<u16, Vec<Route>> =
            BTreeMap::from([(0, vec![route(p("10.77.0.0/24"), "wg0", None, "U")])]);
        if shape.fib != 0 {
            routes.insert(shape.fib, Vec::new());
        }
        let main = routes.get_mut(&0).unwrap();
        let mut variables = BTreeMap::new();
        for n in self.networks(index) {
            for family in families {
                addresses.push(in_network(family, n, 1));
                main.push(route(network(family, n), shape.bridge, None, "U"));
            }
        }
        if hub || shape.fib != 0 {
            main.push(route(p("0.0.0.0/0"), "vtnet0", Some("203.0.113.254"), "UGS"));
        }
        if hub {
            let mut names = Vec::new();
            for other in (0..self.nodes.len()).filter(|other| *other != index) {
                for n in self.networks(other) {
                    main.extend(families.map(|f| route(network(f, n), "wg0", None, "US")));
                    names.push(format!("net{n}"));
                    for (start, family) in [("route_net", Family::Inet), ("ipv6_route_net", Family::Inet6)] {
                        let arguments = format!("-net {} -interface wg0", network(family, n));
                        variables.insert(format!("{start}{n}"), arguments);
                    }
                }
            }
            variables.insert("static_routes".into(), names.join(" "));
            variables.insert("ipv6_static_routes".into(), names.join(" "));
        } else {
            main.extend(families.map(|f| route(network(f, 0), "wg0", None, "US")));
            let outward = routes.get_mut(&shape.fib).unwrap();
            outward.extend(["0.0.0.0/0", "::/1", "8000::/1"].map(|d| route(p(d), "wg0", None, "US")));
        }
        variables.insert(format!("ifconfig_{}", shape.bridge), "up".into());
        let here: Vec<&JailShape> = self.jails.iter().filter(|j| j.home == index).collect();
        let ends: Vec<InterfaceName> = here.iter().map(|j| interface(&format!("epair{}a", j.unit))).collect();
        let mut interfaces = vec![
            Interface {
                name: interface("vtnet0"),
                up: true,
                mtu: 1500,
                fib: 0,
                addresses: vec![],
                members: vec![],
                groups: vec![],
            },
            Interface {
                name: interface("wg0"),
                up: true,
                mtu: 1420,
                fib: 0,
                addresses: vec![format!("10.77.0.{}/24", index + 1).parse().unwrap()],
                members: vec![],
                groups: vec!["wg".into()],
            },
            Interface {
                name: interface(shape.bridge),
                up: true,
                mtu: 1500,
                fib: 0,
                addresses,
                members: ends.clone(),
                groups: vec!["bridge".into()],
            },
        ];
        interfaces.extend(ends.into_iter().map(|name| Interface {
            name,
            up: true,
            mtu: 1500,
            fib: shape.fib,
            addresses: vec![],
            members: vec![],
            groups: vec!["epair".into()],
        }));
        if self.all_fibs && shape.fib != 0 {
            let connected: Vec<Route> =
                routes.get(&0).into_iter().flatten().filter(|r| r.flags == "U").cloned().collect();
            routes.get_mut(&shape.fib).unwrap().extend(connected);
        }
        let second = self.second_tunnel(index);
        if second.is_some() {
            routes.entry(0).or_default().push(route(p("10.78.0.0/24"), "wg1", None, "U"));
            let addresses = vec![format!("10.78.0.{}/24", index + 1).parse().unwrap()];
            interfaces.push(Interface { name: interface("wg1"), addresses, ..interfaces[1].clone() });
        }
        let mut peers: Vec<Peer> = if hub {
            self.peers_of_hub(index)
        } else {
            let allowed = BTreeSet::from([p("0.0.0.0/0"), p("::/0")]);
            vec![Peer {
                public_key: key(self.hub_of(index)),
                allowed,
                latest_handshake: 1_700_000_000,
                endpoint: None,
                keepalive: Some(true),
            }]
        };
        for (a, b) in &self.mesh {
            let other = if *a == index { *b } else { *a };
            if (*a == index || *b == index) && other != index && other != 0 && !hub {
                peers.push(self.peer(other));
            }
        }
        let first = WireGuard { interface: interface("wg0"), public_key: key(index), listen_port: 51820, peers };
        let tunnels: Vec<WireGuard> = std::iter::once(first).chain(second).collect();
        let file = |tunnel: &WireGuard| WireGuardFile {
            path: path(&format!("/usr/local/etc/wireguard/{}.conf", tunnel.interface)),
            interface: tunnel.interface.clone(),
            save_config: false,
            wg_quick: shape.quick,
            table: shape.quick.then(|| "off".to_owned()),
            sha256: String::new(),
            peers: tunnel.peers.iter().map(|p| (p.public_key.clone(), p.allowed.clone())).collect(),
        };
        let autostart: Vec<&str> = here.iter().filter(|j| j.autostart).map(|j| j.name).collect();
        let (list, enable) = (autostart.join(" "), if autostart.is_empty() { "NO" } else { "YES" });
        let commands = ["wg", "lockf", "timeout", "fetch", "nc", "daemon", "sha256"];
        let sysctls = [
            ("net.inet.ip.forwarding", "1"),
            ("net.inet6.ip6.forwarding", "1"),
            ("net.fibs", "2"),
            ("net.add_addr_allfibs", if self.all_fibs { "1" } else { "0" }),
            ("net.link.ether.inet.proxyall", "0"),
            ("kern.features.vimage", "1"),
            ("kern.securelevel", "-1"),
        ];
        HostFacts {
            identity: Identity {
                hostname: shape.name.into(),
                hostuuid: format!("uuid-{}", shape.name),
                machine: "amd64".into(),
                kernel_version: 1_302_001,
                installed: "13.2-RELEASE-p4".into(),
                running: "13.2-RELEASE-p4".into(),
                userland: "13.2-RELEASE-p4".into(),
                clock: 1_700_000_060,
                uid: 0,
            },
            sysctls: sysctls.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            modules: ["if_bridge", "if_epair"].map(str::to_owned).into(),
            interfaces,
            routes,
            wireguard_files: tunnels.iter().map(file).collect(),
            wireguard: tunnels,
            pf: Pf {
                enabled: Some(true),
                nat: vec!["nat on vtnet0 inet from 192.168.0.0/16 to any -> (vtnet0:0)".into()],
                ..Pf::default()
            },
            moving: BTreeMap::new(),
            jails: here.iter().map(|j| j.running(shape.mount)).collect(),
            jail_configurations: vec![],
            jail_files: BTreeMap::new(),
            boot_off: BTreeSet::new(),
            rc: RcConf {
                jail_enable: !autostart.is_empty(),
                jail_list: autostart.iter().map(|j| (*j).to_owned()).collect(),
                jail_list_text: Some(list),
                jail_enable_text: Some(enable.into()),
                jail_enable_file: path("/etc/rc.conf"),
                jail_list_file: path("/etc/rc.conf"),
                variables,
            },
            datasets: self.datasets(index),
            pools: vec![Pool {
                name: dataset(shape.parent).pool().into(),
                free: 100 << 30,
                size: 200 << 30,
                health: "ONLINE".into(),
                readonly: false,
                features: BTreeMap::new(),
            }],
            zfs: None,
            commands: commands.map(str::to_owned).into(),
            room: [("/etc", 1 << 30), ("/var/db", 1 << 30)]
                .map(|(folder, free)| (path(folder), Room { writable: true, free }))
                .into(),
            // Scripts of the host's own make everything at boot.
            boot: Boot {
                settings: BTreeMap::from([("net.fibs".to_owned(), 2)]),
                tools: ["route", "ifconfig", "sysctl", "pfctl", "wg"].map(str::to_owned).into(),
            },
            permanent_arp: vec![],
            unreadable: BTreeMap::new(),
        }
    }

    fn datasets(&self, index: usize) -> Vec<Dataset> {
        let shape = &self.nodes[index];
        let one = |name: &str, mountpoint: &str| Dataset {
            name: dataset(name),
            kind: DatasetKind::Filesystem,
            guid: Guid(u64::try_from(1000 * (index + 1) + name.len()).unwrap()),
            used: 8 << 20,
            referenced: 4 << 20,
            available: 100 << 30,
            mountpoint: mountpoint.into(),
            canmount: "on".into(),
            mounted: true,
            origin: None,
            encrypted: false,
            key_available: true,
            jailed: false,
            readonly: false,
            run: None,
            notice: None,
        };
        let pool = dataset(shape.parent).pool().to_owned();
        let mut all = vec![one(&pool, &format!("/{pool}")), one(shape.parent, shape.mount)];
        for jail in self.jails.iter().filter(|j| j.home == index) {
            let name = format!("{}/{}", shape.parent, jail.name);
            let mount = format!("{}/{}", shape.mount, jail.name);
            all.push(one(&name, &mount));
            if jail.data {
                all.push(one(&format!("{name}/data"), &format!("{mount}/data")));
            }
        }
        all
    }

    /// The whole fleet with every jail at home.
    pub(crate) fn world(&self) -> World {
        let hosts: BTreeMap<NodeName, HostFacts> =
            (0..self.nodes.len()).map(|i| (node(self.nodes[i].name), self.host(i))).collect();
        let mut world = World::of(hosts);
        for shape in &self.jails {
            let place = &self.nodes[shape.home];
            let root = dataset(&format!("{}/{}", place.parent, shape.name));
            let one = |name: DatasetName| JailDataset {
                name,
                snapshots: vec![],
                properties: BTreeMap::<String, PropertyValue>::new(),
            };
            let mut datasets = vec![one(root.clone())];
            if shape.data {
                datasets.push(one(root.child("data").unwrap()));
            }
            let facts = JailFacts {
                name: jail(shape.name),
                configuration_file: path(&format!("/etc/jail.conf.d/{}.conf", shape.name)),
                configuration: text(&shape.configuration(place)),
                fstab: Some((
                    path(&format!("/etc/jail.{}.fstab", shape.name)),
                    text(&format!("/bin {}/{}/bin nullfs ro 0 0\n", place.mount, shape.name)),
                )),
                datasets,
                mounts: vec![],
                userland: None,
                inner_rc_interfaces: vec![],
                beside: BTreeSet::new(),
                outside: BTreeMap::new(),
                origins: BTreeMap::new(),
            };
            world.tell_jail(&node(place.name), &facts);
        }
        world.seal();
        world
    }
}
