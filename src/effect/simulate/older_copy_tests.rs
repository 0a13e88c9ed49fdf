//! Older copies that the jail's own datasets have moved away from.

use crate::effect::simulate::tests::travel;
use crate::effect::simulate::tests::try_plan;
use crate::model::DatasetName;
use crate::plan::Severity;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;

#[test]
fn what_was_destroyed_meanwhile_does_not_come_to_life_again() {
    let shape = Shape::testbed();
    let (web, home, away) = (jail("web"), node("spare"), node("big"));
    let mut world = travel(shape.world(), &shape, &web, &away, 0).unwrap();
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

    let plan = try_plan(&world, &shape, &web, &home, 1);
    let errors: Vec<_> = plan.findings.iter().filter(|f| f.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!(errors[0].code, "copy-has-more");
    assert!(
        errors[0].what.starts_with(&format!("{there} on spare is below the older copy of jail web, and big has no"))
    );
    let root = there.as_str().strip_suffix("/data").unwrap();
    let commands: Vec<&str> = errors[0].commands.iter().map(|remedy| remedy.command.as_str()).collect();
    assert_eq!(commands, [format!("zfs rename {there} {root}-data.old")]);
}
