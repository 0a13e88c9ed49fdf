use std::collections::BTreeMap;

use super::*;
use crate::facts::JailDataset;
use crate::facts::PropertyValue;
use crate::facts::TextFile;
use crate::model::JailName;
use crate::plan::fixture as testbed;
use crate::plan::fixture::Shape;

fn name(text: &str) -> DatasetName {
    DatasetName::new(text).unwrap()
}

fn dataset(of: &str, root: &str, location: &str) -> JailDataset {
    let value = |value: &str| PropertyValue { value: value.into(), source: "-".into() };
    let properties =
        BTreeMap::from([("encryptionroot".to_owned(), value(root)), ("keylocation".to_owned(), value(location))]);
    JailDataset { name: name(of), snapshots: vec![], properties, received: Default::default() }
}

fn jail(datasets: Vec<JailDataset>) -> JailFacts {
    let file = RemotePath::new("/etc/jail.conf.d/web.conf").unwrap();
    JailFacts {
        name: JailName::new("web").unwrap(),
        configuration_file: file,
        configuration: TextFile { text: String::new(), sha256: String::new(), mode: String::new(), owner: (0, 0) },
        fstab: None,
        datasets,
        mounts: vec![],
        userland: None,
        inner_rc_interfaces: vec![],
        address_by: Default::default(),
        resolvers: Default::default(),
        allowed: Default::default(),
        beside: Default::default(),
        outside: BTreeMap::new(),
        users: vec![],
        origins: BTreeMap::new(),
        of_the_host: Default::default(),
    }
}

#[test]
fn a_key_is_that_of_the_encryption_root_and_from_a_file() {
    let web = "zroot/web";
    let facts = jail(vec![
        dataset(web, web, "file:///root/web.key"),
        dataset("zroot/web/data", web, "none"),
        dataset("zroot/web/db", "zroot/web/db", "prompt"),
        dataset("zroot/web/odd", "zroot/web/odd", "file://relative"),
        dataset("zroot/web/above", "zroot", "none"),
    ]);
    let file = RemotePath::new("/root/web.key").unwrap();
    let from_file = Key::File { file, root: name(web) };
    assert_eq!(of(&facts, &name(web)), from_file);
    assert_eq!(of(&facts, &name("zroot/web/data")), from_file);
    for (child, location) in [("zroot/web/db", "prompt"), ("zroot/web/odd", "file://relative")] {
        assert_eq!(of(&facts, &name(child)), Key::Elsewhere { location: location.into(), root: name(child) });
    }
    assert_eq!(of(&facts, &name("zroot/web/above")), Key::Above("zroot".into()));
}

#[test]
fn a_host_loads_keys_at_boot_if_rc_conf_says_so_or_a_script_of_its_own_may() {
    let shape = Shape::testbed();
    let (evidence, _, _) = shape.world().evidence(&shape.fleet(), &testbed::jail("web"), &testbed::node("big"));
    let with = |value: Option<&str>, scripts: &[&str]| {
        let mut facts = evidence.hosts[&testbed::node("big")].clone();
        facts.boot.tools = scripts.iter().map(|tool| (*tool).to_owned()).collect();
        facts.rc.variables.extend(value.map(|value| ("zfskeys_enable".to_owned(), value.to_owned())));
        loads_at_boot(&facts)
    };
    assert!(with(Some("YES"), &[]) && with(Some("on"), &[]) && with(None, &["zfs"]));
    assert!(!with(None, &[]) && !with(Some("NO"), &["route"]));
}
