//! Older copies that the jail's own datasets have moved away from.

use crate::effect::simulate::World;
use crate::effect::simulate::tests::travel;
use crate::effect::simulate::tests::try_plan;
use crate::model::DatasetName;
use crate::plan::Severity;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;

/// What forbids web's way home, with the lines that help.
fn forbidden(world: &World, shape: &Shape) -> Vec<(String, String, Vec<String>)> {
    let plan = try_plan(world, shape, &jail("web"), &node("spare"), 1);
    let errors = plan.findings.into_iter().filter(|f| f.severity == Severity::Error);
    errors.map(|f| (f.code, f.what, f.commands.into_iter().map(|remedy| remedy.command).collect())).collect()
}

#[test]
fn what_somebody_wrote_into_an_older_copy_is_not_thrown_away() {
    let shape = Shape::testbed();
    let mut world = travel(shape.world(), &shape, &jail("web"), &node("big"), 0).unwrap();
    let storage = &mut world.hosts.get_mut(&node("spare")).unwrap().storage;
    let (name, dataset) = storage.iter_mut().find(|(name, _)| name.as_str().ends_with("/web/data")).unwrap();
    dataset.local.insert("readonly".to_owned(), "off".to_owned());
    let name = name.clone();
    let found = forbidden(&world, &shape);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].0.as_str(), &found[0].2), ("copy-writable", &vec![format!("zfs set readonly=on {name}")]));
    assert!(found[0].1.contains("not read-only any more"), "{found:#?}");
}

#[test]
fn what_was_destroyed_meanwhile_does_not_come_to_life_again() {
    let shape = Shape::testbed();
    let (home, away) = (node("spare"), node("big"));
    let mut world = travel(shape.world(), &shape, &jail("web"), &away, 0).unwrap();
    let storage = &mut world.hosts.get_mut(&away).unwrap().storage;
    let child = storage.keys().find(|name| name.as_str().ends_with("/web/data")).cloned().unwrap();
    storage.remove(&child);
    // Something below it, besides.
    let below = DatasetName::new(format!("{child}/below")).unwrap();
    let storage = &mut world.hosts.get_mut(&home).unwrap().storage;
    let (there, like) = storage.iter().find(|(name, _)| name.as_str().ends_with("/web/data")).unwrap();
    let (there, like) = (there.clone(), like.clone());
    let below = below.rebase(&child, &there).unwrap();
    storage.insert(below, like);

    let found = forbidden(&world, &shape);
    assert_eq!(found.len(), 1, "{found:#?}");
    let root = there.as_str().strip_suffix("/data").unwrap();
    let put_away = vec![format!("zfs rename {there} {root}-data.old")];
    assert_eq!((found[0].0.as_str(), &found[0].2), ("copy-has-more", &put_away));
    assert!(found[0].1.starts_with(&format!("{there} on spare is below the older copy of jail web, and big has no")));
}
