//! Who besides the jail keeps its datasets from being unmounted once it has stopped: fstat(1), sockstat(1), ps(1), mount(8).

use crate::effect::commands::jail;
use crate::effect::shell;
use crate::model::DatasetName;
use crate::model::JailName;

/// Tries, a second apart, for somebody who is about to be done: a periodic(8) script, a backup.
const TRIES: u32 = 30;

/// The shell function `users ROOT DATASET…`: a line for everybody that has something of these and is neither the jail nor inside
/// it, nothing where there is nobody. A process is told by fstat's columns, never by its arguments, which may hold secrets.
/// What is mounted below the jail's root goes with the jail; a mount of a part of it somewhere else stays.
///
/// fstat before ps: who has ended in between counts no more. It does not tell of sockets, whose files keep a dataset busy as
/// well (syslogd -l; tried on 14.0 and 15.0): sockstat does, by the names that they were given, inside jails by their own.
#[must_use]
pub fn users(jail: &JailName) -> String {
    let numbers = jail::numbers(jail.as_str());
    format!(
        "users() {{
  root=$1
  shift
  {numbers}  mounts=$(mount -p) && sockets=$(sockstat -u) || return 1
  found=$(for dataset do
    at=
    while read -r what on rest; do if [ \"$what\" = \"$dataset\" ]; then at=$on; fi; done <<JAILFERRY_MOUNTS
$mounts
JAILFERRY_MOUNTS
    [ -n \"$at\" ] || continue
    open=$(fstat -m -f \"$at\") && all=$(ps -ax -o pid= -o jid=) || exit 1
    printf '%s\\n\\n%s\\n\\n%s\\n' \"$all\" \"$open\" \"$sockets\" | awk -v jids=\"$jids\" -v at=\"${{at%/}}/\" '
      BEGIN {{ n = split(jids, of, \" \"); for (i = 1; i <= n; i++) own[of[i]] = 1 }}
      NF == 0 {{ part++; next }}
      !part {{ jid[$1] = $2; next }}
      part > 1 {{
        for (i = 3; i + 3 <= NF; i++) {{
          if ($i ~ /^[0-9]+$/ && $(i + 2) ~ /^(stream|dgram|seqpac)/ && index($(i + 3), at) == 1 && jid[$i] == \"0\") print \"process\", $i, $2, $1
        }}
        next
      }}
      {{ for (i = 3; i <= NF && $i !~ /^[0-9]+$/; i++) continue }}
      i <= NF && ($i in jid) && !(jid[$i] in own) {{ print \"process\", $i, $2, $1 }}'
    while read -r what on rest; do
      case $what/ in \"$at\"/*) case $on/ in \"$root\"/*) ;; *) echo \"mount $on $what\" ;; esac ;; esac
    done <<JAILFERRY_MOUNTS
$mounts
JAILFERRY_MOUNTS
  done) || return 1
  [ -z \"$found\" ] || printf '%s\\n' \"$found\" | sort -u
}}
"
    )
}

/// Waits until nobody is left, and tells who is.
pub(super) fn none(jail: &JailName, root: &str, datasets: &[DatasetName]) -> String {
    let list: String = datasets.iter().map(|d| format!(" {d}")).collect();
    format!(
        "{}n=0\nwhile :; do\n  left=$(users {}{list})\n  [ -n \"$left\" ] || exit 0\n  n=$((n + 1))\n  [ $n -lt {TRIES} ] || break\n  sleep 1\ndone\nprintf '%s\\n' \"$left\" >&2\necho 'have something of the datasets of jail {jail}, which could not be unmounted once it has stopped: end that and move it then (what ends by itself with the jail is no reason to stay: --no-check-first)' >&2\nexit 21",
        users(jail),
        shell::word(root),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::sh;

    /// Two datasets of a jail with a jail in it; somebody's mount of a part of one, and one of the jail's own. fstat's and ps's
    /// forms as FreeBSD prints them, with a name that has a blank in it.
    const HOST: &str = "jls() { printf '3 other\\n7 web\\n8 web.inner\\n'; }
mount() { printf '%s\\n' 'zroot/web /jails/web zfs rw 0 0' 'zroot/web/data /jails/web/data zfs rw 0 0' '/jails/web/data/pub /usr/pub nullfs ro 0 0' '/jails/web/data /jails/web/mnt nullfs ro 0 0' '/jails/web2 /x nullfs ro 0 0'; }
fstat() {
  [ \"$1 $2\" = '-m -f' ] || return 1
  echo 'USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W'
  case $3 in
  /jails/web) printf '%s\\n' 'root     nginx       1001   wd /jails/web      34 drwxr-xr-x      12  r' 'www      nginx       1002 text /jails/web      34 drwxr-xr-x      12  r' ;;
  *) printf '%s\\n' 'root     sh          1003   wd /jails/web/data      3 drwxr-xr-x      12  r' 'backup   Web Content  1004    5 /jails/web/data  77 -rw-r--r--  120  r' 'backup   Web Content  1004    6 /jails/web/data  78 -rw-r--r--  120  r' 'root     gone        1005    5 /jails/web/data  77 -rw-r--r--  120  r' 'root     tail        1006    5 /jails/web/data  77 -rw-r--r--  120  r' ;;
  esac
}
ps() { printf ' 1001    7\\n 1002    8\\n 1003    0\\n 1004    0\\n 1006    3\\n 1007    0\\n    1    0\\n'; }
sockstat() {
  [ \"$1\" = -u ] || return 1
  echo 'USER     COMMAND    PID   FD  PROTO  LOCAL ADDRESS         FOREIGN ADDRESS'
  printf '%s\n' 'root     syslogd    1007  5   dgram  /jails/web/data/log' 'root     syslogd    1007  6   dgram  /jails/web2/log' 'root     nginx      1001  9   stream /jails/web/data/x' 'root     sh         1003  3   stream -> [1 4]'
}
sleep() { :; }
";

    fn of_web(script: &str, datasets: &str) -> sh::Ran {
        let jail = JailName::new("web").unwrap();
        let whole = format!("set -eu\n{HOST}{script}{}users /jails/web {datasets}", users(&jail));
        sh::run(tempfile::tempdir().unwrap().path(), &whole)
    }

    #[test]
    fn everybody_but_the_jail_and_what_is_in_it_is_told_once() {
        let ran = of_web("", "zroot/web zroot/web/data zroot/web/unmounted");
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        let lines: Vec<&str> = ran.stdout.lines().collect();
        let told = [
            "mount /usr/pub /jails/web/data/pub",
            "process 1003 sh root",
            "process 1004 Web backup",
            "process 1006 tail root",
            "process 1007 syslogd root",
        ];
        assert_eq!(lines, told);
        let ran = of_web("", "zroot/unmounted");
        assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
    }

    #[test]
    fn a_question_without_an_answer_is_no_nobody() {
        for question in ["fstat", "ps", "mount", "sockstat"] {
            let ran = of_web(&format!("{question}() {{ echo no >&2; return 1; }}\n"), "zroot/web");
            assert_ne!(ran.status, 0, "{question}");
        }
    }

    #[test]
    fn who_is_left_is_waited_for_and_told() {
        let jail = JailName::new("web").unwrap();
        let data = DatasetName::new("zroot/web/data").unwrap();
        let root = DatasetName::new("zroot/web").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let script = |more: &str, datasets: &[DatasetName]| {
            format!("set -eu\ncd '{}'\n{HOST}{more}{}", folder.path().display(), none(&jail, "/jails/web", datasets))
        };
        let ran = sh::run(folder.path(), &script("", std::slice::from_ref(&data)));
        assert_eq!(ran.status, 21);
        assert!(ran.stderr.starts_with("mount /usr/pub /jails/web/data/pub\nprocess 1003 sh root\n"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--no-check-first"), "{}", ran.stderr);
        // Of the root only mounts are left, until they are gone as well.
        let gone = "mount() { echo x >>asked; echo 'zroot/web /jails/web zfs rw 0 0'; if [ $(wc -l <asked) -lt 4 ]; then echo '/jails/web/etc /etc2 nullfs rw 0 0'; fi; }\nsockstat() { :; }\n";
        let ran = sh::run(folder.path(), &script(gone, &[root]));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        assert_eq!(std::fs::read_to_string(folder.path().join("asked")).unwrap().lines().count(), 4);
    }
}
