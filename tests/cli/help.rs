//! Help, version, completions, manual page.

use super::Tool;

#[test]
fn help_of_every_verb() {
    let tool = Tool::new();
    insta::assert_snapshot!("help", tool.run(&["--help"]));
    for verb in jailferry::cli::command().get_subcommands().filter(|v| v.get_name() != "help") {
        insta::assert_snapshot!(format!("help-{}", verb.get_name()), tool.run(&[verb.get_name(), "--help"]));
    }
}

#[test]
fn the_table_of_exit_codes_is_in_the_help() {
    assert!(Tool::new().run(&["--help"]).contains(jailferry::cli::exit::TABLE));
}

#[test]
fn version() {
    assert_eq!(
        Tool::new().run(&["--version"]),
        format!("exit 0\n--- stdout\njailferry {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_know_every_verb() {
    for shell in ["bash", "elvish", "fish", "zsh"] {
        let script = Tool::new().run(&["completions", shell]);
        assert!(script.starts_with("exit 0\n--- stdout\n"), "{shell}: {script}");
        for verb in ["migrate", "plan", "check", "show"] {
            assert!(script.contains(verb), "{shell} does not know {verb}");
        }
    }
    assert!(Tool::new().run(&["completions", "tcsh"]).starts_with("exit 2\n--- stderr\n"));
}

#[test]
fn the_manual_page_is_one() {
    let page = Tool::new().run(&["man"]);
    assert!(page.starts_with("exit 0\n--- stdout\n"), "{page}");
    for part in [".TH jailferry 8", ".SH NAME", ".SH SYNOPSIS", ".SH \"MIGRATE\"", "Exit codes"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}
