//! pfctl(8)'s command line.

use std::sync::atomic::Ordering;

/// What was asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// `-a`.
    pub anchor: Option<String>,
    /// `-d`.
    pub disable: bool,
    /// `-e`.
    pub enable: bool,
    /// `-f`.
    pub file: Option<String>,
    /// `-F`.
    pub flush: Option<String>,
    /// `-k`, once or twice.
    pub kill: Vec<String>,
    /// `-M`.
    pub both_ways: bool,
    /// `-n`.
    pub check: bool,
    /// `-q`.
    pub quiet: bool,
    /// `-s`.
    pub show: Option<String>,
    /// `-t`.
    pub table: Option<String>,
    /// `-T`.
    pub table_verb: Option<String>,
    /// `-v`.
    pub verbose: bool,
    /// Addresses after the options.
    pub words: Vec<String>,
}

/// The usage text; exit status 1.
pub fn usage() -> i32 {
    eprintln!(
        "usage: pfctl [-AdeghMmNnOPqRrvz] [-a anchor] [-D macro=value] [-F modifier]\n\t[-f file] [-i interface] [-K host | network]\n\t[-k host | network | gateway | label | id] [-o level] [-p device]\n\t[-s modifier] [-t table -T command [address ...]] [-x level]"
    );
    1
}

/// A modifier may be shortened as long as it fits one.
fn full(list: &[&str], text: &str) -> Option<String> {
    list.iter().find(|known| !text.is_empty() && known.starts_with(text)).map(|known| known.to_string())
}

const SHOW: &[&str] = &[
    "nat",
    "queue",
    "rules",
    "Anchors",
    "Sources",
    "states",
    "info",
    "Interfaces",
    "labels",
    "timeouts",
    "memory",
    "Tables",
    "osfp",
    "Running",
    "all",
];
const FLUSH: &[&str] = &["nat", "queue", "rules", "Sources", "states", "info", "Tables", "osfp", "all"];
const TABLE: &[&str] = &["kill", "flush", "add", "delete", "load", "replace", "show", "test", "zero", "expire"];

/// Reads it; the error is the exit status.
pub fn read(args: &[String]) -> Result<Options, i32> {
    let mut options = Options::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some(letters) = arg.strip_prefix('-').filter(|l| !l.is_empty()) else {
            options.words.push(arg.clone());
            options.words.extend(rest.cloned());
            break;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'd' => options.disable = true,
                'e' => options.enable = true,
                'M' => options.both_ways = true,
                'n' => options.check = true,
                'q' => options.quiet = true,
                'v' => options.verbose = true,
                'P' => super::model::NUMERIC.store(true, Ordering::Relaxed),
                'g' | 'h' | 'm' | 'r' | 'z' | 'S' | 'A' | 'N' | 'R' | 'O' => {}
                'a' | 'f' | 'F' | 'k' | 'K' | 's' | 't' | 'T' | 'i' | 'D' | 'o' | 'p' | 'x' => {
                    let tail = &letters[at + 1..];
                    let value = if tail.is_empty() { rest.next().cloned() } else { Some(tail.to_string()) };
                    let value = value.ok_or_else(|| {
                        eprintln!("pfctl: option requires an argument -- {letter}");
                        usage()
                    })?;
                    take(&mut options, letter, value)?;
                    break;
                }
                _ => {
                    eprintln!("pfctl: illegal option -- {letter}");
                    return Err(usage());
                }
            }
        }
    }
    let nothing = !options.disable
        && !options.enable
        && options.file.is_none()
        && options.flush.is_none()
        && options.kill.is_empty()
        && options.show.is_none()
        && options.table_verb.is_none();
    if nothing || (options.table_verb.is_none() && !options.words.is_empty()) {
        return Err(usage());
    }
    Ok(options)
}

fn take(options: &mut Options, letter: char, value: String) -> Result<(), i32> {
    let modifier = |list: &[&str], kind: &str| {
        full(list, &value).ok_or_else(|| {
            eprintln!("pfctl: Unknown {kind} modifier '{value}'");
            usage()
        })
    };
    match letter {
        'a' => options.anchor = Some(value),
        'f' => options.file = Some(value),
        'F' => options.flush = Some(modifier(FLUSH, "flush")?),
        'k' => options.kill.push(value),
        's' => options.show = Some(modifier(SHOW, "show")?),
        't' => options.table = Some(value),
        'T' => options.table_verb = Some(modifier(TABLE, "table command")?),
        _ => {}
    }
    Ok(())
}
