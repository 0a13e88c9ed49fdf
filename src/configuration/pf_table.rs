//! The file that a pf table is filled from (`table <T> persist file "F"`, pf.conf(5)): an entry a line, with comments.

use std::collections::BTreeSet;

use crate::effect::shell;
use crate::model::Prefix;
use crate::model::RemotePath;

/// Entries are compared without the length that a host may be written with; what they do not name stays as it is.
const EDIT: &str = r#"{
	word = $0; sub(/#.*/, "", word); gsub(/[ \t\r]/, "", word)
	if (word ~ /:/) sub(/\/128$/, "", word); else sub(/\/32$/, "", word)
	if (word != "" && index(" " REMOVE " ", " " word " ")) next
	seen[word] = 1
	print
}
END { count = split(ADD, list, " "); for (i = 1; i <= count; i++) if (!(list[i] in seen)) print list[i] }"#;

/// Compare-and-swap: the file must be the one with that SHA-256, or say already what it should. It is replaced in one
/// rename and keeps mode and owner (contract 6.3).
#[must_use]
pub fn edit(file: &RemotePath, sha256: &str, add: &BTreeSet<Prefix>, remove: &BTreeSet<Prefix>) -> String {
    let words = |list: &BTreeSet<Prefix>| list.iter().map(|p| entry(*p)).collect::<Vec<_>>().join(" ");
    format!(
        "file=$(realpath {})\nstage=\"${{file%/*}}/.${{file##*/}}.jailferry-stage\"\ntrap 'rm -f \"$stage\"' EXIT\n# the stage inherits mode and owner\ncp -p \"$file\" \"$stage\"\nawk -v ADD={} -v REMOVE={} '{EDIT}' \"$file\" > \"$stage\"\nif cmp -s \"$stage\" \"$file\"; then exit 0; fi\nif [ \"$(sha256 -q \"$file\")\" != {sha256} ]; then echo \"$file has changed since the plan was made\" >&2; exit 20; fi\nnew=$(sha256 -q \"$stage\")\nfsync \"$stage\"\nmv -f \"$stage\" \"$file\"\nif [ \"$(sha256 -q \"$file\")\" != \"$new\" ]; then echo \"$file does not read back\" >&2; exit 21; fi",
        shell::word(file.as_str()),
        shell::word(&words(add)),
        shell::word(&words(remove)),
    )
}

fn entry(prefix: Prefix) -> String {
    if prefix.is_host() { prefix.network().to_string() } else { prefix.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::sh;
    use crate::effect::commands::sha256;

    fn set(list: &[&str]) -> BTreeSet<Prefix> {
        list.iter().map(|p| p.parse().unwrap()).collect()
    }

    #[test]
    fn entries_come_and_go_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("nat.table");
        let file = RemotePath::new(place.display().to_string()).unwrap();
        let text = "# jails\n192.168.124.0/24\n\n10.0.0.1/32 # the old one\n!10.1.0.0/16\n2001:db8::1\n";
        std::fs::write(&place, text).unwrap();
        let known = sha256(text);
        let script = edit(
            &file,
            &known,
            &set(&["192.168.123.50/32", "192.168.124.0/24", "2001:db8::1/128"]),
            &set(&["10.0.0.1/32"]),
        );
        let want = "# jails\n192.168.124.0/24\n\n!10.1.0.0/16\n2001:db8::1\n192.168.123.50\n";
        for round in ["once", "again, when it is so already"] {
            let ran = sh::run(folder.path(), &script);
            assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{round}");
            assert_eq!(std::fs::read_to_string(&place).unwrap(), want, "{round}");
        }
        let back = edit(&file, &known, &set(&[]), &set(&["192.168.123.50/32"]));
        let ran = sh::run(folder.path(), &back);
        assert_eq!(ran.status, 20, "it is not the file that the plan knows: {}", ran.stderr);
        assert_eq!(std::fs::read_to_string(&place).unwrap(), want);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no stage is left beside the tools");
    }
}
