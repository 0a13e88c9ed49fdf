//! sysrc(8) (contract 2.5, recordings `sysrc*`).

use std::fs;

use super::assign;
use super::assign::Assignment;
use crate::context::Context;

const DEFAULTS: &str = "/etc/defaults/rc.conf";

#[derive(Default)]
struct Options {
    files: Vec<String>,
    check: bool,
    value_only: bool,
    key_only: bool,
    delete: bool,
    all: bool,
    all_with_defaults: bool,
    as_conf: bool,
    ignore_unknown: bool,
    quiet: bool,
    file_names: bool,
}

fn usage() -> i32 {
    eprintln!(
        "Usage: sysrc [OPTIONS] {{name[[+|-]=value] ... | -a | -A | -l | -L [name ...]}}\nTry `sysrc --help' for more information."
    );
    1
}

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let mut options = Options::default();
    let mut rest = args.iter();
    let mut words = Vec::new();
    while let Some(arg) = rest.next() {
        let Some(letters) = arg.strip_prefix('-').filter(|l| !l.is_empty() && words.is_empty()) else {
            words.push(arg.clone());
            continue;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'n' => options.value_only = true,
                'N' => options.key_only = true,
                'c' => options.check = true,
                'x' => options.delete = true,
                'a' => options.all = true,
                'A' => options.all_with_defaults = true,
                'e' => options.as_conf = true,
                'i' => options.ignore_unknown = true,
                'q' => options.quiet = true,
                'F' => options.file_names = true,
                'v' | 'E' | 'D' | 'd' | 'h' => {}
                'f' | 'j' | 'R' | 's' => {
                    let tail = &letters[at + 1..];
                    let value = if tail.is_empty() { rest.next().cloned() } else { Some(tail.to_string()) };
                    let Some(value) = value else {
                        return usage();
                    };
                    match letter {
                        'f' => options.files.push(value),
                        's' => options.files.extend(rc_files().into_iter().chain([format!("/etc/rc.conf.d/{value}")])),
                        'j' => return in_jail(ctx, &value, args),
                        _ => {
                            eprintln!("sysrc: -{letter} is not in the lab");
                            return 1;
                        }
                    }
                    break;
                }
                _ => {
                    eprintln!("sysrc: illegal option -- {letter}");
                    return usage();
                }
            }
        }
    }
    if options.all || options.all_with_defaults {
        return show_all(&options);
    }
    if words.is_empty() {
        return usage();
    }
    let mut status = 0;
    for word in &words {
        let one = match word.split_once('=') {
            Some((name, value)) => assign_one(&options, name, value),
            None if options.delete => delete(&options, word),
            None => read_one(&options, word),
        };
        status = status.max(one);
    }
    status
}

/// `sysrc -j JAIL …`: the same in the jail, without that option.
fn in_jail(ctx: &Context, jail: &str, args: &[String]) -> i32 {
    let mut command = vec!["-l".to_string(), jail.to_string(), "/usr/sbin/sysrc".to_string()];
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "-j" {
            rest.next();
        } else {
            command.push(arg.clone());
        }
    }
    match crate::freebsd::jail::COMMANDS.iter().find(|c| c.name == "jexec") {
        Some(jexec) => (jexec.run)(ctx, &command),
        None => 127,
    }
}

fn defaults() -> Vec<Assignment> {
    let mut known = Vec::new();
    assign::read(&fs::read_to_string(DEFAULTS).unwrap_or_default(), &mut known);
    known
}

/// `rc_conf_files`.
fn rc_files() -> Vec<String> {
    defaults()
        .iter()
        .find(|a| a.name == "rc_conf_files")
        .map(|a| a.value.split_whitespace().map(str::to_string).collect())
        .unwrap_or_else(|| vec!["/etc/rc.conf".into(), "/etc/rc.conf.local".into()])
}

fn files(options: &Options) -> Vec<String> {
    if options.files.is_empty() { rc_files() } else { options.files.clone() }
}

/// What the files say, on top of the defaults (not with `-f`).
fn known(options: &Options, with_defaults: bool) -> Vec<Assignment> {
    let mut known = if with_defaults && options.files.is_empty() { defaults() } else { Vec::new() };
    for file in files(options) {
        assign::read(&fs::read_to_string(file).unwrap_or_default(), &mut known);
    }
    known
}

fn value_of(options: &Options, name: &str) -> Option<String> {
    known(options, true).into_iter().find(|a| a.name == name).map(|a| a.value)
}

fn print(options: &Options, name: &str, value: &str) {
    if options.value_only {
        println!("{value}");
    } else if options.key_only {
        println!("{name}");
    } else if options.as_conf {
        println!("{name}=\"{value}\"");
    } else {
        println!("{name}: {value}");
    }
}

fn unknown(options: &Options, name: &str) -> i32 {
    if options.ignore_unknown {
        return 0;
    }
    eprintln!("sysrc: unknown variable '{name}'");
    1
}

fn read_one(options: &Options, name: &str) -> i32 {
    if options.file_names {
        let file = files(options)
            .into_iter()
            .rev()
            .find(|file| assign::mentions(&fs::read_to_string(file).unwrap_or_default(), name));
        return match file {
            Some(file) => {
                print(options, name, &file);
                0
            }
            None => unknown(options, name),
        };
    }
    match value_of(options, name) {
        Some(_) if options.check => 0,
        Some(value) => {
            print(options, name, &value);
            0
        }
        None => unknown(options, name),
    }
}

fn show_all(options: &Options) -> i32 {
    let mut list = known(options, options.all_with_defaults);
    let defaults = defaults();
    if !options.all_with_defaults {
        list.retain(|a| !defaults.contains(a));
    }
    list.sort_by(|a, b| a.name.cmp(&b.name));
    for a in &list {
        print(options, &a.name, &a.value);
    }
    0
}

/// `+=` and `-=`: lists whose separator is the value's first character when it is not a letter or digit, else a blank.
fn edited(old: &str, name: &str, value: &str) -> (String, String) {
    let (name, add) = match (name.strip_suffix('+'), name.strip_suffix('-')) {
        (Some(name), _) => (name, Some(true)),
        (_, Some(name)) => (name, Some(false)),
        _ => (name, None),
    };
    let Some(add) = add else {
        return (name.into(), value.into());
    };
    let separator = value.chars().next().filter(|c| !c.is_alphanumeric() && !"/._-".contains(*c)).unwrap_or(' ');
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| c == separator || (separator == ' ' && c.is_whitespace()))
            .filter(|w| !w.is_empty())
            .map(str::to_string)
            .collect()
    };
    let mut list = words(old);
    for word in words(value) {
        if add && !list.contains(&word) {
            list.push(word);
        } else if !add {
            list.retain(|known| *known != word);
        }
    }
    (name.into(), list.join(&separator.to_string()))
}

fn assign_one(options: &Options, name: &str, value: &str) -> i32 {
    let plain = name.trim_end_matches(['+', '-']);
    let old = value_of(options, plain);
    let (name, new) = edited(old.as_deref().unwrap_or_default(), name, value);
    if options.check {
        return i32::from(old.as_deref() != Some(new.as_str()));
    }
    // The last file that has it, else the first file.
    let files = files(options);
    let text = |file: &String| fs::read_to_string(file).unwrap_or_default();
    let Some(file) = files.iter().rev().find(|f| assign::mentions(&text(f), &name)).or(files.first()) else {
        return usage();
    };
    if let Err(error) = fs::write(file, assign::set(&text(file), &name, &new)) {
        eprintln!("/usr/sbin/sysrc: cannot create {file}: {}", crate::freebsd::network::errno_text(&error));
        return 1;
    }
    if !options.quiet {
        let old = old.unwrap_or_default();
        if options.value_only {
            println!("{old} -> {new}");
        } else {
            println!("{name}: {old} -> {new}");
        }
    }
    0
}

fn delete(options: &Options, name: &str) -> i32 {
    let mut found = false;
    for file in files(options) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if assign::mentions(&text, name) {
            found = true;
            if options.check {
                continue;
            }
            if let Err(error) = fs::write(&file, assign::unset(&text, name)) {
                eprintln!("/usr/sbin/sysrc: cannot create {file}: {}", crate::freebsd::network::errno_text(&error));
                return 1;
            }
        }
    }
    if found { 0 } else { unknown(options, name) }
}

#[cfg(test)]
mod tests {
    use super::edited;

    #[test]
    fn lists_as_recorded() {
        assert_eq!(edited("", "jail_list+", " web"), ("jail_list".into(), "web".into()));
        assert_eq!(edited("web", "jail_list+", " db"), ("jail_list".into(), "web db".into()));
        assert_eq!(edited("web db", "jail_list+", "db").1, "web db");
        assert_eq!(edited("web db", "jail_list-", "web").1, "db");
        assert_eq!(edited("a,b", "x-", ",a").1, "b");
    }
}
