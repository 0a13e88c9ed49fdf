//! A move whose data goes straight from source to target: who may send how, and where the key begins and ends.
//!
//! The story is told as with the relay; [`node_to_node`] then gives its transfers the other way and puts the key around
//! them.

use std::net::IpAddr;

use crate::effect::Effect;
use crate::effect::Way;
use crate::effect::command::Become;
use crate::effect::command::Command;
use crate::effect::commands;
use crate::effect::direct::Direct;
use crate::effect::direct::SshPublicKey;
use crate::effect::direct::UserName;
use crate::facts::HostFacts;
use crate::model::InterfaceName;
use crate::model::RunId;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::situation::Place;
use crate::plan::situation::Situation;

/// The way from source to target through the tunnel, as the hosts told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The source's address in the tunnel.
    pub source_address: IpAddr,
    /// The target's.
    pub target_address: IpAddr,
    /// The port of the target's sshd.
    pub port: u16,
    /// Who logs in at the target.
    pub user: UserName,
    /// How that user becomes root.
    pub become_root: Become,
    /// The target's host key.
    pub host_key: SshPublicKey,
    /// Have both processors instructions for AES?
    pub aes: bool,
}

/// The addresses of source and target in the tunnel: the first two of one family, IPv4 preferred.
#[must_use]
pub fn addresses(source: (&Place, &HostFacts), target: (&Place, &HostFacts)) -> Option<(IpAddr, IpAddr)> {
    let of = |(place, facts): (&Place, &HostFacts), v4: bool| {
        let within = |name: &InterfaceName| facts.interface(name).map(|i| i.addresses.clone()).unwrap_or_default();
        within(&place.wireguard).iter().map(ipnet::IpNet::addr).find(|a| a.is_ipv4() == v4)
    };
    [true, false].into_iter().find_map(|v4| Some((of(source, v4)?, of(target, v4)?)))
}

/// What `sshd -T` says about the port and the files of keys; the error is a sentence.
///
/// # Errors
/// When no port is in it, or the user's `.ssh/authorized_keys` is not read.
pub fn sshd_port(settings: &str) -> Result<u16, String> {
    let values = |keyword: &'static str| {
        settings.lines().filter_map(move |line| line.strip_prefix(keyword)?.strip_prefix(' ')).map(str::trim)
    };
    let files: Vec<&str> = values("authorizedkeysfile").flat_map(str::split_ascii_whitespace).collect();
    if !files.iter().any(|f| matches!(*f, ".ssh/authorized_keys" | "%h/.ssh/authorized_keys")) {
        return Err(format!("its AuthorizedKeysFile is {:?}, not .ssh/authorized_keys", files.join(" ")));
    }
    values("port").find_map(|port| port.parse().ok()).ok_or_else(|| "sshd -T names no port".to_owned())
}

/// One sentence for the plan's summary.
#[must_use]
pub fn summary(situation: &Situation, link: &Link) -> String {
    format!(
        "data goes straight from {} ({}) to {} ({} port {}, as {}{}) with a key made in this run; it does not exist yet, so the plan writes {:?} where its public half will be",
        situation.source.node,
        link.source_address,
        situation.target.node,
        link.target_address,
        link.port,
        link.user.as_str(),
        if link.aes { ", by AES, for which both processors have instructions" } else { "" },
        String::from(SshPublicKey::placeholder())
    )
}

/// The story with its transfers from node to node: the key is made and tried before everything else, and ends when the
/// move is accepted, or as the last thing on the way back.
#[must_use]
pub fn node_to_node(situation: &Situation, run: &RunId, link: &Link, mut steps: Vec<Step>) -> Vec<Step> {
    // A run id has no character that a path may not have.
    let Ok(folder) = Direct::usual_folder(run) else { return steps };
    let direct = Box::new(Direct {
        run: run.clone(),
        source: situation.source.node.clone(),
        source_address: link.source_address,
        target: situation.target.node.clone(),
        target_address: link.target_address,
        port: link.port,
        user: link.user.clone(),
        become_root: link.become_root,
        folder,
        authorized_keys: None,
        aes: link.aes,
    });
    let mut receives: Vec<Command> = Vec::new();
    for step in &mut steps {
        if let Effect::Transfer(transfer) = &mut step.effect {
            let mut number = |receive: Command| {
                receives.iter().position(|r| *r == receive).map_or_else(
                    || {
                        receives.push(receive.clone());
                        receives.len()
                    },
                    |index| index + 1,
                )
            };
            let (first, rest) = (number(commands::receive(transfer)), number(commands::receive_rest(transfer)));
            transfer.way = Way::Direct { direct: direct.clone(), number: first, resume: Some(rest) };
        }
    }
    let (source, target, user) = (&direct.source, &direct.target, direct.user.as_str());
    let what = format!("keys that {user} on {target} lets in");
    let meaning =
        format!("the key of run {run}, from {} only, for these {} receives only", link.source_address, receives.len());
    let remove = Effect::RemoveKey { direct: direct.clone() };
    let end =
        Step::new(Phase::Persist, format!("the key of this run is gone from {source} and {target}"), remove.clone())
            .change(Change::new(&what, &meaning, ""));
    let accepted = steps.iter().position(|s| s.phase == Phase::Persist).unwrap_or(steps.len());
    steps.insert(accepted, end);
    let begin = Step::new(
        Phase::Copy,
        format!("make a key for this run on {source} and let it in on {target}, only to receive"),
        Effect::AdmitKey { direct: direct.clone(), host_key: link.host_key.clone(), receives },
    )
    .undo(remove)
    .change(Change::new(what, "", meaning));
    let works = Step::new(
        Phase::Copy,
        format!("{source} gets in to {target} with it, through the tunnel"),
        Effect::TryKey { direct: direct.clone() },
    );
    // Behind the lock, before anything is sent.
    let first = steps.iter().position(|s| !matches!(s.effect, Effect::Lock { .. })).unwrap_or(0);
    steps.splice(first..first, [begin, works]);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Base;
    use crate::effect::Transfer;
    use crate::effect::Work;
    use crate::model::DatasetName;
    use crate::model::JailName;
    use crate::model::NodeName;
    use crate::model::RemotePath;
    use crate::model::SnapshotLabel;

    fn place(node: &str) -> Place {
        Place {
            node: NodeName::new(node).unwrap(),
            bridge: InterfaceName::new("bridge0").unwrap(),
            wireguard: InterfaceName::new("wg0").unwrap(),
            fib: 0,
            dataset: DatasetName::new("zroot/web").unwrap(),
            interfaces: vec![],
            egress: NodeName::new("small").unwrap(),
        }
    }

    fn situation() -> Situation {
        Situation {
            jail: JailName::new("web").unwrap(),
            hub: NodeName::new("small").unwrap(),
            hub_wireguard: InterfaceName::new("wg0").unwrap(),
            more_hubs: vec![],
            near_hub: NodeName::new("small").unwrap(),
            source: place("spare"),
            target: place("big"),
            segment: Default::default(),
            path: RemotePath::new("/jails/web").unwrap(),
            configuration_file: RemotePath::new("/etc/jail.conf.d/web.conf").unwrap(),
            target_file: RemotePath::new("/etc/jail.conf.d/web.conf").unwrap(),
            fstab: None,
            prefixes: vec![],
            addresses: vec![],
            hub_sources: Default::default(),
            gateways: vec![],
            mtu: 1380,
            epair: None,
            autostart: false,
            manager: crate::plan::manager::Manager::Plain,
        }
    }

    fn send(base: Base, round: Option<u32>) -> Step {
        let transfer = Transfer {
            from: NodeName::new("spare").unwrap(),
            to: NodeName::new("big").unwrap(),
            dataset: DatasetName::new("zroot/web").unwrap(),
            into: DatasetName::new("zroot/web").unwrap(),
            label: SnapshotLabel::new("s").unwrap(),
            base,
            through: vec![],
            owner: None,
            run: RunId::new("web-0123abcd").unwrap(),
            raw: false,
            estimate: None,
            round,
            rate: None,
            way: Way::Relay,
            refquota: None,
            unlimited: false,
            volume: false,
            delegated: false,
        };
        Step::new(Phase::Copy, "send", Effect::Transfer(transfer))
    }

    fn link() -> Link {
        Link {
            source_address: "10.77.0.2".parse().unwrap(),
            target_address: "10.77.0.3".parse().unwrap(),
            port: 22,
            user: UserName::new("root").unwrap(),
            become_root: Become::None,
            host_key: SshPublicKey::new(
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1yYXQyKQm7c2lXb9cUuGWKkUQ8mJq5H2n0bqk1xN2e",
            )
            .unwrap(),
            aes: false,
        }
    }

    #[test]
    fn the_key_begins_behind_the_lock_and_ends_when_the_move_is_accepted() {
        let (situation, run) = (situation(), RunId::new("web-0123abcd").unwrap());
        let small = situation.hub.clone();
        let bookmark = || Base::Bookmark(SnapshotLabel::new("b").unwrap());
        let lock = Effect::Lock {
            host: small.clone(),
            jail: situation.jail.clone(),
            run: run.clone(),
            owner: crate::model::Owner::new("a@b-1").unwrap(),
        };
        let unlock = Effect::Unlock { host: small, jail: situation.jail.clone(), run: run.clone() };
        let relayed = vec![
            Step::new(Phase::Copy, "lock", lock),
            send(Base::Nothing, Some(0)),
            send(bookmark(), Some(1)),
            send(bookmark(), None),
            Step::new(Phase::Persist, "unlock", unlock),
        ];
        let steps = node_to_node(&situation, &run, &link(), relayed);
        let order: Vec<&str> = steps
            .iter()
            .map(|s| match &s.effect {
                Effect::AdmitKey { .. } => "admit",
                Effect::TryKey { .. } => "try",
                Effect::RemoveKey { .. } => "remove",
                _ => s.title.as_str(),
            })
            .collect();
        assert_eq!(order, ["lock", "admit", "try", "send", "send", "send", "remove", "unlock"]);
        assert_eq!(steps[1].undo, [steps[6].effect.clone()]);
        assert_eq!(steps[6].phase, Phase::Persist);
        // Rounds share a receive, so that the key may run one for the first copy and one for all that follows.
        let Effect::AdmitKey { receives, .. } = &steps[1].effect else { unreachable!() };
        assert_eq!(receives.len(), 2);
        let number = |step: &Step| match step.effect.work() {
            Work::Direct { send, to, .. } => {
                assert_eq!(step.commands(), std::slice::from_ref(&send), "what is printed is what runs");
                receives.iter().position(|r| *r == to).map(|i| (i + 1, send.text()))
            }
            other => panic!("{other:?}"),
        };
        for (step, wanted) in steps[3..6].iter().zip([1, 2, 2]) {
            let (found, text) = number(step).unwrap();
            assert_eq!(found, wanted);
            assert!(text.contains(&format!(" -- 10.77.0.3 {wanted} >&2")), "{text}");
        }
        let admit = &steps[1].commands()[1];
        assert!(admit.text().contains("ssh-ed25519 KEY-MADE-IN-THIS-RUN jailferry-web-0123abcd"), "{}", admit.text());
    }

    #[test]
    fn sshd_must_read_the_file_of_keys() {
        let settings = |files: &str| format!("port 2222\naddressfamily any\nauthorizedkeysfile {files}\n");
        assert_eq!(sshd_port(&settings(".ssh/authorized_keys .ssh/authorized_keys2")), Ok(2222));
        assert!(sshd_port(&settings("/etc/keys/%u")).unwrap_err().contains("/etc/keys/%u"));
        assert!(sshd_port("authorizedkeysfile .ssh/authorized_keys\n").is_err());
    }
}
