//! fstab(5) of a jail (`mount.fstab`) as jail(8) reads it, which mounts every line (usr.sbin/jail/config.c and command.c):
//! what it mounts, and the same below another root.

use std::ops::Range;

use crate::configuration::jail_conf::Change;
use crate::model::RemotePath;

/// One line that mounts something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Line, from 1.
    pub line: usize,
    /// Device, dataset or directory (fs_spec), escapes resolved.
    pub source: String,
    /// Mount point (fs_file), escapes resolved.
    pub target: String,
    /// File system type: nullfs, tmpfs, zfs …
    pub kind: String,
    /// Options: ro, size=1m …; may be none.
    pub options: Vec<String>,
}

impl Mount {
    /// Does it show a directory of the host that can be written to by it (mount_nullfs(8), mount_unionfs(8))?
    #[must_use]
    pub fn writes_to_the_host(&self) -> bool {
        let has = |option: &str| self.options.iter().any(|o| o == option);
        let readonly = has("ro") || has("rdonly");
        match self.kind.as_str() {
            "nullfs" => !readonly,
            // With `below` what is written goes to the mount point.
            "unionfs" => !readonly && !has("below"),
            _ => false,
        }
    }

    /// Does it show a directory of the host?
    #[must_use]
    pub fn shows_a_directory(&self) -> bool {
        matches!(self.kind.as_str(), "nullfs" | "unionfs")
    }
}

/// A line that jail(8) would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: a mount needs a source, a mount point and a type")]
pub struct InvalidMount {
    /// Line, from 1.
    pub line: usize,
}

/// What the file mounts, in order.
///
/// # Errors
/// [`InvalidMount`] for a line with too few fields.
pub fn mounts(text: &str) -> Result<Vec<Mount>, InvalidMount> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fields: Vec<String> = fields(line).into_iter().filter_map(|r| line.get(r)).map(unvis).collect();
        match fields.as_slice() {
            [] => {}
            [source, target, kind, options @ ..] => found.push(Mount {
                line: number + 1,
                source: source.clone(),
                target: target.clone(),
                kind: kind.clone(),
                options: options.first().map(|o| o.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            }),
            _ => return Err(InvalidMount { line: number + 1 }),
        }
    }
    Ok(found)
}

/// The text with mount points and sources at or below `from` moved to `to`; every other byte stays.
#[must_use]
pub fn rewrite(text: &str, from: &RemotePath, to: &RemotePath) -> (String, Vec<Change>) {
    let mut result = String::with_capacity(text.len());
    let mut changes = Vec::new();
    for (number, whole) in text.split_inclusive('\n').enumerate() {
        let line = whole.trim_end_matches(['\n', '\r']);
        let mut new = line.to_owned();
        // From the right, so that the ranges on the left stay true.
        for range in fields(line).into_iter().take(2).rev() {
            if let Some(rest) = line.get(range.clone()).and_then(|field| below(field, from.as_str())) {
                new.replace_range(range, &format!("{}{rest}", to.as_str().trim_end_matches('/')));
            }
        }
        if new != line {
            changes.push(Change { line: number + 1, before: Some(line.to_owned()), after: new.clone() });
        }
        result.push_str(&new);
        result.push_str(whole.get(line.len()..).unwrap_or_default());
    }
    (result, changes)
}

/// What follows `root` in `path`, when it is `root` or below it.
fn below<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    path.strip_prefix(root.trim_end_matches('/')).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The fields of a line up to a comment, which jail(8) sees in every '#'.
fn fields(line: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    for (at, c) in line.char_indices() {
        if c == '#' {
            break;
        } else if " \t\r".contains(c) {
            open = false;
        } else if let Some(last) = found.last_mut().filter(|_| open) {
            last.end = at + c.len_utf8();
        } else {
            found.push(at..at + c.len_utf8());
            open = true;
        }
    }
    found
}

/// Octal escapes such as `\040` for a blank (strunvis(3)).
fn unvis(field: &str) -> String {
    let mut result = String::new();
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        result.push_str(before);
        let code = escape.get(1..4).filter(|d| d.bytes().all(|b| (b'0'..=b'7').contains(&b)));
        match code.and_then(|d| u8::from_str_radix(d, 8).ok()).filter(u8::is_ascii) {
            Some(byte) => {
                result.push(char::from(byte));
                rest = escape.get(4..).unwrap_or_default();
            }
            None => {
                result.push('\\');
                rest = escape.get(1..).unwrap_or_default();
            }
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "# Device\tMountpoint\n/bin\t/usr/jails/web/bin  nullfs ro 0 0\r\n\n/usr/my\\040ports /usr/jails/web/ports nullfs ro,noauto 0 0\n/usr/jails/web/a /usr/jails/web/b nullfs rw 0 0\n tmpfs /usr/jails/web2/tmp tmpfs rw,size=1m";

    fn path(text: &str) -> RemotePath {
        RemotePath::new(text).unwrap()
    }

    #[test]
    fn mounts_are_read_with_their_escapes() {
        let mounts = mounts(TEXT).unwrap();
        assert_eq!(mounts.iter().map(|m| m.line).collect::<Vec<_>>(), [2, 4, 5, 6]);
        assert_eq!(mounts.get(1).map(|m| m.source.as_str()), Some("/usr/my ports"));
        assert_eq!(super::mounts("/bin /x\n"), Err(InvalidMount { line: 1 }));
    }

    #[test]
    fn jail_8_needs_no_options_and_takes_every_hash_for_a_comment() {
        let mounts = mounts("/bin /x nullfs\n/a /b nullfs ro # 0 0\n /c#d\n# all\n").unwrap_err();
        assert_eq!(mounts, InvalidMount { line: 3 });
        let mounts = super::mounts("/bin /x nullfs\n/a /b nullfs ro#,rw 0 0\n").unwrap();
        assert_eq!(mounts.iter().map(|m| m.options.join(",")).collect::<Vec<_>>(), ["", "ro"]);
    }

    #[test]
    fn what_can_be_written_to_the_host() {
        let writes = |line: &str| mounts(line).unwrap().iter().all(Mount::writes_to_the_host);
        assert!(writes("/data /x nullfs") && writes("/data /x nullfs rw,noauto") && writes("/data /x unionfs rw"));
        assert!(!writes("/data /x nullfs ro") && !writes("/data /x nullfs noatime,rdonly 0 0"));
        assert!(!writes("/data /x unionfs below") && !writes("tmpfs /x tmpfs rw") && !writes("z/d /x zfs rw"));
    }

    #[test]
    fn only_paths_of_the_jail_move() {
        let (text, changes) = rewrite(TEXT, &path("/usr/jails/web"), &path("/jf/web"));
        assert_eq!(
            text,
            "# Device\tMountpoint\n/bin\t/jf/web/bin  nullfs ro 0 0\r\n\n/usr/my\\040ports /jf/web/ports nullfs ro,noauto 0 0\n/jf/web/a /jf/web/b nullfs rw 0 0\n tmpfs /usr/jails/web2/tmp tmpfs rw,size=1m"
        );
        assert_eq!(changes.iter().map(|c| c.line).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(rewrite(&text, &path("/jf/web"), &path("/usr/jails/web")).0, TEXT);
    }

    proptest! {
        #[test]
        fn nothing_else_changes(text in "[ #/a-c\\\\0-9\\t\\r\\n]{0,60}") {
            prop_assert_eq!(rewrite(&text, &path("/a"), &path("/a")).0, text.clone());
            let _ = mounts(&text);
            let there = rewrite(&text, &path("/a"), &path("/zz")).0;
            prop_assert_eq!(rewrite(&there, &path("/zz"), &path("/a")).0, text);
        }
    }
}
