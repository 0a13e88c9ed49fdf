use super::*;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::plan::situation::Evidence;
use crate::playbook::Options;

/// The plan of web's move to big, with the rehearsal.
fn plan(change: impl FnOnce(&mut Evidence)) -> Plan {
    let shape = Shape::testbed();
    let (mut evidence, situation, findings) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
    change(&mut evidence);
    let settings = Options { dress_rehearsal: Some(true), ..Options::default() }.settle();
    assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap()
}

fn understudy(plan: &Plan) -> &Understudy {
    let found = plan.steps.iter().find_map(|s| match &s.effect {
        Effect::StartUnderstudy(understudy) => Some(understudy),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no rehearsal: {:#?}", plan.findings))
}

fn text_of(plan: &Plan, end: &str) -> String {
    let found = plan.steps.iter().find_map(|s| match &s.effect {
        Effect::WriteFile { path, text, .. } if path.as_str().contains(end) => Some(text.clone()),
        _ => None,
    });
    found.unwrap_or_default()
}

#[test]
fn it_is_off_unless_asked_for_and_ends_before_the_rounds() {
    let plan = plan(|_| {});
    let is_of = |s: &Step| match &s.effect {
        Effect::WriteFile { path, .. } | Effect::RemoveFile { path, .. } => path.as_str().starts_with("/etc/.dress."),
        Effect::CloneForRehearsal(_)
        | Effect::DiscardClones(_)
        | Effect::StartUnderstudy(_)
        | Effect::StopUnderstudy(_) => true,
        _ => false,
    };
    let at: Vec<usize> = plan.steps.iter().enumerate().filter(|(_, s)| is_of(s)).map(|(at, _)| at).collect();
    assert_eq!(at.len(), 6);
    let first_round = plan.steps.iter().position(|s| s.round.is_some()).unwrap();
    assert!(at.iter().all(|at| *at < first_round), "{at:?}, {first_round}");
    assert!(plan.steps.iter().take(first_round).all(|s| s.phase == Phase::Copy));
    assert!(!Options::default().settle().dress_rehearsal);
}

#[test]
fn the_clones_lie_beside_the_copy_and_are_mounted_elsewhere() {
    let plan = plan(|_| {});
    let (run, found) = (&plan.run, understudy(&plan));
    let told: Vec<_> =
        found.clones.iter().map(|c| (c.dataset.to_string(), c.mountpoint.clone().unwrap().to_string())).collect();
    let origin = |at: usize| found.clones[at].origin.to_string();
    let place = format!("/var/db/jailferry-dress-{run}");
    assert_eq!(told[0], (format!("{}.jailferry-{run}-dress", origin(0)), place.clone()));
    assert_eq!(told[1], (format!("{}.jailferry-{run}-dress/data", origin(0)), format!("{place}/data")));
    assert_eq!(found.root.as_str(), place);
    assert_eq!(text_of(&plan, ".dress.fstab"), format!("/bin {place}/bin nullfs ro 0 0\n"));
}

#[test]
fn nothing_of_the_hosts_goes_in_and_nothing_runs_on_the_host() {
    let plan = plan(|_| {});
    let found = understudy(&plan);
    let work = Effect::StartUnderstudy(found.clone()).work();
    let text = work.commands().first().unwrap().text();
    assert!(!text.contains("vnet.interface") && !text.contains("addm") && !text.contains("exec.p"), "{text}");
    assert!(text.contains(&format!("name={} path={} persist vnet", found.jail, found.root)), "{text}");
    assert!(text.contains("ifconfig epair0b inet 192.168.123.50/24 alias"), "{text}");
    let inside = format!("jexec {} /sbin/ifconfig ", found.jail);
    let made = text.lines().filter(|line| line.contains("/sbin/ifconfig epair") && !line.contains("destroy"));
    assert!(
        made.clone().count() > 4 && made.clone().all(|line| line.contains(&inside) || line.contains("exec.start")),
        "{text}"
    );
    assert!(plan.steps.iter().all(|s| !s.title.contains("/etc/.dress.conf")));
}

#[test]
fn its_commands_run_as_jail_8_would_run_them() {
    let plan = plan(|evidence| {
        let facts = evidence.hosts.get_mut(&node("spare")).unwrap();
        let configuration = facts.jail_configurations.iter_mut().find(|c| c.name == "web").unwrap();
        configuration.parameters.retain(|(name, _)| !name.starts_with("exec.s"));
        for (name, value) in [
            ("exec.start", "\"echo 'it is' $HOME\",/bin/true"),
            ("exec.stop", "/bin/false"),
            ("exec.jail_user", "www"),
            ("exec.timeout", "20"),
            ("allow.raw_sockets", ""),
            ("cpuset.id", "3"),
            ("zfs.dataset", "tank/x"),
        ] {
            configuration.parameters.push((name.to_owned(), Some(value.to_owned()).filter(|v| !v.is_empty())));
        }
    });
    let found = understudy(&plan);
    assert_eq!(found.start, ["echo 'it is' $HOME", "/bin/true"]);
    assert_eq!((found.stop.as_slice(), found.manner.timeout), (["/bin/false".to_owned()].as_slice(), Some(20)));
    assert_eq!(found.manner.user.as_deref(), Some("www"));
    let names: Vec<&str> = found.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"allow.raw_sockets") && !names.contains(&"cpuset.id") && !names.contains(&"zfs.dataset"));
}

#[test]
fn what_others_could_write_to_is_not_mounted() {
    let moved = Moved { from: RemotePath::new("/j/web").unwrap(), to: RemotePath::new("/d").unwrap() };
    let own = "/bin /j/web/bin nullfs ro 0 0\n/shared /j/web/shared nullfs rw 0 0\n/j/web/a /j/web/b nullfs rw 0 0\ntmpfs /j/web/tmp tmpfs rw 0 0\nhost:/x /j/web/x nfs ro 0 0\n/bin /elsewhere nullfs ro 0 0\n";
    let mut left_out = Vec::new();
    let text = mounts(own, &["proc /j/web/proc procfs rw 0 0".to_owned()], &moved, &mut left_out).unwrap();
    assert_eq!(
        text,
        "/bin /d/bin nullfs ro 0 0\n/d/a /d/b nullfs rw 0 0\ntmpfs /d/tmp tmpfs rw 0 0\nproc /d/proc procfs rw 0 0\n"
    );
    assert_eq!(left_out.len(), 3, "{left_out:?}");
}

#[test]
fn interfaces_keep_the_names_that_the_jail_knows() {
    let file = RemotePath::new("/etc/jail.conf").unwrap();
    let parameters = vec![("vnet.interface".to_owned(), Some("vnet0,epair7b".to_owned()))];
    let found = ends(&JailConfiguration { name: "web".into(), file, parameters });
    let told: Vec<_> = found.iter().map(|end| (end.name.as_str(), end.unit)).collect();
    assert_eq!(told, [("epair7b", Some(7)), ("vnet0", None)]);
}

#[test]
fn checks_that_ask_the_jail_itself_are_asked_inside() {
    let checks = |spec: &mut crate::playbook::JailSpec| {
        let check = |probe| Check { probe, timeout: Check::DEFAULT_TIMEOUT };
        let from = || crate::playbook::Vantage::Hub;
        let http = |url: &str| playbook::Probe::Http {
            target: HttpTarget::Url(url.to_owned()),
            status: 200,
            body: None,
            from: from(),
        };
        spec.checks = vec![
            check(playbook::Probe::Icmp { address: None, from: from() }),
            check(playbook::Probe::Tcp { address: None, port: 22, from: from() }),
            check(http("http://192.168.123.50:81/x")),
            check(http("https://www.example.org/")),
            check(playbook::Probe::Command { run: vec!["true".into()] }),
        ];
    };
    let plan = plan(|evidence| checks(evidence.fleet.jails.get_mut(&jail("web")).unwrap()));
    let at = |title: &str| plan.steps.iter().position(|s| s.title.starts_with(title)).unwrap();
    let asked = &plan.steps[at("the clone of jail web starts") + 1..at("stop the clone")];
    let titles: Vec<&str> = asked.iter().map(|s| s.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "the clone of jail web on big: 192.168.123.50:22 accepts",
            "the clone of jail web on big: [2001:db8:1:1::50]:22 accepts",
            "the clone of jail web on big: http://192.168.123.50:81/x answers with status 200",
            "the clone of jail web on big: true succeeds inside",
        ]
    );
    let within = understudy(&plan).jail.to_string();
    let commands =
        asked.iter().flat_map(|s| s.effect.work().commands().into_iter().map(|c| c.text()).collect::<Vec<_>>());
    assert!(
        commands.clone().all(|text| text.contains(&format!("jexec -l {within} "))),
        "{:#?}",
        commands.collect::<Vec<_>>()
    );
    let note = plan.findings.iter().find(|f| f.code == "dress-rehearsal").unwrap();
    assert!(note.what.contains("https://www.example.org/"), "{}", note.what);
}

#[test]
fn what_cannot_be_rehearsed_is_not_and_the_plan_says_so() {
    for encrypted in [true, false] {
        let plan = plan(|evidence| {
            let datasets = &mut evidence.hosts.get_mut(&node("spare")).unwrap().datasets;
            for dataset in datasets.iter_mut().filter(|d| d.name.as_str().contains("web/data")) {
                (dataset.encrypted, dataset.jailed) = (encrypted, !encrypted);
            }
        });
        assert!(plan.findings.iter().any(|f| f.code == "no-dress-rehearsal"), "{:#?}", plan.findings);
        assert!(!plan.steps.iter().any(|s| matches!(s.effect, Effect::StartUnderstudy(_))));
    }
}
