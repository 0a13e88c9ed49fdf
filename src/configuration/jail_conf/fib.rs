//! Giving a jail's epair a FIB that it did not have on the source.

use crate::configuration::jail_conf::finding::Finding;
use crate::configuration::jail_conf::matching;
use crate::configuration::jail_conf::place::Edit;
use crate::configuration::jail_conf::rewrite::Change;
use crate::configuration::jail_conf::rewrite::Rewritten;
use crate::configuration::jail_conf::rewrite::apply;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::tree::Statement;
use crate::configuration::jail_conf::tree::SyntaxError;
use crate::configuration::jail_conf::tree::line_of;
use crate::configuration::jail_conf::value::Scope;
use crate::model::InterfaceName;
use crate::model::JailName;

/// Adds `ifconfig epairNa fib F`, with the name that the host's end has in the end, as the last command of the list that creates or first configures the epair
/// (exec.prestart, usually): FIB 0 on the source needs no command, any other FIB on the target does (contract 1.7).
///
/// # Errors
/// [`SyntaxError`] when jail(8) would not read the text.
pub fn add_fib(
    text: &str,
    jail: &JailName,
    unit: Option<u32>,
    end: &InterfaceName,
    fib: u16,
) -> Result<Rewritten, SyntaxError> {
    let document = Document::parse(text)?;
    let scope = Scope::of(&document, jail);
    let nothing = |why: &str| {
        let finding = Finding::FibNotAdded { fib, why: why.to_owned() };
        Ok(Rewritten { text: text.to_owned(), changes: Vec::new(), findings: vec![finding] })
    };
    let Some(block) = document.own_block(jail) else { return nothing("the file has no block of the jail's own") };
    let Some(parameter) = host_list(&scope, unit, end) else {
        return nothing(&format!("no command on the host configures {end}"));
    };
    let command = format!("exec.{parameter} += \"ifconfig {end} fib {fib}\";");
    let last = block.statements.iter().rev().find(|s| s.name == format!("exec.{parameter}"));
    let (at, indent) = match (last, block.statements.last()) {
        (Some(statement), _) | (None, Some(statement)) => (statement.range.end, indent(text, statement)),
        (None, None) => return nothing("the jail's block is empty"),
    };
    // Behind a comment on the same line, so that it stays with what it explains.
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    let comment = line.trim_start();
    let at =
        if comment.is_empty() || comment.starts_with('#') || comment.starts_with("//") { at + line.len() } else { at };
    let new = apply(text, vec![Edit { range: at..at, new: format!("\n{indent}{command}") }]);
    let changes = vec![Change { line: line_of(text, at) + 1, before: None, after: format!("{indent}{command}") }];
    let findings = missing(&new, jail, parameter, end, fib)?;
    Ok(Rewritten { text: new, changes, findings })
}

/// The first list of commands run on the host at start that names the host's end of the epair, by its unit if it has one.
fn host_list(scope: &Scope<'_, '_>, unit: Option<u32>, end: &InterfaceName) -> Option<&'static str> {
    let values = scope.effective();
    let names = |command: &String| match unit {
        Some(unit) => matching::units(command).contains(&unit),
        None => {
            let words = matching::commands(&command.chars().collect::<Vec<_>>());
            words.iter().flatten().any(|word| word.text == end.as_str())
        }
    };
    ["prepare", "prestart", "created"].into_iter().find(|list| {
        values.iter().any(|(name, commands)| *name == format!("exec.{list}") && commands.iter().flatten().any(names))
    })
}

fn indent<'a>(text: &'a str, statement: &Statement<'_>) -> &'a str {
    let before = text.get(..statement.range.start).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    if line.trim().is_empty() { line } else { "\t" }
}

/// A wildcard block further down may overwrite the list: look whether the command takes effect.
fn missing(new: &str, jail: &JailName, list: &str, end: &InterfaceName, fib: u16) -> Result<Vec<Finding>, SyntaxError> {
    let document = Document::parse(new)?;
    let wanted = format!("ifconfig {end} fib {fib}");
    let present = Scope::of(&document, jail)
        .effective()
        .into_iter()
        .any(|(name, values)| name == format!("exec.{list}") && values.contains(&Some(wanted.clone())));
    let why = format!("something further down overwrites exec.{list}");
    Ok(if present { Vec::new() } else { vec![Finding::FibNotAdded { fib, why }] })
}
