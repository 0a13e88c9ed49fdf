use super::super::sure_tests::found;
use super::super::sure_tests::host;
use super::super::sure_tests::severity;
use crate::effect::Effect;
use crate::plan::Severity;
use crate::plan::fixture::jail;
use crate::plan::situation::Evidence;

const WARNING: Option<Severity> = Some(Severity::Warning);
const ERROR: Option<Severity> = Some(Severity::Error);
const DATA: &str = "jfpool/jails/web/data";

/// One line more in the jail's fstab.
fn line(text: &str) -> impl FnOnce(&mut Evidence) {
    let text = format!("{text}\n");
    move |e| e.jail.as_mut().unwrap().fstab.as_mut().unwrap().1.text.push_str(&text)
}

/// One parameter more in its configuration.
fn parameter(e: &mut Evidence, name: &str, value: &str) {
    let facts = host(e, "spare");
    let web = facts.jail_configurations.iter_mut().find(|c| c.name == "web").unwrap();
    web.parameters.push((name.to_owned(), Some(value.to_owned())));
}

/// The jail's second dataset is mounted by mount(8).
fn legacy(e: &mut Evidence) {
    let data = host(e, "spare").datasets.iter_mut().find(|d| d.name.as_str() == DATA).unwrap();
    data.mountpoint = "legacy".to_owned();
}

#[test]
fn a_dataset_that_jail_8_mounts_is_nobody_elses_to_mount() {
    let change = |e: &mut Evidence| {
        legacy(e);
        line(&format!("{DATA} /jf/jails/web/data zfs rw 0 0"))(e);
    };
    let plan = found(change).unwrap();
    for step in &plan.steps {
        let effects = std::iter::once(&step.effect).chain(&step.undo);
        for effect in effects {
            match effect {
                Effect::Park { datasets, .. } | Effect::Unpark { datasets, .. } => {
                    assert!(datasets.iter().all(|d| d.dataset.as_str() != DATA || !d.mounted), "{}", step.title);
                }
                Effect::StopJail(place) | Effect::StartJail(place) if place.jail == jail("web") => {
                    assert_eq!(place.legacy.iter().map(|d| d.as_str()).collect::<Vec<_>>(), [DATA], "{}", step.title);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_dataset_that_somebody_else_mounts_would_not_be_mounted_there() {
    assert_eq!(severity("legacy-mounted", |_| ()), None);
    assert_eq!(severity("legacy-mounted", legacy), ERROR);
    let named = |name: &'static str, value: &'static str| {
        move |e: &mut Evidence| {
            legacy(e);
            parameter(e, name, value);
        }
    };
    assert_eq!(severity("legacy-mounted", named("mount", "\"jfpool/jails/web/data /jf/jails/web/data zfs rw\"")), None);
    let command = "\"mount -t zfs jfpool/jails/web/data /jf/jails/web/data\"";
    assert_eq!(severity("legacy-mounted", named("exec.prestart", command)), None);
}

#[test]
fn a_line_names_a_dataset_as_it_is_called_at_the_target() {
    let of = |text: &str| severity("mounted-elsewhere", line(text));
    assert_eq!(of(&format!("{DATA} /jf/jails/web/data zfs rw 0 0")), None);
    assert_eq!(of("jfpool/ports /jf/jails/web/ports zfs ro 0 0"), ERROR);
    assert_eq!(of("jfpool/jails /jf/jails/web/ports zfs ro 0 0"), WARNING);
    let elsewhere = |e: &mut Evidence| {
        line(&format!("{DATA}@before /jf/jails/web/before zfs ro 0 0"))(e);
        let big = e.fleet.nodes.get_mut(&crate::plan::fixture::node("big")).unwrap();
        big.parent = Some(crate::model::DatasetName::new("jfpool").unwrap());
    };
    assert_eq!(severity("mounted-name", elsewhere), ERROR);
}

#[test]
fn what_the_jail_writes_to_its_host_stays_there() {
    let of = |text: &str| severity("stays-behind", line(text));
    assert_eq!(of("/data /jf/jails/web/mnt nullfs rw 0 0"), WARNING);
    assert_eq!(of("/data /jf/jails/web/mnt nullfs ro 0 0"), None);
    assert_eq!(of("/jf/jails/web/data/pub /jf/jails/web/mnt nullfs rw 0 0"), None, "it comes along");
    let linked = |e: &mut Evidence| {
        parameter(e, "path", "/j/web");
        line("/j/web/data /j/web/mnt nullfs rw 0 0")(e);
    };
    assert_eq!(severity("stays-behind", linked), None, "it comes along, by the name of a link");
    assert_eq!(severity("stays-behind", |e| parameter(e, "mount", "\"/data /jf/jails/web/mnt nullfs rw\"")), WARNING);
}

#[test]
fn what_cannot_be_asked_for_is_told() {
    let of = |text: &str| severity("odd-source", line(text));
    assert_eq!(of("/usr/my\\040ports /jf/jails/web/ports nullfs ro 0 0"), WARNING);
    assert_eq!(of("/usr/ports /jf/jails/web/ports nullfs ro 0 0"), None);
}
