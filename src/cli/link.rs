//! Asks source and target whether data can go straight from one to the other, and says why when it cannot.

use crate::effect::Effect;
use crate::effect::Probe;
use crate::effect::Work;
use crate::effect::cipher;
use crate::effect::direct::Direct;
use crate::model::NodeName;
use crate::plan::direct;
use crate::plan::direct::Link;
use crate::plan::finding::Findings;
use crate::plan::situation::Evidence;
use crate::plan::situation::Situation;
use crate::remote::Hosts;

/// Seconds in which the target's sshd must accept the source's connection.
const PATIENCE: u32 = 15;

/// The way between the two. `None`: there is none, and a finding that refuses the run says why.
pub async fn ask(hosts: &Hosts, evidence: &Evidence, situation: &Situation, findings: &mut Findings) -> Option<Link> {
    let (source, target) = (&situation.source.node, &situation.target.node);
    let told = (evidence.hosts.get(source)?, evidence.hosts.get(target)?);
    let mut refuse = |code: &str, host, what: String, fix: &str| {
        findings.error(code, host, what, format!("{fix}, or use `transfer: relay`"));
    };
    let Some((source_address, target_address)) =
        direct::addresses((&situation.source, told.0), (&situation.target, told.1))
    else {
        refuse(
            "direct-no-address",
            target,
            format!(
                "{} on {source} and {} on {target} have no addresses of one family, so {source} cannot send to {target} directly",
                situation.source.wireguard, situation.target.wireguard
            ),
            "give both tunnels an address",
        );
        return None;
    };
    let ask_sshd = Direct::ask_sshd(target);
    // Who does not say so is taken for a processor without.
    let aes = async |host: &NodeName| {
        hosts.run_repeatable(&cipher::ask_aes(host)).await.is_ok_and(|said| cipher::has_aes(&said.text()))
    };
    let (user, host_key, settings, here, there) =
        tokio::join!(hosts.login_user(target), hosts.host_key(target), hosts.run(&ask_sshd), aes(source), aes(target));
    let aes = here && there;
    let port = match settings {
        Ok(output) => direct::sshd_port(&output.text()),
        Err(error) => Err(error.to_string()),
    };
    let user = user.map_err(|error| {
        refuse(
            "direct-login",
            target,
            format!("who logs in there is not known: {error}"),
            "log in there as a user of its own",
        )
    });
    let host_key = host_key.map_err(|error| {
        refuse(
            "direct-host-key",
            target,
            format!("its sshd has no ed25519 host key: {error}"),
            "make one: ssh-keygen -A; service sshd restart",
        )
    });
    let port = port.map_err(|error| {
        refuse(
            "direct-sshd",
            target,
            format!("a key for this run cannot be let in: {error}"),
            "let sshd_config read .ssh/authorized_keys",
        )
    });
    let (Ok(user), Ok(host_key), Ok(port)) = (user, host_key, port) else { return None };
    let reach = Effect::Probe {
        host: source.clone(),
        probe: Probe::Tcp { address: target_address, port, source: Some(source_address), seconds: PATIENCE },
    };
    if let Work::Run(commands) = reach.work() {
        for command in commands {
            if let Err(error) = hosts.run(&command).await {
                refuse(
                    "direct-unreachable",
                    source,
                    format!("{source} does not reach sshd of {target} through the tunnel: {error}"),
                    &format!("let packet filters and AllowedIPs pass {source_address} to {target_address} port {port}"),
                );
                return None;
            }
        }
    }
    let become_root = hosts.become_root(target)?;
    Some(Link { source_address, target_address, port, user, become_root, host_key, aes })
}
