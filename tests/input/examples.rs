//! `playbooks/` holds what works: every file is read with the fleet it names, and tells editors its schema.

use std::path::Path;
use std::path::PathBuf;

use jailferry::playbook::Kind;
use jailferry::playbook::Look;
use jailferry::playbook::kind_of;
use jailferry::playbook::read_fleet;
use jailferry::playbook::read_playbook;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks")
}

#[test]
fn every_example_is_valid() {
    let mut kinds = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.display().to_string();
        let kind = kind_of(&bytes);
        let shown = match kind {
            Kind::Fleet => read_fleet(&name, &bytes).report.render(Look::default()),
            Kind::Playbook => {
                let alone = read_playbook(&name, &bytes, None).value.unwrap();
                let fleet_path = folder().join(alone.fleet.expect("an example names its fleet"));
                let fleet = read_fleet("fleet", &std::fs::read(fleet_path).unwrap()).value.unwrap();
                read_playbook(&name, &bytes, Some(&fleet)).report.render(Look::default())
            }
        };
        assert_eq!(shown, "", "{name}");
        let schema = if kind == Kind::Fleet { "fleet" } else { "playbook" };
        let first = format!("# yaml-language-server: $schema=../schema/{schema}.json\n");
        assert!(bytes.starts_with(first.as_bytes()), "{name} does not begin with {first}");
        kinds.push(kind);
    }
    assert!(kinds.contains(&Kind::Fleet) && kinds.contains(&Kind::Playbook));
}
