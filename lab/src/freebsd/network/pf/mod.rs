//! pfctl(8) over nftables (contract 4, recordings `pf-*`).

mod compile;
mod memory;
mod model;
mod options;
mod parse;
mod show;
mod states;
mod tables;
mod words;

use std::io::Read;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use memory::Memory;
use memory::Table;
use model::Ruleset;
use options::Options;

use crate::context::Context;
use crate::freebsd::network::errno_text;
use crate::freebsd::network::prefix::Prefix;
use crate::freebsd::rc::kld;

fn fail(text: impl std::fmt::Display) -> i32 {
    eprintln!("pfctl: {text}");
    1
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or(0)
}

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let options = match options::read(args) {
        Ok(options) => options,
        Err(status) => return status,
    };
    if let Some(anchor) = &options.anchor
        && anchor.split('/').any(|part| part.starts_with('_'))
    {
        return fail("anchor names beginning with '_' cannot be modified from the command line");
    }
    // A check reads the file only, but opens the device all the same.
    if !kld::is_loaded(ctx, "pf") {
        return fail("/dev/pf: No such file or directory");
    }
    let (mut memory, _lock) = match Memory::open(ctx) {
        Ok(opened) => opened,
        Err(error) => return fail(error),
    };
    let mut changed = false;
    let status = act(&options, &mut memory, &mut changed);
    if changed
        && !options.check
        && let Err(error) = memory.save(ctx)
    {
        return fail(error);
    }
    status
}

/// In pfctl's own order: disable, show, flush, kill, tables, load, enable.
fn act(options: &Options, memory: &mut Memory, changed: &mut bool) -> i32 {
    let anchor = options.anchor.as_deref().unwrap_or_default();
    let say = |text: &str| {
        if !options.quiet {
            eprintln!("{text}");
        }
    };
    if options.disable {
        if memory.enabled.is_none() {
            return fail("pf not enabled");
        }
        memory.enabled = None;
        *changed = true;
        say("pf disabled");
    }
    if let Some(what) = &options.show {
        let status = show::run(memory, what, options);
        if status != 0 {
            return status;
        }
    }
    if let Some(what) = &options.flush {
        match flush(memory, what, anchor, &say) {
            Ok(()) => *changed = true,
            Err(status) => return status,
        }
    }
    if !options.kill.is_empty() {
        return kill(options, &say);
    }
    if let Some(verb) = &options.table_verb {
        let Some(name) = &options.table else {
            return options::usage();
        };
        let mut words = options.words.clone();
        if let Some(file) = &options.file {
            match text(file) {
                Ok(text) => words.extend(tables::file_entries(&text)),
                Err(error) => return fail(format_args!("{file}: {}", errno_text(&error))),
            }
        }
        let key = if anchor.is_empty() { name.clone() } else { format!("{anchor}:{name}") };
        let done = tables::run(memory, &key, verb, &words, options.quiet);
        *changed |= done.changed;
        return done.status;
    }
    if let Some(file) = &options.file {
        let status = load(options, memory, file, anchor, changed);
        if status != 0 {
            return status;
        }
    }
    if options.enable {
        if memory.enabled.is_some() {
            return fail("pf already enabled");
        }
        memory.enabled = Some(now());
        *changed = true;
        say("pf enabled");
    }
    0
}

fn text(file: &str) -> std::io::Result<String> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

/// `-f FILE`: all or nothing; states stay (contract 4.1, 4.2).
fn load(options: &Options, memory: &mut Memory, file: &str, anchor: &str, changed: &mut bool) -> i32 {
    let content = match text(file) {
        Ok(text) => text,
        Err(error) => return fail(format_args!("{file}: {}", errno_text(&error))),
    };
    let shown = if file == "-" { "stdin" } else { file };
    let understood = |content: &str, shown: &str| {
        parse::parse(content).map_err(|wrong| {
            eprintln!("{shown}:{}: {}", wrong.line, wrong.text);
            if !options.check {
                eprintln!("pfctl: Syntax error in config file: pf rules not loaded");
            }
            1
        })
    };
    let parsed = match understood(&content, shown) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    // Only the main file's are followed (sbin/pfctl/pfctl.c, pfctl_rules); one that cannot be read stops everything.
    let mut loaded = Vec::new();
    for (name, path) in parsed.loads.iter().filter(|_| anchor.is_empty()) {
        let below = std::fs::read_to_string(path).map_err(|error| {
            eprintln!("pfctl: {path}: {}", errno_text(&error));
            1
        });
        match below.and_then(|text| understood(&text, path)) {
            Ok(file) => loaded.push((name.clone(), Ruleset { rules: file.rules })),
            Err(_) => return fail("load anchors"),
        }
    }
    if options.verbose {
        for rule in &parsed.rules {
            println!("{rule}");
        }
    }
    if options.check {
        return 0;
    }
    for line in &parsed.tables {
        let key = if anchor.is_empty() { line.name.clone() } else { format!("{anchor}:{}", line.name) };
        let table = memory.tables.entry(key).or_insert_with(|| Table { persist: line.persist, entries: Vec::new() });
        table.persist |= line.persist;
        // Without addresses the table keeps what it has.
        if let Some(entries) = &line.entries {
            table.entries = entries
                .iter()
                .filter_map(|e| {
                    let (not, text) = e.strip_prefix('!').map_or(("", e.as_str()), |t| ("!", t));
                    Prefix::parse(text, text.contains(':')).map(|p| format!("{not}{}", p.network().cidr()))
                })
                .collect();
        }
    }
    let rules = Ruleset { rules: parsed.rules };
    if anchor.is_empty() {
        memory.anchors.extend(loaded);
        memory.main = rules;
        memory.skip = parsed.skip;
    } else {
        memory.anchors.insert(anchor.into(), rules);
    }
    *changed = true;
    0
}

fn flush(memory: &mut Memory, what: &str, anchor: &str, say: &impl Fn(&str)) -> Result<(), i32> {
    let rules = |memory: &mut Memory, translation: bool| {
        let set = if anchor.is_empty() { Some(&mut memory.main) } else { memory.anchors.get_mut(anchor) };
        if let Some(set) = set {
            set.rules.retain(|r| show::is_translation(r) != translation);
        }
        // An anchor without rules is gone.
        memory.anchors.retain(|_, set| !set.rules.is_empty());
    };
    let tables = |memory: &mut Memory| {
        let prefix = format!("{anchor}:");
        let before = memory.tables.len();
        memory.tables.retain(|key, _| if anchor.is_empty() { key.contains(':') } else { !key.starts_with(&prefix) });
        say(&format!("{} tables deleted.", before - memory.tables.len()));
    };
    let states = || match states::flush() {
        Ok(count) => {
            say(&format!("{count} states cleared"));
            Ok(())
        }
        Err(text) => Err(fail(text)),
    };
    match what {
        "nat" => {
            rules(memory, true);
            say("nat cleared");
        }
        "rules" => {
            rules(memory, false);
            say("rules cleared");
        }
        "Tables" => tables(memory),
        "states" => states()?,
        "Sources" => say("source tracking entries cleared"),
        "info" => say("pf: statistics cleared"),
        "osfp" => say("OS fingerprints cleared"),
        "all" => {
            rules(memory, false);
            say("rules cleared");
            rules(memory, true);
            say("nat cleared");
            tables(memory);
            // In an anchor, everything that is global stays.
            if anchor.is_empty() {
                states()?;
                say("source tracking entries cleared");
                say("pf: statistics cleared");
                memory.skip.clear();
                say("pf: interface flags reset");
            }
        }
        _ => {
            eprintln!("pfctl: Unknown flush modifier '{what}'");
            return Err(options::usage());
        }
    }
    Ok(())
}

fn kill(options: &Options, say: &impl Fn(&str)) -> i32 {
    let words: Vec<&str> = options.kill.iter().map(String::as_str).collect();
    let (source, destination) = match words.as_slice() {
        // Labels and ids are not followed here: nothing matches.
        ["label" | "id" | "gateway" | "key", _] => {
            say("killed 0 states");
            return 0;
        }
        [source] => (*source, None),
        [source, destination] => (*source, Some(*destination)),
        _ => return options::usage(),
    };
    let read = |text: &str| Prefix::parse(text, text.contains(':'));
    let Some(from) = read(source) else {
        return fail("getaddrinfo: hostname nor servname provided, or not known");
    };
    let to = match destination.map(read) {
        Some(None) => return fail("getaddrinfo: hostname nor servname provided, or not known"),
        Some(to) => to,
        None => None,
    };
    match states::kill(from, to, options.both_ways) {
        Ok(count) => {
            say(&format!("killed {count} states from 1 sources and {} destinations", u8::from(to.is_some())));
            0
        }
        Err(text) => fail(text),
    }
}
