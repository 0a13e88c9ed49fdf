//! Pipes and colours.

use std::io::Read;
use std::process::Stdio;

use super::FLEET;
use super::Tool;

/// Whoever reads may stop (`| head -1`): no panic, no complaint, and the exit code stays that of the work.
#[test]
fn a_closed_pipe_is_no_failure() {
    let tool = Tool::new();
    tool.file("fleet.yml", FLEET);
    for args in [&["--help"][..], &["man"], &["completions", "bash"], &["check"], &["runs"], &["runs", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = tool.command(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

/// Nothing is coloured where no person looks, and NO_COLOR changes nothing there.
#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let tool = Tool::new();
    for args in [&["man"][..], &["completions", "zsh"], &["runs"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = tool.command(args).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(70), "{args:?}: {said}");
        assert!(said.contains("standard output could not be written"), "{args:?}: {said}");
    }
}

#[test]
fn no_colours_in_a_pipe() {
    let tool = Tool::new();
    tool.file("fleet.yml", "hub: nowhere\nnodes:\n  small:\n");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "xterm-256color")] {
        let output = tool.command(&["check"]).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(!output.stderr.contains(&0x1b) && !output.stdout.contains(&0x1b), "escape sequences with {name}");
    }
}

/// On a terminal there are colours, unless NO_COLOR or a dumb terminal forbids them. script(1) lends a terminal.
#[test]
fn colours_on_a_terminal() {
    let tool = Tool::new();
    tool.file("fleet.yml", "hub: nowhere\nnodes:\n  small:\n");
    let tool_path = env!("CARGO_BIN_EXE_jailferry");
    let seen = |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new("script");
        command.args(["-q", "-e", "-c", &format!("{tool_path} check"), "/dev/null"]).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", tool.home.path()).current_dir(tool.home.path());
        let output = command.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("nowhere"));
        output.stdout.contains(&0x1b)
    };
    if !std::path::Path::new("/usr/bin/script").exists() {
        eprintln!("SKIPPED: no script(1) on this machine, colours on a terminal are NOT tested");
        return;
    }
    assert!(seen(&[("TERM", "xterm")]));
    assert!(!seen(&[("TERM", "xterm"), ("NO_COLOR", "1")]));
    assert!(!seen(&[("TERM", "dumb")]));
}
