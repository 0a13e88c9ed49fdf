//! `docs/reference.md` is written from the command line's own definition, and current.

use std::fmt::Write;
use std::path::Path;

use clap::Command;

fn reference() -> String {
    let mut out = String::from(
        "# Reference\n\nThe help of every verb, written by `make generate` from the program itself. Options of every verb are listed once, at the top.\n",
    );
    let mut command = jailferry::cli::command().term_width(100).disable_help_subcommand(true);
    command.build();
    section(&mut out, &mut command);
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in names {
        if let Some(verb) = command.find_subcommand_mut(&name) {
            let mut verb = without_globals(verb);
            section(&mut out, &mut verb);
        }
    }
    out
}

fn without_globals(verb: &Command) -> Command {
    let globals: Vec<String> = jailferry::cli::command()
        .get_arguments()
        .filter(|a| a.is_global_set())
        .map(|a| a.get_id().to_string())
        .collect();
    verb.clone().mut_args(|a| if globals.iter().any(|g| g == a.get_id().as_str()) { a.hide(true) } else { a })
}

fn section(out: &mut String, command: &mut Command) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let text: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(out, "\n## {name}\n\n```\n{}\n```\n", text.join("\n").trim_end());
}

#[test]
fn the_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let wanted = reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some_and(|v| v == "1") {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is not current: make generate", path.display());
}
