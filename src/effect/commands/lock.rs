//! One run a jail: a file on the hub, made by whoever comes first. It survives a reboot, as the run's other traces do;
//! `recover` takes it away.

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::SHORT;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RunId;

const FOLDER: &str = "/var/db/jailferry";

/// `set -C` makes the redirection fail when the file exists: sh(1), noclobber; the file is made with O_EXCL.
pub(super) fn lock(host: &NodeName, jail: &JailName, run: &RunId) -> Work {
    let file = format!("{FOLDER}/{jail}.lock");
    let script = format!(
        "mkdir -p {FOLDER}\nif (set -C; echo \"{run} since $(date '+%Y-%m-%d %H:%M:%S %Z')\" > {file}) 2>/dev/null; then exit 0; fi\nread holder since < {file} || {{ holder=somebody; since=; }}\nif [ \"$holder\" != {run} ]; then\n  echo \"jail {jail} is being moved by run $holder $since; if that run was interrupted: jailferry recover $holder\" >&2\n  exit 23\nfi"
    );
    Work::Run(vec![Command::script(host, SHORT, script)])
}

/// Only our own.
pub(super) fn unlock(host: &NodeName, jail: &JailName, run: &RunId) -> Work {
    let file = format!("{FOLDER}/{jail}.lock");
    let script = format!(
        "[ -e {file} ] || exit 0\nread holder since < {file} || holder=\n[ \"$holder\" = {run} ] || exit 0\nrm -f {file}\nrmdir {FOLDER} 2>/dev/null || :"
    );
    Work::Run(vec![Command::script(host, SHORT, script)])
}

/// Prints who holds the lock, nothing when nobody does. Whatever a run left may only be touched while it holds its
/// lock: without it somebody has put things right, or a newer run has moved the jail since.
#[must_use]
pub fn holder(host: &NodeName, jail: &JailName) -> Command {
    Command::script(host, SHORT, format!("cut -d ' ' -f 1 {FOLDER}/{jail}.lock 2>/dev/null || :"))
}
