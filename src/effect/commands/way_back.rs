//! A dataset as it was at a snapshot, and what was written elsewhere since: zfs-rollback(8), zfs-receive(8).

use crate::effect::Base;
use crate::effect::BringBack;
use crate::effect::Newer;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::command::RUNS;
use crate::effect::commands::SHORT;
use crate::effect::commands::TRANSFER;
use crate::effect::commands::ending;
use crate::effect::commands::ending::Of;
use crate::effect::commands::resume;
use crate::effect::commands::resume::Stream;
use crate::effect::commands::zfs::names;
use crate::effect::commands::zfs::run;
use crate::effect::commands::zfs::send;
use crate::effect::commands::zfs::taken;
use crate::effect::work::DONE;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::model::SnapshotLabel;

/// Only snapshots of this run may go with the rollback; anything else is somebody's, and stops it, or as an undo lets the
/// copy be as it is. What was written
/// without a snapshot goes too: access times that were still in memory when the copy was unmounted are enough for
/// `zfs receive` to refuse an increment (contract 5.5, "has been modified").
pub(super) fn roll_back_received(
    host: &NodeName,
    dataset: &DatasetName,
    base: &SnapshotLabel,
    run_id: &RunId,
    arriving: &[SnapshotLabel],
    newer: Newer,
) -> Work {
    let ours = std::iter::once(format!("jailferry-{run_id}-*")).chain(arriving.iter().map(ToString::to_string));
    let of = Of::Arriving(run_id, arriving);
    run(host, back_to(dataset, base, &ours.collect::<Vec<_>>(), &of, newer))
}

/// In the run's folder on the source: what was written at the target is home.
const HOME: &str = "home";

/// `ours`: patterns, as in case of sh(1), of the labels that may go; `of`: whose receives are ended first.
///
/// `zfs rollback -r` takes newer bookmarks, too. Where nothing is to go back they need not.
fn back_to(dataset: &DatasetName, base: &SnapshotLabel, ours: &[String], of: &Of<'_>, newer: Newer) -> String {
    let ours = ours.iter().map(|label| format!("*@{label}")).collect::<Vec<_>>().join(" | ");
    let end = ending::end(&[ending::receives(dataset, of)]);
    const FITS: &str = "if [ -z \"$mine\" ] && [ \"$new\" = 0 ]; then at=$s; continue; fi\n    ";
    const KEPT: &str = "echo \"$s is not of this run: the copy stays as it is\" >&2\n    exit 0\n    ";
    let (stays, kept) = match newer {
        Newer::Stops => (String::new(), 22),
        Newer::Fits => (FITS.to_owned(), 22),
        Newer::Keeps => (format!("{FITS}{KEPT}"), 0),
    };
    format!(
        "{end}zfs receive -A {dataset} >/dev/null 2>&1 || :\nall=$(zfs list -Hp -t snapshot -d 1 -s createtxg -o name,written {dataset})\nat={dataset}@{base}\nseen=\nmine=\nwhile read -r s new; do\n  if [ -z \"$seen\" ]; then\n    if [ \"$s\" = {dataset}@{base} ]; then seen=yes; fi\n    continue\n  fi\n  case $s in\n  {ours}) mine=$s ;;\n  *)\n    {stays}echo \"$s is newer than @{base} and not of this run\" >&2\n    exit 22 ;;\n  esac\ndone <<JAILFERRY_SNAPSHOTS\n$all\nJAILFERRY_SNAPSHOTS\n[ -n \"$seen\" ] || {{ echo '{dataset}@{base} is not there' >&2; exit 21; }}\nzfs unmount {dataset} 2>/dev/null || :\nborn=$(zfs get -Hp -o value createtxg $at)\nmarks=$(zfs list -Hp -t bookmark -d 1 -o createtxg,name {dataset} | awk -v \"born=$born\" '$1 > born + 0 && $2 !~ /#jailferry-/ {{ print $2 }}')\nif [ -z \"$marks\" ]; then\n  zfs rollback -r $at\nelif [ -n \"$mine\" ] || [ \"$(zfs get -Hp -o value written {dataset})\" != 0 ]; then\n  echo \"going back to $at would destroy newer bookmarks that are not of this run:\" $marks >&2\n  exit {kept}\nfi"
    )
}

/// The way home of what was written while the target answered: park the target's copy, one snapshot, one increment
/// per dataset onto the source as it was at the last snapshot, then the helper snapshot goes again on the source.
///
/// What comes behind it makes the source's copy the jail's again, and whoever goes on from there with no journal that says
/// so must not find it in use: that all is home is noted on the source.
///
/// Somebody may have started the jail at the target by hand between two tries. What it wrote behind the snapshot would be
/// lost, whether all was home or not, and it may run there still: the target is looked at in any case.
pub(super) fn bring_back(back: &BringBack) -> Work {
    let (theirs, ours): (Vec<_>, Vec<_>) = back.pairs.iter().cloned().unzip();
    let Some(root) = theirs.first() else { return Work::Nothing };
    // A source that runs its copy again has nothing to get back, and everything to lose by a rollback.
    let parked = run(
        &back.to,
        format!(
            "for d in {}; do\n  [ \"$(zfs get -Hp -o value readonly $d)\" = on ] || {{ echo \"$d is in use\" >&2; exit 22; }}\ndone",
            names(&ours)
        ),
    );
    // What was made there meanwhile stays there; the jail is down, and starts again without it.
    let mut parts = vec![parked, run(&back.from, taken(root, &back.label))];
    // Whoever takes snapshots now and then takes them of a parked copy, too; nobody answers until this is done.
    let newer = if back.raw { Newer::Stops } else { Newer::Fits };
    for (dataset, into) in &back.pairs {
        let (mine, of) = ([back.label.to_string()], Of::Snapshot(&back.label));
        parts.push(run(&back.to, back_to(into, &back.base, &mine, &of, newer)));
        let argv = send(dataset, &Base::Snapshot(back.base.clone()), &[], &back.label, back.raw);
        let from = Command::argv(&back.from, TRANSFER, argv).whole();
        let (from_host, to, label) = (&back.from, &back.to, &back.label);
        let stream = Stream { from: from_host, dataset, to, into, label, refquota: None, package: None };
        let resume = stream.resume(None, None, resume::TRIES);
        parts.push(Work::Pipe {
            from,
            to: resume.to.clone(),
            estimate: None,
            rate: None,
            size: None,
            resume: Some(Box::new(resume)),
        });
    }
    let folder = back.run.as_ref().map(|run| format!("{RUNS}/{run}"));
    let noted = folder.iter().map(|d| format!("if [ -d {d} ]; then : > {d}/{HOME}; fi\n")).collect::<String>();
    parts.push(run(&back.to, format!("{noted}for d in {}; do\n  zfs destroy $d@{}\ndone", names(&ours), back.label)));
    let all = Work::Sequence(parts);
    let once = match folder {
        None => all,
        Some(d) => Work::Unless {
            done: Command::script(&back.to, SHORT, format!("if [ -e {d}/{HOME} ]; then echo {DONE}; fi")),
            work: Box::new(all),
        },
    };
    Work::Sequence(vec![run(&back.from, left_alone(back, &theirs)), once])
}

/// A dataset that is gone has nothing to tell: what needs it fails by itself. A question without an answer is no "nobody":
/// of a snapshot that is not there zfs(8) says `-`, and succeeds.
fn left_alone(back: &BringBack, theirs: &[DatasetName]) -> String {
    let (label, from, to) = (&back.label, &back.from, &back.to);
    let again =
        back.run.iter().map(|run| format!(", and {RUNS}/{run}/{HOME} on {to} if it is there")).collect::<String>();
    format!(
        "for d in {}; do\n  said=$(zfs get -Hp -o value mounted $d 2>&1) || {{\n    case $said in *'does not exist'*) continue ;; esac\n    printf '%s\\n' \"$said\" >&2\n    exit 21\n  }}\n  if [ \"$said\" = yes ]; then\n    echo \"$d is mounted: the jail may have been started on {from} by hand; stop it and unmount its datasets first\" >&2\n    exit 22\n  fi\n  new=$(zfs get -Hp -o value written@{label} $d)\n  case $new in\n  - | 0) ;;\n  *)\n    echo \"$d was written to behind @{label}, with which its data goes home; to take that along, destroy @{label} of all the jail's datasets on {from}{again}\" >&2\n    exit 22 ;;\n  esac\ndone",
        names(theirs)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::sh;

    /// What is said and done on the way back to `@base`: snapshots with what each shows that is new, bookmarks with the
    /// group of transactions of each (that of the base is 50), and what was written since the last snapshot.
    fn gone_back(newer: Newer, snapshots: &[(&str, u32)], marks: &str, written: u32) -> (i32, String, String) {
        let lines: String = snapshots.iter().map(|(label, new)| format!("z/web@{label}\\t{new}\\n")).collect();
        let zfs = format!(
            "pgrep() {{ return 1; }}\npkill() {{ return 1; }}\nzfs() {{\n  case \"$*\" in\n  *name,written*) printf '{lines}' ;;\n  *createtxg,name*) printf '{marks}' ;;\n  *createtxg*) echo 50 ;;\n  *written*) echo {written} ;;\n  rollback*) echo \"$*\" ;;\n  esac\n}}\n"
        );
        let (dataset, label) = (DatasetName::new("z/web").unwrap(), |text: &str| SnapshotLabel::new(text).unwrap());
        let back = label("back");
        let script = back_to(&dataset, &label("base"), &["back".to_owned()], &Of::Snapshot(&back), newer);
        let ran = sh::run(tempfile::tempdir().unwrap().path(), &format!("set -eu\n{zfs}{script}"));
        (ran.status, ran.stdout, ran.stderr)
    }

    #[test]
    fn somebodys_snapshot_that_shows_nothing_new_stays_and_an_increment_fits_behind_it() {
        let to = |at: &str| (0, format!("rollback -r z/web@{at}\n"), String::new());
        let both = [Newer::Stops, Newer::Fits];
        assert!(both.iter().all(|f| gone_back(*f, &[("old", 9), ("base", 5)], "", 0) == to("base")));
        assert!(both.iter().all(|f| gone_back(*f, &[("base", 5), ("back", 7)], "", 3) == to("base")));
        let daily = [("base", 5), ("hourly", 0), ("daily", 0), ("back", 7)];
        assert_eq!(gone_back(Newer::Fits, &daily, "", 0), to("daily"));
        let stopped =
            |label: &str| (22, String::new(), format!("z/web@{label} is newer than @base and not of this run\n"));
        assert_eq!(gone_back(Newer::Stops, &daily, "", 0), stopped("hourly"));
        assert_eq!(gone_back(Newer::Keeps, &daily, "", 0), to("daily"));
        let left = (0, String::new(), "z/web@daily is not of this run: the copy stays as it is\n".to_owned());
        assert_eq!(gone_back(Newer::Keeps, &[("base", 5), ("daily", 1)], "", 0), left);
        assert_eq!(gone_back(Newer::Keeps, &[("base", 5), ("back", 7), ("daily", 0)], "", 0), left);
        assert_eq!(gone_back(Newer::Keeps, &[("base", 5), ("back", 7)], "", 3), to("base"));
        assert_eq!(gone_back(Newer::Fits, &[("base", 5), ("daily", 1)], "", 0), stopped("daily"));
        // Behind ours it shows what ours brought.
        assert_eq!(gone_back(Newer::Fits, &[("base", 5), ("back", 7), ("daily", 0)], "", 0), stopped("daily"));
        assert_eq!(gone_back(Newer::Fits, &[("other", 5)], "", 0).0, 21);
        assert_eq!(gone_back(Newer::Fits, &[], "", 0).0, 21);
    }

    #[test]
    fn somebodys_newer_bookmark_is_not_destroyed() {
        let (old, ours, theirs) = ("50\\tz/web#sync\\n", "60\\tz/web#jailferry-web-01234567\\n", "60\\tz/web#sync\\n");
        let to_base = (0, "rollback -r z/web@base\n".to_owned(), String::new());
        assert_eq!(gone_back(Newer::Fits, &[("base", 5)], old, 0), to_base);
        assert_eq!(gone_back(Newer::Fits, &[("base", 5)], ours, 0), to_base);
        assert_eq!(gone_back(Newer::Fits, &[("base", 5)], theirs, 0), (0, String::new(), String::new()));
        for (snapshots, written) in [(vec![("base", 5)], 1), (vec![("base", 5), ("back", 1)], 0)] {
            let (status, did, said) = gone_back(Newer::Fits, &snapshots, theirs, written);
            assert_eq!((status, did.as_str()), (22, ""));
            assert!(said.contains("z/web#sync"), "{said}");
            assert_eq!(gone_back(Newer::Keeps, &snapshots, theirs, written), (0, did, said));
        }
    }

    /// Whoever goes on behind it finds the source's copy the jail's again, and must not take it for in use.
    #[test]
    fn what_is_home_is_not_brought_home_twice() {
        let folder = tempfile::tempdir().unwrap();
        let back = |run: Option<&str>| BringBack {
            from: NodeName::new("big").unwrap(),
            to: NodeName::new("spare").unwrap(),
            pairs: vec![(DatasetName::new("b/web").unwrap(), DatasetName::new("z/web").unwrap())],
            base: SnapshotLabel::new("final").unwrap(),
            label: SnapshotLabel::new("back").unwrap(),
            raw: false,
            run: run.map(|run| RunId::new(run).unwrap()),
        };
        let Work::Sequence(parts) = bring_back(&back(Some("web-01234567"))) else {
            panic!("the target is not looked at")
        };
        let Some(Work::Unless { done, work }) = parts.last() else { panic!("done in any case") };
        let ran = |command: &Command| {
            let script = command.text().replace(RUNS, folder.path().to_str().unwrap());
            let ran = sh::run(folder.path(), &format!("set -eu\nzfs() {{ :; }}\n{script}"));
            assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
            ran.stdout
        };
        let last = work.commands().last().map(|c| (*c).clone()).unwrap();
        assert_eq!(last.host.as_str(), "spare");
        ran(&last);
        assert_eq!(ran(done), "", "a host without the run's folder gets none");
        std::fs::create_dir(folder.path().join("web-01234567")).unwrap();
        assert_eq!(ran(done), "");
        ran(&last);
        assert_eq!(ran(done).trim(), DONE);
        // A plan of an older version.
        let Work::Sequence(parts) = bring_back(&back(None)) else { panic!("the target is not looked at") };
        assert!(matches!(parts.last(), Some(Work::Sequence(_))));
    }

    #[test]
    fn what_somebody_has_started_at_the_target_again_is_not_passed_over() {
        let json = r#"{"from":"big","to":"spare","pairs":[["b/web","z/web"],["b/web/db","z/web/db"]],"base":"final","label":"back","raw":false,"run":"web-01234567"}"#;
        let back: BringBack = serde_json::from_str(json).unwrap();
        let Work::Sequence(parts) = bring_back(&back) else { panic!("not looked at") };
        let first = (*parts[0].commands().first().unwrap()).clone();
        assert_eq!(first.host.as_str(), "big");
        let told = |mounted: &str, written: &str| {
            let zfs = format!(
                "zfs() {{ case \"$5 $6\" in 'mounted b/web/db') {mounted} ;; mounted*) echo no ;; 'written@back b/web/db') {written} ;; *) echo 0 ;; esac; }}\n"
            );
            let ran = sh::run(tempfile::tempdir().unwrap().path(), &format!("set -eu\n{zfs}{}", first.text()));
            (ran.status, ran.stderr)
        };
        let gone = "echo \"cannot open 'b/web/db': dataset does not exist\" >&2; return 1";
        for written in ["echo 0", "echo -"] {
            for mounted in ["echo no", "echo -", gone] {
                assert_eq!(told(mounted, written), (0, String::new()), "{mounted} {written}");
            }
        }
        // Nobody knows whether it runs there.
        assert_eq!(told("echo 'pool I/O is currently suspended' >&2; return 1", "echo 0").0, 21);
        assert_ne!(told("echo no", "echo 'internal error' >&2; return 1").0, 0);
        let (status, said) = told("echo yes", "echo 0");
        assert!(status == 22 && said.contains("b/web/db is mounted"), "{said}");
        let (status, said) = told("echo no", "echo 512");
        assert!(status == 22 && said.contains("behind @back") && said.contains("web-01234567/home on spare"), "{said}");
    }
}
