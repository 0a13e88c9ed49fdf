use super::*;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::plan::situation::Evidence;
use crate::playbook::Options;

fn plan(verify: Option<Verify>, change: impl FnOnce(&mut Evidence)) -> Plan {
    let shape = Shape::testbed();
    let (mut evidence, situation, findings) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
    change(&mut evidence);
    let settings = Options { verify, ..Options::default() }.settle();
    assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap()
}

fn is_of(step: &Step) -> bool {
    matches!(step.effect, Effect::ListContents(_) | Effect::CompareContents { .. } | Effect::ForgetListing(_))
}

#[test]
fn it_is_off_unless_asked_for_and_ends_before_the_turn_and_the_rounds() {
    assert!(!plan(None, |_| {}).steps.iter().any(is_of));
    assert!(!plan(Some(Verify::Guids), |_| {}).steps.iter().any(is_of));
    let plan = plan(Some(Verify::Deep), |_| {});
    let at: Vec<usize> = plan.steps.iter().enumerate().filter(|(_, s)| is_of(s)).map(|(at, _)| at).collect();
    assert_eq!(at.len(), 5);
    let turn = plan.steps.iter().position(|s| matches!(s.effect, Effect::TakeNetwork { .. })).unwrap();
    let copied =
        plan.steps.iter().rposition(|s| matches!(&s.effect, Effect::Transfer(t) if t.round == Some(0))).unwrap();
    assert!(at.iter().all(|at| copied < *at && *at < turn), "{copied} {at:?} {turn}");
    assert!(plan.steps.iter().all(|s| !is_of(s) || s.phase == Phase::Copy));
}

#[test]
fn a_listing_keeps_nobodys_turn_and_reads_what_was_asked_for() {
    let script = |verify: Verify| {
        let plan = plan(Some(verify), |_| {});
        let step = plan.steps.iter().find(|s| matches!(s.effect, Effect::ListContents(_))).unwrap();
        let commands: Vec<_> = step.work().commands().into_iter().cloned().collect();
        assert_eq!(commands.len(), 1);
        assert!(commands[0].turn.is_none() && commands[0].guard.is_some() && commands[0].whole);
        assert!(commands[0].lock.as_ref().is_some_and(|l| l.file == "/var/run/jailferry-web.verify"));
        assert!(step.undo.iter().any(|e| matches!(e, Effect::ForgetListing(_))));
        commands[0].text()
    };
    let (deep, sampled) = (script(Verify::Deep), script(Verify::Sampled));
    assert!(deep.contains("device,sha256digest -p") && !deep.contains("xargs"), "{deep}");
    assert!(sampled.contains("device -p") && sampled.contains("xargs -0 sha256 -r"), "{sampled}");
    assert!(deep.contains("mount -t zfs -o ro $2 $w/at"), "{deep}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let told = |change: fn(&mut crate::facts::Dataset)| {
        let plan = plan(Some(Verify::Deep), |evidence| {
            let host = evidence.hosts.get_mut(&node("spare")).unwrap();
            host.datasets.iter_mut().for_each(change);
        });
        let found =
            plan.findings.iter().find(|f| f.code.ends_with("verify")).unwrap_or_else(|| panic!("{:#?}", plan.findings));
        assert!(!plan.steps.iter().any(is_of));
        found.what.clone()
    };
    let encrypted = told(|d| d.encrypted = true);
    assert!(encrypted.contains("encrypted, and big loads no key"), "{encrypted}");
    let volumes = told(|d| d.kind = crate::facts::DatasetKind::Volume);
    assert!(volumes.contains("volumes, whose snapshots"), "{volumes}");
}
