//! What forbids a move, and what only may: a finding that is not sure is a warning.

use crate::facts::Dataset;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::facts::Mount;
use crate::facts::PathKind;
use crate::facts::PropertyValue;
use crate::facts::User;
use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::InterfaceName;
use crate::model::SnapshotName;
use crate::plan::Finding;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::assemble;
use crate::plan::finding::Findings;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;
use crate::plan::fixture::path;
use crate::plan::fixture::tester;
use crate::plan::situation::Evidence;
use crate::plan::situation::resolve;
use crate::playbook::Options;

/// The plan of web's move to big, or what speaks against it.
pub(super) fn found(change: impl FnOnce(&mut Evidence)) -> Result<Plan, Vec<Finding>> {
    let shape = Shape::testbed();
    let (mut evidence, _, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
    change(&mut evidence);
    let mut findings = Findings::default();
    let situation = resolve(&evidence, &jail("web"), &node("big"), &mut findings).unwrap();
    assemble::plan(&evidence, &situation, &Options::default().settle(), &tester(), "0", findings)
}

/// How bad it is, of all findings with that code; `None`: there is none.
pub(super) fn severity(code: &str, change: impl FnOnce(&mut Evidence)) -> Option<Severity> {
    let found = found(change).map_or_else(|findings| findings, |plan| plan.findings);
    found.into_iter().filter(|f| f.code == code).map(|f| f.severity).max()
}

pub(super) fn host<'a>(evidence: &'a mut Evidence, name: &str) -> &'a mut HostFacts {
    evidence.hosts.get_mut(&node(name)).unwrap()
}

/// What the hub has heard of `of` is nothing.
fn unheard(evidence: &mut Evidence, of: &str) {
    let keys: Vec<_> = host(evidence, of).wireguard.iter().map(|w| w.public_key.clone()).collect();
    let peers = host(evidence, "small").wireguard.iter_mut().flat_map(|w| &mut w.peers);
    peers.filter(|p| keys.contains(&p.public_key)).for_each(|p| p.latest_handshake = 0);
}

const WARNING: Option<Severity> = Some(Severity::Warning);
const ERROR: Option<Severity> = Some(Severity::Error);

#[test]
fn a_tunnel_is_down_when_the_node_was_made_to_speak_and_was_not_heard() {
    let code = "no-handshake";
    assert_eq!(severity(code, |_| ()), None);
    assert_eq!(severity(code, |e| unheard(e, "big")), ERROR);
    // What leaves a node needs no tunnel there.
    assert_eq!(severity(code, |e| unheard(e, "spare")), WARNING);
    // Nothing leads to the hub, so nobody could be made to speak.
    let deaf = |e: &mut Evidence| {
        unheard(e, "big");
        host(e, "big").routes.values_mut().for_each(Vec::clear);
    };
    assert_eq!(severity(code, deaf), WARNING);
}

#[test]
fn a_tunnel_that_takes_less_than_the_one_of_the_source_loses_clients() {
    let narrow = |on: &'static [&'static str]| {
        move |e: &mut Evidence| {
            for name in on {
                let peers = host(e, name).wireguard.iter_mut().flat_map(|w| &mut w.peers);
                peers.for_each(|p| p.allowed = ["10.77.0.0/24".parse().unwrap()].into());
            }
        }
    };
    assert_eq!(severity("narrow-tunnel", narrow(&[])), None);
    assert_eq!(severity("narrow-tunnel", narrow(&["big"])), ERROR);
    assert_eq!(severity("narrow-tunnel", narrow(&["spare", "big"])), WARNING);
}

#[test]
fn a_node_behind_nat_sends_keepalives() {
    let seen = |at: &'static str, keepalive: Option<bool>| {
        severity("no-keepalive", move |e| {
            let big = host(e, "big").wireguard[0].public_key.clone();
            host(e, "big").wireguard[0].peers.iter_mut().for_each(|p| p.keepalive = keepalive);
            let own =
                host(e, "big").interfaces.iter().flat_map(|i| &i.addresses).map(|a| a.addr()).find(|a| a.is_ipv4());
            let at = if at == "its own" { format!("{}:51820", own.unwrap()) } else { at.to_owned() };
            let peers = host(e, "small").wireguard.iter_mut().flat_map(|w| &mut w.peers);
            peers.filter(|p| p.public_key == big).for_each(|p| p.endpoint = Some(at.clone()));
        })
    };
    assert_eq!(seen("203.0.113.9:49970", Some(false)), WARNING);
    assert_eq!(seen("203.0.113.9:49970", Some(true)), None);
    assert_eq!(seen("203.0.113.9:49970", None), None);
    assert_eq!(seen("its own", Some(false)), None);
}

#[test]
fn a_userland_is_too_new_unless_it_runs_on_such_a_kernel_already() {
    let of = |jail: &'static str, here: &'static str| {
        severity("userland-newer", move |e| {
            e.jail.as_mut().unwrap().userland = Some(jail.to_owned());
            host(e, "spare").identity.running = here.to_owned();
        })
    };
    assert_eq!(of("13.2-RELEASE-p9", "13.2-RELEASE"), None);
    assert_eq!(of("13.3-RELEASE", "13.2-RELEASE"), WARNING);
    assert_eq!(of("13.3-RELEASE", "13.3-RELEASE"), ERROR);
    assert_eq!(of("14.0-RELEASE", "13.2-RELEASE"), ERROR);
}

#[test]
fn a_jail_with_the_base_of_its_host_has_that_of_the_target_there() {
    let of = |code: &'static str, source: &'static str, there: &'static str| {
        severity(code, move |e| {
            host(e, "big").identity.userland = there.to_owned();
            let jail = e.jail.as_mut().unwrap();
            jail.userland = Some("15.0-RELEASE".to_owned());
            let bin = Mount {
                source: source.to_owned(),
                path: "/jf/jails/web/bin".to_owned(),
                kind: "nullfs".to_owned(),
                options: "ro".to_owned(),
            };
            jail.mounts.push(bin);
        })
    };
    assert_eq!(of("userland-newer", "/bin", "13.2-RELEASE"), None);
    assert_eq!(of("base-of-host", "/bin", "13.2-RELEASE-p9"), None);
    assert_eq!(of("base-of-host", "/bin", "14.0-RELEASE"), WARNING);
    assert_eq!(of("userland-newer", "/releases/15.0/bin", "13.2-RELEASE"), ERROR);
}

#[test]
fn what_the_host_has_mounted_below_the_root_does_not_come_back() {
    let of = |what: &'static str, at: &'static str, kind: &'static str, more: Option<(&'static str, &'static str)>| {
        severity("foreign-mount", move |e| {
            let mount = Mount { source: what.into(), path: at.into(), kind: kind.into(), options: "rw".into() };
            e.jail.as_mut().unwrap().mounts.push(mount);
            let configurations = &mut host(e, "spare").jail_configurations;
            let web = configurations.iter_mut().find(|c| c.name == "web").unwrap();
            web.parameters.extend(more.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))));
        })
    };
    assert_eq!(of("/data", "/jf/jails/web/data", "nullfs", None), ERROR);
    assert_eq!(of("zroot/other", "/jf/jails/web/data", "zfs", None), ERROR);
    assert_eq!(of("/bin", "/jf/jails/web/bin", "nullfs", None), None);
    assert_eq!(of("tmpfs", "/jf/jails/web/tmp", "tmpfs", Some(("allow.mount.tmpfs", "true"))), None);
    let said = "mount -t nullfs /data /jf/jails/web/data";
    assert_eq!(of("/data", "/jf/jails/web/data", "nullfs", Some(("exec.created", said))), None);
    assert_eq!(of("/data", "/jf/jails/web/data", "nullfs", Some(("exec.created", "/usr/local/bin/up"))), WARNING);
}

#[test]
fn a_tunnel_without_an_ipv6_address_takes_no_route_on_14() {
    let of = |kernel: &'static str, address: bool| {
        severity("no-inet6-address", move |e| {
            let spare = host(e, "spare");
            spare.identity.running = kernel.to_owned();
            spare.routes.values_mut().for_each(|routes| routes.retain(|r| r.interface.as_str() != "wg0"));
            let wg0 = spare.interfaces.iter_mut().find(|i| i.name.as_str() == "wg0").unwrap();
            wg0.addresses.retain(|a| a.addr().is_ipv4());
            wg0.link_locals = address.then(|| "fe80::1/64".parse().unwrap()).into_iter().collect();
        })
    };
    assert_eq!(of("13.2-RELEASE", false), None);
    assert_eq!(of("14.0-RELEASE-p4", false), ERROR);
    assert_eq!(of("14.0-RELEASE-p4", true), None);
    assert_eq!(of("14.3-RELEASE", false), WARNING);
    assert_eq!(of("15.0-RELEASE", false), None);
    // Other routes through it prove that it takes them.
    assert_eq!(severity("no-inet6-address", |e| host(e, "spare").identity.running = "14.0-RELEASE".to_owned()), None);
}

#[test]
fn a_file_that_the_move_changes_and_root_may_not() {
    let of = |on: &'static str, file: &'static str| {
        severity("file-immutable", move |e| {
            host(e, on).unwritable.insert(path(file));
        })
    };
    assert_eq!(of("small", "/usr/local/etc/wireguard/wg0.conf"), ERROR);
    assert_eq!(of("spare", "/etc/jail.conf.d/web.conf"), ERROR);
    assert_eq!(of("big", "/etc/rc.conf"), ERROR);
    assert_eq!(of("spare", "/etc/jail.conf.d/db.conf"), None);
    assert_eq!(of("small", "/etc/pf.conf"), None);
}

#[test]
fn what_a_jail_has_from_above_its_datasets_is_compared_with_what_it_would_get() {
    let of = |property: &'static str, here: (&'static str, &'static str), there: &'static str| {
        severity(&format!("given-{property}"), move |e| {
            let value = PropertyValue { value: here.0.to_owned(), source: here.1.to_owned() };
            e.jail.as_mut().unwrap().datasets[0].properties.insert(property.to_owned(), value);
            e.target.as_mut().unwrap().given.insert(property.to_owned(), there.to_owned());
        })
    };
    assert_eq!(of("exec", ("on", "default"), "on"), None);
    assert_eq!(of("exec", ("on", "default"), "off"), ERROR);
    assert_eq!(of("exec", ("on", "local"), "off"), None);
    assert_eq!(of("readonly", ("off", "inherited from zroot"), "on"), ERROR);
    assert_eq!(of("readonly", ("on", "inherited from zroot"), "off"), WARNING);
    assert_eq!(of("setuid", ("on", "default"), "off"), WARNING);
    assert_eq!(of("setuid", ("off", "received"), "on"), None);
}

#[test]
fn modules_of_another_release_cannot_be_loaded() {
    let of = |installed: &'static str, loaded: bool| {
        severity("reboot-pending", move |e| {
            let facts = host(e, "big");
            facts.identity.installed = installed.to_owned();
            if !loaded {
                facts.modules.remove("if_epair");
            }
        })
    };
    assert_eq!(of("", false), None);
    assert_eq!(of("13.2-RELEASE-p9", false), WARNING);
    assert_eq!(of("14.0-RELEASE", true), WARNING);
    assert_eq!(of("14.0-RELEASE", false), ERROR);
}

#[test]
fn parameters_whose_module_jail_loads_itself_are_no_error() {
    let of = |parameter: &'static str, level: &'static str| {
        severity("unknown-parameter", move |e| {
            e.target.as_mut().unwrap().unknown_parameters.insert(parameter.to_owned());
            host(e, "big").sysctls.insert("kern.securelevel".into(), level.into());
        })
    };
    assert_eq!(of("allow.mount.fdescfs", "-1"), WARNING);
    assert_eq!(of("linux.osname", "0"), WARNING);
    assert_eq!(of("allow.mount.fdescfs", "1"), ERROR);
    assert_eq!(of("meta", "-1"), ERROR);
}

#[test]
fn what_is_still_dying_leaves_the_name_free() {
    let dying = |e: &mut Evidence| {
        let mut left = host(e, "spare").jail(&jail("web")).unwrap().clone();
        (left.dying, left.addresses) = (true, vec![]);
        host(e, "big").jails.push(left);
    };
    assert_eq!(severity("name-taken", dying), WARNING);
}

#[test]
fn only_a_plain_command_is_known_to_need_an_interface() {
    let of = |command: &'static str| {
        severity("foreign-interface", move |e| {
            let facts = host(e, "spare");
            let mut vlan = facts.interfaces[0].clone();
            vlan.name = InterfaceName::new("vlan7").unwrap();
            facts.interfaces.push(vlan);
            let web = facts.jail_configurations.iter_mut().find(|c| c.name == "web").unwrap();
            web.parameters.push(("exec.prestart".into(), Some(command.into())));
        })
    };
    assert_eq!(of("ifconfig vlan7 up"), ERROR);
    assert_eq!(of("/sbin/ifconfig vlan7 fib 1"), ERROR);
    assert_eq!(of("ifconfig vlan7 up || true"), WARNING);
    assert_eq!(of("/root/vlan7/begin"), WARNING);
    assert_eq!(of("ifconfig vlan7 create vlan 7 vlandev em0"), None);
    assert_eq!(of("ifconfig vlan70 up"), None);
}

#[test]
fn a_feature_of_the_pool_is_not_one_of_the_jails() {
    let of = |compression: &'static str| {
        severity("feature", move |e| {
            host(e, "spare").pools[0].features.insert("zstd_compress".into(), "active".into());
            host(e, "big").pools[0].features.insert("zstd_compress".into(), "disabled".into());
            let value = PropertyValue { value: compression.to_owned(), source: "local".to_owned() };
            e.jail.as_mut().unwrap().datasets[0].properties.insert("compression".into(), value);
        })
    };
    assert_eq!(of("lz4"), WARNING);
    assert_eq!(of("zstd-3"), ERROR);
}

#[test]
fn what_every_stream_needs_both_pools_have() {
    let of = |node: &'static str, feature: &'static str| {
        severity("feature", move |e| {
            host(e, "spare").pools[0].features.insert(feature.into(), "active".into());
            host(e, node).pools[0].features.insert(feature.into(), "disabled".into());
        })
    };
    for (node, feature) in
        [("spare", "bookmarks"), ("big", "extensible_dataset"), ("big", "embedded_data"), ("big", "lz4_compress")]
    {
        assert_eq!(of(node, feature), ERROR, "{feature}");
    }
    assert_eq!(of("big", "bookmarks"), None);
    assert_eq!(of("big", "large_dnode"), WARNING);
}

/// Much of it is over when the jail stops.
#[test]
fn somebody_else_uses_the_datasets() {
    assert_eq!(severity("in-use", |_| ()), None);
    let by = |user: User| severity("in-use", |e| e.jail.as_mut().unwrap().users.push(user));
    assert_eq!(by(User::Mount("/usr/pub".into())), WARNING);
    assert_eq!(by(User::Process { pid: 7, program: "rsync".into(), user: "root".into() }), WARNING);
}

#[test]
fn what_comes_with_the_jail_is_not_missing() {
    let absent = |e: &mut Evidence, folder: &str| {
        e.target.as_mut().unwrap().paths.insert(path(folder), PathKind::Absent);
    };
    let log = |folder: &'static str| {
        move |e: &mut Evidence| {
            let web = host(e, "spare").jail_configurations.iter_mut().find(|c| c.name == "web").unwrap();
            web.parameters.push(("exec.consolelog".into(), Some(format!("{folder}/console.log"))));
            absent(e, folder);
        }
    };
    let root = {
        let mut evidence = Shape::testbed().world().evidence(&Shape::testbed().fleet(), &jail("web"), &node("big")).0;
        host(&mut evidence, "spare").jail(&jail("web")).unwrap().path.clone()
    };
    assert_eq!(severity("no-log-folder", log("/var/log/jails")), ERROR);
    let inside: &'static str = Box::leak(format!("{root}/var/log").into_boxed_str());
    assert_eq!(severity("no-log-folder", log(inside)), None);
    assert_eq!(severity("missing-source", |e| absent(e, inside)), None);
    assert_eq!(severity("missing-source", |e| absent(e, "/usr/local/templates")), ERROR);
}

#[test]
fn a_bridge_that_is_left_may_be_down() {
    let down = |on: &'static str| {
        move |e: &mut Evidence| {
            host(e, on).interfaces.iter_mut().filter(|i| i.name.as_str() == "bridge0").for_each(|i| i.up = false);
        }
    };
    assert_eq!(severity("bridge-down", down("spare")), WARNING);
    assert_eq!(severity("bridge-down", down("big")), ERROR);
}

#[test]
fn boot_lists_of_the_target() {
    let list = |enable: bool, list: &'static str| {
        move |e: &mut Evidence| {
            let facts = host(e, "big");
            facts.rc.jail_enable = enable;
            facts.rc.jail_enable_text = Some(if enable { "YES" } else { "NO" }.to_owned());
            facts.rc.jail_list = list.split_whitespace().map(str::to_owned).collect();
            facts.rc.jail_list_text = (!list.is_empty()).then(|| list.to_owned());
            facts.jail_configurations.push(JailConfiguration {
                name: "old".into(),
                file: path("/etc/jail.conf"),
                parameters: vec![],
            });
        }
    };
    // Switched on for this one, the list would start others.
    assert_eq!(severity("jails-off", list(false, "old")), ERROR);
    assert_eq!(severity("jails-off", list(false, "")), None);
    assert_eq!(severity("jails-off", list(true, "old")), None);
    assert_eq!(severity("empty-jail-list", list(true, "")), WARNING);
}

/// As a dataset of big, of that name.
fn with_dataset(evidence: &mut Evidence, name: &str, change: impl FnOnce(&mut Dataset)) {
    let all = &mut host(evidence, "big").datasets;
    let mut new = all.iter().find(|d| d.name.as_str() == "jfpool/jails").unwrap().clone();
    new.name = DatasetName::new(name).unwrap();
    change(&mut new);
    all.push(new);
}

#[test]
fn a_mount_point_of_any_dataset_of_the_jail_is_free() {
    let of = |mountpoint: &'static str, mounted: bool, canmount: &'static str| {
        severity("path-taken", move |e| {
            with_dataset(e, "jfpool/other", |d| {
                (d.mountpoint, d.mounted, d.canmount) = (mountpoint.to_owned(), mounted, canmount.to_owned());
            });
        })
    };
    assert_eq!(of("/jf/other", true, "on"), None);
    for path in ["/jf/jails/web", "/jf/jails/web/data"] {
        assert_eq!(of(path, true, "on"), ERROR, "{path}");
        assert_eq!(of(path, false, "on"), WARNING, "{path}");
        assert_eq!(of(path, false, "noauto"), None, "{path}");
    }
}

#[test]
fn a_jail_that_is_not_encrypted_stays_so_below_what_is() {
    let of = |code: &str, encrypted: bool, key: bool| {
        severity(code, move |e| {
            let parent = host(e, "big").datasets.iter_mut().find(|d| d.name.as_str() == "jfpool/jails").unwrap();
            (parent.encrypted, parent.key_available) = (encrypted, key);
        })
    };
    assert_eq!((of("not-encrypted", false, true), of("not-encrypted", true, true)), (None, WARNING));
    assert_eq!((of("not-encrypted", true, false), of("parent-locked", true, false)), (None, ERROR));
}

/// A clone at the source whose origin big has, too, as snapshots of these datasets; the second one is a run's copy.
#[test]
fn a_clone_hangs_on_no_copy_that_a_run_has_left_unless_it_must() {
    let of = |twins: &'static [&'static str]| {
        severity("clone-of-copy", move |e| {
            let origin = SnapshotName::new("jfpool/base@1").unwrap();
            let web = host(e, "spare").datasets.iter_mut().find(|d| d.name.as_str() == "jfpool/jails/web").unwrap();
            web.origin = Some(origin.to_string());
            e.jail.as_mut().unwrap().origins.insert(origin, Guid(7));
            with_dataset(e, "jfpool/copy", |d| d.run = Some("old-0123abcd".to_owned()));
            let twins = twins.iter().map(|name| SnapshotName::new(name).unwrap()).collect();
            e.target.as_mut().unwrap().twins.insert(Guid(7), twins);
        })
    };
    assert_eq!(of(&["jfpool/copy@1"]), WARNING);
    assert_eq!(of(&["jfpool/copy@1", "jfpool/release@1"]), None);
}

/// The jail has been on big, and goes home to where its older copy is.
#[test]
fn an_increment_takes_room_too() {
    let of = |written: u64, grown: u64, own: u64| {
        let shape = Shape::testbed();
        let mut world = shape.world();
        let out = {
            let (evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node("big"));
            assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), "0", findings)
                .unwrap()
        };
        out.steps.iter().for_each(|step| world.apply(&step.effect).unwrap());
        let (mut evidence, situation, findings) = world.evidence(&shape.fleet(), &jail("web"), &node("spare"));
        let value = PropertyValue { value: written.to_string(), source: "-".to_owned() };
        evidence.jail.as_mut().unwrap().datasets[0].properties.insert("written".to_owned(), value);
        let web =
            host(&mut evidence, "big").datasets.iter_mut().find(|d| d.name.as_str() == "jfpool/jails/web").unwrap();
        web.used += grown;
        host(&mut evidence, "spare").datasets.iter_mut().for_each(|d| d.available = 1 << 30);
        let copies = host(&mut evidence, "spare").datasets.iter_mut();
        copies.filter(|d| d.name.as_str() == "jfpool/jails/web").for_each(|d| d.available = own);
        let settings = Options::default().settle();
        let plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "1", findings);
        let found = plan.map_or_else(
            |findings| findings,
            |plan| {
                assert!(plan.summary.iter().any(|line| line.contains("datasets, at least ")), "{:?}", plan.summary);
                plan.findings
            },
        );
        found.into_iter().filter(|f| f.code == "no-space").map(|f| f.severity).max()
    };
    assert_eq!((of(0, 0, 1 << 30), of(2 << 30, 0, 1 << 30), of(0, 2 << 30, 1 << 30)), (None, ERROR, WARNING));
    assert_eq!((of(1 << 20, 0, 1 << 21), of(1 << 20, 0, 1 << 19)), (None, WARNING), "its own quota");
}

#[test]
fn what_a_dataset_keeps_for_itself_has_to_be_there() {
    let of = |name: &str, value: u64| {
        let shape = Shape::testbed();
        let (mut evidence, situation, findings) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
        let value = PropertyValue { value: value.to_string(), source: "local".to_owned() };
        evidence.jail.as_mut().unwrap().datasets[0].properties.insert(name.to_owned(), value);
        host(&mut evidence, "big").datasets.iter_mut().for_each(|d| d.available = 4 << 30);
        let plan =
            assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), "0", findings);
        plan.map_or_else(|findings| findings, |plan| plan.findings).into_iter().any(|f| f.code == "no-space")
    };
    for name in ["reservation", "refreservation"] {
        assert!(!of(name, 1 << 30) && of(name, 8 << 30), "{name}");
    }
}
