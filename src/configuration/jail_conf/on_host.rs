//! Edits a jail's configuration on its host, by the bytes that change: compare-and-swap, the mode and owner it had, one
//! rename (contract 6.3).

use crate::configuration::jail_conf::place::Edit;
use crate::effect::shell;
use crate::model::RemotePath;

/// The script that replaces those bytes of `path` (a link is followed), which had SHA-256 `before` and will have `after`.
/// Exit 20: it is not the file that the plan knows; 21: what came out is not what was meant, and the file is as it was.
///
/// dd(1) takes the pieces, since head(1) and a pipe would lose the failure of what is before it.
#[must_use]
pub fn edit_script(path: &RemotePath, before: &str, after: &str, edits: &[Edit]) -> String {
    let mut pieces = String::new();
    let mut at = 0;
    for edit in edits {
        let count = edit.range.start.saturating_sub(at);
        if count > 0 {
            pieces.push_str(&format!("\tdd if=\"$file\" bs=1 skip={at} count={count} 2>/dev/null\n"));
        }
        if !edit.new.is_empty() {
            pieces.push_str(&format!("\tprintf %s {}\n", shell::word(&edit.new)));
        }
        at = edit.range.end;
    }
    pieces.push_str(&format!("\tdd if=\"$file\" bs=1 skip={at} 2>/dev/null\n"));
    format!(
        r#"file=$(realpath {path})
stage="${{file%/*}}/.${{file##*/}}.jailferry-stage"
now=$(sha256 -q "$file")
[ "$now" != {after} ] || exit 0
[ "$now" = {before} ] || {{ echo '{path} has changed since the plan was made' >&2; exit 20; }}
trap 'rm -f "$stage"' EXIT
# the stage inherits mode and owner
cp -p "$file" "$stage"
{{
{pieces}}} > "$stage"
[ "$(sha256 -q "$stage")" = {after} ] || {{ echo 'the new text of {path} is not what was meant' >&2; exit 21; }}
fsync "$stage"
mv -f "$stage" "$file"
fsync "${{file%/*}}""#
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::configuration::jail_conf::rewrite::apply;
    use crate::configuration::sh;
    use crate::effect::commands::sha256;

    #[test]
    fn only_those_bytes_change_and_only_in_the_file_that_the_plan_knows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("real.conf");
        let link = folder.path().join("sib.conf");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let path = RemotePath::new(link.display().to_string()).unwrap();
        let old = "ü sib {\n\tpersist; # it's 'mine'\n}\nno newline at the end";
        let edits = [
            Edit { range: 0..3, new: String::new() },
            Edit { range: 9..9, new: "\tvnet; # \"$x\" it's\n".into() },
            Edit { range: old.len()..old.len(), new: "\n".into() },
        ];
        let new = apply(old, edits.to_vec());
        let script = edit_script(&path, &sha256(old), &sha256(&new), &edits);
        fs::write(&file, old).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        for _ in 0..2 {
            let ran = sh::run(folder.path(), &script);
            assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
            assert_eq!(fs::read_to_string(&file).unwrap(), new);
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
            assert!(link.is_symlink(), "the link is still one");
        }
        fs::write(&file, "other").unwrap();
        assert_eq!(sh::run(folder.path(), &script).status, 20);
        fs::write(&file, old).unwrap();
        let wrong = edit_script(&path, &sha256(old), &sha256("x"), &edits);
        assert_eq!(sh::run(folder.path(), &wrong).status, 21);
        assert_eq!(fs::read_to_string(&file).unwrap(), old);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
}
