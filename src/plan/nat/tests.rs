//! Which changes follow from which rules and which words of fleet.yml.

use super::*;
use crate::effect::simulate::World;
use crate::effect::simulate::pf::table_sum;
use crate::facts::PfFile;
use crate::model::TableName;
use crate::plan::Finding;
use crate::plan::Severity;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::path;
use crate::plan::fixture::tester;
use crate::playbook::Egress;
use crate::playbook::Outside;
use crate::playbook::Proto;

struct Case {
    world: World,
    fleet: Fleet,
}

const REFERENCES: [&str; 2] = ["nat-anchor \"jailferry/*\" all", "rdr-anchor \"jailferry/*\" all"];

fn publish(port: u16) -> Publish {
    Publish { proto: Proto::Tcp, port, to: 80, on: None }
}

impl Case {
    fn new() -> Case {
        let shape = Shape::testbed();
        Case { world: shape.world(), fleet: shape.fleet() }
    }

    fn pf(&mut self, host: &str) -> &mut crate::facts::Pf {
        &mut self.world.hosts.get_mut(&node(host)).unwrap().facts.pf
    }

    /// pf.conf as docs/nat.md asks for it, with these rules.
    fn rules(mut self, host: &str, rules: &[&str]) -> Case {
        self.pf(host).nat = REFERENCES.iter().chain(rules).map(|r| (*r).to_owned()).collect();
        self.pf(host).file = Some(PfFile {
            path: path("/etc/pf.conf"),
            table_files: BTreeMap::new(),
            includes: BTreeSet::from([pf::INDEX.to_owned()]),
            loads: BTreeSet::new(),
        });
        self
    }

    fn table(mut self, host: &str, entries: &[&str]) -> Case {
        let entries: BTreeSet<Prefix> = entries.iter().map(|p| p.parse().unwrap()).collect();
        let table = TableName::new("jailferry_nat").unwrap();
        let file = TableFile { path: path("/etc/nat.table"), sha256: table_sum(&entries), entries: entries.clone() };
        self.pf(host).file.as_mut().unwrap().table_files.insert(table.clone(), file);
        self.pf(host).tables.insert(table.clone(), entries);
        self.fleet.nodes.get_mut(&node(host)).unwrap().pf_table = Some(table);
        self
    }

    /// The node translates itself; FIB 1 leads out past the tunnel.
    fn own_way(mut self, host: &str) -> Case {
        self.fleet.nodes.get_mut(&node(host)).unwrap().egress = Egress::Node;
        let routes = &mut self.world.hosts.get_mut(&node(host)).unwrap().facts.routes;
        let tunnel = routes[&0].iter().find(|r| r.destination == "10.77.0.0/24".parse().unwrap()).cloned();
        routes.get_mut(&1).unwrap().extend(tunnel);
        for route in routes.get_mut(&1).unwrap() {
            if route.destination == Prefix::default_route(Family::Inet) {
                route.interface = InterfaceName::new("vtnet0").unwrap();
            }
        }
        self
    }

    fn publishes(mut self, name: &str, ports: &[u16]) -> Case {
        self.fleet.jails.get_mut(&jail(name)).unwrap().publish = ports.iter().map(|p| publish(*p)).collect();
        self
    }

    fn decide(&self, target: &str) -> (Nat, Vec<Finding>) {
        let (evidence, situation, _) = self.world.evidence(&self.fleet, &jail("web"), &node(target));
        let mut findings = Findings::default();
        let nat = decide(&situation.unwrap(), &self.fleet, &evidence.hosts, &mut findings);
        (nat, findings.into_sorted())
    }

    /// The findings' codes, without what is merely good to know.
    fn codes(&self, target: &str) -> Vec<String> {
        self.decide(target).1.into_iter().filter(|f| f.severity != Severity::Note).map(|f| f.code).collect()
    }
}

const WIDE: &str = "nat on vtnet0 inet from 192.168.0.0/16 to any -> (vtnet0:0)";
const OWN: &str = "nat on vtnet0 inet from 192.168.123.50 to any -> (vtnet0:0)";
const BY_TABLE: &str = "nat on vtnet0 inet from <jailferry_nat> to any -> (vtnet0:0)";
const FORWARD: &str = "rdr on vtnet0 inet proto tcp from any to (vtnet0) port = 8080 -> 192.168.123.50 port 80";

#[test]
fn a_rule_of_the_hub_that_covers_the_prefix_leaves_nothing_to_do() {
    let (nat, findings) = Case::new().decide("big");
    assert_eq!(nat, Nat::default());
    let [note] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(note.what, format!("NAT: nothing to do, `{WIDE}` covers 192.168.123.50/32"));
}

#[test]
fn without_a_rule_a_table_or_a_named_anchor_there_is_only_a_warning() {
    let mut case = Case::new();
    case.pf("small").nat.clear();
    let (nat, _) = case.decide("big");
    assert_eq!((nat, case.codes("big")), (Nat::default(), vec!["nat-missing".to_owned()]));
    case.pf("small").enabled = Some(false);
    assert_eq!(case.codes("big"), ["pf-off"]);
}

#[test]
fn a_table_gains_the_prefix_and_its_file_too() {
    let case = Case::new().rules("small", &[BY_TABLE]).table("small", &["192.168.124.0/24"]);
    let (nat, findings) = case.decide("big");
    let [table] = nat.tables.as_slice() else { panic!("{findings:?}") };
    assert_eq!((table.add.len(), table.remove.len(), nat.anchors.len()), (1, 0, 0));
    assert_eq!(table.file.as_ref().unwrap().path, path("/etc/nat.table"));
    assert_eq!(case.codes("big"), Vec::<String>::new());
    // A wider entry is enough.
    let case = Case::new().rules("small", &[BY_TABLE]).table("small", &["192.168.0.0/16"]);
    assert_eq!(case.decide("big").0, Nat::default());
}

#[test]
fn an_entry_that_leaves_the_jail_out_is_named() {
    let mut case = Case::new().rules("small", &[BY_TABLE]).table("small", &["192.168.0.0/16"]);
    let without: BTreeSet<Prefix> = ["192.168.123.50/32".parse().unwrap()].into();
    case.pf("small").negated.insert(TableName::new("jailferry_nat").unwrap(), without);
    let (nat, findings) = case.decide("big");
    assert_eq!((nat, case.codes("big")), (Nat::default(), vec!["table-negates".to_owned()]));
    assert_eq!(findings[0].commands[0].command, "pfctl -t jailferry_nat -T replace -f /etc/nat.table");
}

/// A rule that lets jails reach one of them by a public address is nobody's way out.
#[test]
fn a_rule_to_one_place_neither_covers_nor_tells_the_way_out() {
    const REFLECTED: &str = "nat on wg0 inet from 192.168.0.0/16 to 192.168.122.25 -> 10.77.0.1";
    let (nat, _) = Case::new().rules("small", &[REFLECTED]).decide("big");
    assert_eq!(nat.anchors[0].after, [OWN]);
    let (nat, _) = Case::new().rules("small", &[REFLECTED, BY_TABLE]).table("small", &[]).decide("big");
    assert_eq!(nat.tables[0].add, ["192.168.123.50/32".parse().unwrap()]);
    let only = "nat on wg0 inet from <jailferry_nat> to 192.168.122.25 -> 10.77.0.1";
    assert_eq!(Case::new().rules("small", &[only]).table("small", &[]).codes("big"), ["table-unused"]);
}

#[test]
fn a_table_that_is_not_there_or_not_used_is_named() {
    let mut case = Case::new().rules("small", &[BY_TABLE]).table("small", &[]);
    case.pf("small").tables.clear();
    assert_eq!(case.codes("big"), ["no-table"]);
    assert_eq!(Case::new().rules("small", &[]).table("small", &[]).codes("big"), ["table-unused"]);
    let mut case = Case::new().rules("small", &[BY_TABLE]).table("small", &[]);
    case.pf("small").file.as_mut().unwrap().table_files.clear();
    assert_eq!(case.codes("big"), ["table-forgets"]);
}

#[test]
fn what_no_rule_covers_goes_into_the_anchor_that_pf_conf_names() {
    let case = Case::new().rules("small", &[]).publishes("web", &[8080]);
    let (nat, _) = case.decide("big");
    let [anchor] = nat.anchors.as_slice() else { panic!("{nat:?}") };
    assert_eq!((anchor.before.len(), anchor.after.as_slice()), (0, [OWN.to_owned(), FORWARD.to_owned()].as_slice()));
    assert_eq!(case.codes("big"), Vec::<String>::new());
    let mut case = Case::new().publishes("web", &[8080]);
    assert_eq!(case.codes("big"), ["anchor-unreferenced", "anchor-forgotten"]);
    let (_, findings) = case.decide("big");
    let [line] = findings[0].lines.as_slice() else { panic!("the wide rule translates already: {findings:?}") };
    assert_eq!((line.file.as_str(), line.line.as_str()), ("/etc/pf.conf", "rdr-anchor \"jailferry/*\""));
    case.pf("small").enabled = None;
    assert_eq!(case.codes("big"), ["pf-off"]);
    assert_eq!(case.decide("big").1[0].severity, Severity::Error);
}

#[test]
fn what_is_in_the_anchor_stays_when_fleet_yml_says_nothing() {
    let mut case = Case::new().rules("small", &[]);
    case.pf("small").of_jails.insert(jail("web"), vec![OWN.into(), FORWARD.into()]);
    assert_eq!(case.decide("big").0, Nat::default());
    case.pf("small").of_jails.insert(jail("web"), vec![FORWARD.into()]);
    assert_eq!(case.decide("big").0.anchors[0].after, [FORWARD, OWN]);
    let case = case.publishes("web", &[8080]);
    assert_eq!(case.decide("big").0.anchors[0].after, [OWN, FORWARD]);
}

#[test]
fn rules_move_from_one_node_s_pf_to_the_other_s() {
    let mut case = Case::new().rules("spare", &[]).rules("big", &[]).own_way("spare").own_way("big");
    case.pf("spare").of_jails.insert(jail("web"), vec![OWN.into(), FORWARD.into()]);
    assert_eq!(case.codes("big"), ["forward-ends"]);
    let mut case = case.publishes("web", &[8080]);
    let (nat, _) = case.decide("big");
    let texts = |a: &AnchorChange| (a.host.to_string(), a.before.len(), a.after.len());
    assert_eq!(nat.anchors.iter().map(texts).collect::<Vec<_>>(), [("big".into(), 0, 2), ("spare".into(), 2, 0)]);
    assert_eq!(nat.others, [node("spare"), node("big")]);
    assert_eq!(case.codes("big"), Vec::<String>::new());
    case.world.hosts.get_mut(&node("big")).unwrap().facts.routes.get_mut(&1).unwrap().clear();
    assert_eq!(case.codes("big"), ["no-way-out"]);
}

#[test]
fn a_port_leads_to_one_place() {
    let other = "rdr on vtnet0 inet proto tcp from any to any port = 8080 -> 192.168.123.51 port 80";
    let case = |rules: &[&str]| Case::new().rules("small", &[&[WIDE], rules].concat()).publishes("web", &[8080]);
    assert_eq!(case(&[other]).codes("big"), ["port-taken"]);
    let same = "rdr on vtnet0 inet proto tcp from any to 203.0.113.1 port = 8080 -> 192.168.123.50 port 80";
    assert_eq!(case(&[same]).decide("big").0, Nat::default());
    let mut anchored = case(&[]);
    anchored.pf("small").of_jails.insert(jail("db"), vec![other.into()]);
    assert_eq!(anchored.codes("big"), ["port-taken"]);
    assert_eq!(case(&[]).publishes("sib", &[8080]).codes("big"), ["port-taken"]);
    assert_eq!(case(&[]).publishes("sib", &[8081]).codes("big"), Vec::<String>::new());
    assert_eq!(case(&[]).publishes("web", &[22]).codes("big"), ["port-of-ssh"]);
    // sib leaves by another host.
    assert_eq!(case(&[]).publishes("sib", &[8080]).own_way("spare").codes("big"), Vec::<String>::new());
}

#[test]
fn a_place_that_the_host_does_not_have_is_named() {
    let mut case = Case::new().rules("small", &[WIDE]).publishes("web", &[8080]);
    let mut on = |outside: Outside| {
        case.fleet.jails.get_mut(&jail("web")).unwrap().publish[0].on = Some(outside);
        (case.codes("big"), case.decide("big").0.anchors)
    };
    assert_eq!(on(Outside::Interface(InterfaceName::new("em7").unwrap())).0, ["publish-on"]);
    assert_eq!(on(Outside::Address("203.0.113.99".parse().unwrap())).0, ["publish-on"]);
    let (codes, anchors) = on(Outside::Address("192.168.122.1".parse().unwrap()));
    assert_eq!(codes, Vec::<String>::new());
    assert_eq!(
        anchors[0].after,
        ["rdr on bridge0 inet proto tcp from any to 192.168.122.1 port = 8080 -> 192.168.123.50 port 80"]
    );
}

/// The plan of web's move, as `migrate` would make it.
fn plan(case: &Case, world: &World, target: &str) -> crate::plan::Plan {
    let (evidence, situation, findings) = world.evidence(&case.fleet, &jail("web"), &node(target));
    let settings = crate::playbook::Options::default().settle();
    crate::plan::assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), target, findings).unwrap()
}

#[test]
fn undone_the_hosts_are_as_before_and_home_again_too() {
    let mut case = Case::new().rules("spare", &[]).rules("big", &[BY_TABLE]).table("big", &["192.168.124.0/24"]);
    case = case.own_way("spare").own_way("big").publishes("web", &[8080]);
    case.pf("spare").of_jails.insert(jail("web"), vec![OWN.into(), FORWARD.into()]);
    let start = case.world.clone();
    let out = plan(&case, &start, "big");
    assert!(!out.refused(), "{:?}", out.findings);
    let mut world = start.clone();
    for (index, step) in out.steps.iter().enumerate().take(out.point_of_no_return()) {
        let mut back = world.clone();
        world.apply(&step.effect).unwrap();
        for from in [&mut back, &mut world.clone()] {
            for effect in out.steps.iter().take(index + 1).rev().flat_map(|s| &s.undo) {
                from.apply(effect).unwrap_or_else(|e| panic!("undo of step {} and before: {e}", index + 1));
            }
            let pf = |w: &World| w.hosts.values().map(|h| h.facts.pf.clone()).collect::<Vec<_>>();
            assert_eq!(pf(from), pf(&start), "after the undo of step {} and before", index + 1);
        }
    }
    for step in out.steps.iter().skip(out.point_of_no_return()) {
        world.apply(&step.effect).unwrap();
        world.apply(&step.effect).unwrap_or_else(|e| panic!("again: {}: {e}", step.title));
    }
    let pf = |world: &World, host: &str| world.hosts[&node(host)].facts.pf.clone();
    assert_eq!(pf(&world, "spare").of_jails.len(), 0);
    assert_eq!(pf(&world, "big").of_jails[&jail("web")], [FORWARD], "the table translates");
    let table = pf(&world, "big").file.unwrap().table_files.into_values().next().unwrap();
    assert_eq!(table.entries.len(), 2);
    let files = |world: &World, host: &str| {
        let ours = |path: &&RemotePath| path.as_str().starts_with("/etc/pf.jailferry.");
        world.hosts[&node(host)].files.keys().filter(ours).count()
    };
    assert_eq!((files(&world, "spare"), files(&world, "big")), (0, 2));

    let home = plan(&case, &world, "spare");
    for step in &home.steps {
        world.apply(&step.effect).unwrap_or_else(|e| panic!("{}: {e}", step.title));
    }
    assert_eq!((pf(&world, "spare"), pf(&world, "big")), (pf(&start, "spare"), pf(&start, "big")));
    assert_eq!((files(&world, "spare"), files(&world, "big")), (2, 0));
}
