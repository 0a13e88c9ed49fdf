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
        "data goes straight from {} ({}) to {} ({} port {}, as {}) with a key made in this run; it does not exist yet, so the plan writes {:?} where its public half will be",
        situation.source.node,
        link.source_address,
        situation.target.node,
        link.target_address,
        link.port,
        link.user.as_str(),
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
    });
    let mut receives: Vec<Command> = Vec::new();
    for step in &mut steps {
        if let Effect::Transfer(transfer) = &mut step.effect {
            let receive = commands::receive(transfer);
            let index = receives.iter().position(|r| *r == receive).unwrap_or_else(|| {
                receives.push(receive);
                receives.len() - 1
            });
            transfer.way = Way::Direct { direct: direct.clone(), number: index + 1 };
        }
    }
    let (source, target, user) = (&direct.source, &direct.target, direct.user.as_str());
    let what = format!("keys that {user} on {target} lets in");
    let meaning =
        format!("the key of run {run}, from {} only, for {} receives only", link.source_address, receives.len());
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
