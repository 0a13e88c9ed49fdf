//! jail(8), jls(8) and the interfaces they leave behind: contract 2.3, 2.4, 2.6.

use crate::effect::JailPlace;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::JAIL;
use crate::effect::commands::SHORT;
use crate::effect::shell;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;

/// Seconds more for a start that has to end the rest of a jail first.
const REST: u32 = 100;

/// `jail -e` prints what jail(8) understood; the unit separator cannot occur in a value.
pub(super) fn check(host: &NodeName, jail: &JailName, file: &RemotePath, expected: &[(String, String)]) -> Work {
    let mut script = format!("seen=$(jail -f {file} -e \"$(printf '\\037')\" | tr '\\037' '\\n')\n");
    for (name, value) in std::iter::once(&("name".to_owned(), jail.to_string())).chain(expected) {
        let wanted = shell::word(&format!("{name}={value}"));
        script.push_str(&format!(
            "printf '%s\\n' \"$seen\" | grep -qxF {wanted} || {{ echo {file} does not say {wanted} >&2; exit 21; }}\n"
        ));
    }
    Work::Run(vec![Command::script(host, SHORT, script)])
}

/// What a jail has mounted stays mounted when it is gone, and keeps it from being gone, since the mount has its credentials
/// (sys/kern/vfs_mount.c, vfs_mount_alloc). An rc(8) inside that stops as it should has unmounted it.
///
/// By umount(8): outside of jails `zfs unmount` passes over what is a jail's, and says that it did it (libzfs_changelist.c,
/// changelist_prefix; seen on 15.0).
///
/// Where they cannot be unmounted, `or` happens.
fn unmount_delegated(place: &JailPlace, or: &str) -> String {
    if place.delegated.is_empty() {
        return String::new();
    }
    let names = place.delegated.iter().map(DatasetName::as_str).collect::<Vec<_>>().join(" ");
    format!(
        "left() {{ mount -p | awk -v names='{names}' 'BEGIN {{ n = split(names, of, \" \") }} $3 == \"zfs\" {{ for (i = 1; i <= n; i++) if ($1 == of[i] || index($1, of[i] \"/\") == 1) print $2 }}' | sort -r; }}\nn=0\nuntil [ -z \"$(left)\" ]; do\n  [ $n -eq 0 ] || sleep 0.2\n  n=$((n + 1))\n  [ $n -lt 50 ] || {{ echo 'what jail {jail} had mounted cannot be unmounted:' $(left) >&2; {or}; }}\n  for m in $(left); do umount \"$m\" 2>/dev/null || :; done\ndone\n",
        jail = place.jail
    )
}

/// What `jail -r` leaves when it was cut short: interfaces, and mounts below the root, the youngest first (mount(8) prints
/// them in their order); of ZFS only what jail(8) mounts. The shell takes the lines apart itself: the jail is down
/// meanwhile.
fn clean_up(place: &JailPlace) -> String {
    let path = &place.path;
    let not_its_own = match place.legacy.as_slice() {
        [] => "case $kind in zfs) continue ;; esac".to_owned(),
        names => {
            let names: Vec<String> = names.iter().map(|name| format!("'zfs {name}'")).collect();
            format!("case \"$kind $what\" in {}) ;; 'zfs '*) continue ;; esac", names.join(" | "))
        }
    };
    let mut script = format!(
        "left=\nwhile read -r what at kind options; do\n  {not_its_own}\n  case $at in {path}/*) left=\"$at $left\" ;; esac\ndone <<JAILFERRY_MOUNTS\n$(mount -p)\nJAILFERRY_MOUNTS\nfor m in $left; do umount \"$m\"; done\n"
    );
    for interface in &place.interfaces {
        script.push_str(&format!("if ifconfig {interface} >/dev/null 2>&1; then ifconfig {interface} destroy; fi\n"));
    }
    script
}

/// jail(8) as service(8) runs it, so that what starts inside finds what it would find after a boot: the umask 022 that
/// our scripts have tightened (exec.start and exec.stop inherit it, usr.sbin/jail/command.c), and nothing of the SSH
/// session's environment (without exec.clean it would go in).
///
/// Its own timeout, shorter than the script's: killing only the script would leave a jail(8) that hangs in exec.prestart
/// alive, and it would make the jail after everybody has given it up.
pub(super) const AS_AT_BOOT: &str =
    "umask 022; exec env -i HOME=/ TERM=dumb PATH=/sbin:/bin:/usr/sbin:/usr/bin timeout --foreground -k 10 240";

/// Where what jail(8) says goes: a file, since what it starts keeps its output open. A disk that takes none is no reason to
/// leave a jail down, and costs the words only.
const SAID: &str = "said=/var/run/jailferry.$$\n(: >$said) 2>/dev/null || said=/dev/null\n";

/// The numbers of the jail and of jails inside it, into `$jids`: asked for before it is removed, of those that are on
/// their way out too.
pub(super) fn numbers(jail: &str) -> String {
    format!(
        "jids=$(echo $(jls -d jid name | while read -r i n; do case $n in {jail} | {jail}.*) echo $i ;; esac; done))\n"
    )
}

/// Has a jail of `$jids` a process?
const AT_WORK: &str = "at_work() { all=$(ps -ax -o jid=) || return 0; for i in $all; do case \" $jids \" in *\" $i \"*) return 0 ;; esac; done; return 1; }\n";

/// Waits for the processes of a removed jail ([`numbers`]), which jail_remove(2) kills but does not wait for (kern_jail.c,
/// prison_kill_processes): once none is left nothing writes any more. Not for its sockets: each connection that it closed
/// is in TIME_WAIT for a minute (2 MSL), and as long as that the jail is dying (seen on 15.0: 61 s after one request),
/// without a process; what it still holds is let go by force (see `parking`). `ps -J` does not know a jail that is dying,
/// so the column is asked for.
pub(super) fn ended(jail: &str) -> String {
    format!(
        "{AT_WORK}n=0\nwhile [ -n \"$jids\" ] && at_work; do\n  n=$((n + 1))\n  [ $n -lt 600 ] || {{ echo 'jail {jail} is removed, but some of its processes do not end' >&2; exit 21; }}\n  sleep 0.1\ndone\n"
    )
}

/// Holds the number of a jail that was asked to stop. Where that failed, the jail is still there but its services may
/// have ended (contract 0.12), or are ending: whoever wants it to run makes it anew. A reboot forgets it, as it does the
/// jail.
fn asked(jail: &JailName) -> String {
    format!("/var/run/jailferry-{jail}.asked")
}

/// Ends what a stop that failed has left of a jail: as jail(8) does behind exec.stop, but exec.* is not tried again.
fn end_the_rest(place: &JailPlace) -> String {
    let JailPlace { jail, .. } = place;
    let (asked, numbers, ended) = (asked(jail), numbers(jail.as_str()), ended(jail.as_str()));
    format!(
        "if now=$(jls -j {jail} jid 2>/dev/null) && [ \"$(cat {asked} 2>/dev/null)\" = \"$now\" ]; then\necho 'jail {jail} was asked to stop and is still there: the rest of it is ended, and it starts anew' >&2\n{numbers}{AT_WORK}ps -ax -o jid= -o pid= | while read -r i p; do case \" $jids \" in *\" $i \"*) kill \"$p\" 2>/dev/null || : ;; esac; done\nn=0\nwhile [ $n -lt 300 ] && at_work; do\n  n=$((n + 1))\n  sleep 0.1\ndone\njail -R {jail} || :\nif jls -j {jail} jid >/dev/null 2>&1; then echo 'jail {jail} still runs after jail -R' >&2; exit 21; fi\n{ended}fi\n"
    )
}

/// `jail -r` may fail although the jail is gone (a failing exec.poststop) and the jail may run on after a failing
/// exec.stop (contract 0.12, 2.3): only `jls` decides.
pub(super) fn stop(place: &JailPlace) -> Work {
    let JailPlace { host, jail, file, .. } = place;
    let (numbers, ended) = (numbers(jail.as_str()), ended(jail.as_str()));
    let (delegated, clean, asked) = (unmount_delegated(place, "exit 21"), clean_up(place), asked(jail));
    Work::Run(vec![Command::script(
        host,
        JAIL,
        format!(
            "{numbers}if jls -j {jail} jid >/dev/null 2>&1; then\n  [ -n \"$jids\" ] || {{ echo 'jls -d does not list jail {jail}, which runs' >&2; exit 21; }}\n  jls -j {jail} jid 2>/dev/null > {asked} || :\n  {SAID}  ({AS_AT_BOOT} jail -f {file} -r {jail}) >$said 2>&1 || cat $said >&2\n  rm -f /var/run/jailferry.$$\n  if jls -j {jail} jid >/dev/null 2>&1; then echo 'jail {jail} is still there after jail -r, perhaps without its services' >&2; exit 21; fi\nfi\nrm -f {asked}\n{ended}{delegated}rm -f /var/run/jail_{jail}.id\n{clean}"
        ),
    )
    .in_turn(jail)])
}

/// Not `service jail start`, which succeeds whatever happens (contract 0.1). A failed start leaves what exec.prestart
/// made (contract 0.11), so that goes before the error is told. Its output goes to a file, not to our pipe: a service
/// that the jail starts may keep it open for as long as it lives. jail(8) takes a jail away whose start it sees fail, but
/// not when its own time is over: that is no success, though whoever tries once more finds the jail. `fib` is verified
/// because ifconfig only warns (contract 0.6).
pub(super) fn start(place: &JailPlace) -> Work {
    let JailPlace { host, jail, file, .. } = place;
    // A jail that perhaps finds its own datasets in use is better than one that is not started.
    let clean = format!("{}{}", unmount_delegated(place, "break"), clean_up(place));
    let (rest, asked) = (end_the_rest(place), asked(jail));
    let late = format!(
        "echo 'jail {jail} is there, but jail -c did not end in time: exec.start is still at work, or exec.poststart has not run. See why, then: jail -f {file} -r {jail} && jail -f {file} -c {jail}' >&2; exit 21"
    );
    let mut proof = String::new();
    for interface in place.interfaces.iter().filter(|i| !place.elsewhere.contains(i)) {
        if place.fib != 0 {
            proof.push_str(&format!(
                "ifconfig {interface} | grep -q '^[[:space:]]*fib: {fib}$' || {{ echo \"{interface} is not in FIB {fib} (net.fibs is $(sysctl -n net.fibs)): its packets take the host's own way out. Put that right, then: jail -f {file} -r {jail} && jail -f {file} -c {jail}\" >&2; exit 21; }}\n",
                fib = place.fib
            ));
        }
        if let Some(bridge) = &place.bridge {
            proof.push_str(&format!(
                "ifconfig {bridge} | awk '$1 == \"member:\" {{ print $2 }}' | grep -qxF {interface} || {{ echo '{interface} is not a member of {bridge}' >&2; exit 21; }}\n"
            ));
        }
    }
    Work::Run(vec![Command::script(
        host,
        JAIL + REST,
        format!(
            "{rest}if ! jls -j {jail} jid >/dev/null 2>&1; then\nrm -f {asked}\n{clean}rc=0\n{SAID}({AS_AT_BOOT} jail -f {file} -c {jail}) >$said 2>&1 || rc=$?\nif ! jls -j {jail} jid >/dev/null 2>&1; then\n{clean}cat $said >&2\nrm -f /var/run/jailferry.$$\necho \"jail -c {jail} failed with exit status $rc\" >&2\nexit 21\nfi\nif [ $rc -ne 0 ]; then cat $said >&2; fi\nrm -f /var/run/jailferry.$$\ncase $rc in\n124 | 137) {late} ;;\nesac\nfi\nid=$(jls -j {jail} jid)\n(echo \"$id\" > /var/run/jail_{jail}.id) 2>/dev/null || :\n{proof}"
        ),
    )
    .in_turn(jail)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::sh;

    /// A host with jails of similar names, two of them dying, whose processes end when they have been asked for thrice.
    const HOST: &str = "jls() { printf '3 webs\\n7 web\\n8 web.inner\\n9 we\\n'; }\nps() {\n  echo x >>asked\n  echo ' 0'\n  echo ' 3'\n  if [ \"$(wc -l <asked)\" -lt 3 ]; then echo '  8'; fi\n}\nsleep() { echo waited; }\n";

    #[test]
    fn the_processes_of_a_jail_and_of_those_in_it_are_waited_for_and_of_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (numbers, ended) = (numbers("web"), ended("web"));
        let script = format!("cd '{}'\n{HOST}{numbers}echo \"$jids\"\n{ended}wc -l <asked", folder.path().display());
        let ran = sh::run(folder.path(), &script);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        assert_eq!(ran.stdout.split_whitespace().collect::<Vec<_>>(), ["7", "8", "waited", "waited", "3"]);
    }

    #[test]
    fn what_stays_mounted_keeps_a_jail_from_being_stopped_but_not_from_being_started() {
        let json = r#"{"host":"big","jail":"web","path":"/jails/web","file":"/etc/jail.conf.d/web.conf","interfaces":[],"bridge":null,"fib":0,"delegated":["zroot/web/data"]}"#;
        let place: JailPlace = serde_json::from_str(json).unwrap();
        let host = "mount() { echo 'zroot/web/data/own /jails/web/data/own zfs rw 0 0'; }\numount() { return 1; }\nsleep() { :; }\n";
        for (or, behind) in [("exit 21", ""), ("break", "went on\n")] {
            let script = format!("set -eu\n{host}{}echo went on", unmount_delegated(&place, or));
            let ran = sh::run(tempfile::tempdir().unwrap().path(), &script);
            assert_eq!(ran.stdout, behind, "{or}: {ran:?}");
            assert_eq!(ran.stderr, "what jail web had mounted cannot be unmounted: /jails/web/data/own\n");
        }
    }

    #[test]
    fn of_zfs_only_what_jail_8_mounts_is_unmounted_for_it() {
        let json = r#"{"host":"big","jail":"web","path":"/jails/web","file":"/etc/jail.conf.d/web.conf","interfaces":[],"bridge":null,"fib":0,"legacy":["zroot/web/data"]}"#;
        let place: JailPlace = serde_json::from_str(json).unwrap();
        let host = "mount() { printf '%s\\n' 'zroot/web /jails/web zfs rw 0 0' 'zroot/web/own /jails/web/own zfs rw 0 0' 'zroot/web/data /jails/web/data zfs rw 0 0' '/ports /jails/web/data/ports nullfs ro 0 0'; }\numount() { echo \"umount $*\"; }\n";
        let told = |place: &JailPlace| {
            sh::run(tempfile::tempdir().unwrap().path(), &format!("set -eu\n{host}{}", clean_up(place))).stdout
        };
        assert_eq!(told(&place), "umount /jails/web/data/ports\numount /jails/web/data\n");
        assert_eq!(told(&JailPlace { legacy: vec![], ..place }), "umount /jails/web/data/ports\n");
    }

    #[test]
    fn a_process_that_does_not_end_is_told() {
        let script = format!("{HOST}ps() {{ echo 7; }}\n{}{}echo behind", numbers("web"), ended("web"));
        let ran = sh::run(tempfile::tempdir().unwrap().path(), &script);
        assert_eq!(ran.status, 21);
        assert!(!ran.stdout.contains("behind"), "{ran:?}");
        assert_eq!(ran.stderr, "jail web is removed, but some of its processes do not end\n");
    }

    /// A host whose jail(8) does what `does` says; the jail has the number in the file `jid`, and one process.
    fn jails(folder: &std::path::Path, does: &str, begin: &str) -> crate::configuration::sh::Ran {
        let host = format!(
            "cd '{}'\njls() {{ case $* in *' jid name'*) [ ! -e jid ] || echo \"$(cat jid) web\" ;; *) cat jid 2>/dev/null ;; esac; }}\nps() {{ case $* in *pid=*) echo \"$(cat jid) 999999\" ;; *) cat jid || : ;; esac; }}\nkill() {{ echo \"kill $*\"; }}\nsleep() {{ :; }}\nmount() {{ :; }}\nifconfig() {{ :; }}\njail() {{ echo \"jail $*\" >>did; {does}; }}\n",
            folder.display()
        );
        let begin = begin.replace("/var/run", &folder.display().to_string()).replace(
            "exec env -i HOME=/ TERM=dumb PATH=/sbin:/bin:/usr/sbin:/usr/bin timeout --foreground -k 10 240",
            "",
        );
        sh::run(folder, &format!("{host}{begin}"))
    }

    fn web() -> JailPlace {
        let json = r#"{"host":"big","jail":"web","path":"/jails/web","file":"/etc/jail.conf.d/web.conf","interfaces":[],"bridge":null,"fib":0}"#;
        serde_json::from_str(json).unwrap()
    }

    fn text(work: &Work) -> String {
        work.commands()[0].text()
    }

    /// A full /var costs words, no jail.
    #[test]
    fn where_nothing_can_be_written_a_jail_stops_and_starts_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let run =
            |work: &Work, does: &str| jails(folder.path(), does, &text(work).replace("/var/run", "/nowhere/at/all"));
        std::fs::write(at("jid"), "7\n").unwrap();
        let ran = run(&stop(&web()), "rm jid");
        assert_eq!((ran.status, at("jid").exists()), (0, false), "{ran:?}");
        let ran = run(&start(&web()), "echo 9 >jid");
        assert_eq!((ran.status, at("jid").exists()), (0, true), "{ran:?}");
    }

    #[test]
    fn a_jail_that_was_asked_to_stop_in_vain_is_made_anew_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let did = || std::fs::read_to_string(at("did")).unwrap_or_default();
        std::fs::write(at("jid"), "7\n").unwrap();
        let ran = jails(folder.path(), "echo 9 >jid", &text(&start(&web())));
        assert_eq!((ran.status, did().as_str()), (0, ""), "it runs: {ran:?}");
        let ran = jails(folder.path(), "echo stops >&2; return 1", &text(&stop(&web())));
        assert_eq!((ran.status, did().as_str()), (21, "jail -f /etc/jail.conf.d/web.conf -r web\n"));
        assert!(ran.stderr.contains("stops\njail web is still there after jail -r"), "{ran:?}");
        let does = "case $1 in -R) rm jid ;; *) echo 9 >jid ;; esac";
        for _ in 0..2 {
            let ran = jails(folder.path(), does, &text(&start(&web())));
            assert_eq!(ran.status, 0, "{ran:?}");
            let all =
                "jail -f /etc/jail.conf.d/web.conf -r web\njail -R web\njail -f /etc/jail.conf.d/web.conf -c web\n";
            assert_eq!(did(), all, "once");
        }
        // Somebody has made it anew since.
        std::fs::write(at("jailferry-web.asked"), "8\n").unwrap();
        let ran = jails(folder.path(), does, &text(&start(&web())));
        assert_eq!((ran.status, did().lines().count()), (0, 3));
        let ran = jails(folder.path(), "rm jid", &text(&stop(&web())));
        assert_eq!((ran.status, at("jailferry-web.asked").exists()), (0, false), "{ran:?}");
    }

    #[test]
    fn a_start_that_outlasts_its_time_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let does = "echo 9 >jid; echo slow >&2; return 124";
        let ran = jails(folder.path(), does, &text(&start(&web())));
        assert_eq!(ran.status, 21);
        assert!(ran.stderr.starts_with("slow\njail web is there, but jail -c did not end in time"), "{ran:?}");
        assert_eq!(jails(folder.path(), does, &text(&start(&web()))).status, 0);
        std::fs::remove_file(folder.path().join("jid")).unwrap();
        assert_eq!(jails(folder.path(), "echo 9 >jid; return 1", &text(&start(&web()))).status, 0);
    }

    #[test]
    fn where_there_is_no_such_jail_nothing_is_asked() {
        let script =
            format!("jls() {{ echo '3 webs'; }}\nps() {{ echo asked >&2; }}\n{}{}", numbers("web"), ended("web"));
        let ran = sh::run(tempfile::tempdir().unwrap().path(), &script);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    }
}
