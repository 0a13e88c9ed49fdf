//! mtree(8), as far as it writes a specification: `-c` (contrib/mtree/create.c and spec.c, vispath()).

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use sha2::Digest;
use sha2::Sha256;

use super::getopt::getopt;
use crate::context::Context;

/// What 13.2 has beside what is emulated: `-c` with `-K`, `-k`, `-n`, `-p`, `-P`, `-R` and `-x`.
const OPTIONS: &str = "bcCdDeE:f:F:I:ijk:K:lLmMnN:O:p:PqrR:s:StTuUwWxX:";

const USAGE: &str = "usage: mtree [-bCcDdejLlMnPqrSStTuUwWx] [-i|-m] [-E tags]\n\t\t[-F flavor] [-f spec] [-f spec]\n\t\t[-I tags] [-K keywords] [-k keywords] [-N dbdir] [-O onlyfile] [-p path]\n\t\t[-R keywords] [-s seed] [-X exclude-file]";

/// Keywords and what they are called in the output (misc.c, keylist; those of which FreeBSD has two names).
const KEYWORDS: &[(&str, &str)] = &[
    ("device", "device"),
    ("flags", "flags"),
    ("gid", "gid"),
    ("link", "link"),
    ("mode", "mode"),
    ("nlink", "nlink"),
    ("sha256", "sha256digest"),
    ("sha256digest", "sha256digest"),
    ("size", "size"),
    ("time", "time"),
    ("type", "type"),
    ("uid", "uid"),
];

/// Without -k.
const DEFAULT: &[&str] = &["flags", "gid", "link", "mode", "nlink", "size", "time", "type", "uid"];

const INDENT: usize = 15;
const WIDTH: usize = 80;

/// mtree(8).
pub fn mtree(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("mtree", OPTIONS, args).filter(|options| options.operands.is_empty()) else {
        eprintln!("{USAGE}");
        return 1;
    };
    if let Some((other, _)) = options.given.iter().find(|(letter, _)| !"ckKRnpPx".contains(*letter)) {
        eprintln!("mtree: -{other} is not emulated");
        return 1;
    }
    if !options.has('c') || !options.has('n') {
        eprintln!("mtree: only -c with -n is emulated");
        return 1;
    }
    let keys = match keys(&options.given) {
        Ok(keys) => keys,
        Err(error) => {
            eprintln!("mtree: {error}");
            return 1;
        }
    };
    let top = PathBuf::from(options.value('p').unwrap_or("."));
    let mut out = io::BufWriter::new(io::stdout());
    let written = specification(&top, keys, options.has('x'), &mut out);
    let flushed = out.flush();
    match written.and_then(|()| flushed.map_err(|e| super::reason(&e))) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("mtree: {error}");
            1
        }
    }
}

fn keys(given: &[(char, Option<String>)]) -> Result<Vec<&'static str>, String> {
    let mut keys = DEFAULT.to_vec();
    for (letter, value) in given {
        let words = value.as_deref().unwrap_or_default().split([' ', '\t', ',']).filter(|word| !word.is_empty());
        if *letter == 'k' {
            keys = vec!["type"];
        }
        if !['k', 'K', 'R'].contains(letter) {
            continue;
        }
        for word in words {
            let found = KEYWORDS.iter().find(|(name, _)| *name == word).map(|(_, key)| *key);
            let key = found.ok_or_else(|| format!("unknown keyword {word}"))?;
            keys.retain(|known| *known != key);
            if *letter != 'R' {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// Writes the specification of what is below `top`. The error is what stands behind `mtree: `.
fn specification(top: &Path, keys: Vec<&'static str>, one_device: bool, out: &mut dyn Write) -> Result<(), String> {
    let meta = fs::symlink_metadata(top).map_err(|error| format!("{}: {}", top.display(), super::reason(&error)))?;
    let mut walk = Walk { keys, device: one_device.then_some(meta.dev()), set: Set::default(), first: true, out };
    walk.folder(top, b".", &meta, true)
}

/// The values of the last `/set`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Set {
    uid: u32,
    gid: u32,
    mode: u32,
}

struct Walk<'a> {
    keys: Vec<&'static str>,
    device: Option<u64>,
    set: Set,
    first: bool,
    out: &'a mut dyn Write,
}

struct Child {
    name: Vec<u8>,
    path: PathBuf,
    meta: Metadata,
}

impl Walk<'_> {
    fn has(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }

    fn put(&mut self, text: &str) -> Result<(), String> {
        self.out.write_all(text.as_bytes()).map_err(|error| super::reason(&error))
    }

    fn folder(&mut self, path: &Path, name: &[u8], meta: &Metadata, top: bool) -> Result<(), String> {
        self.put("\n")?;
        let children = children(path)?;
        let set = self.common(&children)?;
        self.put(&set)?;
        let line = self.entry(path, name, meta)?;
        self.put(&line)?;
        if self.device.is_none_or(|device| device == meta.dev()) {
            for child in &children {
                if child.meta.is_dir() {
                    self.folder(&child.path, &child.name, &child.meta, false)?;
                } else {
                    let line = self.entry(&child.path, &child.name, &child.meta)?;
                    self.put(&line)?;
                }
            }
        }
        if top { Ok(()) } else { self.put("..\n\n") }
    }

    /// statd(): a `/set` with what most children have, when it is another than the last one.
    fn common(&mut self, children: &[Child]) -> Result<String, String> {
        if children.is_empty() {
            return Ok(String::new());
        }
        let most = |of: &dyn Fn(&Metadata) -> u32, limit: u32, before: u32| {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            let (mut best, mut times) = (before, 0);
            for value in children.iter().map(|child| of(&child.meta)).filter(|value| *value < limit) {
                let count = counts.entry(value).or_default();
                *count += 1;
                if *count > times {
                    (best, times) = (value, *count);
                }
            }
            best
        };
        let now = Set {
            uid: most(&|m| m.uid(), 5000, self.set.uid),
            gid: most(&|m| m.gid(), 5000, self.set.gid),
            mode: most(&|m| m.mode() & 0o7777, 0o10000, self.set.mode),
        };
        let changed = self.has("uid") && now.uid != self.set.uid
            || self.has("gid") && now.gid != self.set.gid
            || self.has("mode") && now.mode != self.set.mode;
        if !changed && !self.first {
            return Ok(String::new());
        }
        (self.set, self.first) = (now, false);
        let mut line = "/set type=file".to_string();
        for (key, text) in [
            ("uid", format!(" uid={}", now.uid)),
            ("gid", format!(" gid={}", now.gid)),
            ("mode", format!(" mode={}", octal(now.mode))),
            ("nlink", " nlink=1".to_string()),
            // Linux has no such flags.
            ("flags", " flags=none".to_string()),
        ] {
            if self.has(key) {
                line += &text;
            }
        }
        Ok(line + "\n")
    }

    /// statf(): the line of an entry.
    fn entry(&self, path: &Path, name: &[u8], meta: &Metadata) -> Result<String, String> {
        let failed = |error: io::Error| format!("{}: {}", path.display(), super::reason(&error));
        let (file, kind) = (meta.is_file(), kind(meta));
        let mut line = format!("{}{}", if meta.is_dir() { "" } else { "    " }, vis(name));
        let mut offset = line.len();
        if offset > INDENT {
            offset = WIDTH;
        } else {
            line += &" ".repeat(INDENT - offset);
            offset = INDENT;
        }
        let mut words = Vec::new();
        if !file {
            words.push(format!("type={kind}"));
        }
        if self.has("uid") && meta.uid() != self.set.uid {
            words.push(format!("uid={}", meta.uid()));
        }
        if self.has("gid") && meta.gid() != self.set.gid {
            words.push(format!("gid={}", meta.gid()));
        }
        if self.has("mode") && meta.mode() & 0o7777 != self.set.mode {
            words.push(format!("mode={}", octal(meta.mode() & 0o7777)));
        }
        if self.has("device") && ["block", "char"].contains(&kind) {
            words.push(match meta.rdev() {
                0 => "device=0".to_string(),
                number => format!("device={number:#x}"),
            });
        }
        if self.has("nlink") && meta.nlink() != 1 {
            words.push(format!("nlink={}", meta.nlink()));
        }
        if self.has("size") && file {
            words.push(format!("size={}", meta.size()));
        }
        if self.has("time") {
            words.push(format!("time={}.{:09}", meta.mtime(), meta.mtime_nsec()));
        }
        if self.has("sha256digest") && file {
            words.push(format!("sha256digest={}", sha256(path).map_err(failed)?));
        }
        if self.has("link") && meta.is_symlink() {
            let target = fs::read_link(path).map_err(failed)?;
            words.push(format!("link={}", vis(target.as_os_str().as_bytes())));
        }
        for word in words {
            // output(): it never breaks a word, and a line that is too long before its first word begins with a break.
            if offset + word.len() > WIDTH - 3 {
                line += &format!(" \\\n{}", " ".repeat(INDENT));
                offset = INDENT;
            }
            line += &format!(" {word}");
            offset += word.len() + 2;
        }
        Ok(line + "\n")
    }
}

/// dcmp(): directories behind everything else, otherwise by bytes.
fn children(dir: &Path) -> Result<Vec<Child>, String> {
    let failed = |error: io::Error| format!("{}: {}", dir.display(), super::reason(&error));
    let mut children = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let meta = fs::symlink_metadata(entry.path()).map_err(failed)?;
        children.push(Child { name: entry.file_name().as_bytes().to_vec(), path: entry.path(), meta });
    }
    children.sort_by(|a, b| (a.meta.is_dir(), &a.name).cmp(&(b.meta.is_dir(), &b.name)));
    Ok(children)
}

fn kind(meta: &Metadata) -> &'static str {
    match meta.mode() & libc::S_IFMT {
        libc::S_IFDIR => "dir",
        libc::S_IFLNK => "link",
        libc::S_IFIFO => "fifo",
        libc::S_IFSOCK => "socket",
        libc::S_IFCHR => "char",
        libc::S_IFBLK => "block",
        _ => "file",
    }
}

/// `%#o`
fn octal(mode: u32) -> String {
    if mode == 0 { "0".into() } else { format!("0{mode:o}") }
}

/// strsvis(3) with VIS_OCTAL in the C locale.
fn vis(text: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\\#*?[".contains(&byte);
    text.iter().map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("\\{byte:03o}") }).collect()
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn keyed(words: &str) -> Vec<&'static str> {
        keys(&[('k', Some(words.to_string()))]).unwrap()
    }

    /// The form is that of create.c; `U` and `G` stand for who runs the test.
    #[test]
    fn a_specification_has_the_form_of_freebsds() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        fs::create_dir_all(top.join("dir/empty")).unwrap();
        for (name, text) in [("b", "abc"), ("a b", ""), ("dir/x#1\n", "abc"), ("a-name-of-many-letters", "abc")] {
            fs::write(top.join(name), text).unwrap();
            fs::set_permissions(top.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        for name in ["", "dir", "dir/empty"] {
            fs::set_permissions(top.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink("to here", top.join("link")).unwrap();
        let mut out = Vec::new();
        specification(top, keyed("type,mode,size,link,flags,sha256digest"), true, &mut out).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected = format!(
            "
/set type=file mode=0644 flags=none
.               type=dir mode=0755
    a\\040b      size=0 \\
                sha256digest={nothing}
    a-name-of-many-letters \\
                size=3 \\
                sha256digest={abc}
    b           size=3 \\
                sha256digest={abc}
    link        type=link mode=0777 link=to\\040here

dir             type=dir mode=0755
    x\\0431\\012  size=3 \\
                sha256digest={abc}

empty           type=dir mode=0755
..

..

"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn keywords_are_added_and_taken_away_as_there() {
        assert_eq!(keyed("uid, sha256"), ["type", "uid", "sha256digest"]);
        let given = [('K', Some("sha256digest".to_string())), ('R', Some("time,nlink".to_string()))];
        assert!(!keys(&given).unwrap().contains(&"time") && keys(&given).unwrap().contains(&"sha256digest"));
        assert_eq!(keys(&[('k', Some("sha3".into()))]), Err("unknown keyword sha3".into()));
    }
}
