//! `mount -p`: fstab(5) lines (sbin/mount/mount.c).

use crate::facts::Mount;

fn entry(row: &str) -> Option<Mount> {
    let mut words = row.split_whitespace().map(str::to_owned);
    Some(Mount { source: words.next()?, path: words.next()?, kind: words.next()?, options: words.next()? })
}

/// The mounts at or below `root`. Columns are apart by tabs and blanks; a path with blanks in it shows them as such in
/// this listing and is cut there.
#[must_use]
pub fn mounts_below(text: &str, root: &str) -> Vec<Mount> {
    let root = root.trim_end_matches('/');
    let within = |path: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    text.lines().filter_map(entry).filter(|m| within(&m.path)).collect()
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
}
