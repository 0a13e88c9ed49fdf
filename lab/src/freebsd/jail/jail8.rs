//! jail(8)'s command line (contract 2.4, recordings `jail-*`).

use std::fs;

use super::conf::Conf;
use super::conf::Definition;
use super::create;
use super::create::How;
use super::registry;
use super::remove;
use crate::context::Context;

#[derive(Default)]
struct Options {
    file: Option<String>,
    create: bool,
    modify: bool,
    remove: bool,
    hard: bool,
    show: Option<String>,
    jid_file: Option<String>,
    how: How,
}

fn usage() -> i32 {
    eprintln!(
        "usage: jail [-dhilqv] [-J jid_file] [-u username] [-U username]\n            -[cmr] param=value ... [command=command ...]\n       jail [-dqv] [-f file] -[cmr] [jail]\n       jail [-qv] [-f file] -[rR] ['*' | jail ...]\n       jail [-dhilqv] [-J jid_file] [-u username] [-U username]\n            [-n jailname] [-s securelevel]\n            path hostname [ip[,...]] command ...\n       jail [-f file] -e separator"
    );
    1
}

fn parse(args: &[String]) -> Option<(Options, Vec<String>)> {
    let mut options = Options::default();
    let mut rest = args.iter();
    let mut words = Vec::new();
    while let Some(arg) = rest.next() {
        let Some(letters) = arg.strip_prefix('-').filter(|l| !l.is_empty()) else {
            words.push(arg.clone());
            words.extend(rest.cloned());
            break;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'c' => options.create = true,
                'm' => options.modify = true,
                'r' => options.remove = true,
                'R' => options.hard = true,
                'q' => options.how.quiet = true,
                'i' => options.how.print_jid = true,
                'd' | 'h' | 'l' | 'v' => {}
                'f' | 'e' | 'J' | 'p' | 'u' | 'U' | 's' | 'n' => {
                    let tail = &letters[at + 1..];
                    let value = if tail.is_empty() { rest.next()?.clone() } else { tail.to_string() };
                    match letter {
                        'f' => options.file = Some(value),
                        'e' => options.show = Some(value),
                        'J' => options.jid_file = Some(value),
                        _ => {}
                    }
                    break;
                }
                _ => return None,
            }
        }
    }
    Some((options, words))
}

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let Some((options, words)) = parse(args) else {
        return usage();
    };
    if let Some(separator) = &options.show {
        return match load(&options, true) {
            Ok(conf) => show(&conf, separator),
            Err(status) => status,
        };
    }
    if options.hard {
        return remove_hard(ctx, &words);
    }
    if options.modify && !options.create {
        eprintln!("jail: -m is not in the lab");
        return 1;
    }
    if !options.create && !options.remove {
        return usage();
    }
    let on_line =
        words.first().is_some_and(|word| word.contains('=')) || words.len() > 1 && options.create && !options.remove;
    let status = if on_line {
        from_line(ctx, &options, &words)
    } else {
        match load(&options, options.create) {
            Ok(conf) => from_file(ctx, &options, &conf, &words),
            Err(status) => status,
        }
    };
    if let (0, Some(file)) = (status, &options.jid_file)
        && let Some(jail) = words.first().and_then(|name| registry::find(ctx, name.trim_start_matches("name=")))
        && let Err(error) = fs::write(file, format!("{}\n", jail.jid))
    {
        eprintln!("jail: {file}: {error}");
        return 1;
    }
    status
}

/// The configuration; without `-f` a missing /etc/jail.conf matters only to those who need one.
fn load(options: &Options, needed: bool) -> Result<Conf, i32> {
    let file = options.file.as_deref().unwrap_or("/etc/jail.conf");
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(_) if options.file.is_none() && !needed => String::new(),
        Err(error) => {
            eprintln!("jail: {file}: {}", crate::freebsd::network::errno_text(&error));
            return Err(1);
        }
    };
    Conf::parse(&text).map_err(|text| {
        eprintln!("jail: {file}{text}");
        1
    })
}

fn definition(conf: &Conf, name: &str) -> Result<Option<Definition>, i32> {
    conf.definition(name).map_err(|text| {
        eprintln!("jail: {name}: {text}");
        1
    })
}

fn from_file(ctx: &Context, options: &Options, conf: &Conf, words: &[String]) -> i32 {
    let all = words.is_empty() || words == ["*"];
    let names = if !all {
        words.to_vec()
    } else if options.remove && !options.create {
        let mut running: Vec<String> = registry::list(ctx).into_iter().map(|jail| jail.name).collect();
        running.reverse();
        running
    } else {
        conf.names()
    };
    let mut status = 0;
    for name in names {
        status = status.max(one(ctx, options, conf, &name, &mut Vec::new()).unwrap_or_else(|status| status));
    }
    status
}

fn one(ctx: &Context, options: &Options, conf: &Conf, name: &str, above: &mut Vec<String>) -> Result<i32, i32> {
    let running = registry::find(ctx, name);
    let known = running.as_ref().map_or(name, |jail| &jail.name).to_string();
    let definition = definition(conf, &known)?;
    if options.remove {
        match &running {
            Some(jail) => {
                let status = remove::run(ctx, jail, definition.as_ref(), options.how.quiet);
                if status != 0 || !options.create {
                    return Ok(status);
                }
            }
            None if !options.create => {
                eprintln!("jail: \"{name}\" not found");
                return Ok(1);
            }
            None => {}
        }
    }
    let Some(definition) = definition else {
        eprintln!("jail: \"{name}\" not found");
        return Ok(1);
    };
    // depend: those first, unless they run.
    above.push(known);
    for other in definition.all("depend").iter().flat_map(|v| v.split_whitespace()) {
        if above.iter().any(|n| n == other) {
            eprintln!("jail: {name}: dependency loop");
            return Ok(1);
        }
        if registry::find(ctx, other).is_none() && one(ctx, options, conf, other, above)? != 0 {
            eprintln!("jail: {name}: skipped");
            return Ok(1);
        }
    }
    above.pop();
    Ok(create::run(ctx, &definition, options.how))
}

/// `jail -c name=x path=/ persist vnet …`
fn from_line(ctx: &Context, options: &Options, words: &[String]) -> i32 {
    let mut definition = Definition::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            // The command is the rest of the line.
            Some(("command", first)) => {
                let mut line = first.to_string();
                for more in words.by_ref() {
                    line = format!("{line} {more}");
                }
                definition.parameters.push(("command".into(), vec![line]));
            }
            Some((name, value)) => {
                let list = name.starts_with("exec.") || name == "vnet.interface";
                match definition.parameters.iter_mut().find(|(known, _)| list && known == name) {
                    Some((_, values)) => values.push(value.into()),
                    None => definition.parameters.push((name.into(), vec![value.into()])),
                }
            }
            None => definition.parameters.push((word.clone(), Vec::new())),
        }
    }
    let Some(name) = definition.value("name").or(definition.value("jid")).map(str::to_string) else {
        eprintln!("jail: no jail specified");
        return 1;
    };
    definition.name = name;
    if options.remove && !options.create {
        return usage();
    }
    create::run(ctx, &definition, options.how)
}

fn remove_hard(ctx: &Context, words: &[String]) -> i32 {
    let mut status = 0;
    let all: Vec<String> = registry::list(ctx).into_iter().map(|jail| jail.name).collect();
    let names = if words == ["*"] { &all } else { words };
    for name in names {
        match registry::find(ctx, name) {
            Some(jail) => remove::end(ctx, &jail),
            None => {
                eprintln!("jail: \"{name}\" not found");
                status = 1;
            }
        }
    }
    if names.is_empty() && words.is_empty() {
        return usage();
    }
    status
}

/// `jail -e SEPARATOR`: one line per jail, parameters as jail(8) would use them (recordings `jail-e*`).
fn show(conf: &Conf, separator: &str) -> i32 {
    for name in conf.names() {
        let Ok(Some(definition)) = definition(conf, &name) else {
            return 1;
        };
        let parts: Vec<String> = definition
            .parameters
            .iter()
            .map(|(name, values)| {
                if values.is_empty() {
                    return name.clone();
                }
                let values: Vec<String> = values.iter().map(|v| quoted(v)).collect();
                format!("{name}={}", values.join(","))
            })
            .collect();
        println!("{}", parts.join(separator));
    }
    0
}

/// Quotes a value if it has to be (also `jls -q`).
pub fn quoted(value: &str) -> String {
    let quote = value.contains([' ', '\t', '\n', '"', '\'', '\\']) || value.is_empty();
    match (quote, value.contains('"')) {
        (false, _) => value.into(),
        (true, false) => format!("\"{value}\""),
        (true, true) => format!("'{value}'"),
    }
}
