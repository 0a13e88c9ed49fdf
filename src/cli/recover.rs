//! `jailferry recover`: after any interruption, forward or back, by the journal and the point of no return.

use std::collections::BTreeSet;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::execute;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::leftovers;
use crate::cli::network_turn;
use crate::cli::output;
use crate::cli::prepare;
use crate::cli::reached;
use crate::cli::takeover;
use crate::cli::takeover::Known;
use crate::effect::Effect;
use crate::effect::command::Command;
use crate::effect::commands::lock;
use crate::model::NodeName;
use crate::model::RunId;
use crate::model::Standing;
use crate::plan::Plan;
use crate::remote::Hosts;
use crate::saga::Journal;
use crate::saga::Record;
use crate::saga::RunRecord;
use crate::saga::direction::Direction;
use crate::saga::direction::direction;
use crate::saga::direction::onward;
use crate::saga::journal;
use crate::saga::journal::FoundRun;
use crate::saga::journal::JournalError;
use crate::saga::record::FinishedRecord;
use crate::saga::turn::NoTurn;
use crate::ui::event::Event;
use crate::ui::renderer::Renderer;
use crate::ui::sanitize;

pub(super) async fn recover(global: &Global, wanted: Option<&str>, dry_run: bool) -> Exit {
    let found = match find(wanted) {
        Ok(Looked::Here(found)) => found,
        Ok(Looked::Damaged(run)) => {
            output::error(&format!("Run {run} goes by what the hub and the jail's hosts know of it instead."));
            return from_the_hub(global, Some(run.as_str()), dry_run).await;
        }
        Ok(Looked::Nowhere) => return from_the_hub(global, wanted, dry_run).await,
        Err(exit) => return exit,
    };
    let (journal, record, plan) = match opened(&found) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let outcome = record.finished.as_ref().map(|f| f.outcome.as_str());
    let way = direction(&plan, &record.steps, outcome);
    describe(&plan, &record, &way);
    let indexes = match &way {
        Direction::Nothing => {
            if record.finished.is_none() && !dry_run {
                let finished =
                    FinishedRecord { outcome: "rolled-back".into(), blackout_milliseconds: None, measured: None };
                if let Err(error) = journal.append(Record::Finished(finished)) {
                    output::complain(&error.to_string());
                    return Exit::Internal;
                }
            }
            return shown(global, &plan, &way, &[]);
        }
        Direction::Forward(indexes) | Direction::Back(indexes) => indexes,
    };
    if dry_run {
        let exit = shown(global, &plan, &way, indexes);
        if onward(&plan, &record.steps, outcome).is_ok() {
            output::error(&format!("Or it goes on with what has arrived: jailferry recover {} --continue", plan.run));
        }
        return exit;
    }
    let Ok(mut fleet) = input::fleet(global) else { return Exit::BadInput };
    let (way, gone) = reached::without_gone(&plan, way.clone(), &fleet);
    reached::tell_gone(&gone);
    let needed: BTreeSet<NodeName> = indexes
        .iter()
        .filter_map(|i| plan.steps.get(*i))
        .flat_map(|s| s.commands().into_iter().chain(s.undo_commands()))
        .map(|c| c.host)
        .filter(|host| !gone.contains(host))
        .collect();
    fleet.fleet.nodes.retain(|name, _| needed.contains(name) || *name == plan.hub);
    let hosts = match reached::connect(&fleet, &plan).await {
        Ok(hosts) => hosts,
        Err(()) => {
            output::complain(&format!(
                "run {} needs {}; what remains is below. Nothing was changed now: try again when they can be reached.",
                plan.run,
                needed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ));
            commands(&plan, &way, indexes);
            return Exit::NeedsHuman;
        }
    };
    match holder(&plan, &hosts).await {
        Ok(None) => {}
        Ok(Some(other)) => return superseded(&plan, &journal, &other, &way),
        Err(exit) => return exit,
    }
    let renderer = Renderer::choose(global.json, output::colour(std::io::IsTerminal::is_terminal(&std::io::stdout())));
    in_turn(&plan, &hosts, &renderer, journal, &way).await
}

/// A run's journal, what it says, and its plan.
///
/// # Errors
/// The exit code to end with.
pub(super) fn opened(found: &FoundRun) -> Result<(Journal, RunRecord, Plan), Exit> {
    let (journal, record) = Journal::open(&found.path).map_err(|error| {
        output::complain(&error.to_string());
        if matches!(error, JournalError::InUse(_)) { Exit::Refused } else { Exit::NeedsHuman }
    })?;
    match serde_json::from_value(record.header.plan.clone()) {
        Ok(plan) => Ok((journal, record, plan)),
        Err(error) => {
            output::complain(&format!("the plan in {} cannot be read: {error}", found.path.display()));
            Err(Exit::Internal)
        }
    }
}

/// Who has the jail's lock, unless it is this very run.
///
/// # Errors
/// The exit code to end with.
pub(super) async fn holder(plan: &Plan, hosts: &Hosts) -> Result<Option<String>, Exit> {
    match hosts.run(&lock::holder(&plan.hub, &plan.jail)).await {
        // A line of it: a login shell may have printed others.
        Ok(said) if said.text().lines().any(|l| l.starts_with(&format!("{} {} ", plan.run, plan.owner))) => Ok(None),
        Ok(said) => Ok(Some(said.text().trim().to_owned())),
        Err(error) => {
            output::complain(&format!("{error}\nnothing was changed now"));
            Err(Exit::NeedsHuman)
        }
    }
}

/// Forward or back, with the turn to change the network: the run may have lost it when it fell silent.
async fn in_turn(plan: &Plan, hosts: &Hosts, renderer: &Renderer, journal: Journal, way: &Direction) -> Exit {
    if !network_turn::is_needed(plan, way) {
        return execute::carry_out(plan, hosts, renderer, journal, way).await;
    }
    let tell = |text: String| renderer.event(&Event::Note { text });
    if let Err(NoTurn::Away(error) | NoTurn::Never(error)) = network_turn::take(plan, hosts, &tell).await {
        renderer.finish();
        output::complain(&format!("{error}\nnothing was changed now"));
        return Exit::NeedsHuman;
    }
    let exit = execute::carry_out(plan, hosts, renderer, journal, way).await;
    // Its own steps may have done that already; without them the next one would wait until this one counts as silent.
    if let Err(error) = network_turn::leave(plan, hosts).await {
        output::complain(&format!(
            "{error}\nthe next run on {} waits until this one has been silent for long enough",
            plan.hub
        ));
    }
    exit
}

/// This machine has no journal of an interrupted run: the hub may know one of another machine.
async fn from_the_hub(global: &Global, wanted: Option<&str>, dry_run: bool) -> Exit {
    let Ok(mut fleet) = input::fleet(global) else { return Exit::BadInput };
    let hub = fleet.fleet.hub.clone();
    let everyone = fleet.fleet.nodes.clone();
    fleet.fleet.nodes.retain(|name, _| *name == hub);
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => {
            fleet.fleet.nodes = everyone;
            fleet.fleet.nodes.retain(|name, _| *name != hub);
            let _ = noted_elsewhere(&fleet, wanted).await;
            // Whether a run was interrupted is not known then, nor where its jail runs.
            return if exit == Exit::Refused { Exit::NeedsHuman } else { exit };
        }
    };
    let mut found = match takeover::find(&fleet, &hosts, wanted).await {
        Ok(Some(Known::Run(found))) => found,
        Ok(Some(Known::LockOnly(lock))) => return lock.free(&hosts, &hub, dry_run).await,
        Ok(None) => {
            fleet.fleet.nodes = everyone;
            if noted_elsewhere(&fleet, wanted).await {
                return Exit::NeedsHuman;
            }
            return match wanted {
                Some(run) if has_journal(run) => {
                    let run = sanitize::line(run);
                    nothing(global, &format!("{hub} knows nothing of run {run} any more: nothing to recover."))
                }
                Some(run) => {
                    let run = sanitize::line(run);
                    output::complain(&format!(
                        "no run {run} here or on {hub}; `jailferry runs` lists those of this machine"
                    ));
                    Exit::BadInput
                }
                None => nothing(
                    global,
                    &format!("No run was interrupted, here or by what {hub} knows: nothing to recover."),
                ),
            };
        }
        Err(exit) => return exit,
    };
    let plan = found.plan().clone();
    output::error(&format!(
        "Run {} of {} moves jail {} from {} to {}; its journal is not on this machine.",
        plan.run,
        found.owner(),
        plan.jail,
        plan.source,
        plan.target
    ));
    fleet.fleet.nodes = everyone;
    let needed = [&plan.hub, &plan.source, &plan.target];
    let touched: BTreeSet<NodeName> =
        plan.steps.iter().flat_map(|s| s.commands().into_iter().chain(s.undo_commands())).map(|c| c.host).collect();
    fleet.fleet.nodes.retain(|name, _| needed.contains(&name) || touched.contains(name));
    let hosts = match reached::connect(&fleet, &plan).await {
        Ok(hosts) => hosts,
        Err(()) => {
            output::complain(&format!(
                "run {} needs them; nothing was changed now: try again when they can be reached",
                plan.run
            ));
            return Exit::NeedsHuman;
        }
    };
    if dry_run {
        return match found.direction(&hosts).await {
            Ok((_, way)) => {
                tell(&plan, &way);
                match &way {
                    Direction::Nothing => shown(global, &plan, &way, &[]),
                    Direction::Forward(indexes) | Direction::Back(indexes) => shown(global, &plan, &way, indexes),
                }
            }
            Err(exit) => exit,
        };
    }
    if let Err(exit) = found.prove_silent(&hosts).await {
        return exit;
    }
    let (plan, journal, way) = match found.take_over(&hosts).await {
        Ok(taken) => taken,
        Err(exit) => return exit,
    };
    tell(&plan, &way);
    let (way, gone) = reached::without_gone(&plan, way, &fleet);
    reached::tell_gone(&gone);
    let renderer = Renderer::choose(global.json, output::colour(std::io::IsTerminal::is_terminal(&std::io::stdout())));
    in_turn(&plan, &hosts, &renderer, journal, &way).await
}

/// Is there a journal of that run here, whatever it says?
fn has_journal(run: &str) -> bool {
    let path = |run| journal::runs_directory().map(|folder| journal::path_of(&folder, &run));
    RunId::new(run).is_ok_and(|run| path(run).is_ok_and(|path| path.exists()))
}

/// The hub knows of no run, or does not answer: tells what is written on the jails' datasets of runs that have not ended.
/// Is there any?
async fn noted_elsewhere(fleet: &FleetFile, wanted: Option<&str>) -> bool {
    let mut any = false;
    for (node, answer) in leftovers::asked(fleet).await {
        let Ok(traces) = answer else { continue };
        let told = traces.traces.iter().filter_map(|t| Some((&t.name, t.notice.as_ref()?)));
        for (dataset, notice) in told.filter(|(_, n)| wanted.is_none_or(|w| w == n.run.as_str())) {
            if notice.standing == Standing::Parked {
                continue;
            }
            any = true;
            let told = format!("{dataset} on {node}: {}", notice.told());
            output::complain(&sanitize::line(&told));
        }
    }
    if any {
        output::complain(&format!(
            "{} does not tell its plan, so that only the machine that drove it can recover it; `jailferry leftovers` lists what it left",
            fleet.fleet.hub
        ));
    }
    any
}

/// The run does not hold its jail's lock: its traces are somebody else's business now.
fn superseded(plan: &Plan, journal: &Journal, holder: &str, way: &Direction) -> Exit {
    let only_the_lock = match way {
        Direction::Back(indexes) | Direction::Forward(indexes) => {
            indexes.iter().filter_map(|i| plan.steps.get(*i)).all(|s| {
                let nothing = matches!(way, Direction::Back(_)) && s.undo.is_empty();
                nothing
                    || matches!(
                        s.effect,
                        Effect::Lock { .. } | Effect::StorePlan { .. } | Effect::Mark { .. } | Effect::Unlock { .. }
                    )
            })
        }
        Direction::Nothing => true,
    };
    let word = match (only_the_lock, way) {
        (true, Direction::Forward(_)) => "moved",
        (true, _) => "rolled-back",
        (false, _) => SUPERSEDED,
    };
    let finished = FinishedRecord { outcome: word.into(), blackout_milliseconds: None, measured: None };
    if let Err(error) = journal.append(Record::Finished(finished)) {
        output::complain(&error.to_string());
        return Exit::Internal;
    }
    if only_the_lock {
        output::say(&format!("Nothing else was left of run {}.", plan.run));
        return Exit::Done;
    }
    let who = match holder {
        "" => "nobody".to_owned(),
        run => format!("run {}", sanitize::line(run)),
    };
    output::complain(&format!(
        "the lock of jail {} on {} is held by {who}, not by run {}: somebody has put things right, or moved the jail since. Nothing was changed now; `jailferry show {}` tells what the run did.",
        plan.jail, plan.hub, plan.run, plan.run
    ));
    Exit::NeedsHuman
}

/// How a run ended here whose jail's lock another run has, or another machine for this one.
const SUPERSEDED: &str = "superseded";

/// What the journals of this machine have for `recover`.
pub(super) enum Looked {
    /// The run that is named, else the only one that did not end by itself.
    Here(Box<FoundRun>),
    /// The run is named, and its journal here is no journal any more; that has been said.
    Damaged(RunId),
    /// Perhaps the hub knows it.
    Nowhere,
}

/// Looks for the run. Journals that are damaged are named: any of them may be that of an interrupted run.
///
/// # Errors
/// The exit code to end with.
pub(super) fn find(wanted: Option<&str>) -> Result<Looked, Exit> {
    let listed = journal::runs_directory().and_then(|folder| journal::list_runs(&folder));
    let runs = listed.map_err(|error| {
        output::complain(&error.to_string());
        Exit::Internal
    })?;
    if let Some(wanted) = wanted {
        let id = RunId::new(wanted).map_err(|error| {
            output::complain(&error.to_string());
            Exit::BadInput
        })?;
        let Some(found) = runs.into_iter().find(|r| r.run == id) else { return Ok(Looked::Nowhere) };
        return Ok(match &found.record {
            // Another machine took it over; whoever has it now is known to the hub.
            Ok(record) if record.finished.as_ref().is_some_and(|f| f.outcome == SUPERSEDED) => Looked::Nowhere,
            Err(error) if error.is_damage() && !found.active => {
                output::complain(&error.to_string());
                Looked::Damaged(id)
            }
            _ => Looked::Here(Box::new(found)),
        });
    }
    for found in &runs {
        if let Err(error) = &found.record {
            let run = &found.run;
            output::complain(&format!("{error}\nif this run was interrupted, `jailferry recover {run}` puts it right"));
        }
    }
    let open = |r: &FoundRun| {
        r.record.as_ref().is_ok_and(|record| record.finished.as_ref().is_none_or(|f| f.outcome == "needs-human"))
    };
    let mut waiting: Vec<FoundRun> = runs.into_iter().filter(open).collect();
    if waiting.len() > 1 {
        let names: Vec<String> = waiting.iter().map(|r| r.run.to_string()).collect();
        output::complain(&format!("several runs were interrupted: {}; name one", names.join(", ")));
        return Err(Exit::BadInput);
    }
    Ok(waiting.pop().map_or(Looked::Nowhere, |found| Looked::Here(Box::new(found))))
}

fn describe(plan: &Plan, record: &RunRecord, way: &Direction) {
    match (way, &record.finished) {
        (Direction::Nothing, Some(finished)) => output::error(&format!(
            "Run {}: jail {} from {} to {} ended: {}. Nothing to recover.",
            plan.run, plan.jail, plan.source, plan.target, finished.outcome
        )),
        _ => tell(plan, way),
    }
}

fn tell(plan: &Plan, way: &Direction) {
    let what = format!("Run {}: jail {} from {} to {}", plan.run, plan.jail, plan.source, plan.target);
    output::error(&match way {
        Direction::Nothing => format!("{what} had changed nothing. Nothing to recover."),
        Direction::Forward(left) => {
            format!("{what} was proven before it was interrupted: {} steps are left to make it last.", left.len())
        }
        Direction::Back(steps) => format!(
            "{what} was interrupted before it was proven: {} steps are undone, and the jail runs on {} again.",
            steps.len(),
            plan.source
        ),
    });
}

/// What is left to do, for reading.
pub(super) fn remaining(global: &Global, plan: &Plan, left: &[usize]) -> Exit {
    shown(global, plan, &Direction::Forward(left.to_vec()), left)
}

/// There is no run to recover.
fn nothing(global: &Global, why: &str) -> Exit {
    if !global.json {
        output::say(why);
        return Exit::Done;
    }
    output::error(why);
    json(&serde_json::json!({ "run": null, "way": "nothing", "commands": [] }))
}

fn json(value: &serde_json::Value) -> Exit {
    if output::json(value).is_ok() { Exit::Done } else { Exit::Internal }
}

/// What remains, for reading or for machines.
fn shown(global: &Global, plan: &Plan, way: &Direction, indexes: &[usize]) -> Exit {
    if !global.json {
        commands(plan, way, indexes);
        return Exit::Done;
    }
    let word = match way {
        Direction::Nothing => "nothing",
        Direction::Forward(_) => "forward",
        Direction::Back(_) => "back",
    };
    let list: Vec<_> = commands_of(plan, way, indexes)
        .map(|command| serde_json::json!({ "host": command.host, "command": command.text() }))
        .collect();
    json(&serde_json::json!({ "run": plan.run, "way": word, "commands": list }))
}

fn commands_of<'a>(plan: &'a Plan, way: &'a Direction, indexes: &'a [usize]) -> impl Iterator<Item = Command> + 'a {
    indexes.iter().filter_map(|i| plan.steps.get(*i)).flat_map(move |step| match way {
        Direction::Forward(_) => step.commands(),
        Direction::Back(_) | Direction::Nothing => step.undo_commands(),
    })
}

/// What remains, for reading: hosts and exact commands, in order.
fn commands(plan: &Plan, way: &Direction, indexes: &[usize]) {
    for command in commands_of(plan, way, indexes) {
        output::say(&format!("{}: {}", command.host, command.text()));
    }
}
