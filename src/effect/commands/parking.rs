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

/// What is mounted inside another one first, what a jail has mounted before anything of the host's. The root's own mounts
/// (devfs, nullfs) are gone with the jail. `readonly` before `canmount`, so that nothing can write even if a later line
/// fails.
pub(super) fn park(host: &NodeName, datasets: &[Parked], run_id: &RunId) -> Work {
    let mut script = format!("{PLACE}{AWAY}");
    // What a jail has mounted stays so when it is gone (see `unmount_delegated` of jail.rs).
    let given = |parked: &Parked| parked.delegation != Delegation::None;
    if datasets.iter().any(given) {
        script.push_str(GIVEN_AWAY);
    }
    let inner_first = || Parked::by_place(datasets).into_iter().rev();
    // A jail's own paths begin at its root, and lie in what the host has mounted for it.
    for parked in inner_first().filter(|p| given(p)) {
        script.push_str(&format!("given_away {}\n", parked.dataset));
    }
    for parked in inner_first().filter(|p| p.mounted && !given(p)) {
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

/// Where a dataset is mounted, into `$at`: nothing where it is not.
const PLACE: &str = "place() {
  at=
  while read -r what on rest; do
    if [ \"$what\" = $1 ]; then at=$on; fi
  done <<JAILFERRY_MOUNTS
$(mount -p)
JAILFERRY_MOUNTS
}
";

/// Unmounts. Counted in sleeps, since a clock may jump: the last that a removed jail does can keep a dataset busy for a
/// moment (contract 0.13).
///
/// A removed jail whose connections are in TIME_WAIT keeps its root for a minute more, without any process (kern_jail.c,
/// prison_deref gives pr_root back with the last reference; seen on 15.0). Then, and only if nothing else has anything of
/// it (no other jail, no process, no nullfs(5) mount of a part of it, no md(4) device in it; a question without an answer
/// counts as somebody), it is unmounted by force, which writes out what is not written yet (zfs_vfsops.c, zfs_umount).
const AWAY: &str = "idle() {
  dead=
  place $1
  [ -n \"$at\" ] || return 1
  while read -r dying path; do
    case $path/ in \"$at\"/*) [ \"$dying\" = true ] || return 1; dead=yes ;; esac
  done <<JAILFERRY_JAILS
$(jls -d dying path)
JAILFERRY_JAILS
  [ -n \"$dead\" ] || return 1
  mounts=$(mount -p) && disks=$(mdconfig -l -v) && open=$(fstat -m -f \"$at\") || return 1
  while read -r what rest; do
    case $what/ in \"$at\"/*) return 1 ;; esac
  done <<JAILFERRY_USES
$mounts
$(printf '%s\\n' \"$disks\" | while read -r unit kind size file rest; do echo \"$file\"; done)
JAILFERRY_USES
  # The heading and nothing else.
  case $open in *PID*'
'*) return 1 ;; *PID*) ;; *) return 1 ;; esac
}
away() {
  n=0
  until zfs unmount $1 2>/dev/null; do
    [ \"$(zfs get -Hp -o value mounted $1)\" = yes ] || break
    if idle $1; then zfs unmount -f $1; break; fi
    n=$((n + 1))
    if [ $n -ge 50 ]; then zfs unmount $1; fi
    sleep 0.2
  done
}
";

/// The same for what a jail has mounted, which `zfs unmount` passes over.
const GIVEN_AWAY: &str = "given_away() {
  n=0
  while :; do
    place $1
    [ -n \"$at\" ] || return 0
    if umount \"$at\" 2>/dev/null; then continue; fi
    n=$((n + 1))
    if [ $n -ge 50 ]; then umount \"$at\"; fi
    sleep 0.2
  done
}
";

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

/// What is mounted inside another one behind it. The mark stays: it tells whose copy this is until somebody decides (see
/// [`clear_mark`]).
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
    let ordered = Parked::by_place(datasets).into_iter();
    for parked in ordered.filter(|parked| parked.mounted && parked.delegation == Delegation::None) {
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

    /// `web/data` has a mount point of its own inside that of `web/var`.
    #[test]
    fn what_is_mounted_inside_another_goes_before_it_and_comes_behind_it() {
        let at = |parked: &Parked| {
            let path = match parked.dataset.as_str() {
                "zroot/web" => "/jails/web",
                "zroot/web/data" => "/jails/web/var/db",
                "zroot/web/var" => "/jails/web/var",
                _ => "/jails/web/var-log",
            };
            Parked { at: Some(path.to_owned()), ..parked.clone() }
        };
        let names = ["web", "web/data", "web/log", "web/var"];
        let lines = |script: &dyn Fn(&[Parked]) -> Work, verb: &str| {
            let ran = run(&names, |datasets| script(&datasets.iter().map(at).collect::<Vec<_>>()));
            assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
            ran.stdout.lines().filter_map(|line| line.strip_prefix(verb)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&park_all, "unmount "), ["zroot/web/log", "zroot/web/data", "zroot/web/var", "zroot/web"]);
        assert_eq!(
            lines(&|datasets| unpark(&"big".parse().unwrap(), datasets), "mount "),
            ["zroot/web", "zroot/web/var", "zroot/web/data", "zroot/web/log"]
        );
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
        assert!(ran.stdout.contains(" zroot/web\n") && ran.stdout.matches("set ").count() == 2, "{ran:?}");
        assert_eq!(ran.stderr, "busy\n");
    }

    /// `zfs unmount` says of it that it did it, and has not.
    #[test]
    fn what_a_jail_has_mounted_is_unmounted_by_its_place() {
        let host = "mount() { [ -e gone ] || echo 'zroot/web/data /jails/web/data zfs rw 0 0'; }\numount() {\n  [ \"$*\" = /jails/web/data ] || return 1\n  echo tried >>tries\n  [ $(wc -l <tries) -ge 3 ] || { echo busy >&2; return 1; }\n  echo \"umount $*\"\n  : >gone\n}\nsleep() { :; }\n";
        let own = Parked { delegation: Delegation::Own, mounted: false, ..parked("web/data") };
        let script = |more: &str| {
            let Work::Run(commands) = park_all(std::slice::from_ref(&own)) else { panic!("no commands") };
            let Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
            format!("{ZFS}{host}{more}{body}")
        };
        let folder = tempfile::tempdir().unwrap();
        let at = |script: String| format!("cd '{}'\n{script}", folder.path().display());
        let ran = sh::run(folder.path(), &at(script("")));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        let set = "set readonly=on canmount=noauto jailed=off org.jailferry:run=web-01234567 zroot/web/data\n";
        assert_eq!(ran.stdout, format!("umount /jails/web/data\n{set}"));
        // One that stays is told, and nothing is set.
        let ran = sh::run(folder.path(), &at(script("rm gone\numount() { echo busy >&2; return 1; }\n")));
        assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", "busy\n"));
    }

    /// A dataset on /jails/web that only force unmounts, and what the host says of who is in there.
    fn held(jails: &str, mounts: &str, disks: &str, open: &str) -> sh::Ran {
        held_where(jails, mounts, disks, open, "")
    }

    /// Only a dying jail has it, but a command fails.
    fn unanswered(command: &str) -> sh::Ran {
        held_where("true /jails/web\n", "", "", "", &format!("{command}() {{ return 1; }}\n"))
    }

    fn held_where(jails: &str, mounts: &str, disks: &str, open: &str, but: &str) -> sh::Ran {
        let zfs = "zfs() {\n  case \"$*\" in\n  'unmount -f '*) echo forced ;;\n  unmount*) echo 'busy' >&2; return 1 ;;\n  *mounted*) echo yes ;;\n  get*readonly*) echo on ;;\n  esac\n}\nsleep() { :; }\n";
        let says = |name: &str, lines: &str| format!("{name}() {{ printf '%s' '{lines}'; }}\n");
        let host = [
            says("jls", jails),
            says("mount", &format!("zroot/other /jails zfs rw 0 0\nzroot/web /jails/web zfs rw 0 0\n{mounts}")),
            says("mdconfig", disks),
            says("fstat", &format!("USER CMD PID FD MOUNT INUM MODE SZ|DV R/W\n{open}")),
        ];
        let Work::Run(commands) = park_all(&[parked("web")]) else { panic!("no commands") };
        let Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
        sh::run(tempfile::tempdir().unwrap().path(), &format!("{zfs}{}{but}{body}", host.concat()))
    }

    #[test]
    fn what_only_a_dying_jail_has_is_unmounted_by_force() {
        let ran = held("false /jails/db\ntrue /jails/web\n", "zroot/web /jails/web zfs rw 0 0\n", "", "");
        assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (0, "forced\n", ""));
        let inside = held("true /jails/web/root\n", "", "md0 vnode 1M /var/swap -\n", "");
        assert_eq!((inside.status, inside.stdout.as_str()), (0, "forced\n"));
    }

    #[test]
    fn what_anybody_else_has_is_never_unmounted_by_force() {
        let dying = "true /jails/web\n";
        for (who, ran) in [
            ("nobody that is known", held("", "", "", "")),
            ("a jail of another place", held("true /jails/web2\n", "", "", "")),
            ("a live jail in it", held("true /jails/web\nfalse /jails/web/inner\n", "", "", "")),
            ("a live jail of the same place", held("false /jails/web\n", "", "", "")),
            ("a mount of a part of it", held(dying, "/jails/web/data /jails/db/data nullfs rw 0 0\n", "", "")),
            ("a disk in it", held(dying, "", "md0 vnode 1M /jails/web/disk.img -\n", "")),
            ("a process of the host", held(dying, "", "", "root sh 812 wd /jails/web 34 drwxr-xr-x 4 r\n")),
            ("processes that nobody can tell", unanswered("fstat")),
            ("disks that nobody can tell", unanswered("mdconfig")),
        ] {
            assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", "busy\n"), "{who}");
        }
    }
}
