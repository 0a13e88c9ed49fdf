//! pfctl(8): anchors and tables (contract 4). Whatever concerns the main ruleset stays its owner's: pf.conf is neither
//! written nor loaded.

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::SHORT;
use crate::effect::commands::files::terminator;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::model::TableName;

/// The file of ours that pf.conf includes: a `load anchor` line for each jail.
pub const INDEX: &str = "/etc/pf.jailferry.conf";

/// The anchor of a jail.
#[must_use]
pub fn anchor(jail: &JailName) -> String {
    format!("jailferry/{jail}")
}

/// The file of its rules.
#[must_use]
pub fn anchor_file(jail: &JailName) -> String {
    format!("/etc/pf.jailferry.{jail}.conf")
}

/// The line of [`INDEX`] that brings them back at boot.
#[must_use]
pub fn load_line(jail: &JailName) -> String {
    format!("load anchor \"{}\" from \"{}\"", anchor(jail), anchor_file(jail))
}

/// The text of [`anchor_file`].
#[must_use]
pub fn anchor_text(rules: &[String]) -> String {
    format!("# Written by jailferry whenever the jail moves.\n{}\n", rules.join("\n"))
}

/// How pfctl(8) and [`Prefix`] spell an entry of a table: a host without its length.
fn entry(prefix: Prefix) -> String {
    if prefix.is_host() { prefix.network().to_string() } else { prefix.to_string() }
}

/// A shell function that prints lines as they are.
fn printing(name: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("{name}() {{ :; }}\n");
    }
    let text = lines.join("\n");
    let end = terminator(&text);
    format!("{name}() {{\ncat <<'{end}'\n{text}\n{end}\n}}\n")
}

fn run(host: &NodeName, script: String) -> Work {
    // None of these tools leaves anything running.
    Work::Run(vec![Command::script(host, SHORT, script).whole()])
}

/// pfctl(8) reads the rules and changes nothing.
pub(super) fn check_anchor(host: &NodeName, jail: &JailName, rules: &[String]) -> Work {
    run(host, format!("{}rules | pfctl -a {} -nf -", printing("rules", rules), anchor(jail)))
}

/// One transaction replaces the anchor's rules. Compared is what pfctl(8) makes of a text (`-nv`) with what it shows of
/// the kernel (`-s nat`), since it spells rules in its own way (contract 4.1); read back is how many there are, since
/// not every release has shown that it spells both alike. An anchor that is not there has no rules.
pub(super) fn load_anchor(host: &NodeName, jail: &JailName, before: &[String], rules: &[String]) -> Work {
    let anchor = anchor(jail);
    let mut script = printing("before", before) + &printing("after", rules);
    script += &format!(
        "now() {{ pfctl -P -a {anchor} -s nat 2>/dev/null || :; }}\nspelled() {{ pfctl -P -a {anchor} -nvf -; }}\nhave=$(now)\nwant=$(after | spelled)\n[ \"$have\" != \"$want\" ] || exit 0\nif [ -n \"$have\" ] && [ \"$have\" != \"$(before | spelled)\" ]; then echo 'the rules of anchor {anchor} have changed since the plan was made' >&2; exit 20; fi\n"
    );
    script += &if rules.is_empty() {
        format!("pfctl -q -a {anchor} -F nat\n")
    } else {
        format!("after | pfctl -q -a {anchor} -f -\n")
    };
    script += &format!(
        "[ \"$(now | grep -c .)\" -eq {} ] || {{ echo 'the rules of anchor {anchor} did not take' >&2; exit 21; }}",
        rules.len()
    );
    run(host, script)
}

/// Nothing loaded with `-a` survives a reboot or `service pf restart` (contract 4.2). The jail's rules go into a file of
/// their own and a `load anchor` line for it into [`INDEX`]; the file comes before the line and goes after it, since
/// pfctl(8) refuses all of pf.conf when a file that it names is missing (sbin/pfctl/parse.y, include and loadrule).
/// Should pf.conf have loaded before and not now, the line goes again.
pub(super) fn keep_anchor(host: &NodeName, jail: &JailName, rules: &[String], main: &RemotePath) -> Work {
    let mut inner =
        format!("set -eu\nfile={} index={INDEX} main={main} line='{}'\n{KEEP}", anchor_file(jail), load_line(jail));
    if rules.is_empty() {
        inner += "if listed; then unlist; fi\nrm -f \"$file\"\n";
    } else {
        let text = anchor_text(rules);
        let end = terminator(&text);
        inner += &format!("sound=no\nif loads; then sound=yes; fi\nput \"$file\" <<'{end}'\n{text}{end}\n{LIST}");
    }
    let (script, end) = ("/var/run/jailferry-pf.$$", terminator(&inner) + "_ALL");
    // Jails of the same host may move at the same time.
    run(
        host,
        format!(
            "cat > {script} <<'{end}'\n{inner}{end}\nrc=0\nlockf -k -s -t 30 /var/run/jailferry.lock /bin/sh {script} || rc=$?\nrm -f {script}\nexit $rc"
        ),
    )
}

/// An index that pf.conf includes stays, empty, when its last line goes.
const KEEP: &str = r#"put() {
	stage="${1%/*}/.${1##*/}.jailferry-stage"
	if [ -e "$1" ]; then cp -p "$1" "$stage"; fi
	cat > "$stage"; fsync "$stage"; mv -f "$stage" "$1"
}
loads() { [ -f "$main" ] && pfctl -nf "$main" >/dev/null 2>&1; }
listed() { [ -e "$index" ] && grep -qxF -e "$line" "$index"; }
others() { if [ -e "$index" ]; then grep -vxF -e "$line" "$index" || :; fi; }
included() { grep -q "^[[:space:]]*include[[:space:]]*\"$index\"" "$main" 2>/dev/null; }
unlist() {
	left=$(others)
	if [ -n "$left" ]; then printf '%s\n' "$left" | put "$index"
	elif included; then : | put "$index"
	else rm -f "$index"
	fi
}
"#;

const LIST: &str = r#"if ! listed; then { others; echo "$line"; } | put "$index"; fi
if [ $sound = yes ] && ! loads; then
	unlist
	echo "$main does not load with $line" >&2
	exit 21
fi
"#;

/// Only what is listed comes and goes; a table that is not there would be made by `add` (contract 4.1), so it is looked
/// for first, and since `add` and `delete` succeed whatever they did, the table is read back.
pub(super) fn change_table(host: &NodeName, table: &TableName, add: &[Prefix], remove: &[Prefix]) -> Work {
    let words = |prefixes: &[Prefix]| prefixes.iter().map(|p| entry(*p)).collect::<Vec<_>>().join(" ");
    let mut script = format!(
        "shown() {{ pfctl -t {table} -T show; }}\nshown >/dev/null 2>&1 || {{ echo 'there is no pf table {table}' >&2; exit 20; }}\nhas() {{ shown | awk -v wanted=\"$1\" '$1 == wanted {{ found = 1 }} END {{ exit !found }}'; }}\n"
    );
    for (verb, prefixes) in [("add", add), ("delete", remove)] {
        if !prefixes.is_empty() {
            script += &format!("pfctl -q -t {table} -T {verb} {}\n", words(prefixes));
        }
    }
    for prefix in add {
        let entry = entry(*prefix);
        script += &format!("has {entry} || {{ echo '{entry} is not in pf table {table}' >&2; exit 21; }}\n");
    }
    for prefix in remove {
        let entry = entry(*prefix);
        script += &format!("! has {entry} || {{ echo '{entry} is still in pf table {table}' >&2; exit 21; }}\n");
    }
    run(host, script.trim_end().to_owned())
}
