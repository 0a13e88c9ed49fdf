//! The end of transfers that outlived the machine that drove them: pgrep(1), kill(1).
//!
//! A receive whose control machine is gone ends when its connection does, which may be hours later or, from node to node,
//! not before everything has arrived. Ours are told by their exact command line: each names a snapshot that only its run
//! has. A transfer of anybody else is never touched.

use crate::effect::commands::SHORT;
use crate::model::DatasetName;
use crate::model::RunId;
use crate::model::SnapshotLabel;

/// Tries, five a second, before a transfer that does not end is told; the second half of them with SIGKILL.
const TRIES: u32 = 100;

/// Which of a dataset's transfers.
pub(super) enum Of<'a> {
    /// Of whatever snapshot of that run, or of several in one stream.
    Run(&'a RunId),
    /// Of whatever snapshot of that run, and of somebody's that come with it.
    Arriving(&'a RunId, &'a [SnapshotLabel]),
    /// Of that snapshot, for the dataset and all below it.
    Snapshot(&'a SnapshotLabel),
}

/// What tells a receive of several snapshots from anybody else's: it names none of them (zfs-receive(8): the name given
/// is that of every snapshot in the stream), but a property of ours that is to be left out, and in no stream. Such names
/// have no capital letters (zfs_prop.c, valid_char).
pub(super) fn of_package(run: &RunId) -> String {
    format!("org.jailferry:jailferry-{}", run.as_str().to_ascii_lowercase())
}

/// A text as an extended regular expression that matches it and nothing else (re_format(7)).
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() && !"/@#:_-".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn snapshot(dataset: &DatasetName, of: &Of<'_>) -> String {
    let dataset = quoted(dataset.as_str());
    match of {
        Of::Run(run) | Of::Arriving(run, []) => format!("{dataset}@{}", labels(run)),
        Of::Arriving(run, others) => {
            let all: Vec<String> =
                std::iter::once(labels(run)).chain(others.iter().map(|label| quoted(label.as_str()))).collect();
            format!("{dataset}@({})", all.join("|"))
        }
        Of::Snapshot(label) => format!("{dataset}(/[^ @]+)?@{}", quoted(label.as_str())),
    }
}

fn labels(run: &RunId) -> String {
    format!("jailferry-{}-[a-z0-9]+", quoted(run.as_str()))
}

/// What pgrep(1), -f, finds our receives by; the wrappers around them begin with another word.
pub(super) fn receives(dataset: &DatasetName, of: &Of<'_>) -> String {
    let one = format!("(-[ox] [^ ]+ )*{}", snapshot(dataset, of));
    match of {
        Of::Run(run) | Of::Arriving(run, _) => {
            let mark = quoted(&of_package(run));
            format!("^zfs receive -s -u ({one}|-x {mark} {})$", quoted(dataset.as_str()))
        }
        Of::Snapshot(_) => format!("^zfs receive -s -u {one}$"),
    }
}

/// The same for our sends, but for those that go on with a token: see [`end_sends`].
fn sends(dataset: &DatasetName, of: &Of<'_>) -> String {
    format!("^zfs send (-w|-L -e -c) (-p )?(-i [^ ]+ )?{}$", snapshot(dataset, of))
}

/// Shell text that ends every process of these patterns and waits until it is gone. What a suspended pool keeps in the
/// kernel cannot be ended by anybody: then the script says so and does nothing else.
pub(super) fn end(patterns: &[String]) -> String {
    let mut text = ended();
    for pattern in patterns {
        text.push_str(&format!("ended 'pgrep -f' '{pattern}'\n"));
    }
    text
}

/// The same for our sends of these datasets. One that goes on has nothing but a token on its command line, so zfs(8) is
/// asked of which snapshot it is (contract 5.4).
pub(super) fn end_sends(datasets: &[&DatasetName], of: &Of<'_>) -> String {
    let mut text = ended();
    text.push_str("goes_on() {\n  found=\n  for p in $(pgrep -f '^zfs send -t 1-[0-9a-f-]+$'); do\n    t=$(ps -ww -o command= -p $p) || continue\n    if zfs send -nvP -t \"${t##* }\" 2>/dev/null | grep -Eq \"^[[:space:]]*toname = $1\\$\"; then found=\"$found $p\"; fi\n  done\n  [ -n \"$found\" ] && echo $found\n}\n");
    for dataset in datasets {
        let (plain, of) = (sends(dataset, of), snapshot(dataset, of));
        text.push_str(&format!("ended 'pgrep -f' '{plain}'\nended goes_on '{of}'\n"));
    }
    text
}

/// `ended FINDER PATTERN`
fn ended() -> String {
    // Well within the time of the script.
    const _: () = assert!(TRIES / 5 < SHORT);
    format!(
        "ended() {{\n  n=0\n  while pids=$($1 \"$2\"); do\n    [ $n -gt 0 ] || {{ echo 'ending what was still at work:'; ps -ww -o pid= -o command= -p $(echo $pids | tr ' ' ,) || :; }} >&2\n    [ $n -lt {TRIES} ] || {{ echo \"it does not end: see zpool status -x, and procstat kstack $pids\" >&2; exit 21; }}\n    if [ $n -lt {half} ]; then kill $pids 2>/dev/null || :; else kill -KILL $pids 2>/dev/null || :; fi\n    sleep 0.2\n    n=$((n + 1))\n  done\n}}\n",
        half = TRIES / 2
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extended regular expressions, as FreeBSD's pgrep(1) reads them.
    fn matches(pattern: &str, line: &str) -> bool {
        let mut grep = std::process::Command::new("grep");
        grep.args(["-Eqx", "-e", pattern]).stdin(std::process::Stdio::piped());
        let mut child = grep.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{line}\n").as_bytes()).unwrap();
        child.wait().unwrap().success()
    }

    #[test]
    fn only_our_own_transfers_are_meant() {
        let (web, run) = (DatasetName::new("zroot/j.d/web").unwrap(), RunId::new("web-0123abcd").unwrap());
        let ours = "zfs receive -s -u -x mountpoint -o readonly=on -o org.jailferry:run=web-0123abcd zroot/j.d/web@jailferry-web-0123abcd-0";
        let pattern = receives(&web, &Of::Run(&run));
        for line in [
            ours,
            "zfs receive -s -u zroot/j.d/web@jailferry-web-0123abcd-final",
            "zfs receive -s -u -x org.jailferry:jailferry-web-0123abcd zroot/j.d/web",
        ] {
            assert!(matches(&pattern, line), "{line}");
        }
        for other in [
            "zfs receive -s -u zroot/j.d/web",
            "zfs receive -s -u -x org.jailferry:jailferry-web-99999999 zroot/j.d/web",
            "zfs receive -s -u -x org.jailferry:jailferry-web-0123abcd zroot/j.d/web/data",
            "zfs receive -s -u zroot/jxd/web@jailferry-web-0123abcd-0",
            "zfs receive -s -u zroot/j.d/web/data@jailferry-web-0123abcd-0",
            "zfs receive -s -u zroot/j.d/web@jailferry-web-99999999-0",
            "zfs receive -F zroot/j.d/web@jailferry-web-0123abcd-0",
            &format!("timeout --foreground -k 10 604800 {ours}"),
            &format!("{ours} x"),
        ] {
            assert!(!matches(&pattern, other), "{other}");
        }
        let daily = [SnapshotLabel::new("daily.1").unwrap(), SnapshotLabel::new("weekly").unwrap()];
        let pattern = receives(&web, &Of::Arriving(&run, &daily));
        for line in [ours, "zfs receive -s -u zroot/j.d/web@daily.1", "zfs receive -s -u zroot/j.d/web@weekly"] {
            assert!(matches(&pattern, line), "{line}");
        }
        assert!(!matches(&pattern, "zfs receive -s -u zroot/j.d/web@dailyx1"));
        let label = SnapshotLabel::new("jailferry-web-0123abcd-1").unwrap();
        let pattern = sends(&web, &Of::Snapshot(&label));
        for line in [
            "zfs send -L -e -c -i zroot/j.d/web#jailferry-web-0123abcd zroot/j.d/web@jailferry-web-0123abcd-1",
            "zfs send -w -i @daily zroot/j.d/web/data@jailferry-web-0123abcd-1",
            "zfs send -L -e -c -p zroot/j.d/web@jailferry-web-0123abcd-1",
        ] {
            assert!(matches(&pattern, line), "{line}");
        }
        assert!(!matches(&pattern, "zfs send -v zroot/j.d/web@jailferry-web-0123abcd-1"));
        assert!(!matches(&pattern, "zfs send -w zroot/j.d/web@jailferry-web-0123abcd-0"));
    }
}
