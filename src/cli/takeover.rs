//! A run whose journal is not on this machine: its plan comes from the hub, and its owner must have fallen silent.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::cli::Exit;
use crate::cli::input::FleetFile;
use crate::cli::output;
use crate::cli::prepare;
use crate::effect::Effect;
use crate::effect::commands;
use crate::effect::commands::lease;
use crate::effect::commands::lock;
use crate::effect::commands::lock::Held;
use crate::effect::lease::Stage;
use crate::model::NodeName;
use crate::model::Owner;
use crate::plan::Plan;
use crate::plan::leases;
use crate::remote::Hosts;
use crate::remote::RemoteError;
use crate::saga::Header;
use crate::saga::Journal;
use crate::saga::StepEvent;
use crate::saga::StepState;
use crate::saga::direction;
use crate::saga::direction::Direction;
use crate::saga::journal;
use crate::ui::sanitize;

/// Seconds beyond the longest lease, until the hosts have surely noticed.
pub(super) const MARGIN: u64 = 10;

/// Seconds after which an owner with the longest lease there is has surely given a sign of life.
pub(super) const LONGEST_BEAT: u64 = 100 + MARGIN;

/// What the hub knows of a run.
pub(super) enum Known {
    /// All that is needed.
    Run(Box<Found>),
    /// Its lock only.
    LockOnly(LockOnly),
}

/// A run that ended, or waits, behind its first step: it has changed nothing else yet.
pub(super) struct LockOnly {
    held: Held,
}

/// A run as the hub knows it, with its plan.
pub(super) struct Found {
    held: Held,
    plan: Plan,
}

/// The run of that name, or the only one, of those that the hub knows and that are not ours.
///
/// # Errors
/// The exit code to end with; what is wrong has been said.
pub(super) async fn find(fleet: &FleetFile, hosts: &Hosts, wanted: Option<&str>) -> Result<Option<Known>, Exit> {
    let hub = fleet.fleet.hub.clone();
    let said = hosts.run(&lock::runs(&hub)).await.map_err(|e| failed(&e))?;
    let mut runs = Held::parse(&said.text());
    runs.retain(|held| wanted.is_none_or(|w| w == held.run.as_str()));
    if runs.len() > 1 {
        let names: Vec<String> = runs.iter().map(|r| format!("{} of {}", r.run, r.owner)).collect();
        output::complain(&format!("{hub} knows several runs: {}; name one", names.join(", ")));
        return Err(Exit::BadInput);
    }
    let Some(held) = runs.pop() else { return Ok(None) };
    if held.stage.is_none() {
        return Ok(Some(Known::LockOnly(LockOnly { held })));
    }
    let text = hosts.run(&lock::plan_of(&hub, &held.run)).await.map_err(|e| failed(&e))?;
    // The last line: a login shell may have printed others.
    let line = text.stdout.rsplit(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
    let plan: Plan = serde_json::from_slice(line).map_err(|error| {
        output::complain(&format!("the plan of run {} on {hub} cannot be read: {error}", held.run));
        Exit::NeedsHuman
    })?;
    Ok(Some(Known::Run(Box::new(Found { held, plan }))))
}

fn failed(error: &RemoteError) -> Exit {
    output::complain(&format!("{error}\nnothing was changed now"));
    Exit::NeedsHuman
}

impl LockOnly {
    /// Frees the jail once the run's owner has been silent for long enough.
    pub(super) async fn free(self, hosts: &Hosts, hub: &NodeName, dry_run: bool) -> Exit {
        let Held { run, jail, owner, .. } = &self.held;
        output::error(&format!(
            "Run {run} of {owner} has the lock of jail {jail} on {hub} and left no plan there: nothing else was changed."
        ));
        let unlock = Effect::Unlock { host: hub.clone(), jail: jail.clone(), run: run.clone() }.work();
        if dry_run {
            for command in unlock.commands() {
                output::say(&format!("{}: {}", command.host, command.text()));
            }
            return Exit::Done;
        }
        let now = match silent(hosts, hub, &self.held, LONGEST_BEAT).await {
            Ok(now) => now,
            Err(exit) => return exit,
        };
        if now.stage.is_some() {
            output::complain(&format!("run {run} is alive: it has gone on meanwhile. Nothing was changed"));
            return Exit::Refused;
        }
        let ours = match prepare::owner() {
            Ok(owner) => owner,
            Err(exit) => return exit,
        };
        let mut commands = vec![lock::take_over(hub, jail, &now, &ours)];
        commands.extend(unlock.commands().into_iter().cloned());
        for command in commands {
            if let Err(error) = hosts.run(&command).await {
                return failed(&error);
            }
        }
        output::say(&format!("Jail {jail} is free again: run {run} is gone."));
        Exit::Done
    }
}

/// Watches for that long whether the owner of a run is heard. Clocks are not asked: the number that the owner keeps
/// changing must stay. Gives what the hub knows of the run then.
async fn silent(hosts: &Hosts, hub: &NodeName, held: &Held, seconds: u64) -> Result<Held, Exit> {
    let run = &held.run;
    output::error(&format!(
        "Watching for {seconds} s whether {} still drives run {run} (and until the hosts have gone back by themselves)",
        held.owner
    ));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let said = hosts.run(&lock::runs(hub)).await.map_err(|e| failed(&e))?;
    match Held::parse(&said.text()).into_iter().find(|held| held.run == *run) {
        Some(now) if now.beat == held.beat && now.owner == held.owner => Ok(now),
        Some(now) => {
            output::complain(&format!(
                "run {run} is alive: {} was heard by {hub} meanwhile. Nothing was changed; interrupt it there, or wait until it ends",
                now.owner
            ));
            Err(Exit::Refused)
        }
        None => {
            output::say(&format!("Run {run} has ended meanwhile: nothing to recover."));
            Err(Exit::Done)
        }
    }
}

impl Found {
    /// The plan.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who drives the run, or drove it.
    pub(super) fn owner(&self) -> &Owner {
        &self.held.owner
    }

    /// Which way the run would go, as the hosts say now.
    ///
    /// # Errors
    /// The exit code to end with.
    pub(super) async fn direction(&self, hosts: &Hosts) -> Result<(BTreeMap<usize, StepState>, Direction), Exit> {
        let plan = &self.plan;
        let said = hosts.run(&lease::state(&plan.source, &plan.run)).await.map_err(|e| failed(&e))?;
        let says = |word: &str| said.text().lines().any(|l| l == word);
        let mut let_go = says("released");
        if self.held.stage == Some(Stage::CutOver) && !let_go {
            // A source that has lost what it kept (its /var may be in memory) says nothing of having let go. Where the jail
            // runs is the target's to say then.
            match hosts.run(&lease::runs(&plan.target, &plan.jail)).await {
                Ok(said) => let_go = said.text().lines().any(|l| l == "runs"),
                Err(_) if says("armed") || says("lapsed") => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        let states = direction::from_hosts(plan, self.held.stage, let_go);
        let way = direction::direction(plan, &states, None);
        Ok((states, way))
    }

    /// Waits until its owner has been silent for longer than its leases last; refuses when it is heard.
    ///
    /// # Errors
    /// The exit code to end with.
    pub(super) async fn prove_silent(&mut self, hosts: &Hosts) -> Result<(), Exit> {
        let seconds = u64::from(self.plan.lease.saturating_mul(2)) + MARGIN;
        self.held = silent(hosts, &self.plan.hub, &self.held, seconds).await?;
        Ok(())
    }

    /// Takes the run over: the lock on the hub first, then every host of it, so that the old owner is refused everywhere
    /// should it come back. Gives the plan as ours and a journal that says what may have happened.
    ///
    /// # Errors
    /// The exit code to end with.
    pub(super) async fn take_over(self, hosts: &Hosts) -> Result<(Plan, Journal, Direction), Exit> {
        let owner = prepare::owner()?;
        let (jail, run) = (self.plan.jail.clone(), self.plan.run.clone());
        // A journal here that is damaged, or of before another machine took the run over: its name is needed before any host
        // is changed.
        let aside = journal::runs_directory().and_then(|folder| journal::put_aside(&folder, &run));
        match aside {
            Ok(None) => {}
            Ok(Some(path)) => {
                output::error(&format!("The journal that was here of run {run} is kept as {}", path.display()))
            }
            Err(error) => {
                output::complain(&format!("{error}; nothing was changed now"));
                return Err(Exit::NeedsHuman);
            }
        }
        hosts.run(&lock::take_over(&self.plan.hub, &jail, &self.held, &owner)).await.map_err(|e| failed(&e))?;
        // Every host that is armed and so knows an owner: source, target, and those with peers of their own.
        let armed = leases::beats(&self.plan.steps).into_keys();
        for host in &armed.filter(|host| *host != self.plan.hub).collect::<Vec<NodeName>>() {
            hosts.run(&lease::adopt(host, &jail, &run, &owner)).await.map_err(|e| failed(&e))?;
        }
        let declared: BTreeSet<_> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| match &step.effect {
                Effect::Declare { host, dataset, .. } => Some((host, dataset)),
                _ => None,
            })
            .collect();
        for (host, dataset) in declared {
            hosts.run(&commands::redeclare(host, dataset, &run, &owner)).await.map_err(|e| failed(&e))?;
        }
        // Only now is what the hosts say final.
        let (states, way) = self.direction(hosts).await?;
        let plan = self.plan.with_owner(&owner);
        let journal = journal_of(&plan, &states).map_err(|message| {
            output::complain(&message);
            Exit::Internal
        })?;
        let note = format!("taken over from {} by {owner}", sanitize::line(self.held.owner.as_str()));
        journal.note(note).map_err(|error| {
            output::complain(&error.to_string());
            Exit::Internal
        })?;
        Ok((plan, journal, way))
    }
}

/// A journal for a run that was begun elsewhere.
fn journal_of(plan: &Plan, states: &BTreeMap<usize, StepState>) -> Result<Journal, String> {
    let folder = journal::runs_directory().map_err(|e| e.to_string())?;
    let header = Header {
        run: plan.run.clone(),
        jail: plan.jail.clone(),
        from: plan.source.clone(),
        to: plan.target.clone(),
        plan: serde_json::to_value(plan).map_err(|e| e.to_string())?,
        begun: None,
    };
    let journal = Journal::create(&folder, header).map_err(|e| e.to_string())?;
    for (number, state) in states {
        journal.step(*number, StepEvent::Intended, None).map_err(|e| e.to_string())?;
        if *state == StepState::Done {
            journal.step(*number, StepEvent::Done, None).map_err(|e| e.to_string())?;
        }
    }
    Ok(journal)
}
