//! From names to a plan, for every verb that moves a jail.

use std::collections::BTreeMap;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::gather;
use crate::cli::input::FleetFile;
use crate::cli::output;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::plan::Finding;
use crate::plan::Plan;
use crate::plan::assemble;
use crate::plan::finding::Findings;
use crate::plan::refresh::Begun;
use crate::plan::saved;
use crate::plan::situation::Evidence;
use crate::plan::situation::Situation;
use crate::playbook::Options;
use crate::playbook::Settings;
use crate::remote::Hosts;
use crate::saga::journal;
use crate::saga::owner;
use crate::ui::event::Event;
use crate::ui::plan_view;
use crate::ui::sanitize;

/// A plan with what it was made from.
#[derive(Debug)]
pub struct Drawn {
    /// The plan.
    pub plan: Plan,
    /// What it rests on, by name.
    pub fields: BTreeMap<String, String>,
    /// The options it was made with.
    pub settings: Settings,
    /// What the hosts said.
    pub evidence: Evidence,
    /// What follows from it.
    pub situation: Situation,
}

impl Drawn {
    /// What the run needs to be planned anew behind its copy.
    #[must_use]
    pub fn begun(&self, as_it_stands: bool) -> Begun {
        Begun::of(&self.evidence, &self.situation, &self.settings, as_it_stands)
    }
}

/// Why there is no plan.
#[derive(Debug)]
pub enum Undrawn {
    /// A host does not answer.
    NotAsked(String),
    /// Too little is known to plan; worst first.
    Findings(Vec<Finding>),
    /// This machine failed, and it has been said.
    Failed(Exit),
}

/// Asks the fleet and plans, with a further look at what the hosts said; what that finds stands alone when it forbids the
/// run and too little is known to plan. What went wrong has been said when this fails.
///
/// # Errors
/// The exit code to end with.
pub async fn draw(
    global: &Global,
    fleet: &FleetFile,
    hosts: &Hosts,
    there: (&JailName, &NodeName),
    options: &Options,
    events: &(dyn Fn(Event) + Send + Sync),
    examine: &(dyn Fn(&Evidence, &mut Findings) + Sync),
) -> Result<Drawn, Exit> {
    try_draw(fleet, hosts, there, options, events, examine).await.map_err(|undrawn| match undrawn {
        Undrawn::NotAsked(error) => {
            output::complain(&format!("the fleet cannot be asked; nothing was changed\n{error}"));
            Exit::Refused
        }
        Undrawn::Findings(findings) => {
            if global.json {
                let _ = output::json(&serde_json::json!({ "findings": findings }));
            } else {
                output::error(&plan_view::findings(&findings, output::error_paint()));
                output::complain(&format!("jail {} is not moved; nothing was changed", there.0));
            }
            Exit::Refused
        }
        Undrawn::Failed(exit) => exit,
    })
}

/// As [`draw`], and says nothing.
///
/// # Errors
/// Why there is no plan.
pub async fn try_draw(
    fleet: &FleetFile,
    hosts: &Hosts,
    (jail, target): (&JailName, &NodeName),
    options: &Options,
    events: &(dyn Fn(Event) + Send + Sync),
    examine: &(dyn Fn(&Evidence, &mut Findings) + Sync),
) -> Result<Drawn, Undrawn> {
    let settings = options.over(&fleet.fleet.options_of(jail)).settle();
    let gathered = gather::evidence(hosts, &fleet.fleet, jail, target, settings.transfer, events).await;
    let (evidence, situation, mut findings) = gathered.map_err(|error| Undrawn::NotAsked(error.to_string()))?;
    let mut own = Findings::default();
    examine(&evidence, &mut own);
    if situation.is_none() && own.has_errors() {
        findings = own;
    } else {
        findings.add(own);
    }
    let Some(situation) = situation else { return Err(Undrawn::Findings(findings.into_sorted())) };
    let owner = owner().map_err(Undrawn::Failed)?;
    let salt = salt(jail).map_err(Undrawn::Failed)?;
    let fields = saved::matters(&evidence, &situation, &settings);
    let plan = assemble::plan(&evidence, &situation, &settings, &owner, &salt, findings).map_err(Undrawn::Findings)?;
    Ok(Drawn { plan, fields, settings, evidence, situation })
}

/// Is the target a node of the fleet? To be asked before any host is.
///
/// # Errors
/// The exit code to end with.
pub fn known(fleet: &FleetFile, target: &NodeName) -> Result<(), Exit> {
    if fleet.fleet.nodes.contains_key(target) {
        return Ok(());
    }
    output::complain(&unknown(fleet, target.as_str()));
    Err(Exit::BadInput)
}

/// What is said of a node that the fleet does not have.
pub(super) fn unknown(fleet: &FleetFile, node: &str) -> String {
    let known: Vec<&str> = fleet.fleet.nodes.keys().map(NodeName::as_str).collect();
    format!("{} has no node {}; it has {}", fleet.path.display(), sanitize::line(node), known.join(", "))
}

/// Connects to the fleet, or says why not.
///
/// # Errors
/// The exit code to end with.
pub async fn connect(fleet: &FleetFile) -> Result<Hosts, Exit> {
    gather::connect(&fleet.fleet, fleet.ssh_config.as_deref()).await.map_err(|error| {
        output::complain(&format!("not every host can be reached; nothing was changed\n{error}"));
        Exit::Refused
    })
}

/// Who this machine is to the hosts.
///
/// # Errors
/// The exit code to end with.
pub fn owner() -> Result<Owner, Exit> {
    owner::owner().map_err(|error| {
        output::complain(&error.to_string());
        Exit::Internal
    })
}

/// What makes run ids differ although the evidence is the same: how many runs of this jail this machine has seen.
fn salt(jail: &JailName) -> Result<String, Exit> {
    let runs = journal::runs_directory().and_then(|folder| journal::named(&folder)).map_err(|error| {
        output::complain(&error.to_string());
        Exit::Internal
    })?;
    let of_jail = |run: &str| run.rsplit_once('-').is_some_and(|(name, _)| name == jail.as_str());
    Ok(runs.iter().filter(|(run, _)| of_jail(run.as_str())).count().to_string())
}
