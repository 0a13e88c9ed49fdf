//! A plan as a shell script for review: host by host, every command as it is executed, with its inverse as comments.
//!
//! It is for reading: run by hand it stops at its first line, since order between hosts, locks, leases and the way back
//! are the run's business.

use std::fmt::Write;

use crate::effect::command::Become;
use crate::effect::command::Command;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Plan;
use crate::plan::leases;

/// The whole script. `become_root` tells how commands become root on a host.
#[must_use]
pub fn render(plan: &Plan, become_root: &dyn Fn(&NodeName) -> Become) -> String {
    let mut out = String::from("#!/bin/sh\n");
    let mut comment = |text: &str| {
        let _ = writeln!(out, "# {text}");
    };
    comment(&format!("Run {}: jail {} from {} to {}, host by host.", plan.run, plan.jail, plan.source, plan.target));
    comment(
        "For review only: the numbers say in which order the steps run over all hosts. Each command stands as it is",
    );
    comment("executed there, its inverse below it as comments. A stream from one host to another stands at both.");
    out.push_str("echo 'for review: let jailferry run it' >&2; exit 64\n");
    let beats = leases::beats(&plan.steps);
    for host in hosts(plan) {
        let _ = write!(out, "\n# ======== {host} ========\n");
        if let Some(beat) = beats.get(&host) {
            let _ = writeln!(out, "\n# every {} s while the run is alive", plan.beat_seconds());
            out.push_str(&text(beat, become_root(&host)));
        }
        for (index, step) in plan.steps.iter().enumerate() {
            let here = |list: Vec<Command>| list.into_iter().filter(|c| c.host == host).collect::<Vec<_>>();
            let why = step.asks_why();
            let (forward, back) = (here(step.commands()), here(step.undo_commands()));
            if forward.is_empty() && back.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n# -- {} {}", index + 1, step.title);
            for change in step.changes.iter().filter(|_| *step.host() == host) {
                let before = if change.before.is_empty() { "nothing" } else { &change.before };
                let after = if change.after.is_empty() { "nothing" } else { &change.after };
                let _ = writeln!(out, "#    {}: {before} -> {after}", change.what);
            }
            for command in &forward {
                if Some(command) == why.as_ref() {
                    out.push_str("# only when that fails:\n");
                }
                out.push_str(&text(command, become_root(&host)));
            }
            for command in &here(step.asks_beside()) {
                out.push_str("# beside it, to know how much there is:\n");
                out.push_str(&text(command, become_root(&host)));
            }
            if step.phase == Phase::Persist || back.is_empty() {
                let _ = writeln!(out, "# inverse: none{}", none(step.phase));
                continue;
            }
            out.push_str("# inverse:\n");
            for command in &back {
                for line in text(command, become_root(&host)).lines() {
                    let _ = writeln!(out, "#    {line}");
                }
            }
        }
    }
    out
}

fn none(phase: Phase) -> &'static str {
    match phase {
        Phase::Persist => ", the move is accepted and only goes forward",
        Phase::Copy | Phase::Stage | Phase::Arm | Phase::Rehearse | Phase::CutOver | Phase::Prove => {
            ", it leaves nothing behind or an earlier step's inverse covers it"
        }
    }
}

/// In the order in which they come first.
fn hosts(plan: &Plan) -> Vec<NodeName> {
    let mut hosts: Vec<NodeName> = Vec::new();
    for command in plan.steps.iter().flat_map(|s| s.commands().into_iter().chain(s.undo_commands())) {
        if !hosts.contains(&command.host) {
            hosts.push(command.host);
        }
    }
    hosts
}

/// The line that the login shell gets, with the script that it reads.
fn text(command: &Command, become_root: Become) -> String {
    let line = command.remote_line(become_root);
    // In a subshell, since the line begins with exec(1).
    match command.stdin() {
        None => format!("( {line} )\n"),
        Some(script) => {
            let end = (0..).map(|n| format!("JAILFERRY_{n}")).find(|end| !script.lines().any(|l| l == *end));
            let end = end.unwrap_or_default();
            format!("( {line} ) <<'{end}'\n{script}{end}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command as Process;
    use std::process::Stdio;

    use super::*;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    fn plan() -> Plan {
        let world = Shape::testbed().world();
        let (evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big"));
        assemble::plan(&evidence, &situation.unwrap(), &Options::default().settle(), &tester(), "", findings).unwrap()
    }

    #[test]
    fn every_command_and_every_inverse_stands_there_as_it_is_executed() {
        let plan = plan();
        let script = render(&plan, &|_| Become::Doas);
        let commented: String =
            script.lines().filter_map(|l| l.strip_prefix("#    ")).map(|l| format!("{l}\n")).collect();
        for step in &plan.steps {
            for command in step.commands() {
                assert!(script.contains(&text(&command, Become::Doas)), "{}: {}", step.title, command.text());
            }
            for command in step.undo_commands().iter().filter(|_| step.phase != Phase::Persist) {
                assert!(commented.contains(&text(command, Become::Doas)), "{}: {}", step.title, command.text());
            }
        }
        for host in ["small", "spare", "big"] {
            assert_eq!(script.matches(&format!("# ======== {host} ========")).count(), 1);
        }
    }

    #[test]
    fn a_shell_reads_it_and_runs_nothing_of_it() {
        let script = render(&plan(), &|_| Become::None);
        let sh = |args: &[&str]| {
            let mut child =
                Process::new("/bin/sh").args(args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            // The shell that ends at its first line does not read the rest.
            let _ = child.stdin.take().unwrap().write_all(script.as_bytes());
            child.wait_with_output().unwrap()
        };
        let read = sh(&["-n"]);
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        assert_eq!(sh(&[]).status.code(), Some(64));
    }
}
