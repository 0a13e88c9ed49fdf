use super::*;
use crate::model::DatasetName;
use crate::model::NodeName;

fn dataset(properties: &[(&str, &str, &str)]) -> JailDataset {
    let value = |(name, value, source): &(&str, &str, &str)| {
        ((*name).to_owned(), PropertyValue { value: (*value).to_owned(), source: (*source).to_owned() })
    };
    JailDataset {
        name: DatasetName::new("zroot/web").unwrap(),
        snapshots: Vec::new(),
        properties: properties.iter().map(value).collect(),
        received: BTreeSet::new(),
    }
}

/// As to a host of which nothing is known.
fn differing(source: &JailDataset, copy: &JailDataset) -> Differing {
    super::differing(source, copy, &takes(&BTreeSet::new(), None, &NodeName::new("big").unwrap()))
}

fn takes<'a>(known: &'a BTreeSet<String>, largest: Option<u64>, node: &'a NodeName) -> Takes<'a> {
    Takes { node, known, largest, pool: None }
}

fn told(changed: &[Changed]) -> Vec<String> {
    changed.iter().map(|c| format!("{}: {:?} -> {:?}", c.new.name, c.old.state, c.new.state)).collect()
}

#[test]
fn what_is_the_same_stays_however_it_came() {
    let ours = dataset(&[
        ("compression", "lz4", "local"),
        ("atime", "on", "default"),
        ("quota", "0", "local"),
        ("readonly", "off", "local"),
        ("mountpoint", "/jails/web", "local"),
        ("org.jailferry:state", "x", "local"),
        ("volsize", "1", "local"),
    ]);
    let copy =
        dataset(&[("compression", "lz4", "received"), ("readonly", "on", "local"), ("canmount", "noauto", "local")]);
    assert_eq!(differing(&ours, &copy), Differing::default());
    assert_eq!(differing(&copy, &ours), Differing::default());
}

#[test]
fn what_was_set_or_taken_back_meanwhile_follows() {
    let mut ours = dataset(&[
        ("compression", "zstd", "local"),
        ("org.example:owner", "a b", "received"),
        ("atime", "on", "default"),
        ("reservation", "0", "default"),
    ]);
    let copy =
        dataset(&[("compression", "lz4", "received"), ("atime", "off", "local"), ("reservation", "5", "received")]);
    ours.received.insert("reservation".to_owned());
    let found = differing(&ours, &copy);
    assert_eq!(found.before, vec![]);
    assert_eq!(
        told(&found.after),
        [
            "atime: Local(\"off\") -> Inherited",
            "compression: Received -> Local(\"zstd\")",
            "org.example:owner: Inherited -> Local(\"a b\")",
            "reservation: Received -> Local(\"none\")",
        ]
    );
}

#[test]
fn a_limit_that_was_raised_changes_before_anything_is_received() {
    let copy = dataset(&[("quota", "100", "local"), ("refquota", "100", "received")]);
    let found = differing(&dataset(&[("quota", "200", "local"), ("refquota", "0", "default")]), &copy);
    assert_eq!(
        told(&found.before),
        ["quota: Local(\"100\") -> Local(\"200\")", "refquota: Received -> Local(\"none\")"]
    );
    assert_eq!(found.after, vec![]);
    let found = differing(&dataset(&[("quota", "50", "local"), ("refquota", "100", "local")]), &copy);
    assert_eq!(
        (found.before.len(), told(&found.after)),
        (0, vec!["quota: Local(\"100\") -> Local(\"50\")".to_owned()])
    );
    let none = dataset(&[]);
    let found = differing(&copy, &none);
    assert_eq!((found.before.len(), found.after.len()), (0, 2), "a limit that is new");
}

/// `recordsize=4m` did not arrive where the jail was, and is set nowhere but at home.
#[test]
fn what_the_other_host_has_never_taken_stays_on_the_copy() {
    let home =
        dataset(&[("recordsize", "4194304", "local"), ("reservation", "5", "received"), ("atime", "off", "local")]);
    let mut away = dataset(&[]);
    let found = differing(&away, &home);
    assert_eq!(told(&found.after), ["atime: Local(\"off\") -> Inherited"]);
    let kept =
        |found: &Differing| found.apart.iter().map(|a| (a.name.clone(), a.refusal.is_none())).collect::<Vec<_>>();
    assert_eq!(kept(&found), [("recordsize".to_owned(), true), ("reservation".to_owned(), true)]);
    // It had come with the stream, so somebody has taken it back.
    away.received.extend(["recordsize".to_owned(), "reservation".to_owned()]);
    let found = differing(&away, &home);
    assert_eq!((kept(&found), found.after.len()), (vec![], 3));
    // Another value of its own was set there.
    let away = dataset(&[("recordsize", "8192", "local"), ("reservation", "5", "local"), ("atime", "off", "local")]);
    let found = differing(&away, &home);
    assert_eq!(told(&found.after), ["recordsize: Local(\"4194304\") -> Local(\"8192\")"]);
}

#[test]
fn what_the_target_does_not_take_is_not_tried() {
    let (node, known) = (NodeName::new("big").unwrap(), BTreeSet::from(["recordsize".to_owned(), "atime".to_owned()]));
    let takes = takes(&known, Some(1 << 20), &node);
    let source =
        dataset(&[("recordsize", "4194304", "local"), ("prefetch", "none", "local"), ("atime", "off", "local")]);
    let names = |found: &Differing| found.apart.iter().map(|a| a.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&refused(&source, &takes)), ["prefetch", "recordsize"]);
    let found = super::differing(&source, &dataset(&[]), &takes);
    assert_eq!(names(&found), ["prefetch", "recordsize"]);
    assert_eq!(told(&found.after), ["atime: Inherited -> Local(\"off\")"]);
    // It has been set there all the same.
    let found = super::differing(&source, &dataset(&[("recordsize", "4194304", "received")]), &takes);
    assert_eq!(names(&found), ["prefetch"]);
}
