//! `pfctl -s …`.

use super::memory::Memory;
use super::model::Action;
use super::model::Rule;
use super::model::Ruleset;
use super::now;
use super::options::Options;
use super::states;

/// Does a rule belong to `-s nat` (else to `-s rules`)?
pub fn is_translation(rule: &Rule) -> bool {
    match &rule.action {
        Action::Nat(_) | Action::Rdr(_) => true,
        Action::Anchor(kind, _) => kind != "anchor",
        _ => false,
    }
}

/// Prints; the exit status.
pub fn run(memory: &Memory, what: &str, options: &Options) -> i32 {
    let anchor = options.anchor.as_deref().unwrap_or_default();
    match what {
        "Running" => {
            println!("{}", if memory.enabled.is_some() { "Enabled" } else { "Disabled" });
            i32::from(memory.enabled.is_none())
        }
        "nat" | "rules" => rules(memory, anchor, what == "nat"),
        "Anchors" => {
            anchors(memory, anchor, options.verbose);
            0
        }
        "Tables" => {
            let prefix = format!("{anchor}:");
            for key in memory.tables.keys() {
                match key.strip_prefix(&prefix).filter(|_| !anchor.is_empty()) {
                    Some(name) => println!("{name}"),
                    None if anchor.is_empty() && !key.contains(':') => println!("{key}"),
                    None => {}
                }
            }
            0
        }
        "states" => {
            states::show();
            0
        }
        "info" => {
            info(memory);
            0
        }
        "memory" => {
            println!(
                "states        hard limit   100000\nsrc-nodes     hard limit    10000\nfrags         hard limit     5000\ntable-entries hard limit   200000"
            );
            0
        }
        "all" => {
            println!("TRANSLATION RULES:");
            rules(memory, anchor, true);
            println!("\nFILTER RULES:");
            rules(memory, anchor, false);
            println!("\nSTATES:");
            states::show();
            println!("\nINFO:");
            info(memory);
            0
        }
        _ => 0,
    }
}

fn rules(memory: &Memory, anchor: &str, translation: bool) -> i32 {
    let recursive = anchor == "*" || anchor.ends_with("/*");
    let name = anchor.trim_end_matches('*').trim_end_matches('/');
    let set = if name.is_empty() { Some(&memory.main) } else { memory.anchors.get(name) };
    // An absent anchor prints nothing.
    if let Some(set) = set
        && print(memory, set, translation, recursive, 0).is_err()
    {
        eprintln!("pfctl: DIOCGETRULES: Invalid argument");
    }
    0
}

/// The kernel refused to list what an anchor rule stands for.
struct Refused;

fn print(memory: &Memory, set: &Ruleset, translation: bool, recursive: bool, depth: usize) -> Result<(), Refused> {
    // Translation rules are kept by kind: nat before rdr.
    let kinds: &[&str] = if translation { &["nat", "rdr", "binat"] } else { &["scrub", "filter"] };
    for kind in kinds {
        for rule in set.rules.iter().filter(|r| is_translation(r) == translation && kind_of(r) == *kind) {
            let indent = "  ".repeat(depth);
            match &rule.action {
                Action::Anchor(_, name) if recursive => {
                    println!("{indent}{rule} {{");
                    // "NAME/*" is taken for an anchor's name, which the kernel has none of; then pfctl gives up (recording `pf-anchor-list`).
                    if name.ends_with("/*") {
                        eprintln!("pfctl: DIOCGETRULES: Invalid argument");
                        println!("{indent}}}");
                        return Err(Refused);
                    }
                    for (_, inner) in memory.meant(name) {
                        print(memory, inner, translation, recursive, depth + 1)?;
                    }
                    println!("{indent}}}");
                }
                _ => println!("{indent}{rule}"),
            }
        }
    }
    Ok(())
}

fn kind_of(rule: &Rule) -> &'static str {
    match &rule.action {
        Action::Nat(_) => "nat",
        Action::Rdr(_) => "rdr",
        Action::Scrub => "scrub",
        Action::Anchor(kind, _) if kind == "nat-anchor" => "nat",
        Action::Anchor(kind, _) if kind == "rdr-anchor" => "rdr",
        Action::Anchor(kind, _) if kind == "binat-anchor" => "binat",
        _ => "filter",
    }
}

/// The anchors directly below one: those with rules, and those that an anchor rule names.
fn anchors(memory: &Memory, below: &str, deep: bool) {
    let mut names: Vec<String> = memory.anchors.keys().cloned().collect();
    for rule in &memory.main.rules {
        if let Action::Anchor(_, name) = &rule.action {
            names.push(name.trim_end_matches('*').trim_end_matches('/').into());
        }
    }
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let mut found: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let rest = name.strip_prefix(&prefix).filter(|r| !r.is_empty())?;
            Some(format!("{prefix}{}", rest.split('/').next()?))
        })
        .collect();
    found.sort();
    found.dedup();
    for name in found {
        println!("  {name}");
        if deep {
            anchors(memory, &name, deep);
        }
    }
}

fn info(memory: &Memory) {
    let status = match memory.enabled {
        None => "Disabled".to_string(),
        Some(since) => {
            let t = now().saturating_sub(since);
            format!("Enabled for {} days {:02}:{:02}:{:02}", t / 86400, t / 3600 % 24, t / 60 % 60, t % 60)
        }
    };
    println!("{:<46}Debug: Urgent\n", format!("Status: {status}"));
    println!("{:<27} {:>14} {:>16}", "State Table", "Total", "Rate");
    println!("  {:<25} {:>14} {:14}", "current entries", states::list().len(), "");
}
