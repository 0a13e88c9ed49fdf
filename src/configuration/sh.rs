//! Runs the scripts of this folder in tests: a POSIX shell, and stand-ins for the few FreeBSD tools that this machine
//! lacks or spells differently.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::effect::command;
use crate::model::NodeName;

/// `sha256 -q FILE`, `fsync FILE…`, and sysrc(8) for assignments to one file.
const TOOLS: [(&str, &str); 3] = [
    ("sha256", "#!/bin/sh\n[ \"$1\" = -q ] || exit 64\nsha256sum < \"${2:-/dev/stdin}\" | cut -d' ' -f1\n"),
    ("fsync", "#!/bin/sh\nfor f; do [ -e \"$f\" ] || exit 66; done\nexec sync -- \"$@\"\n"),
    (
        "sysrc",
        r#"#!/bin/sh
# sysrc -f FILE -n NAME | -x NAME | NAME=VALUE, with defaults as in /etc/defaults/rc.conf; dedups nothing.
[ "$1" = -f ] || exit 64
file=$2; shift 2
[ -e "$file" ] || : > "$file"
# As sysrc.subr: a new file in TMPDIR, moved over the old one.
edit() { new=$(mktemp -t sysrc.XXXXXX) && cp -p "$file" "$new" && sed -i "$1" "$new" && mv "$new" "$file"; }
case $1 in
-n) jail_list= jail_enable=NO static_routes= ipv6_static_routes=
    . "$file"
    eval "[ \"\${$2+set}\" ]" || { echo "sysrc: unknown variable '$2'" >&2; exit 1; }
    eval "printf '%s\n' \"\$$2\"" ;;
-x) edit "/^[[:space:]]*$2=/d" ;;
*=*) name=${1%%=*}; value=${1#*=}
    if grep -Eq "^[[:space:]]*$name=" "$file"; then
        edit "s|^[[:space:]]*$name=.*|$name=\"$value\"|"
    else
        printf '%s="%s"\n' "$name" "$value" >> "$file"
    fi
    echo "$name: old -> $value" ;;
*) exit 64 ;;
esac
"#,
    ),
];

/// What a script did.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `body` as the transport would send it, with the stand-ins (and the awk that FreeBSD has) first in PATH.
pub fn run(folder: &Path, body: &str) -> Ran {
    let tools = folder.join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    for (name, text) in TOOLS {
        let tool = tools.join(name);
        if !tool.exists() {
            std::fs::write(&tool, text).unwrap();
            std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    let awk = tools.join("awk");
    if !awk.exists() && Path::new(ORIGINAL_AWK).exists() {
        std::os::unix::fs::symlink(ORIGINAL_AWK, awk).unwrap();
    }
    let script = command::Command::script(&NodeName::new("big").unwrap(), 60, body).stdin().unwrap();
    let script = script.replacen("PATH=", &format!("PATH={}:", tools.display()), 1);
    let shell = if Path::new("/bin/dash").exists() { "/bin/dash" } else { "/bin/sh" };
    let mut child = Command::new(shell)
        .arg("-s")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The awk of FreeBSD's base system, as Debian's package original-awk has it.
const ORIGINAL_AWK: &str = "/usr/bin/original-awk";

/// Says loudly that awk scripts ran with another awk than FreeBSD's.
pub fn warn_without_original_awk() {
    if !Path::new(ORIGINAL_AWK).exists() {
        let _ = writeln!(std::io::stderr(), "WARNING: original-awk is not installed; NOT tested with FreeBSD's awk");
    }
}
