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
    for parked in datasets.iter().rev() {
        let d = &parked.dataset;
        // What a jail has mounted stays so when it is gone (see `unmount_delegated` of jail.rs).
        if parked.mounted || parked.delegation != Delegation::None {
            script.push_str(&format!("away {d}\n"));
        }
        let canmount = if !parked.volume { " canmount=noauto" } else { "" };
        let jailed = if parked.delegation == Delegation::Own { " jailed=off" } else { "" };
        script.push_str(&format!("zfs set readonly=on{canmount}{jailed} {RUN_PROPERTY}={run_id} {d}\n"));
    }
    script.push_str(&format!(
        "[ \"$(zfs get -Hp -o value readonly {} | grep -c '^on$')\" = {} ] || exit 21",
        names(datasets.iter().map(|p| &p.dataset)),
        datasets.len()
    ));
    run_each(host, datasets.len(), script)
}

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
        let d = &parked.dataset;
        let mut restore = |property: &str, state: &PropertyState| match state {
            PropertyState::Local(value) => script.push_str(&format!("put {property} {} {d}\n", shell::word(value))),
            PropertyState::Received => script.push_str(&format!("drop {property} {d} -S local\n")),
            // Not inheritable, so plain `zfs inherit` refuses it; -S clears the local value all the same (zfs-inherit(8)).
            PropertyState::Inherited if property == "canmount" => {
                script.push_str(&format!("drop {property} {d} -S local\n"));
            }
            PropertyState::Inherited => script.push_str(&format!("drop {property} {d} '' received\n")),
        };
        restore("readonly", &parked.readonly);
        if !parked.volume {
            restore("mountpoint", &parked.mountpoint);
            restore("canmount", &parked.canmount);
        }
        if parked.mounted && parked.delegation == Delegation::None {
            script.push_str(&format!(
                "zfs mount {d} 2>/dev/null || [ \"$(zfs get -Hp -o value mounted {d})\" = yes ] || zfs mount {d}\n"
            ));
        }
    }
    // Last: from then on nobody but the jail changes a mount point at or below it.
    for parked in own() {
        script.push_str(&format!("put jailed on {}\n", parked.dataset));
    }
    script.push(':');
    run_each(host, datasets.len(), script)
}

pub(super) fn clear_mark(host: &NodeName, datasets: &[DatasetName]) -> Work {
    run_each(host, datasets.len(), format!("zfs inherit {RUN_PROPERTY} {}", names(datasets)))
}
