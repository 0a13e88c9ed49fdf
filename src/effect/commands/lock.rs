//! One run a jail: a file on the hub, made by whoever comes first: run, owner, fencing number, since when. It survives a
//! reboot, as the run's other traces do; `recover` takes it away, or takes it over.

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::command::RUNS;
use crate::effect::commands::SHORT;
use crate::effect::commands::lease::make_folder;
use crate::effect::commands::lease::remove_folder;
use crate::effect::commands::lease::write_owner;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RunId;

fn file(jail: &JailName) -> String {
    format!("{RUNS}/{jail}.lock")
}

/// `set -C` makes the redirection fail when the file exists: sh(1), noclobber; the file is made with O_EXCL. The run's
/// folder with its owner is there before anybody can see the lock.
pub(super) fn lock(host: &NodeName, jail: &JailName, run: &RunId, owner: &Owner) -> Work {
    let file = file(jail);
    let script = format!(
        "d={RUNS}/{run}\n{}\n[ -e $d/owner ] || {{ {}; }}\n[ -e $d/beat ] || echo 0 > $d/beat\nif (set -C; echo \"{run} {owner} 1 since $(date '+%Y-%m-%d %H:%M:%S %Z')\" > {file}) 2>/dev/null; then exit 0; fi\nread holder by fence since < {file} || {{ holder=somebody by=? since=; }}\nif [ \"$holder $by\" = '{run} {owner}' ]; then exit 0; fi\nif [ \"$holder\" != {run} ]; then rm -rf $d; fi\nnow=$(date +%s)\nheard=$(stat -f %m {RUNS}/\"$holder\"/beat 2>/dev/null) || heard=$now\necho \"jail {jail} is being moved by run $holder of $by $since, last heard $((now - heard)) s ago; if that run was interrupted: jailferry recover $holder\" >&2\nexit 23",
        make_folder("$d"),
        write_owner("$d", owner).replace('\n', "; "),
    );
    // In turn: the undo of a lock whose connection was lost must not come before the lock.
    Work::Run(vec![Command::script(host, SHORT, script).in_turn(jail)])
}

/// Only our own, with everything that the run has on the hub.
pub(super) fn unlock(host: &NodeName, jail: &JailName, run: &RunId) -> Work {
    let file = file(jail);
    let script = format!(
        "holder=\nif [ -e {file} ]; then read holder rest < {file} || :; fi\nif [ \"$holder\" = {run} ]; then rm -f {file}; fi\nif [ -d {RUNS}/{run} ] && [ ! -d {RUNS}/{run}/lease ]; then {}; fi\nrmdir {RUNS} 2>/dev/null || :",
        remove_folder(&format!("{RUNS}/{run}")),
    );
    Work::Run(vec![Command::script(host, SHORT, script).in_turn(jail)])
}

/// Prints `RUN OWNER FENCE since …`, nothing when nobody has the lock. Whatever a run left may only be touched while it
/// holds its lock: without it somebody has put things right, or a newer run has moved the jail since.
#[must_use]
pub fn holder(host: &NodeName, jail: &JailName) -> Command {
    Command::script(host, SHORT, format!("cat {} 2>/dev/null || :", file(jail)))
}

/// Every run that the hub knows: `RUN JAIL OWNER FENCE STAGE BEAT` a line, and since when behind it.
#[must_use]
pub fn runs(host: &NodeName) -> Command {
    Command::script(
        host,
        SHORT,
        format!(
            "for f in {RUNS}/*.lock; do\n  [ -e \"$f\" ] || continue\n  read run owner fence since < \"$f\" || continue\n  jail=${{f##*/}}\n  stage=$(cat {RUNS}/\"$run\"/stage 2>/dev/null) || stage=-\n  beat=$(cat {RUNS}/\"$run\"/beat 2>/dev/null) || beat=-\n  echo \"$run ${{jail%.lock}} $owner $fence $stage $beat $since\"\ndone"
        ),
    )
}

/// The plan that a run left on the hub.
#[must_use]
pub fn plan_of(host: &NodeName, run: &RunId) -> Command {
    Command::argv(host, SHORT, ["cat".to_owned(), format!("{RUNS}/{run}/plan.json")])
}

/// Makes another machine the owner, with the next fencing number: only when lock and beat are still what was seen. A lock
/// whose folder is gone has no beat, and [`runs`] says `-`.
#[must_use]
pub fn take_over(host: &NodeName, jail: &JailName, seen: &Held, owner: &Owner) -> Command {
    let (file, run) = (file(jail), &seen.run);
    let fence = seen.fence.saturating_add(1);
    let script = format!(
        "read run by fence rest < {file}\n[ \"$run $by $fence\" = '{run} {} {}' ] || {{ echo \"the lock has changed: $run $by $fence\" >&2; exit 20; }}\nmkdir -p {RUNS}/{run}\nbeat=$(cat {RUNS}/{run}/beat 2>/dev/null) || beat=-\n[ \"$beat\" = '{}' ] || {{ echo \"$by is alive\" >&2; exit 23; }}\necho \"{run} {owner} {fence} since $(date '+%Y-%m-%d %H:%M:%S %Z')\" > {file}.new\nmv -f {file}.new {file}\n{}",
        seen.owner,
        seen.fence,
        seen.beat,
        write_owner(&format!("{RUNS}/{run}"), owner),
    );
    Command::script(host, SHORT, script).in_turn(jail)
}

/// A run as the hub knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The run.
    pub run: RunId,
    /// Its jail.
    pub jail: JailName,
    /// Who drives it, or drove it.
    pub owner: Owner,
    /// How often it changed hands, from 1.
    pub fence: u32,
    /// How far it is; `None` when not even the plan is there.
    pub stage: Option<crate::effect::lease::Stage>,
    /// The owner's last sign of life.
    pub beat: String,
}

impl Held {
    /// The lines of [`runs`]; lines that are not ours are left out.
    #[must_use]
    pub fn parse(text: &str) -> Vec<Held> {
        text.lines().filter_map(Held::line).collect()
    }

    fn line(text: &str) -> Option<Held> {
        let mut words = text.split(' ');
        let mut next = || words.next();
        Some(Held {
            run: RunId::new(next()?).ok()?,
            jail: JailName::new(next()?).ok()?,
            owner: Owner::new(next()?).ok()?,
            fence: next()?.parse().ok()?,
            stage: crate::effect::lease::Stage::of(next()?),
            // Goes into a script.
            beat: next().filter(|b| *b == "-" || b.bytes().all(|c| c.is_ascii_digit()))?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hub_says_of_its_runs() {
        let text = "web-1a2b3c4d web anna@laptop-1 1 cut-over 17 since 2026-11-27 08:00:00 UTC\nnoise\nweb-2 web a@b 1 - $(x) since\n";
        let seen = Held::parse(text);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].owner.as_str(), seen[0].fence, seen[0].beat.as_str()), ("anna@laptop-1", 1, "17"));
        assert_eq!(seen[0].stage, Some(crate::effect::lease::Stage::CutOver));
    }
}
