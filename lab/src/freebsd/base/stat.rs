//! stat(1) with `-f` (usr.bin/stat/stat.c); only the directives that scripts use.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;

use super::getopt::getopt;
use crate::context::Context;

/// stat(1).
pub fn stat(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("stat", "f:FHhlLnqrst:x", args) else {
        eprintln!("usage: stat [-FLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file ...]");
        return 1;
    };
    let format = options.value('f').unwrap_or("%d %i %Sp %l %Su %Sg %r %z \"%a\" \"%m\" \"%c\" \"%B\" %k %b %Xf %N");
    let mut status = 0;
    for file in &options.operands {
        let meta = if options.has('L') { fs::metadata(file) } else { fs::symlink_metadata(file) };
        match meta
            .map_err(|error| format!("{file}: stat: {}", super::reason(&error)))
            .and_then(|meta| render(format, file, &meta))
        {
            Ok(text) if options.has('n') => print!("{text}"),
            Ok(text) => println!("{text}"),
            Err(problem) => {
                if !options.has('q') {
                    eprintln!("stat: {problem}");
                }
                status = 1;
            }
        }
    }
    status
}

/// Directives are `%[size of field][F|S|O|X|U|D][H|M|L]letter`.
fn render(format: &str, file: &str, meta: &fs::Metadata) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(letter) = chars.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let (mut shape, mut part) = (None, None);
        loop {
            let letter = chars.next().ok_or("bad format")?;
            match letter {
                'S' | 'O' | 'X' | 'U' | 'D' | 'F' if shape.is_none() && part.is_none() => shape = Some(letter),
                'H' | 'M' | 'L' if part.is_none() => part = Some(letter),
                '0'..='9' | '-' | '+' | '#' | '.' | ' ' => {}
                _ => {
                    out += &field(letter, shape, part, file, meta)?;
                    break;
                }
            }
        }
    }
    Ok(out)
}

fn field(
    letter: char,
    shape: Option<char>,
    part: Option<char>,
    file: &str,
    meta: &fs::Metadata,
) -> Result<String, String> {
    let mode = meta.mode();
    let time = |seconds: i64, nanos: i64| {
        if shape == Some('F') { format!("{seconds}.{nanos:09}") } else { seconds.to_string() }
    };
    let text = match (letter, shape, part) {
        ('%', ..) => "%".into(),
        ('n', ..) => "\n".into(),
        ('t', ..) => "\t".into(),
        ('N', ..) => file.into(),
        ('p', Some('S'), _) => letters(meta),
        ('p', _, Some('L')) => format!("{:o}", mode & 0o777),
        ('p', _, Some('M')) => format!("{:o}", (mode >> 9) & 7),
        ('p', _, Some('H')) => format!("{:o}", mode >> 12),
        ('p', ..) => format!("{mode:o}"),
        ('u', Some('S'), _) => name_of("passwd", meta.uid()),
        ('g', Some('S'), _) => name_of("group", meta.gid()),
        ('u', ..) => meta.uid().to_string(),
        ('g', ..) => meta.gid().to_string(),
        ('z', ..) => meta.size().to_string(),
        ('i', ..) => meta.ino().to_string(),
        ('d', ..) => meta.dev().to_string(),
        ('l', ..) => meta.nlink().to_string(),
        ('r', ..) => meta.rdev().to_string(),
        ('b', ..) => meta.blocks().to_string(),
        ('k', ..) => meta.blksize().to_string(),
        ('m', ..) => time(meta.mtime(), meta.mtime_nsec()),
        ('a', ..) => time(meta.atime(), meta.atime_nsec()),
        ('c' | 'B', ..) => time(meta.ctime(), meta.ctime_nsec()),
        ('f', ..) => {
            if shape == Some('S') {
                "-".into()
            } else {
                "0".into()
            }
        }
        ('T', _, Some('H')) | ('H', ..) => kind(meta, true).into(),
        ('T', ..) => kind(meta, false).into(),
        ('Y', ..) => fs::read_link(file).map(|to| to.display().to_string()).unwrap_or_default(),
        (other, ..) => return Err(format!("bad format: %{other}")),
    };
    Ok(text)
}

fn letters(meta: &fs::Metadata) -> String {
    let mode = meta.mode();
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFCHR => 'c',
        libc::S_IFBLK => 'b',
        libc::S_IFIFO => 'p',
        libc::S_IFSOCK => 's',
        _ => '-',
    };
    let mut out = String::from(kind);
    for (shift, special, set, unset) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        out.push(if bits & 4 != 0 { 'r' } else { '-' });
        out.push(if bits & 2 != 0 { 'w' } else { '-' });
        out.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    out
}

fn kind(meta: &fs::Metadata, long: bool) -> &'static str {
    let kind = meta.file_type();
    match (kind.is_dir(), kind.is_symlink(), kind.is_socket()) {
        (true, ..) => {
            if long {
                "Directory"
            } else {
                "/"
            }
        }
        (_, true, _) => {
            if long {
                "Symbolic Link"
            } else {
                "@"
            }
        }
        (.., true) => {
            if long {
                "Socket"
            } else {
                "="
            }
        }
        _ => {
            if long {
                "Regular File"
            } else {
                ""
            }
        }
    }
}

fn name_of(table: &str, id: u32) -> String {
    let text = fs::read_to_string(format!("/etc/{table}")).unwrap_or_default();
    let wanted = id.to_string();
    text.lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == wanted).then(|| name.to_string())
        })
        .unwrap_or(wanted)
}
