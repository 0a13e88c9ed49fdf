//! `fixtures/playbooks/valid` is taken without a word, `fixtures/playbooks/invalid` is refused with exactly the
//! findings of its snapshot.

use std::path::Path;

use insta::assert_snapshot;
use insta::glob;
use jailferry::playbook::Fleet;
use jailferry::playbook::Look;
use jailferry::playbook::Report;
use jailferry::playbook::read_fleet;
use jailferry::playbook::read_playbook;

/// The name that messages show: no machine's folders.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The fleet that the playbooks of the fixtures are for.
fn fleet() -> Fleet {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/playbooks/valid/fleet-everything.yml");
    read_fleet("fleet-everything.yml", &std::fs::read(path).unwrap()).value.unwrap()
}

/// Reads a fixture by its name; the findings, and whether there is a value.
fn read(path: &Path) -> (Report, bool) {
    let (name, bytes) = (name_of(path), std::fs::read(path).unwrap());
    if name.starts_with("playbook-") {
        let reading = read_playbook(&name, &bytes, Some(&fleet()));
        (reading.report, reading.value.is_some())
    } else {
        let reading = read_fleet(&name, &bytes);
        (reading.report, reading.value.is_some())
    }
}

#[test]
fn valid_files_are_taken_without_a_word() {
    glob!("../../fixtures/playbooks/valid", "*.yml", |path| {
        let (report, taken) = read(path);
        assert_eq!(report.render(Look::default()), "", "{}", path.display());
        assert!(taken, "{}", path.display());
    });
}

#[test]
fn invalid_files_are_refused_with_every_finding() {
    glob!("../../fixtures/playbooks/invalid", "*.yml", |path| {
        let (report, taken) = read(path);
        assert!(!taken && report.errors() > 0, "{} was taken", path.display());
        let shown = report.render(Look::default());
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{} reached the terminal raw", path.display());
        assert_snapshot!(shown);
    });
}

#[test]
fn what_everything_means() {
    insta::assert_debug_snapshot!(fleet());
}

#[test]
fn lines_and_columns_are_those_of_an_editor() {
    let report = read_fleet("f.yml", "\u{feff}# größe\r\nhub: ü\r\nnodes: {a: , ö: {fib: x}}\r\n".as_bytes()).report;
    let places: Vec<(usize, usize)> = report.json().iter().map(|f| (f.line, f.column)).collect();
    assert_eq!(places, [(2, 6), (3, 14), (3, 23)]);
}

#[test]
fn files_tell_what_they_are() {
    use jailferry::playbook::Kind;
    use jailferry::playbook::kind_of;
    for (text, kind) in [
        ("hub: a\nnodes: {a: , b: }\n", Kind::Fleet),
        ("hbu: a\nnodse: {a: , b: }\n", Kind::Fleet),
        ("fleet: f.yml\nmoves: []\n", Kind::Playbook),
        ("move: []\n", Kind::Playbook),
        ("fleet: f.yml\n", Kind::Playbook),
        ("", Kind::Fleet),
        ("[", Kind::Fleet),
    ] {
        assert_eq!(kind_of(text.as_bytes()), kind, "{text}");
    }
}
