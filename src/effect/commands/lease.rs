//! Leases and the run's folder on the hosts: daemon(8), lockf(1), pgrep(1). Contract 6.1, 6.2.
//!
//! `/var/db/jailferry/RUN/` holds `owner` (who drives the run), `beat` (a number that the owner keeps changing), on the
//! hub also `plan.json` and `stage`, and while the host is armed `lease/` with the two scripts, `pid`, `log` and the marks
//! `released`, `lapsed`, `stayed`, `reverted`.

use crate::effect::Effect;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::command::Form;
use crate::effect::command::LAPSED;
use crate::effect::command::NO_TURN;
use crate::effect::command::RUNS;
use crate::effect::command::TURN;
use crate::effect::command::refuse_others;
use crate::effect::command::turn_lock;
use crate::effect::commands::SHORT;
use crate::effect::commands::files::terminator;
use crate::effect::commands::probe;
use crate::effect::lease::Lease;
use crate::effect::lease::Stage;
use crate::effect::lease::Stays;
use crate::effect::shell;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RunId;

/// Seconds for a beat: one that takes longer is as good as none.
const BEAT: u32 = 10;

/// The script answers this when a beat came while it waited for its turn.
const HEARD: u32 = 99;

/// The script of a host that starts the jail answers this when it could not mark that it goes back, and so has not: whoever
/// drives the run, or takes it over, would not be refused here, and the target could be started beside the source. A host
/// that only stops it, or lets go, must not wait for room on its disk.
const UNMARKED: u32 = 98;

/// Is the watcher at work? Its number alone may be another process's since the host has booted; without `-x` the pattern
/// is looked for in the whole command line (pgrep(1), -f).
const WATCHED: &str = "pgrep -F $d/pid -f $d/watch.sh >/dev/null 2>&1";

fn folder(run: &RunId) -> String {
    format!("{RUNS}/{run}")
}

/// Once more, since the end of another run may take the empty parent away between two parts of `mkdir -p`.
pub(super) fn make_folder(d: &str) -> String {
    format!("mkdir -p {d} 2>/dev/null || mkdir -p {d}")
}

/// In one step: whoever reads it meanwhile must not find it empty.
pub(super) fn write_owner(d: &str, owner: &Owner) -> String {
    format!("echo {owner} > {d}/owner.new\nmv -f {d}/owner.new {d}/owner")
}

/// A sign of life that is on its way may write in the folder once more, and rm(1) finds that it is not empty. The next
/// one finds no `owner` and does nothing.
pub(super) fn remove_folder(d: &str) -> String {
    format!("rm -rf {d} 2>/dev/null || {{ sleep 1; rm -rf {d}; }}")
}

/// In a here-document, so that what is in it is not touched by the shell that reads it.
fn here(command: &str, text: &str) -> String {
    let end = terminator(text);
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    format!("{command} <<'{end}'\n{text}{newline}{end}\n")
}

/// Arms the host and proves it. Armed already: nothing to do. Gone back already: refused, the run has lost its turn.
pub(super) fn arm(lease: &Lease) -> Work {
    let d = folder(&lease.run);
    let mut script = format!(
        "d={d}/lease\nif [ -e $d/lapsed ]; then echo 'nobody was heard for too long: this host has gone back by itself' >&2; exit {LAPSED}; fi\nif {watched}; then exit 0; fi\n{}\nrm -f $d/released $d/stayed $d/reverted $d/log\n{}\necho 0 > {d}/beat\n",
        make_folder("$d"),
        write_owner(&d, &lease.owner),
        watched = WATCHED,
    );
    script.push_str(&here("cat > $d/revert.sh", &revert(lease)));
    script.push_str(&here("cat > $d/watch.sh", &watcher(lease)));
    // -f, or the SSH session would never end; -o keeps what the scripts say (contract 6.2).
    script.push_str(&format!("daemon -f -p $d/pid -o $d/log /bin/sh $d/watch.sh\nn=0\nuntil {WATCHED}; do\n  n=$((n + 1))\n  [ $n -lt 100 ] || {{ echo 'the watcher of the lease did not start' >&2; exit 21; }}\n  sleep 0.1\ndone"));
    Work::Run(vec![Command::script(&lease.host, SHORT, script).in_turn(&lease.jail)])
}

/// Counts its own sleeps, so that no clock is asked. Goes back in the jail's turn, so that a command of the operator that
/// is still at work ends first.
fn watcher(lease: &Lease) -> String {
    format!(
        "d={d}/lease\nlast= still=0\nwhile [ ! -e $d/released ]; do\n  now=$(cat {d}/beat 2>/dev/null) || now=\n  if [ \"$now\" = \"$last\" ]; then still=$((still + 1)); else last=$now still=0; fi\n  if [ $still -gt {silence} ]; then\n    rc=0\n    lockf -k -s -t {TURN} {lock} /bin/sh $d/revert.sh \"$last\" || rc=$?\n    # A beat came after all, or a command of the operator is at work, or the mark cannot be written yet.\n    case $rc in {HEARD} | {NO_TURN}) still=0 ;; {UNMARKED}) ;; *) exit $rc ;; esac\n  fi\n  sleep 1\ndone\n",
        d = folder(&lease.run),
        silence = lease.silence,
        lock = turn_lock(&lease.jail),
    )
}

/// Each part is a shell of its own, since `set -e` has no effect inside `( … ) || …` (sh(1)). What could start the jail
/// without its data or configuration stops what follows and needs it.
fn revert(lease: &Lease) -> String {
    let d = folder(&lease.run);
    let mut text = format!(
        "set -u\nPATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin; export PATH\nd={d}/lease\nif [ -e $d/released ]; then exit 0; fi\nif [ \"$(cat {d}/beat 2>/dev/null)\" != \"$1\" ]; then exit {HEARD}; fi\n"
    );
    match &lease.stays {
        Stays::Never => {}
        Stays::WhileJailRuns => text.push_str(&format!(
            "if jls -j {} jid >/dev/null 2>&1; then date > $d/stayed; exit 0; fi\n",
            lease.jail
        )),
        Stays::WhileAnswers { address, source } => text.push_str(&format!(
            "n=0\nwhile [ $n -lt 5 ]; do\n  if {} >/dev/null 2>&1; then date > $d/stayed; exit 0; fi\n  n=$((n + 1))\ndone\n",
            probe::ping(*address, None, *source)
        )),
    }
    let starts = lease.reverts.iter().any(|effect| matches!(effect, Effect::StartJail(_)));
    let unmarked = if starts { format!("exit {UNMARKED}") } else { ":".to_owned() };
    text.push_str(&format!(
        "date 2>/dev/null > $d/lapsed\nif [ -e $d/lapsed ]; then fsync $d/lapsed $d; else {unmarked}; fi\nsafe=yes all=yes\n"
    ));
    for effect in &lease.reverts {
        for command in effect.work().commands() {
            let Form::Script(_) = &command.form else { continue };
            let script = command.stdin().unwrap_or_default();
            let what = shell::word(&title(effect));
            let end = terminator(&script);
            let (begin, fi, bad) =
                if guards(effect) { ("if [ $safe = yes ]; then\n", "fi\n", "safe") } else { ("", "", "all") };
            // As over SSH, but for the turn, which is this script's already: nothing that hangs keeps the rest from it.
            let line = command.on_the_host();
            text.push_str(&format!("{begin}echo {what}\n{line} <<'{end}' || {bad}=no\n{script}{end}\n{fi}"));
        }
    }
    text.push_str("if [ $safe$all = yesyes ]; then date > $d/reverted; fi\n");
    text
}

/// Must it have worked before the jail may start?
fn guards(effect: &Effect) -> bool {
    matches!(effect, Effect::Unpark { .. } | Effect::MoveFile { .. } | Effect::StartJail(_))
}

/// For the log on the host.
fn title(effect: &Effect) -> String {
    match effect {
        Effect::StartJail(place) => format!("start jail {}", place.jail),
        Effect::Unpark { .. } => "mount the datasets".to_owned(),
        Effect::Park { .. } => "unmount the datasets".to_owned(),
        Effect::MoveFile { to, .. } => format!("put {to} back"),
        Effect::Edit { what, .. } => what.clone(),
        Effect::AddRoute(route) => format!("route {} to {}", route.prefix, route.interface),
        Effect::DeleteRoute(route) | Effect::DeleteSubnetRoute(route) => {
            format!("no route {} to {}", route.prefix, route.interface)
        }
        Effect::AddAlias { address, .. } => format!("answer for {address}"),
        Effect::RemoveAlias { address, .. } => format!("no longer answer for {address}"),
        Effect::HandOver(_) => "give the prefixes back".to_owned(),
        Effect::ClearMark { .. } => "forget which run the datasets belong to".to_owned(),
        Effect::ForgetNeighbours { .. } => "forget the link-layer addresses of the jail".to_owned(),
        Effect::Announce { jail, .. } => format!("let jail {jail} tell its neighbours where it is"),
        Effect::RemoveCanary(_) => "take the rehearsal's jail away".to_owned(),
        Effect::ProxyArp { on, .. } => format!("proxy ARP {}", if *on { "on" } else { "off" }),
        Effect::JailRoute { .. } => "put the route inside a jail back".to_owned(),
        Effect::LoadAnchor { .. } => "put the pf anchor back".to_owned(),
        Effect::ChangeTable { .. } => "put the pf table back".to_owned(),
        other => format!("{other:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned(),
    }
}

/// From now on the host does not go back by itself; refused when it has.
pub(super) fn release(host: &NodeName, jail: &JailName, run: &RunId) -> Work {
    let d = folder(run);
    let script = format!(
        "d={d}/lease\nif [ -e $d/lapsed ]; then echo 'nobody was heard for too long: this host has gone back by itself' >&2; exit {LAPSED}; fi\n[ -e $d/watch.sh ] || {{ echo 'this host is not armed' >&2; exit 21; }}\n: > $d/released\nfsync $d/released $d"
    );
    Work::Run(vec![Command::script(host, SHORT, script).in_turn(jail)])
}

/// The end of the lease, whatever became of it; prints what it did by itself. Ends the watcher, which cannot be undoing
/// anything: it does so in the jail's turn, and the turn is ours. A lockf(1) of it that still waits finds `released`, or
/// no script at all.
pub(super) fn disarm(host: &NodeName, jail: &JailName, run: &RunId) -> Work {
    let d = folder(run);
    let script = format!(
        "d={d}/lease\nif [ -d $d ]; then\n  : > $d/released\n  n=0\n  pkill -F $d/pid -f $d/watch.sh >/dev/null 2>&1 || :\n  while {WATCHED}; do\n    n=$((n + 1))\n    [ $n -lt 100 ] || {{ echo 'the watcher of the lease does not end' >&2; exit 21; }}\n    sleep 0.1\n  done\n  if [ -e $d/lapsed ]; then echo \"went back by itself: $(cat $d/lapsed)\"; cat $d/log 2>/dev/null || :; fi\n  rm -rf $d\nfi\nif [ ! -e {d}/stage ]; then {}; fi\nrmdir {RUNS} 2>/dev/null || :",
        remove_folder(&d),
    );
    Work::Run(vec![Command::script(host, SHORT, script).in_turn(jail)])
}

/// The sign of life. The number only has to change; in one step, since a full disk would leave an empty file.
#[must_use]
pub fn beat(host: &NodeName, run: &RunId, owner: &Owner) -> Command {
    let d = folder(run);
    Command::script(
        host,
        BEAT,
        format!(
            "driver=$(cat {d}/owner 2>/dev/null) || exit 0\n{}\nn=$(cat {d}/beat)\necho $((n + 1)) > {d}/beat.$$\nmv -f {d}/beat.$$ {d}/beat",
            refuse_others(run, owner),
        ),
    )
}

/// Prints `armed`, `released` or `lapsed` and, when the host is done going back, `reverted`; nothing without a lease.
#[must_use]
pub fn state(host: &NodeName, run: &RunId) -> Command {
    let d = folder(run);
    Command::script(
        host,
        SHORT,
        format!(
            "d={d}/lease\n[ -e $d/watch.sh ] || exit 0\nif [ -e $d/lapsed ]; then echo lapsed; elif [ -e $d/released ]; then echo released; else echo armed; fi\nif [ -e $d/reverted ]; then echo reverted; fi"
        ),
    )
}

/// Prints `runs` where the jail does.
#[must_use]
pub fn runs(host: &NodeName, jail: &JailName) -> Command {
    Command::script(host, SHORT, format!("if jls -j {jail} jid >/dev/null 2>&1; then echo runs; fi"))
}

/// Makes another machine the owner on a host, so that the one before it is refused there.
#[must_use]
pub fn adopt(host: &NodeName, jail: &JailName, run: &RunId, owner: &Owner) -> Command {
    let d = folder(run);
    let script = format!("[ -d {d} ] || exit 0\n{}", write_owner(&d, owner));
    Command::script(host, SHORT, script).in_turn(jail)
}

/// The whole plan on the hub, for a machine that has no journal of the run.
#[must_use]
pub fn store_plan(host: &NodeName, run: &RunId, plan: &str) -> Command {
    let d = folder(run);
    let text = here(&format!("cat > {d}/plan.new"), plan);
    Command::script(host, SHORT, format!("{text}mv -f {d}/plan.new {d}/plan.json\n{}", stage_text(&d, Stage::Copying)))
}

/// Stands for the plan in the plan itself.
pub const THIS_PLAN: &str = "(this plan, as JSON)";

pub(super) fn mark(host: &NodeName, run: &RunId, stage: Stage) -> Work {
    Work::Run(vec![Command::script(host, SHORT, stage_text(&folder(run), stage))])
}

/// fsync(1): a hub that loses power must not forget what other hosts were told meanwhile.
fn stage_text(d: &str, stage: Stage) -> String {
    format!("echo {} > {d}/stage.new\nfsync {d}/stage.new\nmv -f {d}/stage.new {d}/stage\nfsync {d}", stage.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain sh runs it: the parts' own here-documents and ends do not meet.
    #[test]
    fn a_part_that_fails_stops_what_needs_it_and_nothing_else() {
        let host = NodeName::new("spare").unwrap();
        let part = |text: &str| Effect::Edit {
            host: host.clone(),
            what: text.to_owned(),
            script: text.to_owned(),
            meaning: crate::effect::meaning::Meaning::Variable { name: "x".into(), old: None, new: None },
        };
        let folder = tempfile::tempdir().unwrap();
        let run = RunId::new("web-12345678").unwrap();
        let lease = Lease {
            host: host.clone(),
            jail: JailName::new("web").unwrap(),
            run: run.clone(),
            owner: Owner::new("a@b-1").unwrap(),
            silence: 1,
            reverts: vec![
                part("cat <<'JAILFERRY_END'\none\nJAILFERRY_END"),
                part("false\necho never"),
                part("echo two"),
            ],
            stays: Stays::Never,
        };
        let there = folder.path().join("web-12345678/lease");
        std::fs::create_dir_all(&there).unwrap();
        std::fs::write(there.parent().unwrap().join("beat"), "7\n").unwrap();
        // This machine has no lockf(1).
        let lock = format!("lockf -k -s -t 150 {} ", crate::effect::command::CHANGES);
        let script =
            revert(&lease).replace(RUNS, folder.path().to_str().unwrap()).replace(&lock, "").replace("fsync", "sync");
        let said = |beat: &str| {
            let output = std::process::Command::new("/bin/sh").args(["-c", &script, "sh", beat]).output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        assert_eq!(said("6").0, Some(99), "a beat came meanwhile");
        // Who only stops something does not wait until it can mark that; who starts the jail does.
        let place = r#"{"host":"spare","jail":"web","path":"/jails/web","file":"/etc/jail.conf.d/web.conf","interfaces":[],"bridge":null,"fib":0}"#;
        let starts = Effect::StartJail(serde_json::from_str(place).unwrap());
        let starting = revert(&Lease { reverts: vec![starts], ..lease.clone() });
        assert!(starting.contains("else exit 98; fi") && !script.contains("exit 98"));
        std::os::unix::fs::symlink("/nowhere/lapsed", there.join("lapsed")).unwrap();
        let (status, text) = said("7");
        assert_eq!((status, text.contains("\none\n")), (Some(0), true));
        std::fs::remove_file(there.join("lapsed")).unwrap();
        let (status, text) = said("7");
        assert_eq!(status, Some(0));
        assert!(text.contains("\none\n") && text.contains("\ntwo\n") && !text.contains("\nnever\n"), "{text}");
        assert!(there.join("lapsed").exists() && !there.join("reverted").exists());
        std::fs::write(there.join("released"), "").unwrap();
        assert_eq!(said("7"), (Some(0), String::new()));
    }
}
