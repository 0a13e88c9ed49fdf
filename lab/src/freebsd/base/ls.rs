//! ls(1): Debian's, with FreeBSD's words for what is missing and FreeBSD's two blanks around owner and group (recordings `install-S`, `wg-interfaces`).

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;

use crate::net::tool;

/// Runs it on checked arguments.
pub fn run(args: &[String]) -> i32 {
    let options = || args.iter().take_while(|arg| *arg != "--" && arg.starts_with('-'));
    let long = options().any(|arg| arg.contains(['l', 'n', 'g', 'o']));
    let mut command = Command::new(tool("ls"));
    command.arg0("ls").args(args).stdin(Stdio::null()).stderr(Stdio::piped());
    if long {
        command.stdout(Stdio::piped());
    }
    let output = match command.spawn().and_then(std::process::Child::wait_with_output) {
        Ok(output) => output,
        Err(error) => {
            eprintln!("ls: {}", super::reason(&error));
            return 1;
        }
    };
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        eprintln!("{}", said(line));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let full = options().any(|arg| arg.contains('l')) && !options().any(|arg| arg.contains(['g', 'o', 'i', 's', 'Z']));
    if full {
        print!("{}", table(&text));
    } else {
        print!("{text}");
    }
    i32::from(!output.status.success())
}

/// `ls: cannot access 'X': reason` as FreeBSD says it.
fn said(line: &str) -> String {
    let quoted = line.split_once('\'').and_then(|(_, rest)| rest.rsplit_once("': "));
    match quoted {
        Some((name, reason)) if line.starts_with("ls: cannot ") => format!("ls: {name}: {reason}"),
        _ => line.to_string(),
    }
}

/// The lines of `ls -l`, columns aligned as FreeBSD does.
fn table(text: &str) -> String {
    let rows: Vec<Option<(Vec<&str>, &str)>> = text.lines().map(row).collect();
    let width = |column: usize| rows.iter().flatten().map(|(words, _)| words[column].len()).max().unwrap_or(0);
    let (links, owner, group, size) = (width(1), width(2), width(3), width(4));
    let mut out = String::new();
    for (line, row) in text.lines().zip(&rows) {
        match row {
            Some((words, rest)) => {
                out += &format!(
                    "{}  {:>links$} {:<owner$}  {:<group$}  {:>size$} {rest}\n",
                    words[0], words[1], words[2], words[3], words[4]
                );
            }
            None => out += &format!("{line}\n"),
        }
    }
    out
}

/// Mode, links, owner, group, size, and the rest with its blanks.
fn row(line: &str) -> Option<(Vec<&str>, &str)> {
    let mut words = Vec::new();
    let mut rest = line;
    for _ in 0..5 {
        let (word, more) = rest.trim_start().split_once(' ')?;
        words.push(word);
        rest = more;
    }
    let mode = words[0].len() >= 10 && words[1].bytes().all(|byte| byte.is_ascii_digit());
    mode.then_some((words, rest))
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_freebsd_prints() {
        let gnu =
            "total 4\n-rw------- 1 root wheel  294 Nov 22 21:12 a b\ndrwxr-xr-x 12 admin  admin 4096 Nov  2 21:12 d\n";
        let freebsd = "total 4\n-rw-------   1 root   wheel   294 Nov 22 21:12 a b\ndrwxr-xr-x  12 admin  admin  4096 Nov  2 21:12 d\n";
        assert_eq!(super::table(gnu), freebsd);
        let gnu = "ls: cannot access '/nope': No such file or directory";
        assert_eq!(super::said(gnu), "ls: /nope: No such file or directory");
    }
}
