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
use crate::effect::contents::PROPERTIES;
use crate::effect::properties;
use crate::model::JailName;

/// Reads what mtree(8) writes.
const PROGRAM: &str = include_str!("contents.awk");

/// Writes what `zfs get -Hp -o property,value` prints as one line. Own values only, so without those that mean what their
/// absence means; the greatest number is the limit of datasets and snapshots that is none.
const OF_PROPERTIES: &str = r#"BEGIN { FS = "\t"; line = name }
{ gsub(/ /, "\\040") }
NF < 2 { line = line "\\012" $0; next }
$1 ~ out || $1 ~ limits && ($2 == "0" || $2 == "none" || $2 == "18446744073709551615") { next }
{ line = line " " $1 "=" $2 }
END { print line }"#;

/// The command that reads [`OF_PROPERTIES`]; `apart`: names that are left out, too.
fn of_properties(apart: &[String]) -> String {
    let apart: String = apart.iter().map(|name| format!("|^{name}$")).collect();
    // A backslash is read twice: as a string's and as the expression's.
    let (out, limits) = (properties::left_out().replace('\\', "\\\\") + &apart, properties::limits());
    format!("awk -v 'name={PROPERTIES}' -v 'out={out}' -v 'limits={limits}' '{OF_PROPERTIES}'")
}

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
        "{}if [ -e $w/digests ]; then exit 0; fi\naway\nrm -rf $w\n{}\ntrap away EXIT\ntrap 'exit 1' HUP INT TERM\nread_it() {{\n  awk -v number=$1 -v parts=$w/parts/$1 -v totals=$w/totals -v at=$w/at -v chosen=$w/chosen -v sample={sample} -v digests=$2 '{}'\n}}\nlist() {{\n  mount -t zfs -o ro $2 $w/at || {{ echo \"$2 cannot be mounted to be read; is it in use below .zfs/snapshot?\" >&2; exit 21; }}\n  {{ mtree -c -n -x -k type,uid,gid,mode,flags,size,time,link,device{digest} -p $w/at || : >$w/failed; }} | read_it $1 0\n",
        away(listing),
        lease::make_folder("$w/at $w/parts"),
        PROGRAM.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n"),
    );
    if *sampled {
        script.push_str("  if [ -e $w/chosen ]; then\n    { tr '\\n' '\\0' <$w/chosen | xargs -0 sha256 -r || : >$w/failed; } | read_it $1 1\n    rm $w/chosen\n  fi\n");
    }
    script.push_str(&format!(
        "  {{ zfs get -Hp -s local,received -o property,value all ${{2%@*}} || : >$w/failed; }} | {} >>$w/parts/$1.0\n",
        of_properties(&listing.apart)
    ));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::sh;
    use crate::effect::contents::Digests;
    use crate::effect::contents::differences;

    const SPECIFICATION: &str = r"
/set type=file uid=0 gid=0 mode=0755 flags=none
.               type=dir time=1.000000000
    a\040b      mode=0644 size=3 time=1.000000000 \
                sha256digest=aa
    a-name-of-many-letters \
                size=4 time=1.000000000 \
                sha256digest=bb

/set type=file uid=0 gid=5 mode=0755 flags=none
sub             type=dir time=1.000000000
    l           type=link link=/a/b\040c time=1.000000000

deep            type=dir time=1.000000000
    f           uid=7 size=10 time=1.000000000 sha256digest=cc
..

..

/set type=file uid=0 gid=0 mode=0755 flags=none
z               type=dir time=1.000000000
..

";

    /// What is in the parts, sorted, after the program has read this; their names, as sha256(1) tells them; the total.
    fn read(specification: &str, sample: u8) -> (String, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display();
        std::fs::write(folder.path().join("specification"), specification).unwrap();
        std::fs::create_dir(folder.path().join("parts")).unwrap();
        let script = format!(
            "LC_ALL=C; export LC_ALL; cd {dir}\nawk -v number=0 -v parts={dir}/parts/0 -v totals={dir}/totals -v at=/at -v chosen={dir}/chosen -v sample={sample} -v digests=0 '{PROGRAM}' <specification\ncat parts/* | sort >all\nls parts >names\n",
        );
        // Its comments hold no quotes either.
        let ran = sh::run(folder.path(), &script);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        (text("all"), text("names"), text("totals"))
    }

    #[test]
    fn every_entry_is_one_line_with_all_its_keywords() {
        let (all, names, total) = read(SPECIFICATION, 0);
        assert_eq!(
            all,
            r". type=dir uid=0 gid=0 mode=0755 flags=none time=1.000000000
./a-name-of-many-letters type=file uid=0 gid=0 mode=0755 flags=none size=4 time=1.000000000 sha256digest=bb
./a\040b type=file uid=0 gid=0 mode=0644 flags=none size=3 time=1.000000000 sha256digest=aa
./sub type=dir uid=0 gid=5 mode=0755 flags=none time=1.000000000
./sub/deep type=dir uid=0 gid=5 mode=0755 flags=none time=1.000000000
./sub/deep/f type=file uid=7 gid=5 mode=0755 flags=none size=10 time=1.000000000 sha256digest=cc
./sub/l type=link uid=0 gid=5 mode=0755 flags=none time=1.000000000 link=/a/b\040c
./z type=dir uid=0 gid=0 mode=0755 flags=none time=1.000000000
"
        );
        let digests = names.lines().map(|name| format!("{} {name}\n", "a".repeat(64)));
        let digests = Digests::read(&format!("{total}{}", digests.collect::<String>())).unwrap();
        assert_eq!((digests.amount.entries, digests.amount.files, digests.amount.bytes), (8, 3, 17));
        assert!(!digests.is_empty());
    }

    #[test]
    fn a_change_of_what_most_files_have_names_only_those_that_differ() {
        let changed = SPECIFICATION.replace("gid=5 mode=0755", "gid=6 mode=0755");
        let ((before, ..), (after, ..)) = (read(SPECIFICATION, 0), read(&changed, 0));
        let paths: Vec<String> = differences(&before, &after).into_iter().map(|d| d.path).collect();
        assert_eq!(paths, ["./sub", "./sub/deep", "./sub/deep/f", "./sub/l"]);
    }

    #[test]
    fn about_one_file_in_sixteen_is_in_a_sample() {
        let mut many = "/set type=file mode=0755\n.               type=dir\n".to_owned();
        (0..1600).for_each(|n| many.push_str(&format!("    file-{n}     size=1\n")));
        let (.., total) = read(&many, 1);
        let sampled = Digests::read(&total).unwrap().amount;
        assert!(sampled.entries == 1601 && (50..150).contains(&sampled.files), "{sampled:?}");
    }

    #[test]
    fn own_properties_are_one_line_without_what_a_copy_has_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let told = "redundant_metadata\tsome\natime\toff\nquota\t0\nrefquota\t5\nreadonly\ton\nsnapshot_limit\t18446744073709551615\norg.jailferry:run\tx\norg_jailferry:x\ty\norg.example:owner\ta b\nsecond line\n";
        std::fs::write(folder.path().join("told"), told).unwrap();
        let script =
            format!("cd {}\n{} <told", folder.path().display(), of_properties(&["redundant_metadata".to_owned()]));
        let ran = sh::run(folder.path(), &script);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        assert_eq!(
            ran.stdout,
            "(properties) atime=off refquota=5 org_jailferry:x=y org.example:owner=a\\040b\\012second\\040line\n"
        );
    }

    #[test]
    fn the_question_for_lines_names_one_part() {
        let listing = Listing {
            host: crate::model::NodeName::new("big").unwrap(),
            jail: JailName::new("web").unwrap(),
            run: crate::model::RunId::new("web-0123abcd").unwrap(),
            label: crate::model::SnapshotLabel::new("jailferry-web-0123abcd-0").unwrap(),
            datasets: Vec::new(),
            sampled: false,
            apart: Vec::new(),
        };
        let Work::Contents(both) = compare(&listing, &listing) else { panic!("no comparison") };
        let text = of_part(&both.left_part, "1.200").text();
        let file = "/var/db/jailferry/jailferry-web-0123abcd.listing/parts/1.200";
        assert_eq!(text, format!("if [ -e {file} ]; then cat {file}; fi"));
    }
}
