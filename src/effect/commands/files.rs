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
///
/// Beside the file itself, where the name that is known is a link to it.
pub(super) fn forget_backups(host: &NodeName, run_id: &RunId, files: &[RemotePath]) -> Work {
    let mut script = format!(
        "rm -f /etc/wireguard/*.jailferry-{run_id} /usr/local/etc/wireguard/*.jailferry-{run_id}\nfor file in /etc/wireguard/*.conf /usr/local/etc/wireguard/*.conf; do\n  if [ -h \"$file\" ] && at=$(realpath \"$file\"); then rm -f \"$at.jailferry-{run_id}\"; fi\ndone"
    );
    for file in files {
        script.push_str(&format!(
            "\nif file=$(realpath {file} 2>/dev/null); then rm -f \"$file.jailferry-{run_id}\"; fi"
        ));
    }
    run(host, script)
}

pub(super) fn forget(host: &NodeName, path: &RemotePath) -> Work {
    run(host, format!("rm -f {path}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::configuration::sh;
    use crate::effect::command::Form;

    #[test]
    fn a_backup_goes_wherever_its_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["real.conf", "real.conf.jailferry-web-0123abcd", "real.conf.jailferry-db-0123abcd"] {
            fs::write(at(name), "").unwrap();
        }
        std::os::unix::fs::symlink(at("real.conf"), at("wg0.conf")).unwrap();
        let named = ["wg0.conf", "gone.conf"].map(|name| RemotePath::new(at(name).display().to_string()).unwrap());
        let work = forget_backups(&"hub".parse().unwrap(), &RunId::new("web-0123abcd").unwrap(), &named);
        let Work::Run(commands) = work else { panic!("no commands") };
        let Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
        let ran = sh::run(folder.path(), &format!("set -eu\n{body}"));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        let left: std::collections::BTreeSet<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert!(left.contains("real.conf") && left.contains("real.conf.jailferry-db-0123abcd"), "{left:?}");
        assert!(!left.contains("real.conf.jailferry-web-0123abcd"), "{left:?}");
    }

    #[test]
    fn backups_are_found_where_links_point() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["etc/wireguard", "usr/local/etc/wireguard", "data"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        let backups = ["etc/wireguard/wg1.conf.jailferry-web-0123abcd", "data/wg0.conf.jailferry-web-0123abcd"];
        let others = ["data/wg0.conf", "data/wg0.conf.jailferry-db-0123abcd", "etc/wireguard/wg1.conf"];
        for name in backups.iter().chain(&others) {
            std::fs::write(at(name), "").unwrap();
        }
        std::os::unix::fs::symlink(at("data/wg0.conf"), at("usr/local/etc/wireguard/wg0.conf")).unwrap();
        let work = forget_backups(&NodeName::new("big").unwrap(), &RunId::new("web-0123abcd").unwrap(), &[]);
        let script = work.commands()[0].text();
        let root = folder.path().display();
        let script = script.replace("/usr/local/etc/", "/USR/").replace("/etc/", &format!("{root}/etc/"));
        let script = script.replace("/USR/", &format!("{root}/usr/local/etc/"));
        let ran = crate::configuration::sh::run(folder.path(), &script);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        assert!(backups.iter().all(|name| !at(name).exists()));
        assert!(others.iter().all(|name| at(name).exists()));
    }
}
