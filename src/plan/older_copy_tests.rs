//! Plans onto the copy that an earlier move has left: what others did to it meanwhile, and how it is when a move is taken back.

use crate::effect::Effect;
use crate::effect::simulate::World;
use crate::model::DatasetName;
use crate::model::SnapshotLabel;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::assemble;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::tester;
use crate::playbook::Options;

const WEB: &str = "jfpool/jails/web";
const DATA: &str = "jfpool/jails/web/data";

fn name(text: &str) -> DatasetName {
    DatasetName::new(text).unwrap()
}

/// A snapshot of the whole tree, by whoever takes them.
fn take(world: &mut World, host: &str, label: &str) {
    let (label, known) = (SnapshotLabel::new(label).unwrap(), vec![name(WEB), name(DATA)]);
    world.apply(&Effect::Snapshot { host: node(host), dataset: name(WEB), label, known }).unwrap();
}

fn write(world: &mut World, host: &str, dataset: &str) {
    world.hosts.get_mut(&node(host)).unwrap().storage.get_mut(&name(dataset)).unwrap().content += 1;
}

fn plan(world: &World, to: &str, salt: &str) -> Plan {
    let shape = Shape::testbed();
    let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node(to));
    assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), salt, findings).unwrap()
}

fn errors(plan: &Plan) -> Vec<String> {
    let errors = plan.findings.iter().filter(|f| f.severity == Severity::Error);
    errors.map(|f| format!("{} {} {:?}", f.code, f.what, f.commands)).collect()
}

fn carry_out(world: &mut World, plan: &Plan) {
    assert_eq!(errors(plan), Vec::<String>::new());
    plan.steps.iter().for_each(|s| world.apply(&s.effect).unwrap_or_else(|e| panic!("{}: {e}", s.title)));
}

fn labels(world: &World, host: &str, dataset: &str) -> Vec<String> {
    let all = &world.hosts[&node(host)].storage[&name(dataset)].snapshots;
    all.iter().filter(|s| !s.label.is_ours()).map(|s| s.label.to_string()).collect()
}

/// The jail is on big, and spare has what it left there.
fn moved() -> World {
    let mut world = Shape::testbed().world();
    let out = plan(&world, "big", "1");
    carry_out(&mut world, &out);
    world
}

/// Whoever takes snapshots of everything takes them of the parked copy, too, at the same times and so of the same names.
#[test]
fn snapshots_that_show_nothing_new_are_not_in_the_way() {
    let mut world = moved();
    for label in ["auto-1", "auto-2"] {
        take(&mut world, "spare", label);
        write(&mut world, "big", WEB);
        take(&mut world, "big", label);
    }
    take(&mut world, "big", "own");
    let home = plan(&world, "spare", "2");
    let stay = home.findings.iter().find(|f| f.code == "snapshots-stay").expect("four of them");
    assert!(stay.what.contains("4 of your snapshots stay on big"), "{}", stay.what);
    let before = format!("{:?}", world.hosts);
    let copied = home.steps.iter().take_while(|s| s.phase == crate::plan::Phase::Copy).count();
    for done in 1..=copied {
        let mut tried = world.clone();
        home.steps[..done].iter().for_each(|s| tried.apply(&s.effect).unwrap());
        let undone = home.steps[..done].iter().rev().flat_map(|s| &s.undo);
        undone.for_each(|effect| tried.apply(effect).unwrap());
        assert_eq!(format!("{:?}", tried.hosts), before, "undone behind {}", home.steps[done - 1].title);
    }
    carry_out(&mut world, &home);
    assert_eq!(labels(&world, "spare", WEB), ["auto-1", "auto-2", "own"]);
}

#[test]
fn snapshots_that_show_something_are_named_with_the_line_that_destroys_them() {
    let mut world = moved();
    take(&mut world, "spare", "auto-1");
    write(&mut world, "spare", WEB);
    take(&mut world, "spare", "auto-2");
    let found = errors(&plan(&world, "spare", "2"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("copy-changed") && found[0].contains("auto-1, auto-2"), "{found:?}");
    assert!(found[0].contains("zfs destroy jfpool/jails/web@auto-1%auto-2"), "{found:?}");
}

/// Somebody takes a snapshot of the copy while the jail comes home, and the move is taken back: that is no reason to fail.
#[test]
fn a_copy_that_somebody_has_a_snapshot_of_is_left_as_it_is() {
    let mut world = moved();
    write(&mut world, "big", WEB);
    let home = plan(&world, "spare", "2");
    let sent = home.steps.iter().position(|s| s.title.contains("send jfpool/jails/web since")).expect("an increment");
    home.steps[..=sent].iter().for_each(|s| world.apply(&s.effect).unwrap());
    take(&mut world, "spare", "hourly");
    for effect in home.steps[..=sent].iter().rev().flat_map(|s| &s.undo) {
        world.apply(effect).unwrap();
    }
    assert_eq!(labels(&world, "spare", WEB), ["hourly"]);
    let found = errors(&plan(&world, "spare", "3"));
    assert!(found.iter().any(|f| f.starts_with("copy-changed") && f.contains("hourly")), "{found:?}");
}

#[test]
fn a_copy_of_another_jail_is_not_taken_for_an_older_one() {
    let mut world = moved();
    let mark = "org.jailferry:run".to_owned();
    for dataset in [WEB, DATA] {
        let copy = world.hosts.get_mut(&node("spare")).unwrap().storage.get_mut(&name(dataset)).unwrap();
        copy.local.insert(mark.clone(), "db-0123abcd".into());
        copy.snapshots.clear();
    }
    let home = plan(&world, "spare", "2");
    let found = errors(&home);
    assert!(found.iter().all(|f| f.starts_with("dataset-exists")) && found.len() == 2, "{found:?}");
    assert!(found[0].contains("is a copy of jail db (run db-0123abcd)"), "{found:?}");
    assert!(!home.steps.iter().any(|s| s.title.contains("outdated copy")), "it would be put aside");
}

/// A child that was made where the jail lives arrives below an older copy; when the move home is taken back, it is this run's
/// to discard.
#[test]
fn a_new_child_below_an_older_copy_goes_with_the_move_that_brought_it() {
    let mut world = moved();
    let new = name("jfpool/jails/web/new");
    let storage = &mut world.hosts.get_mut(&node("big")).unwrap().storage;
    let mut child = storage[&name(DATA)].clone();
    child.like.name = new.clone();
    child.snapshots.clear();
    child.bookmarks.clear();
    child.local.clear();
    storage.insert(new.clone(), child);
    let home = plan(&world, "spare", "2");
    assert_eq!(errors(&home), Vec::<String>::new());
    let open = home.steps.iter().position(|s| s.title.contains("becomes writable")).expect("the copy is opened");
    let mut tried = world.clone();
    home.steps[..=open].iter().for_each(|s| tried.apply(&s.effect).unwrap_or_else(|e| panic!("{}: {e}", s.title)));
    assert!(tried.hosts[&node("spare")].storage.contains_key(&new));
    home.steps[..=open].iter().rev().flat_map(|s| &s.undo).for_each(|effect| tried.apply(effect).unwrap());
    assert!(!tried.hosts[&node("spare")].storage.contains_key(&new), "it stays behind");
}
