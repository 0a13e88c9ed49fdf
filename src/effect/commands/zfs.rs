//! zfs(8): contract section 5.

use crate::effect::Base;
use crate::effect::Transfer;
use crate::effect::Way;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::command::Lock;
use crate::effect::commands::JAIL;
use crate::effect::commands::SHORT;
use crate::effect::commands::TRANSFER;
use crate::effect::commands::ending;
use crate::effect::commands::ending::Of;
use crate::effect::commands::resume;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Notice;
use crate::model::Owner;
use crate::model::RunId;
use crate::model::SnapshotLabel;
use crate::model::Standing;

/// Our user property: on a copy that is not the live one, the run it belongs to.
pub const RUN_PROPERTY: &str = "org.jailferry:run";

/// Our user property: how it stands with a jail's top dataset ([`Notice::state`]).
pub const STATE_PROPERTY: &str = "org.jailferry:state";

/// Our user property: whose run that is.
pub const OWNER_PROPERTY: &str = "org.jailferry:owner";

pub(super) fn run(host: &NodeName, script: String) -> Work {
    // None of these tools leaves anything running.
    Work::Run(vec![Command::script(host, SHORT, script).whole()])
}

/// As [`run`], for a script that does something with each of so many datasets.
pub(super) fn run_each(host: &NodeName, datasets: usize, script: String) -> Work {
    Work::Run(vec![Command::script(host, each(datasets), script).whole()])
}

/// As [`run`], for one that does something with each of datasets that only the host knows.
fn run_all(host: &NodeName, script: String) -> Work {
    Work::Run(vec![Command::script(host, JAIL, script).whole()])
}

/// Shell text: the snapshots of a dataset and of all below it, into `$all`. A list that fails is none without any; only a
/// dataset that is not there has none, which is asked of one that must be.
fn snapshots_of(dataset: &DatasetName) -> String {
    format!(
        "all=$(zfs list -Hp -r -t snapshot -o name {dataset} 2>/dev/null) || {{\n  zfs list -Hp -o name {pool} >/dev/null\n  if zfs list -Hp -o name {dataset} >/dev/null 2>&1; then all=$(zfs list -Hp -r -t snapshot -o name {dataset}); fi\n}}\n",
        pool = dataset.pool()
    )
}

/// Seconds for that: each command that changes something waits for the pool's next transaction group. No more than the
/// longest of the others, or a turn would not be waited for long enough ([`crate::effect::command::TURN`]).
pub(super) fn each(datasets: usize) -> u32 {
    u32::try_from(datasets).unwrap_or(u32::MAX).saturating_mul(2).clamp(SHORT, JAIL)
}

pub(super) fn names<'a>(datasets: impl IntoIterator<Item = &'a DatasetName>) -> String {
    datasets.into_iter().map(DatasetName::as_str).collect::<Vec<_>>().join(" ")
}

/// Atomic over the tree (contract 5.3). A repetition finds it on every dataset and leaves it.
pub(super) fn taken(dataset: &DatasetName, label: &SnapshotLabel) -> String {
    format!(
        "said=$(zfs snapshot -r {dataset}@{label} 2>&1) || {{\n  rc=$?\n  zfs list -Hp -t snapshot -o name {dataset}@{label} >/dev/null 2>&1 || {{ printf '%s\\n' \"$said\" >&2; exit $rc; }}\n}}"
    )
}

/// A dataset that was made since the plan, by somebody on the host or by a jail that has some of its own, would stay behind.
pub(super) fn snapshot(host: &NodeName, dataset: &DatasetName, label: &SnapshotLabel, known: &[DatasetName]) -> Work {
    if known.is_empty() {
        return run(host, taken(dataset, label));
    }
    run_each(
        host,
        known.len(),
        format!(
            "{}\nnew=\nall=$(zfs list -Hp -r -t filesystem,volume -o name {dataset})\nfor d in $all; do\n  case ' {known} ' in *\" $d \"*) ;; *) new=\"$new $d\" ;; esac\ndone\n[ -z \"$new\" ] || {{ echo \"made since the plan was, and not part of it:$new; plan again to take them along\" >&2; exit 22; }}",
            taken(dataset, label),
            known = names(known)
        ),
    )
}

/// By exact name on each dataset; ends a send of ours that keeps it busy and releases our hold first, if there is one;
/// never `-R`, never `-f`.
pub(super) fn destroy_snapshot(
    host: &NodeName,
    dataset: &DatasetName,
    label: &SnapshotLabel,
    held_by: Option<&SnapshotLabel>,
) -> Work {
    let release = held_by.map(|tag| format!("  zfs release {tag} $s 2>/dev/null || :\n")).unwrap_or_default();
    run_all(
        host,
        format!(
            "{end}{listed}for s in $all; do\n  case $s in *@{label}) ;; *) continue ;; esac\n{release}  zfs destroy $s\ndone",
            end = ending::end_sends(&[dataset], &Of::Snapshot(label)),
            listed = snapshots_of(dataset),
        ),
    )
}

/// `tag already exists` is success of an earlier try: decided by reading the holds back.
pub(super) fn hold(host: &NodeName, dataset: &DatasetName, label: &SnapshotLabel, tag: &SnapshotLabel) -> Work {
    run(
        host,
        format!(
            "zfs hold -r {tag} {dataset}@{label} 2>/dev/null || :\nzfs holds -H {dataset}@{label} | grep -q '\t{tag}\t' || exit 21"
        ),
    )
}

/// A bookmark cannot be overwritten, so the old one goes first; between the two the snapshot itself is still there.
pub(super) fn move_bookmark(
    host: &NodeName,
    datasets: &[DatasetName],
    bookmark: &SnapshotLabel,
    label: &SnapshotLabel,
) -> Work {
    run_each(
        host,
        datasets.len(),
        format!(
            "for d in {}; do\n  zfs destroy $d#{bookmark} 2>/dev/null || :\n  zfs bookmark $d@{label} $d#{bookmark}\ndone",
            names(datasets)
        ),
    )
}

pub(super) fn remove_bookmark(host: &NodeName, datasets: &[DatasetName], bookmark: &SnapshotLabel) -> Work {
    run_each(
        host,
        datasets.len(),
        format!(
            "for d in {}; do\n  zfs list -Hp -t bookmark -o name $d 2>/dev/null | grep -q '#{bookmark}$' || continue\n  zfs destroy $d#{bookmark}\ndone",
            names(datasets)
        ),
    )
}

/// `-p` only with a full stream: libzfs refuses it with a bookmark as base (zfs_main.c, "Unsupported flag with
/// filesystem or bookmark").
pub(super) fn send(
    dataset: &DatasetName,
    base: &Base,
    through: &[SnapshotLabel],
    label: &SnapshotLabel,
    raw: bool,
) -> Vec<String> {
    let mut argv = vec!["zfs".to_owned(), "send".to_owned()];
    if raw {
        argv.push("-w".into());
    } else {
        argv.extend(["-L", "-e", "-c"].map(str::to_owned));
    }
    match base {
        Base::Nothing => argv.push("-p".into()),
        // Of another dataset: zfs(8) takes it with -p when it is the origin (zfs_main.c, fromorigin).
        Base::Origin { here, .. } => argv.extend(["-p".to_owned(), "-i".to_owned(), here.to_string()]),
        // Each snapshot by itself costs both ends processes, and the way between them round trips.
        Base::Snapshot(base) if !through.is_empty() => argv.extend(["-I".to_owned(), format!("@{base}")]),
        Base::Snapshot(base) => argv.extend(["-i".to_owned(), format!("@{base}")]),
        Base::Bookmark(bookmark) => argv.extend(["-i".to_owned(), format!("{dataset}#{bookmark}")]),
    }
    argv.push(format!("{dataset}@{label}"));
    argv
}

/// Unmounted, resumable, inert (contract 5.5); never `-F`. Each stream carries one dataset, so the properties given
/// here reach it as the top dataset of its stream; what the source's own notice says comes with `-p` and is overridden.
/// The snapshot's name, which the stream carries anyway (zfs-receive(8)), makes every receive tell whose it is. One
/// receive into a dataset at a time: what a killed run has left at work there ends first.
#[must_use]
pub fn receive(transfer: &Transfer) -> Command {
    if !transfer.through.is_empty() {
        return resume::receive_rest(transfer);
    }
    let mut argv: Vec<String> = ["zfs", "receive", "-s", "-u"].map(str::to_owned).into();
    if let Base::Origin { there, .. } = &transfer.base {
        argv.extend(["-o".to_owned(), format!("origin={there}")]);
    }
    if transfer.base.makes_a_dataset() {
        // What a volume does not have is refused (libzfs_sendrecv.c, zfs_setup_cmdline_props).
        let words: &[&str] = if transfer.volume {
            &["-o", "readonly=on"]
        } else {
            &["-x", "mountpoint", "-o", "readonly=on", "-o", "canmount=noauto"]
        };
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        if transfer.delegated {
            argv.extend(["-o", "jailed=off"].map(str::to_owned));
        }
        if transfer.unlimited {
            argv.extend(["-x", "refquota"].map(str::to_owned));
        }
        argv.push("-o".to_owned());
        argv.push(format!("{RUN_PROPERTY}={}", transfer.run));
        if transfer.owner.is_some() {
            argv.extend(notes(&arriving(transfer)).into_iter().flat_map(|note| ["-o".to_owned(), note]));
        }
    } else if let Some(refquota) = &transfer.refquota {
        // It is set when everything has arrived (zfs_ioctl.c, extract_delay_props).
        argv.extend(["-o".to_owned(), format!("refquota={refquota}")]);
    }
    argv.push(format!("{}@{}", transfer.into, transfer.label));
    Command::argv(&transfer.to, TRANSFER, argv).whole().under(Lock::receive(&transfer.into))
}

fn arriving(transfer: &Transfer) -> Notice {
    Notice {
        run: transfer.run.clone(),
        owner: transfer.owner.clone(),
        standing: Standing::Arriving,
        peer: Some(transfer.from.clone()),
    }
}

/// `PROPERTY=VALUE` of a notice; none of it needs to be quoted.
fn notes(notice: &Notice) -> Vec<String> {
    let mut notes = vec![format!("{STATE_PROPERTY}={}", notice.state())];
    notes.extend(notice.owner.as_ref().map(|owner| format!("{OWNER_PROPERTY}={owner}")));
    notes
}

/// One `zfs set` for both; without an owner nobody is named.
pub(super) fn declare(host: &NodeName, dataset: &DatasetName, notice: &Notice) -> Work {
    run(host, written(dataset, notice))
}

/// Only over what this run has written.
pub(super) fn amend(host: &NodeName, dataset: &DatasetName, notice: &Notice) -> Work {
    let run_id = &notice.run;
    run(
        host,
        format!(
            "case $(zfs get -Hp -o value {STATE_PROPERTY} {dataset} 2>/dev/null || :) in\n{run_id}:*)\n{}\n;;\nesac",
            written(dataset, notice),
        ),
    )
}

fn written(dataset: &DatasetName, notice: &Notice) -> String {
    let forget = match notice.owner {
        Some(_) => String::new(),
        None => format!("zfs inherit {OWNER_PROPERTY} {dataset}\n"),
    };
    format!(
        "zfs set {} {dataset}\n{forget}[ \"$(zfs get -Hp -o value {STATE_PROPERTY} {dataset})\" = {state} ] || exit 21",
        notes(notice).join(" "),
        state = notice.state(),
    )
}

/// Only what this run has written. `inherit` without -S also hides a value that came with a stream (zfs-inherit(8)).
pub(super) fn withdraw(host: &NodeName, dataset: &DatasetName, run_id: &RunId) -> Work {
    run(
        host,
        format!(
            "case $(zfs get -Hp -o value {STATE_PROPERTY} {dataset} 2>/dev/null || :) in\n{run_id}:*)\n  zfs inherit {STATE_PROPERTY} {dataset}\n  zfs inherit {OWNER_PROPERTY} {dataset} ;;\nesac"
        ),
    )
}

/// Makes another machine the owner in what its run has written on a dataset.
#[must_use]
pub fn redeclare(host: &NodeName, dataset: &DatasetName, run_id: &RunId, owner: &Owner) -> Command {
    let script = format!(
        "case $(zfs get -Hp -o value {STATE_PROPERTY} {dataset} 2>/dev/null || :) in\n{run_id}:*) zfs set {OWNER_PROPERTY}={owner} {dataset} ;;\nesac"
    );
    Command::script(host, SHORT, script)
}

pub(super) fn transfer(transfer: &Transfer) -> Work {
    let argv = send(&transfer.dataset, &transfer.base, &transfer.through, &transfer.label, transfer.raw);
    let from = Command::argv(&transfer.from, TRANSFER, argv.iter().cloned()).whole();
    let (to, estimate, resume) = (receive(transfer), transfer.estimate, resume::resume(transfer));
    // Later rounds are short, and while nobody answers nothing is asked that decides nothing.
    let asks = estimate.is_none() && transfer.round == Some(0);
    let size = asks.then(|| size(&transfer.from, &argv));
    match &transfer.way {
        Way::Relay => Work::Pipe { from, to, estimate, rate: transfer.rate, size, resume },
        Way::Direct { direct, number, .. } => {
            Work::Direct { send: direct.send(&argv, *number, TRANSFER), from, to, estimate, size, resume }
        }
    }
}

/// What a stream will come to (contract 5.4): the same but for `-nvP`, which reads nothing of the data.
fn size(from: &NodeName, send: &[String]) -> Command {
    let mut argv = send.to_vec();
    argv.insert(2, "-nvP".to_owned());
    Command::argv(from, SHORT, argv).whole()
}

/// Found done when only the new name is there.
pub(super) fn rename(host: &NodeName, from: &DatasetName, to: &DatasetName) -> Work {
    run(
        host,
        format!(
            "if zfs list -Hp -o name {to} >/dev/null 2>&1 && ! zfs list -Hp -o name {from} >/dev/null 2>&1; then exit 0; fi\nzfs rename -u {from} {to}"
        ),
    )
}

/// Children first. A dataset without our mark of this very run is none that it received, and left alone. A receive of
/// ours that is still at work is ended first; its dataset may stay busy for a moment.
pub(super) fn discard_received(
    host: &NodeName,
    datasets: &[DatasetName],
    run_id: &RunId,
    arriving: &[SnapshotLabel],
) -> Work {
    let of = Of::Arriving(run_id, arriving);
    let patterns: Vec<String> = datasets.iter().map(|d| ending::receives(d, &of)).collect();
    let sends = ending::end_sends(&datasets.iter().collect::<Vec<_>>(), &Of::Run(run_id));
    run_each(
        host,
        datasets.len(),
        format!(
            "{}{sends}for d in {}; do\n  zfs receive -A $d >/dev/null 2>&1 || :\n  zfs list -Hp -o name $d >/dev/null 2>&1 || continue\n  [ \"$(zfs get -Hp -o value {RUN_PROPERTY} $d)\" = {run_id} ] || continue\n  [ \"$(zfs list -Hp -r -t filesystem,volume -o name $d)\" = \"$d\" ] || {{ echo \"$d has children\" >&2; exit 22; }}\n  zfs unmount $d 2>/dev/null || :\n  n=0\n  while zfs list -Hp -o name $d >/dev/null 2>&1 && ! zfs destroy -r $d 2>/dev/null; do\n    n=$((n + 1))\n    if [ $n -ge 50 ]; then zfs destroy -r $d; fi\n    sleep 0.2\n    zfs receive -A $d >/dev/null 2>&1 || :\n  done\ndone",
            ending::end(&patterns),
            names(datasets.iter().rev())
        ),
    )
}

/// By our names only: `jailferry-JAIL-` and eight hexadecimal digits. Each run's hold has the run's name as tag. What somebody
/// else has come to need stays; a move is no reason to take it away, nor to fail.
pub(super) fn tidy<'a>(
    host: &NodeName,
    dataset: &DatasetName,
    jail: &JailName,
    keep: impl Iterator<Item = &'a SnapshotLabel>,
) -> Work {
    let keep = keep.map(|label| format!("*@{label}")).collect::<Vec<_>>().join(" | ");
    let hex = "[0-9a-f]".repeat(8);
    run_all(
        host,
        format!(
            "{}for s in $all; do\n  case $s in\n  {keep}) ;;\n  *@jailferry-{jail}-{hex}-*)\n    tag=${{s#*@}}\n    zfs release \"${{tag%-*}}\" $s 2>/dev/null || :\n    case $(zfs get -Hp -o value userrefs,clones $s | tr -d '\\n') in\n    0 | 0-) zfs destroy $s ;;\n    *) echo \"$s stays: somebody holds it, or has a clone of it\" >&2 ;;\n    esac ;;\n  esac\ndone",
            snapshots_of(dataset)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `finalize`, `rollback` and `recover` read the plans of runs that began before.
    #[test]
    fn a_snapshot_of_an_earlier_version_s_plan_is_taken_as_it_was() {
        let json = r#"{"effect":"snapshot","host":"spare","dataset":"zroot/web","label":"s"}"#;
        let old: crate::effect::Effect = serde_json::from_str(json).unwrap();
        let texts = |effect: &crate::effect::Effect| {
            effect.work().commands().into_iter().map(Command::text).collect::<Vec<_>>().join("\n")
        };
        assert!(texts(&old).contains("zfs snapshot -r zroot/web@s") && !texts(&old).contains("exit 22"));
        let new = json.replace(r#""s"}"#, r#""s","known":["zroot/web"]}"#);
        assert!(texts(&serde_json::from_str(&new).unwrap()).contains("exit 22"));
    }

    /// A hold or a clone of somebody's is no reason for a good move to fail.
    #[test]
    fn what_somebody_has_come_to_need_is_left_where_it_is() {
        let tidied = |needed: &str| {
            let (dataset, jail) = (DatasetName::new("z/web").unwrap(), JailName::new("web").unwrap());
            let kept = SnapshotLabel::new("jailferry-web-00000000-final").unwrap();
            let Work::Run(commands) = tidy(&"big".parse().unwrap(), &dataset, &jail, std::iter::once(&kept)) else {
                panic!("no commands")
            };
            let crate::effect::command::Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
            let zfs = format!(
                "zfs() {{\n  case \"$*\" in\n  'list '*snapshot*) printf '%s\\n' z/web@jailferry-web-01234567-final z/web@daily ;;\n  'list '*) echo z/web ;;\n  *userrefs,clones*) printf '{needed}' ;;\n  *) echo \"$*\" ;;\n  esac\n}}\n"
            );
            crate::configuration::sh::run(tempfile::tempdir().unwrap().path(), &format!("set -eu\n{zfs}{body}"))
        };
        for free in ["0\\n\\n", "0\\n-\\n"] {
            let ran = tidied(free);
            assert_eq!(ran.status, 0, "{ran:?}");
            assert!(ran.stdout.ends_with("destroy z/web@jailferry-web-01234567-final\n"), "{ran:?}");
        }
        for needed in ["1\\n\\n", "0\\nz/test\\n"] {
            let ran = tidied(needed);
            assert!(ran.status == 0 && !ran.stdout.contains("destroy"), "{ran:?}");
            assert!(ran.stderr.contains("z/web@jailferry-web-01234567-final stays"), "{ran:?}");
        }
    }

    /// What is said and done to let go of `@s`, where zfs(8) lists what it says here or cannot.
    #[test]
    fn a_list_that_fails_is_none_without_snapshots_but_what_is_not_there_is_done_with() {
        let let_go = |list: &str, there: bool| {
            let (label, dataset) = (SnapshotLabel::new("s").unwrap(), DatasetName::new("z/web").unwrap());
            let Work::Run(commands) = destroy_snapshot(&"big".parse().unwrap(), &dataset, &label, None) else {
                panic!()
            };
            let crate::effect::command::Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
            let zfs = format!(
                "pgrep() {{ return 1; }}\npkill() {{ return 1; }}\nzfs() {{\n  case \"$*\" in\n  'list '*snapshot*) {list} ;;\n  'list '*' z') ;;\n  'list '*) {there} ;;\n  *) echo \"$*\" ;;\n  esac\n}}\n"
            );
            let ran =
                crate::configuration::sh::run(tempfile::tempdir().unwrap().path(), &format!("set -eu\n{zfs}{body}"));
            (ran.status, ran.stdout, ran.stderr)
        };
        let listed = "printf 'z/web@a\nz/web@s\nz/web/data@s\nz/web@also\n'".replace('\n', "\\n");
        assert_eq!(let_go(&listed, true), (0, "destroy z/web@s\ndestroy z/web/data@s\n".to_owned(), String::new()));
        assert_eq!(let_go("return 1", false), (0, String::new(), String::new()));
        assert_eq!(let_go("echo broken >&2; return 1", true), (1, String::new(), "broken\n".to_owned()));
    }

    #[test]
    fn a_volume_is_received_with_what_volumes_have() {
        let mut transfer = Transfer {
            from: NodeName::new("spare").unwrap(),
            to: NodeName::new("big").unwrap(),
            dataset: DatasetName::new("zroot/web").unwrap(),
            into: DatasetName::new("zroot/web").unwrap(),
            label: SnapshotLabel::new("s").unwrap(),
            base: Base::Nothing,
            through: vec![],
            run: RunId::new("web-0123abcd").unwrap(),
            owner: None,
            raw: false,
            estimate: None,
            round: Some(0),
            rate: None,
            way: Way::Relay,
            refquota: None,
            unlimited: false,
            volume: false,
            delegated: false,
        };
        let text = |transfer: &Transfer| receive(transfer).text();
        assert_eq!(
            text(&transfer),
            "zfs receive -s -u -x mountpoint -o readonly=on -o canmount=noauto -o org.jailferry:run=web-0123abcd zroot/web@s"
        );
        transfer.unlimited = true;
        assert_eq!(
            text(&transfer),
            "zfs receive -s -u -x mountpoint -o readonly=on -o canmount=noauto -x refquota -o org.jailferry:run=web-0123abcd zroot/web@s"
        );
        (transfer.unlimited, transfer.base) = (false, Base::Snapshot(SnapshotLabel::new("r").unwrap()));
        transfer.refquota = Some("5".to_owned());
        assert_eq!(text(&transfer), "zfs receive -s -u -o refquota=5 zroot/web@s");
        (transfer.base, transfer.refquota) = (Base::Nothing, None);
        transfer.volume = true;
        assert_eq!(text(&transfer), "zfs receive -s -u -o readonly=on -o org.jailferry:run=web-0123abcd zroot/web@s");
    }

    /// zfs-receive(8): the name given with a stream of several would be that of each of them.
    #[test]
    fn several_snapshots_are_received_by_their_own_names() {
        let json = r#"{"effect":"transfer","from":"spare","to":"big","dataset":"zroot/web","into":"tank/web",
            "label":"d","base":{"snapshot":"a"},"through":["b","c"],"run":"Web-0123abcd","raw":false,"estimate":null,
            "round":0,"way":"relay"}"#;
        let effect: crate::effect::Effect = serde_json::from_str(json).unwrap();
        let Work::Pipe { from, to, resume: Some(resume), .. } = effect.work() else { panic!("no stream") };
        let received = "zfs receive -s -u -x org.jailferry:jailferry-web-0123abcd tank/web";
        assert_eq!(from.text(), "zfs send -L -e -c -I @a zroot/web@d");
        let sizes: Vec<String> = effect.work().sizes().into_iter().map(Command::text).collect();
        assert_eq!(sizes, ["zfs send -nvP -L -e -c -I @a zroot/web@d"]);
        assert_eq!((to.text(), resume.to.text()), (received.to_owned(), received.to_owned()));
        let behind = |arrived| resume.onward.as_ref().unwrap().behind(&SnapshotLabel::new(arrived).unwrap());
        assert_eq!(behind("c").from.text(), "zfs send -L -e -c -I @c zroot/web@d");
        let arrived = |answer: &str| resume.arrived(answer).map(SnapshotLabel::as_str);
        assert_eq!(arrived("arrived b\nnothing\n"), Some("b"));
        // What it starts from, or nobody has sent, is no part of it.
        assert_eq!((arrived("arrived a\nnothing\n"), arrived("arrived x\nnothing\n")), (None, None));
        assert_eq!((arrived("nothing\n"), arrived("arrived \nnothing\n")), (None, None));
    }
}
