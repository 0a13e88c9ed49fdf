//! `jailferry rebalance`: looks at loads, decides which jails should be elsewhere, and moves them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::batch;
use crate::cli::batch::Order;
use crate::cli::batch::Orders;
use crate::cli::gather;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::known;
use crate::cli::marks;
use crate::cli::migrate::Consent;
use crate::cli::output;
use crate::cli::prepare;
use crate::cli::prepare::Undrawn;
use crate::cli::replan::reasons;
use crate::effect::command::Command;
use crate::facts::HostFacts;
use crate::facts::Loads;
use crate::facts::parse;
use crate::facts::questions;
use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::Batch;
use crate::playbook::Options;
use crate::playbook::Rebalance;
use crate::rebalance;
use crate::rebalance::Outcome;
use crate::rebalance::survey;
use crate::rebalance::survey::History;
use crate::rebalance::survey::Survey;
use crate::remote::Hosts;
use crate::saga::record::NoteRecord;
use crate::ui::plan_view;
use crate::ui::sanitize;
use crate::ui::text;

/// Seconds a host gets to say what its jails use.
const ROUND: u32 = 120;
/// How often loads are looked at, and the time between, when the playbook does not say.
const SAMPLES: u32 = 3;
const EVERY: Duration = Duration::from_secs(10);
/// How long a jail stays after a move, and a failure is remembered, when the playbook does not say.
const COOLDOWN: Duration = Duration::from_secs(24 * 3600);
const REMEMBER: Duration = Duration::from_secs(7 * 24 * 3600);
/// A decision is tried on the hosts before it is shown, and made anew with what they refuse and what its moves would cost, so
/// many times.
const TRIES: usize = 100;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) title: String,
    pub(super) wanted: &'a Rebalance,
    pub(super) batch: &'a Batch,
    pub(super) options: &'a Options,
    /// Nodes that are taken for gone: only a question.
    pub(super) down: BTreeSet<NodeName>,
}

/// A plan that the hosts agree to: bytes to send and milliseconds of blackout, or why not.
type Tried = BTreeMap<(JailName, NodeName), Result<(u64, u64), String>>;

pub(super) async fn rebalance(global: &Global, path: &Path, what_if: &[String], consent: Consent) -> Exit {
    let Ok((playbook, fleet)) = input::playbook(global, path) else { return Exit::BadInput };
    let Some(wanted) = &playbook.rebalance else {
        output::complain(&format!("{} has no `rebalance:`; jailferry run does what it says", path.display()));
        return Exit::BadInput;
    };
    let Some(down) = gone(&fleet, what_if) else { return Exit::BadInput };
    let consent = Consent { dry_run: consent.dry_run || !down.is_empty(), ..consent };
    let title = path.display().to_string();
    let wish = Wish { title, wanted, batch: &playbook.batch, options: &playbook.options, down };
    within(global, &fleet, &wish, consent).await
}

/// The nodes of `NODE=down`; `None` when something else was written, which has been said.
fn gone(fleet: &FleetFile, what_if: &[String]) -> Option<BTreeSet<NodeName>> {
    let mut down = BTreeSet::new();
    for text in what_if {
        let name = text.strip_suffix("=down").and_then(|name| NodeName::new(name).ok());
        let Some(name) = name else {
            output::complain(&format!("--what-if {}: write NODE=down", sanitize::line(text)));
            return None;
        };
        prepare::known(fleet, &name).ok()?;
        down.insert(name);
    }
    Some(down)
}

/// The same, with a playbook and a fleet that are known already.
pub(super) async fn within(global: &Global, fleet: &FleetFile, wish: &Wish<'_>, consent: Consent) -> Exit {
    let hosts = match prepare::connect(fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let exit = match balanced(global, fleet, &hosts, wish, consent).await {
        Ok(exit) | Err(exit) => exit,
    };
    drop(hosts);
    exit
}

async fn balanced(
    global: &Global,
    fleet: &FleetFile,
    hosts: &Hosts,
    wish: &Wish<'_>,
    consent: Consent,
) -> Result<Exit, Exit> {
    let outcome = decide(fleet, hosts, wish).await?;
    if global.json && consent.dry_run {
        output::json(&outcome).map_err(|_| Exit::Internal)?;
    } else if global.json {
        output::say(&serde_json::json!({ "event": "rebalance", "title": wish.title, "outcome": outcome }).to_string());
    } else {
        output::say(told(wish, &outcome).trim_end());
    }
    // What must move and cannot is somebody's to look at; what is merely not worth a move is not.
    let stuck = if outcome.refused.iter().any(|r| r.must) { Exit::Refused } else { Exit::Done };
    if consent.dry_run || outcome.moves.is_empty() {
        return Ok(stuck);
    }
    let moves = outcome.moves.iter().map(|one| Order {
        jail: one.jail.clone(),
        from: Some(one.from.clone()),
        to: one.to.clone(),
        after: one.after.clone(),
        options: wish.options.clone(),
    });
    let note = NoteRecord {
        text: format!("one of {}: {}", wish.title, outcome.summary),
        decision: serde_json::to_value(&outcome).ok(),
    };
    let orders = Orders {
        title: wish.title.clone(),
        moves: moves.collect(),
        batch: wish.batch,
        deadline: None,
        note: Some(note),
    };
    let all = batch::carry_out(global, fleet, hosts, &orders, consent).await?;
    Ok(match batch::worst(&all) {
        Exit::Done => stuck,
        exit => exit,
    })
}

/// What the planner decides, with every move tried on the hosts as if it were made now.
async fn decide(fleet: &FleetFile, hosts: &Hosts, wish: &Wish<'_>) -> Result<Outcome, Exit> {
    let unasked = |error: gather::GatherError| {
        output::complain(&format!("the fleet cannot be asked; nothing was changed\n{error}"));
        Exit::Refused
    };
    let facts = gather::facts_of_all(hosts, &fleet.fleet, &|_| ()).await.map_err(unasked)?;
    let loads = samples(hosts, wish.wanted).await.map_err(unasked)?;
    let drained: BTreeSet<NodeName> = marks::all()?.into_keys().collect();
    let mut history = history(wish.wanted)?;
    let options = survey::options(wish.wanted);
    let mut tried = Tried::new();
    let mut predicted = BTreeSet::new();
    for _ in 0..TRIES {
        let survey = Survey {
            fleet: &fleet.fleet,
            wanted: wish.wanted,
            facts: &facts,
            loads: &loads,
            history: &history,
            drained: &drained,
            down: &wish.down,
        };
        let mut outcome = rebalance::plan(&survey::fleet(&survey), &options);
        // Nobody can be asked about moves away from a node that is only taken for gone.
        if !wish.down.is_empty() {
            return Ok(outcome);
        }
        try_all(fleet, hosts, wish, &facts, &outcome, &mut tried).await?;
        let before = (history.failed.len(), predicted.len());
        for one in &mut outcome.moves {
            match tried.get(&(one.jail.clone(), one.to.clone())) {
                Some(Ok((bytes, blackout))) => {
                    (one.bytes, one.predicted_blackout_milliseconds) = (*bytes, *blackout);
                    // What the move would cost is known better now. The first prediction stays, so that this ends.
                    if predicted.insert(one.jail.clone()) {
                        history.blackouts.insert(one.jail.clone(), *blackout);
                    }
                }
                Some(Err(_)) => {
                    history.failed.insert((one.jail.clone(), one.to.clone()));
                }
                // The second move of a jail that is parked meanwhile.
                None => {}
            }
        }
        if (history.failed.len(), predicted.len()) == before {
            said(&mut outcome, &tried);
            return Ok(outcome);
        }
    }
    output::complain("the hosts refuse one move after the other; jailferry doctor says what is wrong with them");
    Err(Exit::Refused)
}

/// Adds what the hosts had against a move to what is said of its jail.
fn said(outcome: &mut Outcome, tried: &Tried) {
    for refusal in &mut outcome.refused {
        for ((jail, node), result) in tried {
            if let Err(why) = result
                && *jail == refusal.jail
            {
                refusal.why.push_str(&format!("; to {node}: {}", sanitize::line(&why.replace('\n', ", "))));
            }
        }
    }
    let known: BTreeSet<JailName> = outcome.refused.iter().map(|r| r.jail.clone()).collect();
    for ((jail, node), result) in tried {
        if let Err(why) = result
            && !known.contains(jail)
            && !outcome.moves.iter().any(|m| m.jail == *jail)
        {
            let why = format!("would be better on {node}, but: {}", sanitize::line(&why.replace('\n', ", ")));
            outcome.refused.push(rebalance::Refusal { jail: jail.clone(), why, must: false });
        }
    }
}

async fn try_all(
    fleet: &FleetFile,
    hosts: &Hosts,
    wish: &Wish<'_>,
    facts: &BTreeMap<NodeName, HostFacts>,
    outcome: &Outcome,
    tried: &mut Tried,
) -> Result<(), Exit> {
    for one in &outcome.moves {
        let key = (one.jail.clone(), one.to.clone());
        let there = facts.get(&one.from).is_some_and(|f| f.jail(&one.jail).is_some());
        if tried.contains_key(&key) || !there {
            continue;
        }
        let drawn = prepare::try_draw(fleet, hosts, (&one.jail, &one.to), wish.options, &|_| (), &|_, _| ()).await;
        let result = match drawn {
            Ok(drawn) if !drawn.plan.refused() => Ok((drawn.plan.bytes, drawn.plan.predicted_blackout)),
            Ok(drawn) => Err(reasons(&drawn.plan.findings)),
            Err(Undrawn::Findings(findings)) => Err(reasons(&findings)),
            Err(Undrawn::NotAsked(error)) => Err(error),
            Err(Undrawn::Failed(exit)) => return Err(exit),
        };
        tried.insert(key, result);
    }
    Ok(())
}

/// What all jails use, as often as the playbook wants to know.
async fn samples(hosts: &Hosts, wanted: &Rebalance) -> Result<Vec<BTreeMap<NodeName, Loads>>, gather::GatherError> {
    let every = wanted.every.and_then(|e| Duration::try_from(e).ok()).unwrap_or(EVERY);
    let mut all = Vec::new();
    for number in 0..wanted.samples.unwrap_or(SAMPLES) {
        if number > 0 {
            tokio::time::sleep(every).await;
        }
        all.push(loads(hosts).await?);
    }
    Ok(all)
}

async fn loads(hosts: &Hosts) -> Result<BTreeMap<NodeName, Loads>, gather::GatherError> {
    let asked = hosts.names().cloned().map(|name| async move {
        let command = Command::script(&name, ROUND, questions::load_questions());
        let answer = match hosts.run(&command).await {
            Ok(output) => parse::parse_loads(&output.stdout).map_err(|error| format!("{name}: {error}")),
            Err(error) => Err(error.to_string()),
        };
        (name, answer)
    });
    let (mut all, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, answer) in join_all(asked).await {
        match answer {
            Ok(loads) => {
                all.insert(name, loads);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(all) } else { Err(gather::GatherError(errors)) }
}

/// What the journals of this machine say.
fn history(wanted: &Rebalance) -> Result<History, Exit> {
    let length = |written: Option<jiff::SignedDuration>, usual: Duration| {
        written.and_then(|d| Duration::try_from(d).ok()).unwrap_or(usual)
    };
    let (cooldown, remember) = (length(wanted.cooldown, COOLDOWN), length(wanted.remember_failures, REMEMBER));
    let now = Timestamp::now();
    let mut history = History::default();
    for run in known::runs()? {
        let Ok(record) = &run.record else { continue };
        let (header, ended) = (&record.header, record.ended().unwrap_or(record.started));
        // A clock that was put back makes it now.
        let ago = Duration::try_from(now.duration_since(ended)).unwrap_or_default();
        if known::has_moved(record) {
            let blackout = record.finished.as_ref().and_then(|f| f.blackout_milliseconds);
            history.blackouts.extend(blackout.map(|b| (header.jail.clone(), b)));
            history.failed.remove(&(header.jail.clone(), header.to.clone()));
            if ago < cooldown {
                history.moved.insert(header.jail.clone(), ago);
            }
        } else if !run.active && record.failed() && ago < remember {
            history.failed.insert((header.jail.clone(), header.to.clone()));
        }
    }
    Ok(history)
}

/// For people.
fn told(wish: &Wish<'_>, outcome: &Outcome) -> String {
    let mut out = String::new();
    for node in &wish.down {
        out.push_str(&format!("As if {node} were down.\n"));
    }
    out.push_str(&format!("{}: {}\n\n{}", wish.title, outcome.summary, rebalance::table::table(outcome)));
    if !outcome.moves.is_empty() {
        out.push('\n');
    }
    for one in &outcome.moves {
        let after: Vec<String> = one.after.iter().map(ToString::to_string).collect();
        let after = if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
        out.push_str(&format!(
            "  {}. {}: {} to {}{after}\n     {} to send, nobody answers for about {}\n     {}\n",
            one.number,
            one.jail,
            one.from,
            one.to,
            text::bytes(one.bytes),
            plan_view::seconds(one.predicted_blackout_milliseconds),
            one.why
        ));
    }
    if !outcome.refused.is_empty() {
        out.push_str("\nNot moved:\n");
    }
    for one in &outcome.refused {
        out.push_str(&format!("  {} {}\n", one.jail, sanitize::line(&one.why)));
    }
    out
}
