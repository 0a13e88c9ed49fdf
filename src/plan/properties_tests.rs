use super::*;
use crate::model::DatasetName;

fn dataset(properties: &[(&str, &str, &str)]) -> JailDataset {
    let value = |(name, value, source): &(&str, &str, &str)| {
        ((*name).to_owned(), PropertyValue { value: (*value).to_owned(), source: (*source).to_owned() })
    };
    JailDataset {
        name: DatasetName::new("zroot/web").unwrap(),
        snapshots: Vec::new(),
        properties: properties.iter().map(value).collect(),
    }
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
    let ours = dataset(&[
        ("compression", "zstd", "local"),
        ("org.example:owner", "a b", "received"),
        ("atime", "on", "default"),
        ("reservation", "0", "default"),
    ]);
    let copy =
        dataset(&[("compression", "lz4", "received"), ("atime", "off", "local"), ("reservation", "5", "received")]);
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
