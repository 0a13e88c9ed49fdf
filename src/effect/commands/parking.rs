//! What tells a dataset that is live from a copy that nobody uses: zfs-mount(8), zfs-set(8), contract 5.5 and 5.6.

use crate::effect::Delegation;
use crate::effect::Parked;
use crate::effect::PropertyState;
use crate::effect::Work;
use crate::effect::commands::zfs::RUN_PROPERTY;
use crate::effect::commands::zfs::names;
use crate::effect::commands::zfs::run_each;
use crate::effect::shell;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::RunId;

/// Children first. The root's own mounts (devfs, nullfs) are gone with the jail. `readonly` before `canmount`, so
/// that nothing can write even if a later line fails.
pub(super) fn park(host: &NodeName, datasets: &[Parked], run_id: &RunId) -> Work {
    // Counted in sleeps, since a clock may jump. Sockets and the last processes of a removed jail can keep a dataset busy
    // for a moment (contract 0.13).
    let mut script = "away() {\n  n=0\n  until zfs unmount $1 2>/dev/null; do\n    [ \"$(zfs get -Hp -o value mounted $1)\" = yes ] || break\n    n=$((n + 1))\n    if [ $n -ge 50 ]; then zfs unmount $1; fi\n    sleep 0.2\n  done\n}\n".to_owned();
    // What a jail has mounted stays so when it is gone (see `unmount_delegated` of jail.rs).
    for parked in datasets.iter().rev().filter(|p| p.mounted || p.delegation != Delegation::None) {
        script.push_str(&format!("away {}\n", parked.dataset));
    }
    let set = |parked: &Parked| {
        let canmount = if !parked.volume { " canmount=noauto" } else { "" };
        let jailed = if parked.delegation == Delegation::Own { " jailed=off" } else { "" };
        format!("zfs set readonly=on{canmount}{jailed} {RUN_PROPERTY}={run_id} {}", parked.dataset)
    };
    script.push_str(&beside(datasets.iter().rev().map(set).collect()));
    script.push_str(&format!(
        "[ \"$(zfs get -Hp -o value readonly {})\" = '{}' ] || exit 21",
        names(datasets.iter().map(|p| &p.dataset)),
        vec!["on"; datasets.len()].join("\n")
    ));
    run_each(host, datasets.len(), script)
}

/// Lines that change a property each, some at the same time: each waits until the pool has written its next group of
/// transactions (OpenZFS, dsl_synctask.c), and those that wait together are in the same one.
fn beside(lines: Vec<String>) -> String {
    if lines.len() < 2 {
        return lines.iter().map(|line| format!("{line}\n")).collect();
    }
    let together = |some: &[String]| {
        let begun: String = some.iter().map(|line| format!("{line} &\nat_work=\"$at_work $!\"\n")).collect();
        format!("at_work= rc=0\n{begun}for one in $at_work; do wait $one || rc=$?; done\n[ $rc -eq 0 ] || exit $rc\n")
    };
    lines.chunks(AT_ONCE).map(together).collect()
}

/// Processes at the same time, on hosts that have other things to do as well.
const AT_ONCE: usize = 8;

/// Sets or clears a property only where that changes something: setting the mount point of a mounted dataset unmounts it
/// first, even when the value stays (zfsprops(7)), and a jail may be running on it.
const RESTORE: &str = "put() { case $now in *\"$n$3$t$1${t}local$t$2$n\"*) ;; *) zfs set \"$1=$2\" $3 ;; esac; }
drop() { case $now in *\"$n$2$t$1${t}local$t\"* | *\"$n$2$t$1$t$4$t\"*) zfs inherit $3 $1 $2 ;; esac; }
";

/// Parents first. The mark stays: it tells whose copy this is until somebody decides (see [`clear_mark`]).
pub(super) fn unpark(host: &NodeName, datasets: &[Parked]) -> Work {
    let own = || datasets.iter().filter(|parked| parked.delegation == Delegation::Own);
    let jailed = if own().next().is_some() { ",jailed" } else { "" };
    // One question for all: the jail is down meanwhile.
    let mut script = format!(
        "t=$(printf '\\t') n='\n'\nnow=$n$(zfs get -Hp -o name,property,source,value readonly,mountpoint,canmount{jailed} {})$n\n{RESTORE}",
        names(datasets.iter().map(|p| &p.dataset))
    );
    for parked in datasets {
        script.push_str(&format!("{}\n", restore(parked, "readonly", &parked.readonly)));
        if !parked.volume {
            script.push_str(&format!("{}\n", restore(parked, "mountpoint", &parked.mountpoint)));
        }
    }
    // Before anything is mounted: what clears the property of a mounted dataset unmounts it first (libzfs_changelist.c).
    let mountable = datasets.iter().filter(|parked| !parked.volume);
    script.push_str(&beside(mountable.map(|parked| restore(parked, "canmount", &parked.canmount)).collect()));
    for parked in datasets.iter().filter(|parked| parked.mounted && parked.delegation == Delegation::None) {
        let d = &parked.dataset;
        script.push_str(&format!(
            "zfs mount {d} 2>/dev/null || [ \"$(zfs get -Hp -o value mounted {d})\" = yes ] || zfs mount {d}\n"
        ));
    }
    // Last: from then on nobody but the jail changes a mount point at or below it.
    for parked in own() {
        script.push_str(&format!("put jailed on {}\n", parked.dataset));
    }
    script.push(':');
    run_each(host, datasets.len(), script)
}

fn restore(parked: &Parked, property: &str, state: &PropertyState) -> String {
    let d = &parked.dataset;
    match state {
        PropertyState::Local(value) => format!("put {property} {} {d}", shell::word(value)),
        PropertyState::Received => format!("drop {property} {d} -S local"),
        // Not inheritable, so plain `zfs inherit` refuses it; -S clears the local value all the same (zfs-inherit(8)).
        PropertyState::Inherited if property == "canmount" => format!("drop {property} {d} -S local"),
        PropertyState::Inherited => format!("drop {property} {d} '' received"),
    }
}

pub(super) fn clear_mark(host: &NodeName, datasets: &[DatasetName]) -> Work {
    run_each(host, datasets.len(), format!("zfs inherit {RUN_PROPERTY} {}", names(datasets)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::sh;
    use crate::effect::command::Form;

    /// `zfs` answers as for a tree in which everything took; `bad` cannot be changed, at once, and the others take a while.
    const ZFS: &str = "zfs() {\n  case \"$1 $*\" in\n  get*mounted*) echo no ;;\n  get*readonly) ;;\n  get*) for d; do case $d in zroot/*) echo on ;; esac; done ;;\n  *bad*) echo busy >&2; return 1 ;;\n  set*) sleep 0.3; echo \"$*\" ;;\n  *) echo \"$*\" ;;\n  esac\n}\n";

    fn parked(name: &str) -> Parked {
        let json = format!(
            r#"{{"dataset":"zroot/{name}","mounted":true,"volume":false,"readonly":"inherited","mountpoint":"inherited","canmount":"inherited"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn run(names: &[&str], script: impl Fn(&[Parked]) -> Work) -> sh::Ran {
        let datasets: Vec<Parked> = names.iter().map(|name| parked(name)).collect();
        let Work::Run(commands) = script(&datasets) else { panic!("no commands") };
        let Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
        sh::run(tempfile::tempdir().unwrap().path(), &format!("{ZFS}{body}"))
    }

    fn park_all(datasets: &[Parked]) -> Work {
        park(&"big".parse().unwrap(), datasets, &RunId::new("web-01234567").unwrap())
    }

    #[test]
    fn everything_is_unmounted_before_anything_is_set_and_all_of_it_is_waited_for() {
        let many: Vec<String> =
            std::iter::once("web".to_owned()).chain((0..AT_ONCE).map(|n| format!("web/{n}"))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let ran = run(&many, park_all);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(lines.len(), 2 * many.len());
        let unmounted: Vec<String> = many.iter().rev().map(|name| format!("unmount zroot/{name}")).collect();
        assert_eq!(lines[..many.len()], unmounted);
        assert!(
            lines[many.len()..].iter().all(|line| line.starts_with("set readonly=on canmount=noauto ")),
            "{lines:?}"
        );
        assert_eq!(*lines.last().unwrap(), "set readonly=on canmount=noauto org.jailferry:run=web-01234567 zroot/web");
    }

    #[test]
    fn one_that_fails_beside_others_fails_when_they_have_ended() {
        let ran = run(&["web", "web/bad", "web/c"], park_all);
        assert_eq!(ran.status, 1, "{ran:?}");
        // `bad` could not be unmounted either, which alone is no failure: it was not mounted.
        assert!(ran.stdout.ends_with("zroot/web\n") && ran.stdout.matches("set ").count() == 2, "{ran:?}");
        assert_eq!(ran.stderr, "busy\n");
    }
}
