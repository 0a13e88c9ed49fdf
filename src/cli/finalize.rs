//! `jailferry finalize`: let go of what a successful run kept. From then on there is no way back to the old copy.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::io::IsTerminal;
use std::sync::Arc;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::known;
use crate::cli::output;
use crate::cli::prepare;
use crate::effect::Effect;
use crate::effect::command::Command;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::plan::finalize;
use crate::plan::rollback::LaterMove;
use crate::remote::Hosts;
use crate::saga::Journal;
use crate::saga::interrupt::Interrupts;
use crate::saga::journal;

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Do not ask.
    pub yes: bool,
    /// Snapshots that are nowhere else may go, too.
    pub discard: bool,
}

pub(super) async fn finalize(global: &Global, run: &str, wish: Wish) -> Exit {
    let Wish { dry_run, yes, discard } = wish;
    let (plan, mut later, finalized) = match open(run) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    if finalized {
        let text = format!("Run {} is finalized already: nothing of it is kept.", plan.run);
        if !global.json {
            output::say(&text);
            return Exit::Done;
        }
        output::error(&text);
        return machine(&plan, &[], 0);
    }
    let fleet = match dry_run {
        true => None,
        false => match input::fleet(global) {
            Ok(fleet) => Some(fleet),
            Err(_) => return Exit::BadInput,
        },
    };
    // A node that is gone for good has nothing to let go of.
    let gone = |node: &NodeName| fleet.as_ref().is_some_and(|f| !f.fleet.nodes.contains_key(node));
    later.iter_mut().filter(|l| gone(&l.to)).for_each(|l| l.dataset = None);
    let list = finalize::finalize(&plan, &later, discard);
    if !global.json {
        people(&plan, &list, dry_run);
    }
    let Some(mut fleet) = fleet else { return if global.json { machine(&plan, &list, 0) } else { Exit::Done } };
    if !yes && !agreed(global, &plan) {
        return Exit::Refused;
    }
    let mut needed: BTreeSet<NodeName> = finalize::hosts(&plan);
    needed.extend(later.last().map(|l| l.to.clone()));
    needed.extend(list.iter().map(|(_, effect)| effect.host().clone()));
    if let Some(missing) = needed.iter().find(|name| !fleet.fleet.nodes.contains_key(*name)) {
        output::complain(&format!("{}; the run kept something on it", prepare::unknown(&fleet, missing.as_str())));
        return Exit::BadInput;
    }
    fleet.fleet.nodes.retain(|name, _| needed.contains(name));
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let journal = match reopen(&plan) {
        Ok(journal) => Arc::new(journal),
        Err(exit) => return exit,
    };
    hosts.log_to(journal.clone());
    if let Err(why) = is_in_use_elsewhere(&plan, &later, &hosts, &needed).await {
        output::complain(&format!("{why}: the copy on {} is not let go, nothing was changed", plan.source));
        return Exit::Refused;
    }
    // What is begun is finished: Ctrl-C or a closed terminal would leave half a copy, and the jail's lock on the hub.
    if let Err(error) = Interrupts::listen() {
        output::complain(&format!("signals cannot be handled: {error}; nothing was changed"));
        return Exit::Internal;
    }
    let mut done = 0;
    let exit = carry_out(&list, &hosts, &mut |title| match global.json {
        true => done += 1,
        false => output::say(&format!("done: {title}")),
    })
    .await;
    if exit == Exit::Done
        && let Err(error) = journal.note(known::FINALIZED)
    {
        output::complain(&format!("the journal cannot be written: {error}"));
    }
    match global.json {
        true if machine(&plan, &list, done) != Exit::Done => Exit::Internal,
        _ => exit,
    }
}

/// What is to be done, for reading; with every command where nothing will be.
fn people(plan: &Plan, list: &[(String, Effect)], commands: bool) {
    output::say(&format!("Run {}: jail {} moved from {} to {}", plan.run, plan.jail, plan.source, plan.target));
    for (title, effect) in list {
        output::say(&format!("  {title}"));
        for command in effect.work().commands().into_iter().filter(|_| commands) {
            for line in command.text().lines() {
                output::say(&format!("      {}: {line}", command.host));
            }
        }
    }
}

/// The same for machines, with how many of its steps have been done.
fn machine(plan: &Plan, list: &[(String, Effect)], done: usize) -> Exit {
    let steps = list.iter().enumerate().map(|(index, (title, effect))| {
        let work = effect.work();
        let commands = work.commands().into_iter().map(|c| serde_json::json!({ "host": c.host, "command": c.text() }));
        serde_json::json!({ "title": title, "done": index < done, "commands": commands.collect::<Vec<_>>() })
    });
    let value = serde_json::json!({ "run": plan.run, "steps": steps.collect::<Vec<_>>() });
    if output::json(&value).is_ok() { Exit::Done } else { Exit::Internal }
}

async fn carry_out(list: &[(String, Effect)], hosts: &Hosts, done: &mut (dyn FnMut(&str) + Send)) -> Exit {
    for (index, (title, effect)) in list.iter().enumerate() {
        for command in effect.work().commands() {
            let Err(error) = hosts.run(command).await else { continue };
            if matches!(effect, Effect::Lock { .. }) {
                output::complain(&format!("{error}\nnothing was changed"));
                return Exit::Refused;
            }
            output::complain(&format!("{title}: {error}\nthe rest was left; it is safe to try again"));
            for (_, unlock) in list.iter().skip(index).filter(|(_, e)| matches!(e, Effect::Unlock { .. })) {
                for command in unlock.work().commands() {
                    let _ = hosts.run(command).await;
                }
            }
            return Exit::NeedsHuman;
        }
        done(title);
    }
    Exit::Done
}

/// The old copy may only go while a newer one is in use: the jail runs on one of the hosts, and at the source only if a
/// later run is known to have brought it there.
async fn is_in_use_elsewhere(
    plan: &Plan,
    later: &[LaterMove],
    hosts: &Hosts,
    nodes: &BTreeSet<NodeName>,
) -> Result<(), String> {
    let mut places = Vec::new();
    for node in nodes {
        // 1: no such jail (jls(8)); anything else is no answer.
        let script = format!("if jls -j {} jid >/dev/null 2>&1; then echo runs; fi", plan.jail);
        match hosts.run(&Command::script(node, 60, script)).await {
            Ok(said) if said.text().trim() == "runs" => places.push(node),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let home = later.iter().any(|l| l.to == plan.source);
    match places.as_slice() {
        [] => Err(format!("jail {} runs neither on {} nor where it moved later", plan.jail, plan.target)),
        [only] if **only == plan.source && !home => {
            Err(format!("jail {} runs on {}, and no journal here tells how it came back", plan.jail, plan.source))
        }
        [_] => Ok(()),
        several => Err(format!("jail {} runs on {} nodes at once", plan.jail, several.len())),
    }
}

fn agreed(global: &Global, plan: &Plan) -> bool {
    if global.json || !std::io::stdin().is_terminal() {
        output::complain("nobody is here to answer: add --yes to go ahead, or --dry-run to see the commands");
        return false;
    }
    output::say(&format!("Let go of the copy on {} for good? Type yes: ", plan.source));
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer).is_err() || answer.trim() != "yes" {
        output::say("Nothing was changed.");
        return false;
    }
    true
}

/// The plan of a run that moved its jail, the later moves of that jail, and whether the run is finalized already.
fn open(run: &str) -> Result<(Plan, Vec<LaterMove>, bool), Exit> {
    let (plan, runs) = known::moved(run)?;
    let later = known::later(&plan, &runs);
    let record = runs.iter().find(|r| r.run == plan.run).and_then(|r| r.record.as_ref().ok());
    let finalized = record.is_some_and(known::is_finalized);
    let parked = plan.steps.iter().any(|s| matches!(&s.effect, Effect::Park { .. }));
    if parked {
        return Ok((plan, later, finalized));
    }
    output::complain(&format!("run {} parked nothing", plan.run));
    Err(Exit::BadInput)
}

/// The journal, to write into.
fn reopen(plan: &Plan) -> Result<Journal, Exit> {
    let opened = journal::runs_directory().and_then(|folder| Journal::open(&journal::path_of(&folder, &plan.run)));
    opened.map(|(journal, _)| journal).map_err(|error| {
        output::complain(&format!("{error}; nothing was changed"));
        Exit::Refused
    })
}
