//! A running jail that does not tell its addresses or gateways: nothing of it could be routed, asked or watched.

use crate::effect::Effect;
use crate::effect::Probe;
use crate::model::Family;
use crate::plan::checks;
use crate::plan::finding::Findings;
use crate::plan::preflight::Subject;

/// A jail without addresses whose move would prove nothing, and one of whose gateways nothing is known.
pub(super) fn network(s: &Subject<'_>, findings: &mut Findings) {
    let Some(running) = s.source.jail(&s.situation.jail).filter(|jail| jail.vnet) else { return };
    let (node, jail) = (&s.situation.source.node, &s.situation.jail);
    let unread = |question: &str| s.source.unreadable.get(&format!("jexec {jail} {question}"));
    if s.situation.addresses.is_empty() {
        addresses(s, unread("ifconfig"), findings);
        return;
    }
    for family in [Family::Inet, Family::Inet6] {
        let question = format!("netstat -f {family}");
        let speaks = running.addresses.iter().any(|a| Family::of(a.addr()) == family);
        if let Some(answer) = unread(&question).filter(|_| speaks) {
            findings.warning(
                "no-gateway-known",
                node,
                format!("jail {jail} does not tell its {family} gateway (jexec {jail} {question}: {answer}): if {} does not have it, the jail reaches nothing outside there", s.situation.target.node),
                format!("give {} that address on its bridge beforehand, or the jail netstat(1)", s.situation.target.node),
            );
        }
    }
}

fn addresses(s: &Subject<'_>, unread: Option<&String>, findings: &mut Findings) {
    let (node, jail) = (&s.situation.source.node, &s.situation.jail);
    // One that nothing leads to has nothing that could be lost.
    if unread.is_none() && s.situation.source.interfaces.is_empty() && s.situation.prefixes.is_empty() {
        return;
    }
    let what = match unread {
        Some(answer) => format!("jail {jail} does not tell its addresses (jexec {jail} ifconfig: {answer})"),
        None => format!("jail {jail} runs, but has no address inside"),
    };
    let asked_from_outside = |effect: &Effect| {
        matches!(effect, Effect::Probe { probe: Probe::Ping { .. } | Probe::Tcp { .. } | Probe::Http { .. }, .. })
    };
    let proven = checks::after_start(s.situation, s.checks, &[]).iter().any(|asked| asked_from_outside(&asked.effect));
    let led = s.situation.is_bridged() || !s.situation.prefixes.is_empty();
    let fix = "say in fleet.yml what it owns (`prefixes:`) and what shall answer there (`checks:` with an `address:`), or give the jail an address and ifconfig(8) and netstat(1) of FreeBSD";
    if led && proven {
        let what = format!(
            "{what}: only the checks of fleet.yml are asked, and its gateway must be on {} already",
            s.situation.target.node
        );
        findings.warning("no-address", node, what, fix);
    } else {
        let what = format!(
            "{what}: a move would not lead its packets to {}, or not prove that it does",
            s.situation.target.node
        );
        findings.error("no-address", node, what, fix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Severity;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::plan::situation::Evidence;
    use crate::plan::situation::resolve;
    use crate::playbook;
    use crate::playbook::Check;
    use crate::playbook::Options;
    use crate::playbook::Vantage;

    const MOVED: &str = "web";

    /// Code and severity of what is said of a jail without addresses.
    fn said(change: impl FnOnce(&mut Evidence)) -> Vec<(String, Severity)> {
        let shape = Shape::testbed();
        let (mut evidence, _, _) = shape.world().evidence(&shape.fleet(), &jail(MOVED), &node("big"));
        change(&mut evidence);
        let mut findings = Findings::default();
        let situation = resolve(&evidence, &jail(MOVED), &node("big"), &mut findings).unwrap();
        let plan = assemble::plan(&evidence, &situation, &Options::default().settle(), &tester(), "0", findings);
        let found = plan.map_or_else(|findings| findings, |plan| plan.findings).into_iter();
        found.filter(|f| f.code.starts_with("no-")).map(|f| (f.code, f.severity)).collect()
    }

    /// As of a jail with a Linux root.
    fn deaf(evidence: &mut Evidence) {
        let facts = evidence.hosts.get_mut(&node("spare")).unwrap();
        facts.unreadable.insert("jexec web ifconfig".into(), "jexec: execvp(): ifconfig: No such file".into());
        let web = facts.jails.iter_mut().find(|j| j.name == MOVED).unwrap();
        (web.addresses, web.gateways, web.mtu, web.smallest_mtu) = (vec![], vec![], None, None);
    }

    fn one(code: &str, severity: Severity) -> Vec<(String, Severity)> {
        vec![(code.to_owned(), severity)]
    }

    #[test]
    fn a_jail_that_tells_no_address_is_moved_only_where_something_is_proven() {
        let check = |evidence: &mut Evidence, address: Option<&str>| {
            let probe = playbook::Probe::Icmp { address: address.map(|a| a.parse().unwrap()), from: Vantage::Hub };
            let spec = evidence.fleet.jails.get_mut(&jail(MOVED)).unwrap();
            spec.checks = vec![Check { probe, timeout: Check::DEFAULT_TIMEOUT }];
        };
        assert_eq!(said(deaf), one("no-address", Severity::Error));
        let of_each = |e: &mut Evidence| {
            deaf(e);
            check(e, None);
        };
        assert_eq!(said(of_each), one("no-address", Severity::Error), "each of none");
        let of_one = |e: &mut Evidence| {
            deaf(e);
            check(e, Some("192.168.123.50"));
        };
        assert_eq!(said(of_one), one("no-address", Severity::Warning));
        let nothing_led = |e: &mut Evidence| {
            of_one(e);
            e.fleet.jails.get_mut(&jail(MOVED)).unwrap().prefixes.clear();
        };
        assert_eq!(said(nothing_led), one("no-address", Severity::Error));
    }

    #[test]
    fn a_gateway_that_the_jail_does_not_tell_is_named() {
        let found = said(|e| {
            let facts = e.hosts.get_mut(&node("spare")).unwrap();
            facts.unreadable.insert("jexec web netstat -f inet6".into(), "netstat: not found".into());
            let web = facts.jails.iter_mut().find(|j| j.name == MOVED).unwrap();
            web.gateways.retain(std::net::IpAddr::is_ipv4);
        });
        assert_eq!(found, one("no-gateway-known", Severity::Warning));
        assert_eq!(said(|_| ()), vec![]);
    }
}
