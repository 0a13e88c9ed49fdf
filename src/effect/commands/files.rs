//! Small text files, replaced atomically: contract 6.3.

use sha2::Digest;
use sha2::Sha256;

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::SHORT;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::model::RunId;

fn run(host: &NodeName, script: String) -> Work {
    // None of these tools leaves anything running.
    Work::Run(vec![Command::script(host, SHORT, script).whole()])
}

/// SHA-256 of a text as `sha256 -q` prints it.
#[must_use]
pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line that cannot occur in `text`, to end a here-document.
pub(crate) fn terminator(text: &str) -> String {
    let mut end = "JAILFERRY_END".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

/// Compare-and-swap: writes only over nothing, over what the plan saw, or over the very same text. Staged under a name
/// that no `*.conf` glob picks up, then renamed in the same directory.
pub(super) fn write(host: &NodeName, path: &RemotePath, text: &str, mode: &str, replaces: Option<&str>) -> Work {
    let wanted = sha256(text);
    let stage = stage(path);
    let end = terminator(text);
    let newline = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    let expected = match replaces {
        Some(sha256) => format!("[ \"$have\" = {sha256} ]"),
        None => format!("[ ! -e {path} ]"),
    };
    run(
        host,
        format!(
            "have=$(sha256 -q {path} 2>/dev/null) || have=\n[ \"$have\" != {wanted} ] || exit 0\n{expected} || {{ echo '{path} has changed since the plan was made' >&2; exit 20; }}\ncat > {stage} <<'{end}'\n{text}{newline}{end}\nchmod {mode} {stage}\nfsync {stage}\nmv -f {stage} {path}\n[ \"$(sha256 -q {path})\" = {wanted} ] || exit 21"
        ),
    )
}

fn stage(path: &RemotePath) -> String {
    let name = path.file_name();
    let directory = path.as_str().strip_suffix(name).unwrap_or("/");
    format!("{directory}.{name}.jailferry-stage")
}

/// Only if it is still what we wrote.
pub(super) fn remove(host: &NodeName, path: &RemotePath, sha256: &str) -> Work {
    run(
        host,
        format!(
            "rm -f {stage}\n[ -e {path} ] || exit 0\n[ \"$(sha256 -q {path})\" = {sha256} ] || {{ echo '{path} is not what this run wrote' >&2; exit 22; }}\nrm {path}",
            stage = stage(path)
        ),
    )
}

/// mv(1) within one directory is atomic; found done when only the new name is there.
pub(super) fn rename(host: &NodeName, from: &RemotePath, to: &RemotePath) -> Work {
    run(host, format!("if [ -e {from} ]; then mv -f {from} {to}; fi\n[ -e {to} ] && [ ! -e {from} ] || exit 21"))
}

/// WireGuard files keep a backup beside them, named after the run; it holds the private key and never leaves the host.
pub(super) fn forget_backups(host: &NodeName, run_id: &RunId) -> Work {
    run(host, format!("rm -f /etc/wireguard/*.jailferry-{run_id} /usr/local/etc/wireguard/*.jailferry-{run_id}"))
}

pub(super) fn forget(host: &NodeName, path: &RemotePath) -> Work {
    run(host, format!("rm -f {path}"))
}
