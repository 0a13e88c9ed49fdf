//! Directory trees: copy, link, compare, make equal.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

/// The type bits of a mode.
const TYPE: u32 = libc::S_IFMT;

/// What a stream says about a file, apart from its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds, nanoseconds.
    pub mtime: (i64, i64),
    /// Bytes of a regular file, otherwise 0.
    pub size: u64,
    /// Device number of a device node, otherwise 0.
    pub rdev: u64,
    /// Target of a symbolic link.
    pub target: Option<PathBuf>,
    /// The inode, which only tells whether two snapshots share a file.
    #[serde(skip)]
    pub ino: u64,
}

impl Meta {
    /// Reads it, without following a symbolic link.
    pub fn of(path: &Path) -> io::Result<Meta> {
        let meta = fs::symlink_metadata(path)?;
        let kind = meta.mode() & TYPE;
        Ok(Meta {
            mode: meta.mode(),
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            size: if kind == libc::S_IFREG { meta.size() } else { 0 },
            rdev: if kind == libc::S_IFCHR || kind == libc::S_IFBLK { meta.rdev() } else { 0 },
            target: (kind == libc::S_IFLNK).then(|| fs::read_link(path)).transpose()?,
            ino: meta.ino(),
        })
    }

    /// Like [`Meta::of`]; nothing there is `None`.
    pub fn find(path: &Path) -> io::Result<Option<Meta>> {
        match Meta::of(path) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if nothing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A directory?
    pub fn is_dir(&self) -> bool {
        self.mode & TYPE == libc::S_IFDIR
    }

    /// A regular file?
    pub fn is_file(&self) -> bool {
        self.mode & TYPE == libc::S_IFREG
    }

    /// Everything but the content is the same.
    pub fn same(&self, other: &Meta) -> bool {
        Meta { ino: 0, ..self.clone() } == Meta { ino: 0, ..other.clone() }
    }

    /// Bytes on the emulated disk: blocks of 4 KiB.
    pub fn space(&self) -> u64 {
        self.size.div_ceil(4096) * 4096
    }
}

/// Nothing is there, or something else is where a directory would have to be.
fn nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The names in a directory, sorted; none when it is not there.
pub fn names(dir: &Path) -> io::Result<Vec<OsString>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if nothing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The names in either directory, sorted.
pub fn union(a: &Path, b: &Path) -> io::Result<BTreeSet<OsString>> {
    Ok(names(a)?.into_iter().chain(names(b)?).collect())
}

/// Bytes of all files below.
pub fn space(dir: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for name in names(dir)? {
        let path = dir.join(name);
        // A live tree may lose a file while it is counted.
        let Some(meta) = Meta::find(&path)? else {
            continue;
        };
        sum += if meta.is_dir() { space(&path)? } else { meta.space() };
    }
    Ok(sum)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Sets owner, permissions and time as in `meta`.
pub fn apply(path: &Path, meta: &Meta) -> io::Result<()> {
    let link = meta.target.is_some();
    std::os::unix::fs::lchown(path, Some(meta.uid), Some(meta.gid))?;
    if !link {
        fs::set_permissions(path, fs::Permissions::from_mode(meta.mode & 0o7777))?;
    }
    let times = [
        libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT },
        libc::timespec { tv_sec: meta.mtime.0, tv_nsec: meta.mtime.1 },
    ];
    let name = c_path(path)?;
    // SAFETY: the path is a valid C string and `times` has the two elements that utimensat(2) reads.
    let status = unsafe { libc::utimensat(libc::AT_FDCWD, name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes anything but a regular file's content: an empty directory, a link, a node.
pub fn make(path: &Path, meta: &Meta) -> io::Result<()> {
    if meta.is_dir() {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => return Ok(()),
        }
    }
    remove(path)?;
    if let Some(target) = &meta.target {
        return symlink(target, path);
    }
    let name = c_path(path)?;
    // SAFETY: the path is a valid C string.
    let status = unsafe { libc::mknod(name.as_ptr(), meta.mode, meta.rdev) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Copies one thing that is no directory, in place of whatever is there.
pub fn copy(from: &Path, to: &Path, meta: &Meta) -> io::Result<()> {
    remove(to)?;
    if meta.is_file() {
        // std's copy tries copy_file_range(2), which shares blocks where the file system can.
        fs::copy(from, to)?;
    } else {
        make(to, meta)?;
    }
    apply(to, meta)
}

/// Removes a file or a whole tree; nothing there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether two regular files have the same content.
pub fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (vec![0; 1 << 17], vec![0; 1 << 17]);
    loop {
        let read = fill(&mut a, &mut left)?;
        if fill(&mut b, &mut right)? != read || left[..read] != right[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
pub fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Takes a snapshot of a live tree. Files equal to those of the previous snapshot are linked to them, the others copied: neither shares anything with the live tree.
/// Another pass follows while something changed under it, so that the copy is of one moment.
pub fn snapshot(live: &Path, previous: Option<&Path>, to: &Path) -> io::Result<()> {
    const PASSES: usize = 5;
    for _ in 0..PASSES {
        if !pass(live, previous, to)? {
            return Ok(());
        }
    }
    Ok(())
}

/// One pass of [`snapshot`]: whether anything had to be written.
fn pass(live: &Path, previous: Option<&Path>, to: &Path) -> io::Result<bool> {
    let mut wrote = false;
    if Meta::find(to)?.is_none() {
        fs::create_dir(to)?;
        wrote = true;
    }
    for name in union(live, to)? {
        let (source, target) = (live.join(&name), to.join(&name));
        let before = previous.map(|previous| previous.join(&name));
        let (Some(meta), have) = (Meta::find(&source)?, Meta::find(&target)?) else {
            remove(&target)?;
            wrote = true;
            continue;
        };
        if meta.is_dir() {
            if have.is_some_and(|have| !have.is_dir()) {
                remove(&target)?;
            }
            wrote |= pass(&source, before.as_deref(), &target)?;
        } else if !have.is_some_and(|have| have.same(&meta)) {
            wrote = true;
            match take(&source, before.as_deref(), &target, &meta) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    let meta = Meta::of(live)?;
    if !Meta::of(to)?.same(&meta) {
        apply(to, &meta)?;
    }
    Ok(wrote)
}

fn take(source: &Path, before: Option<&Path>, target: &Path, meta: &Meta) -> io::Result<()> {
    if let Some(before) = before
        && let Some(old) = Meta::find(before)?
        && old.same(meta)
        && (!meta.is_file() || same_content(source, before)?)
    {
        remove(target)?;
        return fs::hard_link(before, target);
    }
    copy(source, target, meta)
}

/// A tree of hard links to another, for trees that are never written in place.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for name in names(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        if Meta::of(&source)?.is_dir() {
            link(&source, &target)?;
        } else {
            fs::hard_link(&source, &target)?;
        }
    }
    apply(to, &Meta::of(from)?)
}

/// Makes the tree `to` equal to `from`, in place. With `base`, `to` is known to equal it, and what `from` shares with `base` needs no second look.
pub fn sync(from: &Path, to: &Path, base: Option<&Path>) -> io::Result<()> {
    if Meta::find(to)?.is_none() {
        fs::create_dir_all(to)?;
    }
    for name in union(from, to)? {
        let (source, target) = (from.join(&name), to.join(&name));
        let below = base.map(|base| base.join(&name));
        let (Some(want), have) = (Meta::find(&source)?, Meta::find(&target)?) else {
            remove(&target)?;
            continue;
        };
        if want.is_dir() {
            if have.is_some_and(|have| !have.is_dir()) {
                remove(&target)?;
            }
            sync(&source, &target, below.as_deref())?;
            continue;
        }
        let equal = match have {
            Some(have) if have.same(&want) => match &below {
                Some(below) => Meta::find(below)?.is_some_and(|old| old.ino == want.ino),
                None => !want.is_file() || same_content(&source, &target)?,
            },
            _ => false,
        };
        if !equal {
            copy(&source, &target, &want)?;
        }
    }
    let want = Meta::of(from)?;
    if !Meta::of(to)?.same(&want) {
        apply(to, &want)?;
    }
    Ok(())
}
