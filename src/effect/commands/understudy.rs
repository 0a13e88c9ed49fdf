//! The understudy: zfs-clone(8), a jail out of the clones, and the end of both: contract 2.3, 2.4, 2.6, 5.

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::JAIL;
use crate::effect::commands::RUN_PROPERTY;
use crate::effect::commands::jail;
use crate::effect::commands::jail::AS_AT_BOOT;
use crate::effect::commands::zfs;
use crate::effect::shell;
use crate::effect::understudy::CloneOf;
use crate::effect::understudy::DeadEnd;
use crate::effect::understudy::Understudy;
use crate::model::DatasetName;
use crate::model::Family;

/// Clones of the newest snapshot that has arrived of all: a round of copying may have been left out, so only the host
/// knows which. A clone inherits from its parent, not from its origin: what decides whether programs run is taken over.
pub(super) fn clone(understudy: &Understudy) -> Work {
    let Understudy { host, run, clones, .. } = understudy;
    let mut script = String::new();
    if let Some(CloneOf { origin, .. }) = clones.first() {
        script.push_str(&format!(
            "label=$(zfs list -Hp -d 1 -t snapshot -s createtxg -o name {origin} | sed -n 's/^.*@\\(jailferry-{run}-[0-9][0-9]*\\)$/\\1/p' | tail -n 1)\n[ -n \"$label\" ] || {{ echo 'no snapshot of run {run} has arrived in {origin}' >&2; exit 21; }}\n"
        ));
    }
    for CloneOf { origin, dataset, mountpoint, readonly } in clones {
        let place = mountpoint.as_ref().map_or("none", |path| path.as_str());
        let readonly = if *readonly { "on" } else { "off" };
        script.push_str(&format!(
            "if zfs list -Hp -o name {dataset} >/dev/null 2>&1; then\n  [ \"$(zfs get -Hp -o value {RUN_PROPERTY} {dataset})\" = {run} ] || {{ echo '{dataset} exists and is not of run {run}' >&2; exit 22; }}\nelse\n  exec=$(zfs get -Hp -o value exec {origin})\n  setuid=$(zfs get -Hp -o value setuid {origin})\n  zfs clone -o canmount=noauto -o mountpoint={place} -o readonly={readonly} -o \"exec=$exec\" -o \"setuid=$setuid\" -o {RUN_PROPERTY}={run} \"{origin}@$label\" {dataset}\nfi\n"
        ));
    }
    for dataset in by_path(clones) {
        script.push_str(&format!(
            "if [ \"$(zfs get -Hp -o value mounted {dataset})\" != yes ]; then zfs mount {dataset}; fi\n"
        ));
    }
    Work::Run(vec![Command::script(host, zfs::each(clones.len() * 2), script.trim_end().to_owned()).whole()])
}

/// Those that are mounted, what is mounted below another behind it.
fn by_path(clones: &[CloneOf]) -> Vec<&DatasetName> {
    let mut mounted: Vec<_> = clones.iter().filter_map(|c| Some((c.mountpoint.as_ref()?, &c.dataset))).collect();
    mounted.sort();
    mounted.into_iter().map(|(_, dataset)| dataset).collect()
}

/// Unmounted by force where it must be: a jail that is gone keeps its root for a minute when it had connections, and the
/// clones are ours alone. Children first, each by its exact name and only with the mark of this very run; never `-r`: what somebody else has
/// made in or of a clone stops it. The directory goes only when it is empty.
pub(super) fn discard(understudy: &Understudy) -> Work {
    let Understudy { host, run, clones, place, .. } = understudy;
    let names = |list: Vec<&DatasetName>| list.into_iter().rev().map(DatasetName::as_str).collect::<Vec<_>>().join(" ");
    let script = format!(
        "for d in {}; do\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  [ \"$(zfs get -Hp -o value {RUN_PROPERTY} $d)\" = {run} ] || {{ echo \"$d is not of run {run}\" >&2; exit 22; }}\n  if [ \"$(zfs get -Hp -o value mounted $d)\" = yes ]; then zfs unmount $d 2>/dev/null || zfs unmount -f $d; fi\ndone\nfor d in {}; do\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  [ \"$(zfs get -Hp -o value {RUN_PROPERTY} $d)\" = {run} ] || {{ echo \"$d is not of run {run}\" >&2; exit 22; }}\n  n=0\n  while zfs list -Hp -o name $d >/dev/null 2>&1 && ! zfs destroy $d 2>/dev/null; do\n    n=$((n + 1))\n    if [ $n -ge 50 ]; then zfs destroy $d; fi\n    sleep 0.2\n  done\ndone\nif [ -d {place} ]; then rmdir {place}; fi",
        names(by_path(clones)),
        names(clones.iter().map(|c| &c.dataset).collect()),
    );
    Work::Run(vec![Command::script(host, zfs::each(clones.len() * 2), script).whole()])
}

/// Ends the jail, if it is there, by force if it must be, and unmounts what was mounted in it. Its interfaces go while it
/// is alive (contract 2.6: those inside dying network stacks are better not destroyed).
fn forget(understudy: &Understudy) -> String {
    let Understudy { jail, place, ends, .. } = understudy;
    // The kernel and mount(8) tell paths without the symbolic links in them, so /var/db may have another beginning.
    let folder = place.file_name();
    let (numbers, ended) = (jail::numbers(jail.as_str()), jail::ended(jail.as_str()));
    let mut script = format!(
        "{numbers}if jls -j {jail} jid >/dev/null 2>&1; then\n  case $(jls -j {jail} path) in */{folder} | */{folder}/*) ;; *) echo 'jail {jail} lives somewhere else than in {place}' >&2; exit 22 ;; esac\n"
    );
    for end in ends {
        let name = &end.name;
        script.push_str(&format!("  jexec {jail} /sbin/ifconfig {name} destroy >/dev/null 2>&1 || :\n"));
    }
    script.push_str(&format!(
        "  jail -R {jail} >/dev/null 2>&1 || :\n  if jls -j {jail} jid >/dev/null 2>&1; then echo 'jail {jail} is still there after jail -R' >&2; exit 21; fi\nfi\n{ended}for m in $(mount -p | awk -v r=/{folder}/ '$3 != \"zfs\" && index($2, r) {{ print $2 }}' | sort -r); do umount \"$m\"; done\n"
    ));
    script
}

/// A command of the jail's, as jail(8) would run it inside (usr.sbin/jail/command.c and jexec(8) treat the environment
/// alike).
fn inside(understudy: &Understudy, command: &str) -> String {
    let Understudy { jail, manner, .. } = understudy;
    let time = manner.timeout.filter(|seconds| *seconds > 0);
    let time = time.map(|seconds| format!("timeout --foreground -k 10 {seconds} ")).unwrap_or_default();
    let clean = if manner.clean { "-l " } else { "" };
    let user = match &manner.user {
        Some(user) if manner.of_the_host => format!("-u {} ", shell::word(user)),
        Some(user) => format!("-U {} ", shell::word(user)),
        None => String::new(),
    };
    format!("{time}jexec {clean}{user}{jail} /bin/sh -c {} </dev/null", shell::word(command))
}

/// exec.stop, whatever it says, then its end.
pub(super) fn stop(understudy: &Understudy) -> Work {
    let Understudy { host, jail, stop, .. } = understudy;
    let mut script = String::new();
    if !stop.is_empty() {
        let commands: String = stop.iter().map(|c| format!("{} || :\n", inside(understudy, c))).collect();
        script.push_str(&format!(
            "if jls -j {jail} jid >/dev/null 2>&1; then\n  ({AS_AT_BOOT} /bin/sh -c {}) >/dev/null 2>&1 || :\nfi\n",
            shell::word(commands.trim_end())
        ));
    }
    script.push_str(&forget(understudy));
    Work::Run(vec![Command::script(host, JAIL, script.trim_end().to_owned())])
}

/// Made anew when it is there already. Parameters only: jail(8) runs nothing, on the host or inside, so that no failure
/// lets it take a jail away whose interfaces are still there. Then the interfaces, then exec.start, all in 240 s. The output
/// goes to a file, not to our pipe: a service may keep it open for as long as it lives.
pub(super) fn start(understudy: &Understudy) -> Work {
    let Understudy { host, jail, of, .. } = understudy;
    let mut commands = format!("jail -q -c {} >/dev/null </dev/null\n", parameters(understudy));
    if !understudy.ends.is_empty() {
        // A jail cannot load it.
        commands.insert_str(0, "kldstat -q -m if_epair || kldload -n if_epair\n");
    }
    for command in network(understudy) {
        commands.push_str(&format!("jexec {jail} {command} >/dev/null </dev/null\n"));
    }
    for command in &understudy.start {
        let failed = shell::word(&format!("exec.start: {command}: failed"));
        commands.push_str(&format!("{} || {{ echo {failed}; exit 1; }}\n", inside(understudy, command)));
    }
    let forget = forget(understudy);
    let script = format!(
        "{forget}out=/var/run/jailferry-dress.$$\nrc=0\n({AS_AT_BOOT} /bin/sh -ec {}) >$out 2>&1 || rc=$?\nif [ $rc -eq 0 ]; then rm -f $out; exit 0; fi\ntail -n 20 $out >&2\nrm -f $out\nif [ $rc -eq 124 ]; then why='is not up within 240 s'; else why='does not start'; fi\necho \"the clone of jail {of} $why on {host}; the last lines of it stand above\" >&2\n{forget}exit 21",
        shell::word(commands.trim_end())
    );
    Work::Run(vec![Command::script(host, JAIL, script)])
}

/// `vnet` without any `vnet.interface`: nothing leads out. It persists, so that nothing but we ends it.
fn parameters(understudy: &Understudy) -> String {
    let Understudy { jail, root, fstab, parameters, .. } = understudy;
    let mut words = vec![format!("name={jail}"), format!("path={root}"), "persist".into(), "vnet".into()];
    words.extend(fstab.as_ref().map(|path| format!("mount.fstab={path}")));
    words.extend(parameters.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    }));
    shell::line(&words)
}

/// What makes its interfaces, inside: epairs of which both ends are there. exec.start or its rc.conf may set the
/// addresses again.
fn network(understudy: &Understudy) -> Vec<String> {
    let mut commands = Vec::new();
    for DeadEnd { name, unit } in &understudy.ends {
        match unit {
            Some(unit) => {
                let other = if name.as_str().ends_with('a') { 'b' } else { 'a' };
                commands.push(format!("/sbin/ifconfig epair{unit} create"));
                commands.push(format!("/sbin/ifconfig epair{unit}{other} up"));
            }
            None => commands.push(format!(
                "/bin/sh -c 'end=$(/sbin/ifconfig epair create) && /sbin/ifconfig ${{end%a}}b name {name} && /sbin/ifconfig $end up'"
            )),
        }
        commands.push(format!("/sbin/ifconfig {name} up"));
    }
    let only = understudy.ends.first().map(|end| &end.name);
    for (name, address) in only.into_iter().flat_map(|name| understudy.addresses.iter().map(move |a| (name, a))) {
        match Family::of(address.addr()) {
            Family::Inet => commands.push(format!("/sbin/ifconfig {name} inet {address} alias")),
            Family::Inet6 => {
                commands.push(format!("/sbin/ifconfig {name} inet6 -ifdisabled no_dad"));
                commands.push(format!("/sbin/ifconfig {name} inet6 {address} alias"));
            }
        }
    }
    commands
}
