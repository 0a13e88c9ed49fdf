//! The understudy: zfs-clone(8), a jail out of the clones, and the end of both: contract 2.3, 2.4, 2.6, 5.

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::JAIL;
use crate::effect::commands::RUN_PROPERTY;
use crate::effect::commands::jail::AS_AT_BOOT;
use crate::effect::commands::zfs;
use crate::effect::understudy::CloneOf;
use crate::effect::understudy::Understudy;
use crate::model::DatasetName;

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

/// Children first, each by its exact name and only with the mark of this very run; never `-r`: what somebody else has
/// made in or of a clone stops it. The directory goes only when it is empty.
pub(super) fn discard(understudy: &Understudy) -> Work {
    let Understudy { host, run, clones, place, .. } = understudy;
    let names = |list: Vec<&DatasetName>| list.into_iter().rev().map(DatasetName::as_str).collect::<Vec<_>>().join(" ");
    let script = format!(
        "for d in {}; do\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  [ \"$(zfs get -Hp -o value {RUN_PROPERTY} $d)\" = {run} ] || {{ echo \"$d is not of run {run}\" >&2; exit 22; }}\n  if [ \"$(zfs get -Hp -o value mounted $d)\" = yes ]; then zfs unmount $d; fi\ndone\nfor d in {}; do\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  [ \"$(zfs get -Hp -o value {RUN_PROPERTY} $d)\" = {run} ] || {{ echo \"$d is not of run {run}\" >&2; exit 22; }}\n  n=0\n  while zfs list -Hp -o name $d >/dev/null 2>&1 && ! zfs destroy $d 2>/dev/null; do\n    n=$((n + 1))\n    if [ $n -ge 50 ]; then zfs destroy $d; fi\n    sleep 0.2\n  done\ndone\nif [ -d {place} ]; then rmdir {place}; fi",
        names(by_path(clones)),
        names(clones.iter().map(|c| &c.dataset).collect()),
    );
    Work::Run(vec![Command::script(host, zfs::each(clones.len() * 2), script).whole()])
}

/// Ends the jail, if it is there, by force if it must be, and unmounts what was mounted in it. Its interfaces go while it
/// is alive (contract 2.6: those inside dying network stacks are better not destroyed).
fn forget(understudy: &Understudy) -> String {
    let Understudy { jail, root, place, ends, .. } = understudy;
    let mut script = format!(
        "if jls -j {jail} jid >/dev/null 2>&1; then\n  [ \"$(jls -j {jail} path)\" = {root} ] || {{ echo 'jail {jail} lives somewhere else than in {root}' >&2; exit 22; }}\n"
    );
    for end in ends {
        let name = &end.name;
        script.push_str(&format!("  jexec -l {jail} /sbin/ifconfig {name} destroy >/dev/null 2>&1 || :\n"));
    }
    script.push_str(&format!(
        "  jail -R {jail} >/dev/null 2>&1 || :\n  if jls -j {jail} jid >/dev/null 2>&1; then echo 'jail {jail} is still there after jail -R' >&2; exit 21; fi\nfi\nn=0\nwhile jls -d -j {jail} jid >/dev/null 2>&1; do\n  n=$((n + 1))\n  [ $n -lt 600 ] || {{ echo 'jail {jail} is still dying after 60 s' >&2; exit 21; }}\n  sleep 0.1\ndone\nfor m in $(mount -p | awk -v r={place} '$3 != \"zfs\" && index($2, r \"/\") == 1 {{ print $2 }}' | sort -r); do umount \"$m\"; done\n"
    ));
    script
}

/// `jail -r` with its own configuration, so that exec.stop runs; what that leaves is ended by force.
pub(super) fn stop(understudy: &Understudy) -> Work {
    let Understudy { host, jail, file, .. } = understudy;
    let script = format!(
        "if jls -j {jail} jid >/dev/null 2>&1; then\n  ({AS_AT_BOOT} jail -q -f {file} -r {jail}) >/dev/null 2>&1 || :\nfi\n{}",
        forget(understudy)
    );
    Work::Run(vec![Command::script(host, JAIL, script.trim_end().to_owned())])
}

/// Only an exec.start that ends with 0, in its time, counts. Its output goes to a file, not to our pipe: a service may
/// keep it open for as long as it lives.
pub(super) fn start(understudy: &Understudy) -> Work {
    let Understudy { host, jail, of, file, .. } = understudy;
    let forget = forget(understudy);
    let script = format!(
        "if jls -j {jail} jid >/dev/null 2>&1; then exit 0; fi\nout=/var/run/jailferry-dress.$$\nrc=0\n({AS_AT_BOOT} jail -q -f {file} -c {jail}) >$out 2>&1 || rc=$?\nif [ $rc -eq 0 ] && jls -j {jail} jid >/dev/null 2>&1; then rm -f $out; exit 0; fi\ntail -n 20 $out >&2\nrm -f $out\ncase $rc in\n0) echo 'the clone of jail {of} ended by itself on {host}: exec.start left nothing running' >&2 ;;\n124) echo 'the clone of jail {of} did not come up on {host} within 240 s: these are the last lines of it' >&2 ;;\n*) echo \"the clone of jail {of} does not start on {host} (exit status $rc of jail -c): these are the last lines of it\" >&2 ;;\nesac\n{forget}exit 21"
    );
    Work::Run(vec![Command::script(host, JAIL, script)])
}
