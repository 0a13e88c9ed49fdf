//! Comparing by content: mtree(8) on snapshots that are mounted for it.
//!
//! On FreeBSD mount(8), `-t zfs`, mounts a snapshot like any filesystem, read-only and without a `.zfs` of its own
//! (zfs_vfsops.c, zfs_mount and zfs_domount, which asks dmu_objset_is_snapshot). It does so at the target too, where the
//! copy itself is not mounted, and it finds the snapshot busy when somebody looks at it below `.zfs/snapshot`.
//!
//! What mtree(8) writes is the same from 13.2 to 15 (contrib/mtree/create.c): children sorted by strcmp(3), names encoded
//! by vis(3). Left out of it: the number of links, to which a visible `.zfs` adds one at the top, and names of users,
//! which are the hosts'.

use crate::effect::Comparison;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::command::Form;
use crate::effect::command::Lock;
use crate::effect::command::RUNS;
use crate::effect::commands::SHORT;
use crate::effect::commands::TRANSFER;
use crate::effect::commands::lease;
use crate::effect::contents::Listing;
use crate::model::JailName;

/// Reads what mtree(8) writes.
const PROGRAM: &str = include_str!("contents.awk");

/// Stands for a part's name, which is known only once two listings differ.
const PART: &str = "THE_PART_THAT_DIFFERS";

/// Tries, five a second, before a listing that does not end is told; the second half of them with SIGKILL.
const TRIES: u32 = 100;

/// One listing of a jail's data at a time. Whoever comes second, after a connection was lost, waits and finds it done.
fn lock(jail: &JailName) -> Lock {
    Lock { file: format!("/var/run/jailferry-{jail}.verify"), seconds: TRANSFER }
}

/// Shell text that unmounts what is mounted for a listing. mount(8) tells paths without the symbolic links in them, so
/// only their ends are looked at.
fn away(listing: &Listing) -> String {
    let folder = listing.folder();
    let name = folder.rsplit('/').next().unwrap_or_default();
    format!(
        "w={folder}\naway() {{\n  n=0\n  while mount -p | awk -v at=/{name}/at 'substr($2, length($2) - length(at) + 1) == at {{ found = 1 }} END {{ exit !found }}'; do\n    if umount $w/at 2>/dev/null; then continue; fi\n    n=$((n + 1))\n    [ $n -lt 50 ] || {{ umount $w/at; exit 21; }}\n    sleep 0.2\n  done\n}}\n"
    )
}

/// Lists every dataset, in hours where there is much to read. It keeps nobody's turn meanwhile: what ends it is
/// [`forget`]. A pipe tells of its last command only, so the others leave a mark.
pub(super) fn list(listing: &Listing) -> Work {
    let Listing { host, label, datasets, sampled, .. } = listing;
    let digest = if *sampled { "" } else { ",sha256digest" };
    let sample = u8::from(*sampled);
    let mut script = format!(
        "{}if [ -e $w/digests ]; then exit 0; fi\naway\nrm -rf $w\n{}\ntrap away EXIT\ntrap 'exit 1' HUP INT TERM\nread_it() {{\n  awk -v number=$1 -v parts=$w/parts/$1. -v totals=$w/totals -v at=$w/at -v chosen=$w/chosen -v sample={sample} -v digests=$2 '{}'\n}}\nlist() {{\n  mount -t zfs -o ro $2 $w/at || {{ echo \"$2 cannot be mounted to be read; is it in use below .zfs/snapshot?\" >&2; exit 21; }}\n  {{ mtree -c -n -x -k type,uid,gid,mode,flags,size,time,link,device{digest} -p $w/at || : >$w/failed; }} | read_it $1 0\n",
        away(listing),
        lease::make_folder("$w/at $w/parts"),
        PROGRAM.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n"),
    );
    if *sampled {
        script.push_str("  if [ -e $w/chosen ]; then\n    { tr '\\n' '\\0' <$w/chosen | xargs -0 sha256 -r || : >$w/failed; } | read_it $1 1\n    rm $w/chosen\n  fi\n");
    }
    script.push_str("  [ ! -e $w/failed ] || { echo \"$2 could not be read to its end\" >&2; exit 21; }\n  away\n}\n");
    for (number, dataset) in datasets.iter().enumerate() {
        script.push_str(&format!("list {number} {dataset}@{label}\n"));
    }
    let numbers = (0..datasets.len()).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    script.push_str(&format!(
        "cd $w/parts\nfor n in {numbers}; do\n  sha256 -r $n.* >>$w/totals\ndone\nmv $w/totals $w/digests"
    ));
    Work::Long(Command::script(host, TRANSFER, script).whole().under(lock(&listing.jail)))
}

/// Asks for the digests of both, and for the lines of parts that differ.
pub(super) fn compare(source: &Listing, target: &Listing) -> Work {
    let digests = |listing: &Listing| {
        Command::argv(&listing.host, SHORT, ["cat".into(), format!("{}/digests", listing.folder())])
    };
    let part = |listing: &Listing| {
        let file = format!("{}/parts/{PART}", listing.folder());
        Command::script(&listing.host, SHORT, format!("if [ -e {file} ]; then cat {file}; fi"))
    };
    Work::Contents(Box::new(Comparison {
        source: source.clone(),
        target: target.clone(),
        left: digests(source),
        right: digests(target),
        left_part: part(source),
        right_part: part(target),
    }))
}

/// The question for lines with a part's own name; a part that a host does not have is empty there.
pub(crate) fn of_part(command: &Command, part: &str) -> Command {
    let mut command = command.clone();
    if let Form::Script(text) = &mut command.form {
        *text = text.replace(PART, part);
    }
    command
}

/// Ends a listing that is still at work, as after the machine that wanted it was lost, unmounts what it mounted and takes
/// its folder away. Whatever reads the snapshot is ended until the lock is free: the script that started it sees that and
/// ends by itself.
pub(super) fn forget(listing: &Listing) -> Work {
    let half = TRIES / 2;
    let script = format!(
        "{away}n=0\nuntil lockf -k -s -t 0 {lock} true; do\n  [ $n -lt {TRIES} ] || {{ echo 'what lists the snapshots does not end: see zpool status -x' >&2; exit 21; }}\n  if [ $n -lt {half} ]; then how=-TERM; else how=-KILL; fi\n  pkill $how -f \"^mtree -c .* -p $w/at\\$\" || :\n  pkill $how -f \"^sha256 -r $w/at/\" || :\n  sleep 0.2\n  n=$((n + 1))\ndone\naway\nrm -rf $w\nrmdir {runs} 2>/dev/null || :",
        away = away(listing),
        lock = lock(&listing.jail).file,
        runs = RUNS,
    );
    Work::Run(vec![Command::script(&listing.host, SHORT, script).whole()])
}
