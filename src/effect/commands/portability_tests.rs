//! What GNU tools allow and FreeBSD's do not, looked for in everything that is sent to a host.

use crate::configuration::sh;
use crate::effect::Work;
use crate::effect::command::Form;
use crate::effect::commands::way_back;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::model::SnapshotLabel;

/// Sources that hold shell or awk text.
const SOURCES: [(&str, &str); 42] = [
    ("contents.awk", include_str!("contents.awk")),
    ("contents.rs", include_str!("contents.rs")),
    ("ending.rs", include_str!("ending.rs")),
    ("files.rs", include_str!("files.rs")),
    ("guids.rs", include_str!("guids.rs")),
    ("hand_over.rs", include_str!("hand_over.rs")),
    ("jail.rs", include_str!("jail.rs")),
    ("keys.rs", include_str!("keys.rs")),
    ("lease.rs", include_str!("lease.rs")),
    ("lock.rs", include_str!("lock.rs")),
    ("network.rs", include_str!("network.rs")),
    ("parked.rs", include_str!("parked.rs")),
    ("parking.rs", include_str!("parking.rs")),
    ("pf.rs", include_str!("pf.rs")),
    ("probe.rs", include_str!("probe.rs")),
    ("resume.rs", include_str!("resume.rs")),
    ("snapshots.rs", include_str!("snapshots.rs")),
    ("understudy.rs", include_str!("understudy.rs")),
    ("users.rs", include_str!("users.rs")),
    ("watch.rs", include_str!("watch.rs")),
    ("way_back.rs", include_str!("way_back.rs")),
    ("zfs.rs", include_str!("zfs.rs")),
    ("direct.rs", include_str!("../direct.rs")),
    ("frame.rs", include_str!("../../configuration/wireguard_conf/frame.rs")),
    ("allowed_ips.awk", include_str!("../../configuration/wireguard_conf/allowed_ips.awk")),
    ("hooks.awk", include_str!("../../configuration/wireguard_conf/hooks.awk")),
    ("on_host.rs", include_str!("../../configuration/jail_conf/on_host.rs")),
    ("library.sh", include_str!("../../configuration/rc_conf/library.sh")),
    ("jail_list.rs", include_str!("../../configuration/rc_conf/jail_list.rs")),
    ("static_route.rs", include_str!("../../configuration/rc_conf/static_route.rs")),
    ("datasets.sh", include_str!("../../facts/questions/datasets.sh")),
    ("file.sh", include_str!("../../facts/questions/file.sh")),
    ("given.sh", include_str!("../../facts/questions/given.sh")),
    ("loads.sh", include_str!("../../facts/questions/loads.sh")),
    ("upkeep.sh", include_str!("../../facts/questions/upkeep.sh")),
    ("ask.sh", include_str!("../../facts/questions/ask.sh")),
    ("host.sh", include_str!("../../facts/questions/host.sh")),
    ("jail.sh", include_str!("../../facts/questions/jail.sh")),
    ("leftovers.sh", include_str!("../../facts/questions/leftovers.sh")),
    ("pf.sh", include_str!("../../facts/questions/pf.sh")),
    ("rc.sh", include_str!("../../facts/questions/rc.sh")),
    ("wireguard.sh", include_str!("../../facts/questions/wireguard.sh")),
];

/// Spelling, and what is wrong with it on FreeBSD 13.2. In Rust's text a backslash stands twice.
const FOREIGN: [(&str, &str); 31] = [
    (r"( \\|", "alternatives are no part of basic regular expressions"),
    (r")\\|", "alternatives are no part of basic regular expressions"),
    (r"]\\+", "one or more is no part of basic regular expressions"),
    (r"\\?", "optional is no part of basic regular expressions"),
    (r"\\s", "a class of GNU's regular expressions"),
    (r"\\w", "a class of GNU's regular expressions"),
    ("grep -P", "grep has no Perl expressions"),
    ("grep --", "write -e before a pattern"),
    ("sed -i", "-i wants a suffix"),
    ("sed -r", "write -E"),
    ("sed '1,/", "when the pattern is in line 1, everything is in the range"),
    ("date -d", "-d sets another thing"),
    ("date --", "date has no long options"),
    ("%s%N", "date knows whole seconds only"),
    ("-printf", "find has no -printf"),
    ("stat -c", "write -f"),
    ("[[ ", "sh has no [["),
    ("local -", "not in FreeBSD's sh"),
    ("declare ", "not in FreeBSD's sh"),
    ("echo -e", "write printf"),
    (" <(", "sh has no process substitution"),
    ("<<<", "sh has no here-strings"),
    ("&>", "sh reads this as background and truncate"),
    ("|&", "sh has no |&"),
    ("function {", "write name()"),
    ("head -n -", "head counts from the start only"),
    ("sha256sum", "write sha256 -q"),
    ("readlink -e", "write realpath"),
    ("ip addr", "write ifconfig"),
    ("netstat -F 0", "refused: leave -F out"),
    ("gensub(", "awk is the one true awk"),
];

#[test]
fn nothing_foreign_is_sent_to_a_host() {
    let mut found = Vec::new();
    for (name, text) in SOURCES {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("//") || line.starts_with("# ") {
                continue;
            }
            let bar = if name.ends_with(".rs") { r"\\|" } else { r"\|" };
            let before =
                line.split(bar).collect::<Vec<_>>().into_iter().rev().skip(1).filter_map(|part| part.chars().last());
            if before.into_iter().any(char::is_alphanumeric) && !name.ends_with(".awk") {
                found.push(format!(
                    "{name}:{}: {bar}: alternatives are no part of basic regular expressions",
                    number + 1
                ));
            }
            for (foreign, why) in FOREIGN {
                let spelled = if name.ends_with(".rs") { foreign.to_owned() } else { foreign.replace(r"\\", r"\") };
                if line.contains(&spelled) {
                    found.push(format!("{name}:{}: {spelled}: {why}", number + 1));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// Runs the way back to `base` on a copy that has the snapshots `labels`; what zfs(8) was told to do, or the refusal.
fn roll_back(labels: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let listed: Vec<String> = labels.iter().map(|label| format!("zroot/web@{label}")).collect();
    let work = way_back::roll_back_received(
        &NodeName::new("big").unwrap(),
        &DatasetName::new("zroot/web").unwrap(),
        &SnapshotLabel::new("jailferry-web-00000000-final").unwrap(),
        &RunId::new("web-0123abcd").unwrap(),
        &[SnapshotLabel::new("weekly").unwrap()],
        crate::effect::Newer::Stops,
    );
    let Work::Run(commands) = work else { panic!("{work:?}") };
    let Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
    let zfs = format!(
        "zfs() {{ case \"$*\" in *bookmark*) ;; list*) printf '%s\\n' {} ;; *) echo \"$*\" ;; esac; }}\n",
        listed.join(" ")
    );
    let ran = sh::run(folder.path(), &format!("{zfs}{body}"));
    (ran.status, format!("{}{}", ran.stdout, ran.stderr))
}

#[test]
fn a_roll_back_takes_no_foreign_snapshot_also_when_the_base_is_the_oldest() {
    let done = "rollback -r zroot/web@jailferry-web-00000000-final\n";
    let (base, ours) = ("jailferry-web-00000000-final", "jailferry-web-0123abcd-0");
    assert_eq!(roll_back(&[base]).0, 0);
    for fine in [vec![base, ours], vec!["daily", base, ours], vec![base, "weekly", ours]] {
        let (status, said) = roll_back(&fine);
        assert!(status == 0 && said.ends_with(done), "{fine:?}: {said}");
    }
    for bad in [vec![base, "daily"], vec!["hourly", base, ours, "daily"]] {
        let (status, said) = roll_back(&bad);
        assert!(
            status == 22 && said.contains("zroot/web@daily is newer") && !said.contains("rollback"),
            "{bad:?}: {said}"
        );
    }
}
