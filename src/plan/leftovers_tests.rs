//! What is said of traces: the right reason, and never a command that destroys what something needs.

use proptest::prelude::*;

use super::*;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;

/// The plan of web from spare to big.
fn plan() -> Plan {
    static PLAN: std::sync::OnceLock<Plan> = std::sync::OnceLock::new();
    PLAN.get_or_init(make).clone()
}

fn make() -> Plan {
    let world = Shape::testbed().world();
    let (evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big"));
    assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), "0", findings).unwrap()
}

fn known(plan: &Plan, fate: Fate) -> Vec<Known> {
    vec![Known { run: plan.run.clone(), fate, plan: Some(plan.clone()) }]
}

fn fleet() -> Fleetwide {
    let jails = BTreeMap::from([("web".to_owned(), BTreeSet::from([node("big")]))]);
    Fleetwide { jails, complete: true }
}

fn trace(kind: TraceKind, name: &str, run: Option<&RunId>) -> Trace {
    Trace {
        kind,
        name: name.into(),
        since: Some(1_700_000_000),
        run: run.cloned(),
        jail: None,
        owner: None,
        notice: None,
    }
}

fn told(host: &str, traces: Vec<Trace>, known: &[Known]) -> Vec<Leftover> {
    explain(&node(host), &Traces { clock: 0, jails: vec![], traces }, known, &fleet())
}

#[test]
fn what_a_move_keeps_is_let_go_by_finalize() {
    let plan = plan();
    let run = &plan.run;
    let last = format!("jfpool/jails/web@jailferry-{run}-final");
    let all = vec![
        trace(TraceKind::Copy, "jfpool/jails/web", Some(run)),
        trace(TraceKind::Snapshot, &last, Some(run)),
        trace(TraceKind::Hold, &last, Some(run)),
        trace(TraceKind::FileAside, "/etc/jail.conf.d/.web.conf.jailferry", None),
        trace(TraceKind::Backup, &format!("/etc/wireguard/wg0.conf.jailferry-{run}"), Some(run)),
    ];
    for leftover in told("spare", all.clone(), &known(&plan, Fate::Moved)) {
        assert_eq!(leftover.verdict, Verdict::Kept, "{leftover:?}");
        assert_eq!((leftover.command.unwrap(), leftover.on), (format!("jailferry finalize {run}"), None));
    }
    for leftover in told("spare", all.clone(), &known(&plan, Fate::Interrupted)) {
        assert_eq!(leftover.command.unwrap(), format!("jailferry recover {run}"), "{}", leftover.name);
    }
    for leftover in told("spare", all.clone(), &known(&plan, Fate::UnderWay)) {
        assert_eq!((leftover.verdict, leftover.command), (Verdict::InUse, None));
    }
    for leftover in told("spare", all, &[]) {
        assert_eq!((leftover.verdict, leftover.command), (Verdict::Unknown, None));
    }
}

#[test]
fn what_nothing_needs_is_told_with_the_command_that_removes_it() {
    let plan = plan();
    let run = &plan.run;
    let cases = [
        (TraceKind::Snapshot, format!("jfpool/jails/web@jailferry-{run}-1"), "zfs destroy jfpool/jails/web@jailferry-"),
        (TraceKind::Bookmark, format!("jfpool/jails/web#jailferry-{run}"), "zfs destroy 'jfpool/jails/web#jailferry-"),
        (TraceKind::PartialCopy, "jfpool/jails/web".into(), "zfs receive -A jfpool/jails/web"),
        (
            TraceKind::MountedCopy,
            format!("jfpool/jails/web.jailferry-{run}-dress/data"),
            "zfs destroy -r jfpool/jails/web.jailferry-",
        ),
        (TraceKind::RunFile, format!("/var/run/jailferry-{run}.direct"), "rm -r /var/run/jailferry-"),
        (TraceKind::Key, "/root/.ssh/authorized_keys".into(), "sed -i '' '/ jailferry-web-"),
        (TraceKind::Lock, "/var/db/jailferry/web.lock".into(), "rm /var/db/jailferry/web.lock"),
        (TraceKind::Process, "4711 daemon: x".into(), "kill 4711"),
    ];
    for (kind, name, command) in cases {
        for fate in [Fate::Moved, Fate::Over] {
            let [leftover] =
                <[_; 1]>::try_from(told("big", vec![trace(kind, &name, Some(run))], &known(&plan, fate))).unwrap();
            assert_eq!((leftover.verdict, leftover.on), (Verdict::Nobodys, Some(node("big"))));
            assert!(leftover.command.as_ref().unwrap().starts_with(command), "{:?}", leftover.command);
        }
    }
    // A copy put aside by a later run; what is below it goes with it.
    let aside = format!("jfpool/jails/web.jailferry-{run}");
    let traces = ["", "/data"].map(|below| trace(TraceKind::Copy, &format!("{aside}{below}"), Some(run))).into();
    let told = told("spare", traces, &known(&plan, Fate::Over));
    assert_eq!(told[0].command.as_deref(), Some(format!("zfs destroy -r {aside}").as_str()));
    assert_eq!((told[1].verdict, &told[1].command), (Verdict::Nobodys, &None));
}

#[test]
fn the_network_keeps_what_its_jails_need() {
    let variable = |name: &str| told("big", vec![trace(TraceKind::Variable, name, None)], &[]).pop().unwrap();
    for name in ["jailferry_bridge0_aliases: 192.168.123.1/32", "route_jailferry_web_0: -host 192.168.123.50"] {
        assert_eq!((variable(name).verdict, variable(name).command), (Verdict::InUse, None), "{name}");
    }
    let gone = variable("ipv6_route_jailferry_old_1: -host ::1");
    assert_eq!(gone.verdict, Verdict::Unknown);
    assert_eq!(
        gone.command.as_deref(),
        Some("sysrc -x ipv6_route_jailferry_old_1; sysrc ipv6_static_routes-=jailferry_old_1")
    );
    assert_eq!(variable("route_jailferry_$(id)_0: x").command, None);
}

#[test]
fn a_host_alone_tells_whose_a_dataset_is() {
    let plan = plan();
    let (run, owner) = (&plan.run, tester());
    let state = format!("{run}:arriving:spare");
    let notice = crate::model::Notice::read(&state, owner.as_str());
    let copy = Trace { owner: Some(owner.clone()), notice, ..trace(TraceKind::Copy, "jfpool/jails/web", Some(run)) };
    let snapshot = trace(TraceKind::Snapshot, &format!("jfpool/jails/web@jailferry-{run}-0"), Some(run));
    for leftover in told("big", vec![copy.clone(), snapshot], &[]) {
        assert_eq!((leftover.verdict, leftover.owner.as_ref()), (Verdict::Unknown, Some(&owner)), "{leftover:?}");
        assert!(leftover.why.contains(owner.as_str()) && leftover.why.contains(run.as_str()), "{}", leftover.why);
        assert!(leftover.why.contains("recover"), "{}", leftover.why);
    }
    let live = Trace { kind: TraceKind::Notice, ..copy };
    let [over] = <[_; 1]>::try_from(told("big", vec![live], &known(&plan, Fate::Over))).unwrap();
    let command = "zfs inherit org.jailferry:state jfpool/jails/web; zfs inherit org.jailferry:owner jfpool/jails/web";
    assert_eq!((over.verdict, over.command.as_deref()), (Verdict::Nobodys, Some(command)));
}

#[test]
fn rules_for_the_next_boot_are_in_use_while_their_jail_runs() {
    let rules = |jail: &str| {
        let jail = JailName::new(jail).unwrap();
        let name = crate::effect::commands::pf::anchor_file(&jail);
        told("big", vec![Trace { jail: Some(jail), ..trace(TraceKind::RulesFile, &name, None) }], &[]).pop().unwrap()
    };
    assert_eq!((rules("web").verdict, rules("web").command), (Verdict::InUse, None));
    assert_eq!(rules("gone").verdict, Verdict::Unknown);
    let receive = trace(TraceKind::RunFile, "/var/run/jailferry-zroot%web.receive", None);
    assert_eq!(told("big", vec![receive], &[]).pop().unwrap().verdict, Verdict::InUse);
}

const KINDS: [TraceKind; 22] = [
    TraceKind::Snapshot,
    TraceKind::Bookmark,
    TraceKind::Hold,
    TraceKind::Copy,
    TraceKind::PartialCopy,
    TraceKind::MountedCopy,
    TraceKind::Notice,
    TraceKind::FileAside,
    TraceKind::StagedFile,
    TraceKind::Backup,
    TraceKind::RulesFile,
    TraceKind::Lock,
    TraceKind::StateFile,
    TraceKind::RunFile,
    TraceKind::Key,
    TraceKind::Variable,
    TraceKind::Hook,
    TraceKind::Way,
    TraceKind::Anchor,
    TraceKind::Jail,
    TraceKind::Interface,
    TraceKind::Process,
];

proptest! {
    /// Whatever a host tells: a name in a command is one word of it, so that nothing of it is executed.
    #[test]
    fn names_of_hosts_are_words_of_a_command(name in "[a-z@#/ ;$()`'\"\n\u{1b}-]{0,40}", which in 0..KINDS.len()) {
        let plan = plan();
        let kind = KINDS[which];
        let traces = vec![trace(kind, &name, Some(&plan.run)), trace(kind, &name, None)];
        for leftover in told("big", traces, &known(&plan, Fate::Over)) {
            let Some(command) = leftover.command else { continue };
            let words = shlex::split(&command);
            prop_assert!(words.is_some(), "{command:?}");
            let words = words.unwrap_or_default();
            let pid = name.split(' ').next().unwrap_or_default();
            let whole = words.contains(&name) || kind == TraceKind::Process && words.iter().any(|w| w == pid);
            prop_assert!(whole || !command.contains(&name) || name.len() < 3, "{command:?}");
            prop_assert!(kind != TraceKind::MountedCopy || !command.contains("destroy"));
        }
    }
}
