//! Who the hosts are: root on all of them, and as many machines as fleet.yml says.

use std::collections::BTreeMap;

use crate::facts::HostFacts;
use crate::model::NodeName;
use crate::model::PublicKey;
use crate::plan::finding::Findings;

/// Root, and hosts that are really different hosts. Without that, what else the hosts say means little.
pub fn hosts(hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, (&NodeName, Vec<&PublicKey>)> = BTreeMap::new();
    for (node, facts) in hosts {
        if facts.identity.uid != 0 {
            findings.error(
                "not-root",
                node,
                format!("commands on {node} run as uid {}, not as root", facts.identity.uid),
                format!("connect as root, or set `become: sudo` (doas, mdo) for {node} in fleet.yml"),
            );
        }
        if let Some(noise) = &facts.noise {
            findings.error(
                "login-noise",
                node,
                format!("the login shell on {node} prints {noise:?} before it runs anything: no stream that comes from there could be read"),
                "let it print that to terminals only: `if ($?prompt) …` in ~/.cshrc and /etc/csh.cshrc (csh), `case $- in *i*) … esac` in the file of $ENV (sh)",
            );
        }
        let keys: Vec<&PublicKey> = facts.wireguard.iter().map(|w| &w.public_key).collect();
        let uuid = &facts.identity.hostuuid;
        match seen.insert(uuid, (node, keys.clone())) {
            // Machines cloned after their first boot share /etc/hostid, but a tunnel works for one holder of a key only.
            Some((other, others)) if others != keys => findings.warning(
                "same-hostid",
                node,
                format!("{node} and {other} have the same kern.hostuuid {uuid}, as clones of one machine do"),
                "make sure that the ssh destinations in fleet.yml lead to two machines",
            ),
            Some((other, _)) => findings.error(
                "same-host",
                node,
                format!("{node} and {other} are the same host (kern.hostuuid {uuid})"),
                "correct the ssh destinations in fleet.yml; cloned machines need a new /etc/hostid",
            ),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;

    #[test]
    fn a_login_shell_that_prints_something_spoils_every_stream() {
        let shape = Shape::testbed();
        let (mut evidence, ..) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
        let told = |evidence: &crate::plan::situation::Evidence| {
            let mut findings = Findings::default();
            hosts(&evidence.hosts, &mut findings);
            findings.into_sorted().into_iter().map(|f| (f.code, f.host)).collect::<Vec<_>>()
        };
        assert_eq!(told(&evidence), vec![]);
        evidence.hosts.get_mut(&node("big")).unwrap().noise = Some("Welcome".into());
        assert_eq!(told(&evidence), [("login-noise".to_owned(), Some(node("big")))]);
    }
}
