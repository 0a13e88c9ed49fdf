//! Debian's tools whose FreeBSD form is the same, at least but for options: an option that FreeBSD 13.2 does not have is refused, as it would be there.
//!
//! The log has them, and faults strike them, like every other command; but they become Debian's program, so the log does not have their exit status.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::context::Context;
use crate::net::tool;

/// One tool.
pub struct Plain {
    /// Its name.
    pub name: &'static str,
    /// Its folder on FreeBSD.
    pub dir: &'static str,
    /// FreeBSD's getopt(3) string (the SYNOPSIS of its manual page in section 1 or 8).
    options: &'static str,
    /// Long options that FreeBSD has as well; of any other tool, it has none.
    long: &'static [&'static str],
    /// The exit status of wrong usage.
    wrong: i32,
}

const fn plain(name: &'static str, dir: &'static str, options: &'static str) -> Plain {
    Plain { name, dir, options, long: &[], wrong: 1 }
}

const fn grep(name: &'static str) -> Plain {
    const LONG: &[&str] = &[
        "after-context",
        "before-context",
        "binary-files",
        "byte-offset",
        "color",
        "colour",
        "context",
        "count",
        "devices",
        "directories",
        "exclude",
        "exclude-dir",
        "extended-regexp",
        "file",
        "files-with-matches",
        "files-without-match",
        "fixed-strings",
        "help",
        "ignore-case",
        "include",
        "include-dir",
        "initial-tab",
        "invert-match",
        "label",
        "line-buffered",
        "line-number",
        "line-regexp",
        "max-count",
        "no-filename",
        "no-messages",
        "null",
        "null-data",
        "only-matching",
        "quiet",
        "recursive",
        "regexp",
        "silent",
        "text",
        "version",
        "with-filename",
        "word-regexp",
    ];
    Plain {
        name,
        dir: "/usr/bin",
        options: "0123456789A:B:C:D:EFGHILORSUVabcd:e:f:hilm:nopqrsuvwxyz",
        long: LONG,
        wrong: 2,
    }
}

/// The tools whose options are checked: those that scripts use.
pub const TOOLS: &[Plain] = &[
    plain("chmod", "/bin", "HLPRfhv"),
    plain("chown", "/usr/sbin", "HLPRfhvx"),
    plain("cp", "/bin", "HLPRafilnprsvx"),
    plain("cut", "/usr/bin", "b:c:d:f:nsw"),
    plain("df", "/bin", "abcgHhiklmnPTt:"),
    plain("du", "/usr/bin", "0AB:HI:LPacd:ghklmnrst:x"),
    grep("egrep"),
    grep("fgrep"),
    grep("grep"),
    plain("find", "/usr/bin", "EHLPXdf:sx"),
    plain("head", "/usr/bin", "0123456789n:c:q"),
    plain("id", "/usr/bin", "AGMPRacdfginpru"),
    plain("ln", "/bin", "FLPfhinsvw"),
    plain("ls", "/bin", "1ABCD:FGHILPRSTUWZabcdfghiklmnopqrstuwxy,"),
    plain("mkdir", "/bin", "m:pv"),
    plain("mv", "/bin", "fhinv"),
    plain("readlink", "/usr/bin", "fn"),
    plain("rm", "/bin", "IPRWdfirvx"),
    plain("tail", "/usr/bin", "0123456789Fb:c:fn:qr"),
    plain("touch", "/usr/bin", "A:acd:fhmr:t:"),
    plain("tr", "/usr/bin", "Ccdsu"),
    plain("wc", "/usr/bin", "Lclmw"),
    plain("xargs", "/usr/bin", "0E:I:J:L:n:oP:pR:rS:s:tx"),
];

/// Primaries of GNU find that FreeBSD 13.2 has not.
const NOT_FOUND: &[&str] = &[
    "-executable",
    "-fls",
    "-fprint",
    "-fprint0",
    "-fprintf",
    "-printf",
    "-readable",
    "-regextype",
    "-used",
    "-writable",
    "-xtype",
];

/// Where a host has links to the programs of Debian that pass as they are, by FreeBSD's names: FreeBSD's folders have links to this program, which logs and then becomes them.
pub const AS_THEY_ARE: &str = "real";

/// What stands behind a name.
pub enum Tool {
    /// Debian's program, once its options were looked at.
    Checked(&'static Plain),
    /// Debian's program as it is, at this path.
    AsItIs(PathBuf),
}

/// The tool with that name. What the lab emulates is none.
pub fn find(ctx: &Context, name: &str) -> Option<Tool> {
    if let Some(plain) = checked(name) {
        return Some(Tool::Checked(plain));
    }
    let real = ctx.state.join(AS_THEY_ARE).join(name);
    (!name.contains('/') && real.is_symlink()).then_some(Tool::AsItIs(real))
}

fn checked(name: &str) -> Option<&'static Plain> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// Becomes it; the exit status where it does not.
pub fn run(what: &Tool, name: &str, args: &[String]) -> i32 {
    let program = match what {
        Tool::Checked(plain) => {
            if let Err(text) = check(plain, args) {
                eprintln!("{name}: {text}");
                return plain.wrong;
            }
            match name {
                "ls" => return super::ls::run(args),
                "wc" => return super::wc::run(args),
                _ => tool(name),
            }
        }
        Tool::AsItIs(path) => path.clone(),
    };
    let error = Command::new(program).arg0(name).args(args).exec();
    eprintln!("{name}: {}", super::reason(&error));
    127
}

/// What FreeBSD would say against these arguments.
fn check(plain: &Plain, args: &[String]) -> Result<(), String> {
    if let Some(primary) = args.iter().find(|arg| plain.name == "find" && NOT_FOUND.contains(&arg.as_str())) {
        return Err(format!("{primary}: unknown primary or operator"));
    }
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let name = long.split('=').next().unwrap_or(long);
            if plain.long.contains(&name) {
                continue;
            }
            return Err("illegal option -- -".into());
        }
        let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) else { break };
        for (at, letter) in letters.char_indices() {
            let Some(known) = plain.options.find(letter).filter(|_| letter != ':') else {
                return Err(format!("illegal option -- {letter}"));
            };
            if plain.options[known + 1..].starts_with(':') {
                let attached = &letters[at + 1..];
                let value = if attached.is_empty() { rest.next().map(String::as_str) } else { Some(attached) };
                let Some(value) = value else { return Err(format!("option requires an argument -- {letter}")) };
                if plain.name == "head" && value.starts_with('-') {
                    return Err(format!("illegal {} count -- {value}", if letter == 'c' { "byte" } else { "line" }));
                }
                break;
            }
        }
    }
    // GNU find takes the current folder when none is named.
    if plain.name == "find" && rest.as_slice().is_empty() && args.iter().all(|arg| arg.starts_with('-')) {
        return Err("usage: find [-H | -L | -P] [-EXdsx] [-f path] path ... [expression]".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use super::checked;

    fn answer(line: &str) -> Option<String> {
        let mut words = line.split(' ').map(str::to_string);
        let plain = checked(&words.next().unwrap_or_default())?;
        check(plain, &words.collect::<Vec<_>>()).err()
    }

    #[test]
    fn what_only_gnu_has_is_refused() {
        for (line, text) in [
            ("grep -P x f", "illegal option -- P"),
            ("grep --perl-regexp x f", "illegal option -- -"),
            ("head -c -5 f", "illegal byte count -- -5"),
            ("head -n -1 f", "illegal line count -- -1"),
            ("find . -name x -printf %p", "-printf: unknown primary or operator"),
            ("find -name x", "illegal option -- n"),
            ("cp -r --preserve=all a b", "illegal option -- -"),
            ("cp -u a b", "illegal option -- u"),
            ("readlink -e x", "illegal option -- e"),
            ("ls --time-style=+%s", "illegal option -- -"),
            ("ln -sr a b", "illegal option -- r"),
            ("mv -T a b", "illegal option -- T"),
            ("xargs -d x echo", "illegal option -- d"),
            ("touch -d", "option requires an argument -- d"),
        ] {
            assert_eq!(answer(line).as_deref(), Some(text), "{line}");
        }
    }

    #[test]
    fn what_both_have_passes() {
        for line in [
            "grep -qE -- -x f",
            "grep -A3 -e x f",
            "grep --color=never x f",
            "head -5 f",
            "head -c 5 f",
            "cp -Rp -- a b",
            "find /etc -type f -name x -print0",
            "readlink -f x",
            "tail -n +2 f",
            "tail -1 f",
            "ln -sfh a b",
            "xargs -0 -n1 rm -f -- -P",
            "chmod -R u+w a",
            "chmod 600 a",
            "cut -d: -f1 f",
            "tr -d x",
            "ls -ld a",
            "rm -rf a",
        ] {
            assert_eq!(answer(line), None, "{line}");
        }
    }
}
