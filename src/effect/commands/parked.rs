//! The end of a parked copy: zfs-destroy(8), zfs-hold(8).

use crate::effect::Others;
use crate::effect::Work;
use crate::effect::commands::zfs::RUN_PROPERTY;
use crate::effect::commands::zfs::names;
use crate::effect::commands::zfs::run_each;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::RunId;

/// Children first, everything checked before anything is destroyed: each dataset must carry this very run's mark, be
/// unmounted, and have no child that is not in the list; no snapshot may have a clone outside of the list, or be held by
/// somebody else, which would stop it halfway.
///
/// What is in nobody else's hands stops it: snapshots that the run has not sent, but for those that were taken of the
/// parked copy. Holds of ours are released, those of earlier runs too, whose last snapshots it may have.
pub(super) fn destroy(host: &NodeName, datasets: &[DatasetName], run_id: &RunId, others: &Others) -> Work {
    let list = names(datasets.iter().rev());
    let known = names(datasets);
    let only_here = match others {
        Others::Discard => String::new(),
        // A list that fails is none without snapshots.
        Others::Sent { last, snapshots } => format!(
            "sent=' {} '\nonly=\nfor d in {list}; do\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  all=$(zfs list -Hp -d 1 -t snapshot -s createtxg -o name $d)\n  for s in $all; do\n    case $s in\n    *@{last}) break ;;\n    *@jailferry-*) ;;\n    *) case $sent in *\" $s \"*) ;; *) only=\"$only $s\" ;; esac ;;\n    esac\n  done\ndone\n[ -z \"$only\" ] || {{ echo \"these snapshots are nowhere else:$only\" >&2; exit 22; }}\n",
            snapshots.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        ),
    };
    run_each(
        host,
        datasets.len(),
        format!(
            "for d in {list}; do\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  [ \"$(zfs get -Hp -o value {RUN_PROPERTY} $d)\" = {run_id} ] || {{ echo \"$d is not the copy that run {run_id} left\" >&2; exit 22; }}\n  [ \"$(zfs get -Hp -o value mounted $d)\" != yes ] || {{ echo \"$d is mounted\" >&2; exit 22; }}\n  all=$(zfs list -Hp -r -t filesystem,volume -o name $d)\n  for c in $all; do\n    case ' {known} ' in *\" $c \"*) ;; *) echo \"$c is not of run {run_id}\" >&2; exit 22;; esac\n  done\ndone\n{only_here}{}for d in {list}; do\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  all=$(zfs list -Hp -d 1 -t snapshot -o name $d)\n  for s in $all; do\n    own $s\n    zfs release jailferry-{run_id} $s 2>/dev/null || :\n    [ -z \"$own\" ] || zfs release \"$own\" $s 2>/dev/null || :\n  done\ndone\nleft=\nwhile :; do\n  before=$left left=\n  for d in {list}; do\n    zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n    zfs destroy -r $d 2>/dev/null || left=\"$left $d\"\n  done\n  [ -n \"$left\" ] || break\n  if [ \"$left\" = \"$before\" ]; then for d in $left; do zfs destroy -r $d; done; fi\ndone",
            in_use(&list, &known, run_id),
        ),
    )
}

/// Shell text that stops at a snapshot that somebody else needs; `own` is the tag of the run that a snapshot is named
/// after, if it is one of ours.
fn in_use(list: &str, known: &str, run_id: &RunId) -> String {
    let (jail, hex) = (run_id.jail(), "[0-9a-f]".repeat(8));
    format!(
        "own() {{\n  own=${{1#*@}}\n  case $own in jailferry-{jail}-{hex}-*) own=${{own%-*}} ;; *) own= ;; esac\n}}\nfor d in {list}; do\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  all=$(zfs list -Hp -d 1 -t snapshot -o name,userrefs,clones $d)\n  while read -r s held clones; do\n    [ -n \"$s\" ] || continue\n    IFS=,\n    for c in $clones; do\n      case \" - {known} \" in *\" $c \"*) ;; *) echo \"$c is a clone of $s: zfs promote $c, if it is to stay\" >&2; exit 22 ;; esac\n    done\n    unset IFS\n    [ \"$held\" != 0 ] || continue\n    own $s\n    tag=$(zfs holds -H $s | awk -F '\\t' -v ours=jailferry-{run_id} -v own=\"$own\" '$2 != ours && $2 != own {{ print $2; exit }}')\n    [ -z \"$tag\" ] || {{ echo \"$s is held as $tag, not by run {run_id}: zfs release $tag $s, if nothing needs it\" >&2; exit 22; }}\n  done <<JAILFERRY_SNAPSHOTS\n$all\nJAILFERRY_SNAPSHOTS\ndone\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::sh;
    use crate::effect::command::Form;
    use crate::model::SnapshotLabel;

    /// What is printed and destroyed of a copy whose snapshots zfs(8) tells so: name, holds, clones.
    fn destroyed(snapshots: &str, holds: &str, but: &str) -> sh::Ran {
        let zfs = format!(
            "zfs() {{\n  case \"$*\" in\n  {but}\n  *name,userrefs,clones*) printf '{snapshots}' ;;\n  'list -Hp -d 1 -t snapshot '*) printf '{snapshots}' | cut -f 1 ;;\n  'list '*) for d; do :; done; echo $d ;;\n  *mounted*) echo no ;;\n  'get '*) echo web-01234567 ;;\n  'holds '*) printf '{holds}' ;;\n  *) echo \"$*\" ;;\n  esac\n}}\n"
        );
        let datasets = [DatasetName::new("z/web").unwrap()];
        let others =
            Others::Sent { last: SnapshotLabel::new("jailferry-web-01234567-final").unwrap(), snapshots: vec![] };
        let work = destroy(&"big".parse().unwrap(), &datasets, &RunId::new("web-01234567").unwrap(), &others);
        let Work::Run(commands) = work else { panic!("no commands") };
        let Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
        sh::run(tempfile::tempdir().unwrap().path(), &format!("set -eu\n{zfs}{body}"))
    }

    const LAST: &str = "z/web@jailferry-web-01234567-final";

    #[test]
    fn ours_are_released_and_the_copy_goes() {
        let holds = format!("{LAST}\\tjailferry-web-01234567\\tnow\\n");
        for clones in ["", "-", "z/web"] {
            let ran = destroyed(&format!("{LAST}\\t1\\t{clones}\\n"), &holds, "");
            assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{clones}");
            assert!(ran.stdout.ends_with("destroy -r z/web\n"), "{ran:?}");
        }
        assert_eq!(destroyed("", "", "").stdout, "destroy -r z/web\n");
    }

    #[test]
    fn a_snapshot_that_somebody_needs_stops_it_before_anything_goes() {
        let cloned = destroyed(&format!("{LAST}\\t0\\tz/web,z/other\\n"), "", "");
        assert_eq!((cloned.status, cloned.stdout.as_str()), (22, ""));
        assert!(cloned.stderr.starts_with(&format!("z/other is a clone of {LAST}")), "{cloned:?}");
        let held = destroyed(&format!("{LAST}\\t1\\t\\n"), &format!("{LAST}\\tbackup\\tnow\\n"), "");
        assert_eq!((held.status, held.stdout.as_str()), (22, ""));
        assert!(held.stderr.starts_with(&format!("{LAST} is held as backup")), "{held:?}");
    }

    /// What is a clone of another one goes before it, and the name says nothing of that.
    #[test]
    fn what_cannot_go_yet_is_tried_again_and_one_that_never_goes_is_told() {
        let run = |until: u32| {
            let zfs = format!(
                "n=0\nzfs() {{\n  case \"$*\" in\n  *' z/data' | *' z/web') [ $1 != destroy ] || case $3 in z/web) n=$((n + 1)); [ $n -ge {until} ] || {{ echo dependent >&2; return 1; }} ;; esac ;;\n  esac\n  case \"$*\" in\n  'list -Hp -o name '*) case \" $gone \" in *\" $5 \"*) return 1 ;; esac ;;\n  *filesystem*) echo ${{8}} ;;\n  'get '*run*) echo web-01234567 ;;\n  destroy*) gone=\"$gone $3\"; echo \"$*\" ;;\n  esac\n}}\ngone=\n"
            );
            let datasets = ["z/data", "z/web"].map(|name| DatasetName::new(name).unwrap());
            let run = RunId::new("web-01234567").unwrap();
            let Work::Run(commands) = destroy(&"big".parse().unwrap(), &datasets, &run, &Others::Discard) else {
                panic!("no commands")
            };
            let Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
            sh::run(tempfile::tempdir().unwrap().path(), &format!("set -eu\n{zfs}{body}"))
        };
        let ran = run(2);
        assert_eq!((ran.status, ran.stdout.as_str()), (0, "destroy -r z/data\ndestroy -r z/web\n"), "{ran:?}");
        let never = run(99);
        assert_eq!((never.status, never.stdout.as_str()), (1, "destroy -r z/data\n"), "{never:?}");
        assert!(never.stderr.ends_with("dependent\n"), "{never:?}");
    }

    #[test]
    fn a_list_of_snapshots_that_fails_is_none_without_any() {
        let ran = destroyed("", "", "*' snapshot '*) echo broken >&2; return 1 ;;");
        assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", "broken\n"));
    }
}
