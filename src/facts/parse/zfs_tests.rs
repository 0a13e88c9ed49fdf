use super::*;
use crate::facts::recordings::stdout;

#[test]
fn datasets_with_all_columns() {
    let text = "zroot/jails/web\tfilesystem\t14513045557020125951\t18956288\t98304\t448049152\t/usr/jails/web\ton\tyes\t-\toff\t-\toff\toff\n\
        zroot/enc\tfilesystem\t1\t2\t3\t4\tnone\tnoauto\tno\tzroot/a@b\taes-256-gcm\tunavailable\ton\ton\n\
        zroot/vol\tvolume\t5\t6\t7\t8\t-\t-\t-\t-\toff\t-\t-\toff\n\
        zroot/my data\tfilesystem\t1\t2\t3\t4\t/x\ton\tyes\t-\toff\t-\toff\toff\n";
    let (found, odd) = datasets(text).unwrap();
    assert_eq!(odd, ["zroot/my data"]);
    let [web, enc, vol] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (web.name.as_str(), web.guid, web.used, web.available),
        ("zroot/jails/web", Guid(14513045557020125951), 18956288, 448049152)
    );
    assert!(web.mounted && !web.encrypted && web.key_available && web.origin.is_none() && !web.jailed && !web.readonly);
    assert!(!enc.mounted && enc.encrypted && !enc.key_available && enc.jailed && enc.readonly);
    assert_eq!(enc.origin.as_deref(), Some("zroot/a@b"));
    assert_eq!(vol.kind, DatasetKind::Volume);
    assert!(datasets("zroot\t1\n").is_err());
    // The recorded listing has other columns (no type, no available): it must be refused, not misread.
    assert!(datasets(&stdout("zfs-list")).is_err());
}

#[test]
fn snapshots_with_guids() {
    let found = snapshots(&stdout("zfs-list-snapshots")).unwrap();
    let web = &found[&DatasetName::new("zroot/jails/web").unwrap()];
    assert_eq!(web.len(), 1);
    assert_eq!(
        (web[0].label.as_str(), web[0].guid, web[0].createtxg, web[0].userrefs),
        ("jailferry-r1-1", Guid(18142726109347444492), 11, 0)
    );
    assert!(snapshots("zroot/jails/web\t1\t2\t3\n").is_err());
    assert!(snapshots("zroot/jails/web@$(id)\t1\t2\t3\n").is_err());
}

#[test]
fn properties_with_their_source() {
    let found = properties(&stdout("zfs-get-source")).unwrap();
    let web = &found["zroot/jails/web"];
    assert_eq!(web.len(), 13);
    assert_eq!(
        web["mountpoint"],
        PropertyValue { value: "/usr/jails/web".into(), source: "inherited from zroot/jails".into() }
    );
    assert_eq!(web["receive_resume_token"].value, "-");
    let token = properties(stdout("zfs-resume-token").lines().next().unwrap()).unwrap();
    assert!(token["zroot/dst/part"]["receive_resume_token"].value.starts_with("1-c05778d80-d0-789c"));
    assert_eq!(
        properties("a\torg.x:note\tone\ttwo\nthree\tlocal\nb\tatime\toff\tlocal\n").unwrap()["a"]["org.x:note"].value,
        "one\ttwo\nthree"
    );
    assert!(properties("a\tb\n").is_err());
}

#[test]
fn pools_and_features() {
    let pool = pools(&stdout("zpool-list")).unwrap().remove(0);
    assert_eq!(
        (pool.name.as_str(), pool.size, pool.free, pool.health.as_str()),
        ("zroot", 603979776, 538943488, "ONLINE")
    );
    let features = features(&stdout("zpool-features"));
    assert_eq!(features.len(), 33);
    assert_eq!(features["large_blocks"], "enabled");
    assert_eq!(features["lz4_compress"], "active");
    assert!(pools("zroot\t1\n").is_err());
    assert!(pools("no pools available\n").unwrap().is_empty());
    assert_eq!(pools("sick\t-\t-\t-\tFAULTED\n").unwrap()[0].health, "FAULTED");
}

#[test]
fn both_versions_or_none() {
    let version = version(&stdout("zfs-version")).unwrap();
    assert_eq!(version.userland, "zfs-2.1.9-FreeBSD_g92e0d9d18");
    assert_eq!(version.kernel, "zfs-kmod-2.1.9-FreeBSD_g92e0d9d18");
    assert_eq!(version.kernel_release(), Some((2, 1, 9)));
    let other = |kernel: &str| ZfsVersion { kernel: kernel.to_owned(), ..version.clone() }.kernel_release();
    assert_eq!(other("zfs-kmod-2.4.0-rc4-FreeBSD_g099f69ff5"), Some((2, 4, 0)));
    assert_eq!((other("zfs-2.1.9"), other("zfs-kmod-2.x.1"), other("")), (None, None, None));
    assert_eq!(super::version("zfs-2.1.9-FreeBSD_g92e0d9d18\n"), None);
}

/// As 14.0 printed them.
#[test]
fn what_others_may_do_with_a_dataset_itself() {
    let text = "---- Permissions on z/jails/web -----------------\nPermission sets:\n\t@b hold,send\nCreate time permissions:\n\tdestroy\nLocal permissions:\n\teveryone mount\nLocal+Descendent permissions:\n\tuser operator hold,send,snapshot\n\tuser $(id) send\n---- Permissions on z/jails ---\nLocal permissions:\n\tgroup wheel mount\n";
    let of = |name: &str| allowed(&DatasetName::new(name).unwrap(), text);
    assert_eq!(of("z/jails/web"), ["-s @b hold,send", "-c destroy", "-l -e mount", "-u operator hold,send,snapshot"]);
    assert_eq!(of("z/jails"), ["-l -g wheel mount"]);
    assert_eq!(of("z"), Vec::<String>::new());
}
