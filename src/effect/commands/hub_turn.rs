//! The turn to change the network that is switched at a hub: a file there with the run that has it, its owner, and since
//! when. Whichever jails move, one run at a time switches, since each compares what it finds with what it has planned.
//!
//! What makes, ends or breaks it does so under the lock of everything that changes the host, so never two at once.

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::command::Lock;
use crate::effect::command::RUNS;
use crate::effect::commands::SHORT;
use crate::effect::lease::Stage;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RunId;

/// Its file. A run's folder is called otherwise, and so is a jail's lock.
pub const FILE: &str = "/var/db/jailferry/.network";

/// In a run's folder: another run has changed the network since the run has had its lock.
const CHANGED: &str = "changed";

/// Exit status: another run has it.
pub const HELD: i32 = 23;

/// Prints `changed` when another run has changed the network since this one has had its lock.
pub(super) fn take(host: &NodeName, run: &RunId, owner: &Owner) -> Work {
    let file = FILE;
    let script = format!(
        "holder=\nif [ -e {file} ]; then read holder by since < {file} || :; fi\nif [ -n \"$holder\" ] && [ \"$holder\" != {run} ]; then echo \"run $holder of $by changes the network of {host} $since\" >&2; exit {HELD}; fi\nif [ -z \"$holder\" ]; then\n  echo \"{run} {owner} since $(date '+%Y-%m-%d %H:%M:%S %Z')\" > {file}.new\n  mv -f {file}.new {file}\nfi\nif [ -e {RUNS}/{run}/{CHANGED} ]; then echo {CHANGED}; fi"
    );
    Work::Run(vec![Command::script(host, SHORT, script).under(Lock::edits())])
}

/// Only our own. Whoever is under way is told that what it knows of the network is old.
pub(super) fn leave(host: &NodeName, run: &RunId) -> Work {
    let file = FILE;
    let script = format!(
        "holder=\nif [ -e {file} ]; then read holder rest < {file} || :; fi\nif [ \"$holder\" != {run} ]; then exit 0; fi\nfor other in {RUNS}/*/owner; do\n  d=${{other%/owner}}\n  if [ -e \"$other\" ] && [ \"$d\" != {RUNS}/{run} ]; then : > \"$d/{CHANGED}\"; fi\ndone\nrm -f {file}"
    );
    Work::Run(vec![Command::script(host, SHORT, script).under(Lock::edits())])
}

/// Did whoever has taken the turn hear that another run has changed the network meanwhile?
#[must_use]
pub fn has_changed(said: &str) -> bool {
    said.lines().any(|line| line == CHANGED)
}

/// Prints `RUN OWNER BEAT STAGE since …` of whoever has it, or `-`.
#[must_use]
pub fn ask(host: &NodeName) -> Command {
    let file = FILE;
    let script = format!(
        "holder=\nif [ -e {file} ]; then read holder by since < {file} || :; fi\nif [ -n \"$holder\" ]; then\n  beat=$(cat {RUNS}/\"$holder\"/beat 2>/dev/null) || beat=-\n  stage=$(cat {RUNS}/\"$holder\"/stage 2>/dev/null) || stage=-\n  echo \"$holder $by ${{beat:--}} ${{stage:--}} $since\"\nelse\n  echo -\nfi"
    );
    Command::script(host, SHORT, script)
}

/// Takes it from a run whose owner has fallen silent: only when holder and beat are still what was seen.
#[must_use]
pub fn break_up(host: &NodeName, seen: &Holder) -> Command {
    let (file, Holder { run, owner, beat, .. }) = (FILE, seen);
    let script = format!(
        "read holder by rest < {file} || exit 20\n[ \"$holder $by\" = '{run} {owner}' ] || exit 20\nbeat=$(cat {RUNS}/{run}/beat 2>/dev/null) || beat=-\n[ \"${{beat:--}}\" = '{beat}' ] || exit 20\nrm -f {file}"
    );
    Command::script(host, SHORT, script).under(Lock::edits())
}

/// Whoever has the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// Who drives it.
    pub owner: Owner,
    /// The owner's last sign of life, `-` when the run has no folder.
    pub beat: String,
    /// How far it is, as far as the hub knows.
    pub stage: Option<Stage>,
    /// Since when, for people.
    pub since: String,
}

impl Holder {
    /// Reads the answer to [`ask`]; `Some(None)`: nobody has it. `None`: it is not one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Option<Holder>> {
        let first = text.lines().next()?;
        if first == "-" {
            return Some(None);
        }
        let mut words = first.splitn(5, ' ');
        let mut next = || words.next();
        Some(Some(Holder {
            run: RunId::new(next()?).ok()?,
            owner: Owner::new(next()?).ok()?,
            // Goes into a script.
            beat: next().filter(|b| *b == "-" || b.bytes().all(|c| c.is_ascii_digit()))?.to_owned(),
            stage: Stage::of(next()?),
            since: next()?.to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command as Process;

    use super::*;

    fn host() -> NodeName {
        NodeName::new("small").unwrap()
    }

    fn run(name: &str) -> RunId {
        RunId::new(name).unwrap()
    }

    fn anna() -> Owner {
        Owner::new("anna@laptop-1").unwrap()
    }

    /// Runs it with another place for the runs: exit status and standard output.
    fn executed(folder: &Path, command: &Command) -> (Option<i32>, String) {
        let script = command.stdin().unwrap().replace(RUNS, folder.to_str().unwrap());
        let output = Process::new("/bin/sh").args(["-c", &script]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn of(work: &Work) -> Command {
        (*work.commands()[0]).clone()
    }

    #[test]
    fn one_run_has_it_and_tells_the_others_when_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let at = |command: Command| executed(folder.path(), &command);
        let (web, db) = (run("web-12345678"), run("db-12345678"));
        for run in [&web, &db] {
            std::fs::create_dir(folder.path().join(run.as_str())).unwrap();
            std::fs::write(folder.path().join(format!("{run}/owner")), "x\n").unwrap();
        }
        std::fs::write(folder.path().join("web-12345678/beat"), "7\n").unwrap();
        std::fs::write(folder.path().join("web-12345678/stage"), "cut-over\n").unwrap();
        let take = |run: &RunId| at(of(&take(&host(), run, &anna())));
        let asked = || Holder::parse(&at(ask(&host())).1).unwrap();
        let taken = |changed: &str| (Some(0), changed.to_owned());

        assert_eq!(asked(), None);
        assert_eq!((take(&web), take(&web), take(&db).0), (taken(""), taken(""), Some(HELD)));
        let seen = asked().unwrap();
        assert_eq!((&seen.run, &seen.owner, seen.beat.as_str()), (&web, &anna(), "7"));
        assert_eq!(seen.stage, Some(Stage::CutOver));
        assert!(seen.since.starts_with("since 2"), "{seen:?}");

        // Whoever has not got it cannot give it back.
        assert_eq!(at(of(&leave(&host(), &db))).0, Some(0));
        assert_eq!(take(&db).0, Some(HELD));
        assert_eq!(at(of(&leave(&host(), &web))).0, Some(0));
        assert_eq!(asked(), None);
        assert_eq!(take(&db), taken("changed\n"));
        assert!(has_changed(&take(&db).1) && !has_changed(""));
    }

    #[test]
    fn it_is_taken_from_a_silent_run_only_while_that_is_silent() {
        let folder = tempfile::tempdir().unwrap();
        let at = |command: Command| executed(folder.path(), &command);
        let (web, db) = (run("web-12345678"), run("db-12345678"));
        std::fs::create_dir(folder.path().join(web.as_str())).unwrap();
        std::fs::write(folder.path().join("web-12345678/beat"), "7\n").unwrap();
        assert_eq!(at(of(&take(&host(), &web, &anna()))).0, Some(0));
        let seen = Holder::parse(&at(ask(&host())).1).unwrap().unwrap();

        std::fs::write(folder.path().join("web-12345678/beat"), "8\n").unwrap();
        assert_eq!(at(break_up(&host(), &seen)).0, Some(20), "it was heard");
        let seen = Holder { beat: "8".into(), ..seen };
        let other = Holder { run: db.clone(), ..seen.clone() };
        assert_eq!(at(break_up(&host(), &other)).0, Some(20), "another run has it");
        assert_eq!(at(break_up(&host(), &seen)).0, Some(0));
        assert_eq!(at(break_up(&host(), &seen)).0, Some(20), "nobody has it");
        // What it believed to have is another's now.
        assert_eq!(at(of(&take(&host(), &db, &anna()))).0, Some(0));
        assert_eq!(at(of(&leave(&host(), &web))).0, Some(0));
        assert_eq!(Holder::parse(&at(ask(&host())).1).unwrap().unwrap().run, db);
    }

    #[test]
    fn an_answer_that_is_not_ours_is_none() {
        for text in ["", "web-12345678", "web-12345678 anna@laptop-1 $(x) - since now", "../x anna@laptop-1 7 - since"]
        {
            assert_eq!(Holder::parse(text), None, "{text}");
        }
    }
}
