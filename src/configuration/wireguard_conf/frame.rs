//! The frame around an edit: compare-and-swap, backup, atomic replacement, verification (contract 6.3).

use crate::effect::shell;
use crate::model::RemotePath;
use crate::model::RunId;

/// The file to edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is; a symbolic link is followed.
    pub path: RemotePath,
    /// SHA-256 of the file that the plan was made from.
    pub sha256: String,
    /// The run, for the names of backup and stage.
    pub run: RunId,
}

/// Exit status: the file is not the one the plan was made from.
pub const CHANGED: i32 = 20;
/// Exit status: after writing, the file does not say what it should; it is as it was before.
pub const NOT_VERIFIED: i32 = 21;
/// Exit status: the file cannot be edited: a peer is missing or there twice, an entry is not understood.
pub const NOT_UNDERSTOOD: i32 = 24;

/// One call of the edit: an awk(1) program and the environment it reads.
pub struct Edit<'a> {
    /// Environment variables, by name.
    pub environment: Vec<(&'static str, String)>,
    /// The program; holds no single quote.
    pub program: &'a str,
    /// The keys, in lower case, of lines that it may change; all others must come out as they went in.
    pub keys: &'a [&'a str],
}

impl Edit<'_> {
    /// A shell function `NAME FILE` that prints the edited file.
    fn function(&self, name: &str) -> String {
        let environment: Vec<String> =
            self.environment.iter().map(|(variable, value)| format!("{variable}={}", shell::word(value))).collect();
        format!(
            "{name}() {{\n\tno_newline=; [ -z \"$(tail -c 1 \"$1\")\" ] || no_newline=1\n\tNO_NEWLINE=$no_newline {} awk '{}' \"$1\"\n}}\n",
            environment.join(" "),
            self.program.trim_end()
        )
    }

    /// Lines that the edit has no business with, comments and blank lines left out.
    fn others(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|k| format!("key == \"{k}\"")).collect();
        format!(
            "others() {{\n\tawk '{{\n\t\tline = $0; gsub(/[ \\t\\r]/, \"\", line); sub(/#.*/, \"\", line)\n\t\tkey = tolower(line); sub(/=.*/, \"\", key)\n\t\tif (line == \"\" || {}) next\n\t\tprint line\n\t}}' \"$1\" | sha256 -q\n}}\n",
            keys.join(" || ")
        )
    }
}

/// The script for `edit`; prints the file's new SHA-256 and nothing else.
#[must_use]
pub fn script(target: &Target, edit: &Edit<'_>) -> String {
    format!(
        "{}{}{}edited \"$file\" > \"$stage\"\n{CHECK}{REPLACE}",
        names(target),
        edit.function("edited"),
        edit.others()
    )
}

/// The script that takes `edit` back: when the file is exactly what the edit made of the backup, the backup's bytes
/// return; when somebody has changed it since, `undo` edits what is there.
#[must_use]
pub fn restore_script(target: &Target, edit: &Edit<'_>, undo: &Edit<'_>) -> String {
    format!(
        "{}{}{}{}{RESTORE}{REPLACE}",
        names(target),
        edit.function("edited"),
        undo.function("undone"),
        undo.others()
    )
}

fn names(target: &Target) -> String {
    format!(
        "file=$(realpath {})\nexpected={}\nbackup=\"$file.jailferry-{run}\"\nstage=\"${{file%/*}}/.${{file##*/}}.jailferry-{run}\"\ntrap 'rm -f \"$stage\"' EXIT\n# the stage inherits mode and owner\ncp -p \"$file\" \"$stage\"\nnow=$(sha256 -q \"$file\")\n",
        shell::word(target.path.as_str()),
        shell::word(&target.sha256),
        run = target.run,
    )
}

/// Already so: the sum is the answer. Another file than the plan knows: refuse, unless this run itself has edited it
/// since; then its backup is the file that the plan knows.
const CHECK: &str = r#"if cmp -s "$stage" "$file"; then echo "$now"; exit 0; fi
known=$now
if [ -e "$backup" ]; then known=$(sha256 -q "$backup"); fi
if [ "$now" != "$expected" ] && [ "$known" != "$expected" ]; then echo "$file has changed since the plan was made: what this step was to write into it is to be written by hand (AllowedIPs: what wg show tells now, if it was proven)" >&2; exit 20; fi
"#;

/// Back to the backup's bytes, or, when others have edited since, back by entries.
const RESTORE: &str = r#"if [ -e "$backup" ] && edited "$backup" > "$stage" && cmp -s "$stage" "$file"; then
	cat "$backup" > "$stage"
else
	undone "$file" > "$stage"
fi
if cmp -s "$stage" "$file"; then echo "$now"; exit 0; fi
"#;

/// Replaces the file by the stage, in one rename on the same file system.
const REPLACE: &str = r#"if [ "$(others "$stage")" != "$(others "$file")" ]; then echo "$file: more than meant would change" >&2; exit 21; fi
new=$(sha256 -q "$stage")
[ -e "$backup" ] || { cp -p "$file" "$backup"; fsync "$backup"; }
fsync "$stage"
if [ "$(sha256 -q "$file")" != "$now" ]; then echo "$file is being changed by somebody else" >&2; exit 20; fi
mv -f "$stage" "$file"
fsync "${file%/*}"
if [ "$(sha256 -q "$file")" != "$new" ]; then echo "$file does not read back" >&2; exit 21; fi
echo "$new"
"#;
