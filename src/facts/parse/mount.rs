//! fstab(5) lines: a jail's `mount.fstab`, and what `mount -p` prints (sbin/mount/mount.c).

use super::error::FactsError;
use super::error::line;
use crate::facts::Mount;

/// The entries of an fstab(5), without comments; `\\040` and its like become the characters they stand for.
///
/// # Errors
/// A line with fewer than four columns.
pub fn fstab(path: &str, text: &str) -> Result<Vec<Mount>, FactsError> {
    let mut found = Vec::new();
    for (index, row) in text.lines().enumerate() {
        if row.trim_start().starts_with('#') || row.trim().is_empty() {
            continue;
        }
        found.push(entry(row, unescape).ok_or_else(|| line(path, index, row, "fewer than four columns"))?);
    }
    Ok(found)
}

fn entry(row: &str, read: impl Fn(&str) -> String) -> Option<Mount> {
    let mut words = row.split_whitespace();
    let mut next = || words.next().map(&read);
    Some(Mount { source: next()?, path: next()?, kind: next()?, options: next()? })
}

/// strunvis(3) for the octal escapes that fstab(5) needs.
fn unescape(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = if *first == b'\\' { tail.get(..3).and_then(|d| std::str::from_utf8(d).ok()) } else { None };
        match octal.filter(|d| !d.starts_with('+')).and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The mounts at or below `root`. Columns are apart by tabs and blanks; a path with blanks in it shows them as such in
/// this listing and is cut there.
#[must_use]
pub fn mounts_below(text: &str, root: &str) -> Vec<Mount> {
    let root = root.trim_end_matches('/');
    let within = |path: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    text.lines().filter_map(|row| entry(row, str::to_owned)).filter(|m| within(&m.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    #[test]
    fn mounts_of_a_thin_jail() {
        let mounts = mounts_below(&stdout("mount-p"), "/usr/jails/web/");
        assert_eq!(mounts.len(), 11);
        assert_eq!((mounts[0].source.as_str(), mounts[0].kind.as_str()), ("zroot/jails/web", "zfs"));
        assert_eq!(mounts[0].options, "rw,nfsv4acls");
        assert_eq!(
            (mounts[9].source.as_str(), mounts[9].path.as_str(), mounts[9].kind.as_str()),
            ("/usr/libexec", "/usr/jails/web/usr/libexec", "nullfs")
        );
        assert_eq!(mounts[10].kind, "devfs");
        assert_eq!(mounts_below(&stdout("mount-p"), "/usr/jails/we"), []);
    }

    #[test]
    fn an_fstab_with_comments_and_escapes() {
        let text = "# thin\n/bin /j/web/bin nullfs ro 0 0\n\n/my\\040files\t/j/web/x\\9\tnullfs\trw,late\n";
        let found = fstab("/etc/jail.web.fstab", text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].source.as_str(), found[0].path.as_str(), found[0].options.as_str()),
            ("/bin", "/j/web/bin", "ro")
        );
        assert_eq!((found[1].source.as_str(), found[1].path.as_str()), ("/my files", "/j/web/x\\9"));
        let error = fstab("/etc/jail.web.fstab", "/bin /j/web/bin\n").unwrap_err();
        assert_eq!(error.to_string(), "/etc/jail.web.fstab, line 1: fewer than four columns: \"/bin /j/web/bin\"");
    }
}
