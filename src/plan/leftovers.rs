//! Why something of ours is on a host, and what takes it away: pure, from what was found and what the journals say.
//!
//! A command that destroys is only told for what nothing needs any more. What belongs to a run that moved its jail is
//! let go by `jailferry finalize`, what an interrupted run left by `jailferry recover`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::effect::Effect;
use crate::effect::commands::hub_turn;
use crate::effect::commands::pf;
use crate::effect::shell;
use crate::facts::leftovers::Trace;
use crate::facts::leftovers::TraceKind;
use crate::facts::leftovers::Traces;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RunId;
use crate::plan::Plan;
use crate::plan::naming::label;
use crate::plan::rollback;

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A process works on it now.
    UnderWay,
    /// It did not end by itself, or needs a person.
    Interrupted,
    /// The jail moved; what the run keeps is kept until it is finalized.
    Moved,
    /// Nothing of it is kept: rolled back, finalized, or put right by somebody.
    Over,
}

/// A run that a journal on this machine knows.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its id.
    pub run: RunId,
    /// What became of it.
    pub fate: Fate,
    /// Its plan, if it can be read.
    pub plan: Option<Plan>,
}

/// How it stands with a thing of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A run that is under way needs it, or the network does.
    InUse,
    /// Kept for the way back, until `finalize`.
    Kept,
    /// Left by an interrupted run: `recover` takes it away.
    Interrupted,
    /// Nothing needs it any more; the command takes it away.
    Nobodys,
    /// Nobody here knows: the run was started on another machine, or a person has to look.
    Unknown,
}

/// A thing of ours with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// Where it is.
    pub host: NodeName,
    /// What it is.
    pub kind: TraceKind,
    /// Its name, as the host tells it.
    pub name: String,
    /// Since when, in seconds since the epoch of the host's clock.
    pub since: Option<i64>,
    /// Of which run.
    pub run: Option<RunId>,
    /// Whose that run is, where the host says so.
    pub owner: Option<Owner>,
    /// Of which jail.
    pub jail: Option<JailName>,
    /// How it stands with it.
    pub verdict: Verdict,
    /// Why it is there.
    pub why: String,
    /// What takes it away, if anything should.
    pub command: Option<String>,
    /// Where that command runs: the host, or this machine.
    pub on: Option<NodeName>,
}

/// What all hosts told together.
#[derive(Debug, Default)]
pub struct Fleetwide {
    /// Which jails run where.
    pub jails: BTreeMap<String, BTreeSet<NodeName>>,
    /// Was every node asked?
    pub complete: bool,
}

/// Every trace of a host with its reason, in the order in which a person would look. `known`: oldest first.
#[must_use]
pub fn explain(host: &NodeName, traces: &Traces, known: &[Known], fleet: &Fleetwide) -> Vec<Leftover> {
    // What one trace of a run says of its owner holds for all of them.
    let owned = |t: &Trace| Some((t.run.clone()?, t.owner.clone()?));
    let owners: BTreeMap<RunId, Owner> = traces.traces.iter().filter_map(owned).collect();
    let story = Story { host, known, fleet, owners: &owners };
    let mut list: Vec<Leftover> = traces.traces.iter().map(|t| story.of(t)).collect();
    let doomed: Vec<String> = list
        .iter()
        .filter(|l| l.verdict == Verdict::Nobodys && is_copy(l.kind) && l.command.is_some())
        .map(|l| l.name.clone())
        .collect();
    for leftover in &mut list {
        let dataset = leftover.name.split(['@', '#']).next().unwrap_or_default();
        let above = |name: &String| {
            let rest = dataset.strip_prefix(name.as_str());
            rest.is_some_and(|r| r.starts_with('/') || r.is_empty() && *name != leftover.name)
        };
        if leftover.kind <= TraceKind::PartialCopy
            && leftover.kind != TraceKind::MountedCopy
            && doomed.iter().any(above)
        {
            leftover.verdict = Verdict::Nobodys;
            leftover.why = "it goes with the copy it belongs to".into();
            (leftover.command, leftover.on) = (None, None);
        }
    }
    list.sort_by(|a, b| (a.verdict, a.kind, &a.name).cmp(&(b.verdict, b.kind, &b.name)));
    list
}

fn is_copy(kind: TraceKind) -> bool {
    matches!(kind, TraceKind::Copy | TraceKind::PartialCopy)
}

/// The file of lockf(1), which stays so that whoever waits for it and whoever comes new wait for the same file.
const LOCKF: &str = "/var/run/jailferry.lock";

/// That one, or the file of a jail's turns, of the receives into a dataset, or of listings.
fn is_of_lockf(file: &str) -> bool {
    let turns = [".turn", ".receive", ".verify"].iter().any(|end| file.ends_with(end));
    file == LOCKF || file.starts_with("/var/run/jailferry-") && turns
}

/// Verdict, reason, command.
type Told = (Verdict, String, Option<Way>);

/// Who runs the command.
enum Way {
    /// This machine.
    Here(String),
    /// The host.
    There(String),
}

struct Story<'a> {
    host: &'a NodeName,
    known: &'a [Known],
    fleet: &'a Fleetwide,
    owners: &'a BTreeMap<RunId, Owner>,
}

impl Story<'_> {
    fn of(&self, trace: &Trace) -> Leftover {
        let owner = self.owner(trace);
        let (verdict, why, way) = match &owner {
            Some(run) => self.of_run(trace, run),
            None => self.of_nobody_in_particular(trace),
        };
        let (command, on) = match way {
            Some(Way::Here(command)) => (Some(command), None),
            Some(Way::There(command)) => (Some(command), Some(self.host.clone())),
            None => (None, None),
        };
        let jail = trace.jail.clone().or_else(|| JailName::new(owner.as_ref()?.jail()).ok());
        Leftover {
            host: self.host.clone(),
            kind: trace.kind,
            name: trace.name.clone(),
            since: trace.since,
            owner: owner.as_ref().and_then(|run| self.owners.get(run)).cloned(),
            run: owner,
            jail,
            verdict,
            why,
            command,
            on,
        }
    }

    /// The run in its name; for a file put aside, the last run that put it there.
    fn owner(&self, trace: &Trace) -> Option<RunId> {
        let puts_aside = |plan: &Plan| {
            plan.steps.iter().any(|s| match &s.effect {
                Effect::MoveFile { host, to, .. } => host == self.host && to.as_str() == trace.name,
                _ => false,
            })
        };
        let by_plan = || {
            let of_file = trace.kind == TraceKind::FileAside;
            self.known.iter().rev().find(|k| of_file && k.plan.as_ref().is_some_and(puts_aside)).map(|k| k.run.clone())
        };
        trace.run.clone().or_else(by_plan)
    }

    fn known(&self, run: &RunId) -> Option<&Known> {
        self.known.iter().find(|k| k.run == *run)
    }

    fn of_run(&self, trace: &Trace, run: &RunId) -> Told {
        let Some(known) = self.known(run) else {
            return (Verdict::Unknown, self.of_elsewhere(trace, run), None);
        };
        match known.fate {
            Fate::UnderWay => (Verdict::InUse, format!("run {run} is under way"), None),
            Fate::Interrupted => (
                Verdict::Interrupted,
                format!("left by run {run}, which was interrupted"),
                Some(Way::Here(format!("jailferry recover {run}"))),
            ),
            Fate::Moved => match self.kept(trace, known) {
                Some(why) => (Verdict::Kept, why, Some(Way::Here(format!("jailferry finalize {run}")))),
                None => self.over(trace, &format!("run {run} is over and does not need it")),
            },
            Fate::Over => self.over(trace, &format!("run {run} is over and keeps nothing")),
        }
    }

    /// Of a run of another machine: what the host itself says of it.
    fn of_elsewhere(&self, trace: &Trace, run: &RunId) -> String {
        let owner = self.owners.get(run);
        let who = owner.map(|o| format!(" of {o}")).unwrap_or_default();
        let what = match &trace.notice {
            Some(notice) => notice.told(),
            None => format!("of run {run}{who}"),
        };
        let ask = owner.map_or_else(|| "ask where it was started".to_owned(), |o| format!("ask {o}"));
        format!(
            "{what}; this machine has no journal of that run: {ask} (jailferry runs, finalize), or, when it was interrupted, jailferry recover {run}"
        )
    }

    /// Why a run that moved its jail keeps it; `None` when it does not.
    fn kept(&self, trace: &Trace, known: &Known) -> Option<String> {
        let (run, plan) = (&known.run, known.plan.as_ref()?);
        let parked = rollback::parked(plan);
        let is_parked = |name: &str| parked.iter().any(|p| p.dataset.as_str() == name);
        let last = label(run, "final");
        match trace.kind {
            TraceKind::Copy if *self.host == plan.source && is_parked(&trace.name) => {
                Some(format!("the copy that run {run} left at the source, for the way back: jailferry rollback {run}"))
            }
            TraceKind::Copy if *self.host == plan.source && is_aside(&trace.name) => {
                Some(format!("the outdated copy of run {run}, which a later move put aside"))
            }
            TraceKind::Snapshot | TraceKind::Hold
                if trace.name.split_once('@').is_some_and(|(_, l)| l == last.as_str())
                    && (*self.host == plan.source || *self.host == plan.target) =>
            {
                Some(format!("what both copies of run {run} have in common, the base of the way back"))
            }
            TraceKind::FileAside => Some(format!("the jail's configuration at the source of run {run}")),
            TraceKind::Backup => Some(format!("what the file was before run {run}; it holds the host's private key")),
            _ => None,
        }
    }

    /// Nothing needs it: what takes it away.
    fn over(&self, trace: &Trace, why: &str) -> Told {
        let name = shell::word(&trace.name);
        let there = |command: String| (Verdict::Nobodys, why.to_owned(), Some(Way::There(command)));
        match trace.kind {
            TraceKind::Snapshot | TraceKind::Bookmark => there(format!("zfs destroy {name}")),
            TraceKind::Hold => match &trace.run {
                Some(run) => there(format!("zfs release jailferry-{run} {name}")),
                None => (Verdict::Unknown, why.to_owned(), None),
            },
            TraceKind::Copy if is_aside(&trace.name) => (
                Verdict::Nobodys,
                "an outdated copy that a later move put aside; no run uses it".into(),
                Some(Way::There(format!("zfs destroy -r {name}"))),
            ),
            TraceKind::Copy => there(format!("zfs destroy -r {name}")),
            // A clone for a rehearsal never becomes a jail's live data.
            TraceKind::MountedCopy if is_rehearsal(&trace.name) => there(format!("zfs destroy -r {name}")),
            TraceKind::PartialCopy => there(format!("zfs receive -A {name}")),
            // It may be a jail's live data: never a command that destroys.
            TraceKind::MountedCopy => (
                Verdict::Nobodys,
                format!("{why}; it is mounted, so only the mark on it is too much"),
                Some(Way::There(format!("zfs inherit org.jailferry:run {name}"))),
            ),
            TraceKind::Notice => {
                there(format!("zfs inherit org.jailferry:state {name}; zfs inherit org.jailferry:owner {name}"))
            }
            // It may be all that is left of the jail's configuration.
            TraceKind::FileAside => (
                Verdict::Unknown,
                format!("{why}; look whether the jail's configuration is anywhere else before it goes"),
                None,
            ),
            TraceKind::StagedFile | TraceKind::Backup | TraceKind::Lock => there(format!("rm {name}")),
            // A snapshot may still be mounted in a listing.
            TraceKind::StateFile if trace.name.ends_with(".listing") => {
                there(format!("umount {name}/at; rm -r {name}"))
            }
            TraceKind::RunFile | TraceKind::StateFile => there(format!("rm -r {name}")),
            TraceKind::Key => match &trace.run {
                Some(run) => there(format!("sed -i '' '/ jailferry-{run}$/d' {name}")),
                None => (Verdict::Unknown, why.to_owned(), None),
            },
            TraceKind::Variable | TraceKind::Hook | TraceKind::Way | TraceKind::RulesFile => {
                (Verdict::Unknown, why.to_owned(), None)
            }
            TraceKind::Anchor => there(format!("pfctl -a {name} -F all")),
            TraceKind::Jail => there(format!("jail -R {name}")),
            TraceKind::Interface => there(format!("ifconfig {name} destroy")),
            TraceKind::Process => match trace.name.split_once(' ') {
                Some((pid, _)) => there(format!("kill {}", shell::word(pid))),
                None => (Verdict::Unknown, why.to_owned(), None),
            },
        }
    }

    /// No run's name is in it.
    fn of_nobody_in_particular(&self, trace: &Trace) -> Told {
        match trace.kind {
            TraceKind::Variable => self.variable(trace),
            TraceKind::Hook => {
                let Some(jail) = &trace.jail else { return (Verdict::Unknown, "no jail is named in it".into(), None) };
                self.for_the_network(
                    |name| name == jail.as_str(),
                    jail.as_str(),
                    &format!("brings a route of jail {jail} back when the tunnel comes up"),
                )
            }
            TraceKind::Way => {
                let Some(jail) = &trace.jail else { return (Verdict::Unknown, "no jail is named in it".into(), None) };
                self.for_the_network(
                    |name| name == jail.as_str(),
                    jail.as_str(),
                    &format!("gives the jail a route to jail {jail}, which is not on its link, at each start"),
                )
            }
            TraceKind::Anchor => match &trace.jail {
                Some(jail) if self.runs(|name| name == jail.as_str()) => {
                    (Verdict::InUse, format!("rules of jail {jail}"), None)
                }
                _ => self.over(trace, "its jail runs nowhere"),
            },
            TraceKind::RulesFile => match &trace.jail {
                Some(jail) => {
                    let what = format!(
                        "brings jail {jail}'s rules in pf back after a reboot; its line in {} goes before it",
                        pf::INDEX
                    );
                    self.for_the_network(|name| name == jail.as_str(), jail.as_str(), &what)
                }
                None => {
                    let why = "names the rules of jails that pf loads at boot; pf.conf may include it".to_owned();
                    (Verdict::InUse, why, None)
                }
            },
            TraceKind::FileAside => {
                let why = "put aside so that no tool starts the jail by it, by a run that this machine does not know";
                (Verdict::Unknown, why.into(), None)
            }
            TraceKind::Copy | TraceKind::PartialCopy | TraceKind::MountedCopy | TraceKind::Notice => {
                (Verdict::Unknown, "its mark names no run: somebody has changed it".into(), None)
            }
            TraceKind::RunFile if is_of_lockf(&trace.name) => (
                Verdict::InUse,
                "empty; what changes the same thing on this host waits for each other by it, and it goes with the next boot".into(),
                None,
            ),
            TraceKind::StateFile if trace.name == hub_turn::FILE => (
                Verdict::InUse,
                "names the run that changes the network here; from a machine that is gone it passes to the next run by itself".into(),
                None,
            ),
            _ if self.known.iter().any(|k| k.fate == Fate::UnderWay) => {
                (Verdict::InUse, "a run is under way; ask again when it is over".into(), None)
            }
            TraceKind::Lock => self.over(trace, "no run's name is in it, as after a power loss"),
            _ => self.over(trace, "no run is under way that could need it"),
        }
    }

    fn runs(&self, is_it: impl Fn(&str) -> bool) -> bool {
        self.fleet.jails.keys().any(|name| is_it(name))
    }

    /// Boot configuration: in use as long as its jail runs somewhere.
    fn for_the_network(&self, is_it: impl Fn(&str) -> bool, jail: &str, what: &str) -> Told {
        if self.runs(is_it) {
            return (Verdict::InUse, format!("{what}; the move that needs it no more takes it out"), None);
        }
        let so = if self.fleet.complete { "runs on no node" } else { "runs on none of the nodes that were asked" };
        (Verdict::Unknown, format!("{what}, and jail {jail} {so}; only if it is gone for good this may go too"), None)
    }

    fn variable(&self, trace: &Trace) -> Told {
        let (name, value) = trace.name.split_once(':').unwrap_or((&trace.name, ""));
        if let Some(bridge) = name.strip_prefix("jailferry_").and_then(|n| n.strip_suffix("_aliases")) {
            let why = format!(
                "tells which gateway addresses on {bridge} are jailferry's:{value}; they go with the last jail that needs them"
            );
            return (Verdict::InUse, why, None);
        }
        if let Some(bridge) = name.strip_prefix("jailferry_").and_then(|n| n.strip_suffix("_ipv6")) {
            let why = format!("tells that ifconfig_{bridge}_ipv6 is jailferry's; it goes with the last such address");
            return (Verdict::InUse, why, None);
        }
        if name == "jailferry_arpproxy" {
            let why = format!(
                "tells for which jails arpproxy_all is jailferry's:{value}; it goes when the last of them comes home"
            );
            return (Verdict::InUse, why, None);
        }
        if name == "jailferry_subnets" {
            let why = format!(
                "tells which routes of whole subnets into the tunnel are jailferry's:{value}; they go with the last jail that needs them"
            );
            return (Verdict::InUse, why, None);
        }
        let (list, stem) = match name.strip_prefix("ipv6_route_jailferry_") {
            Some(stem) => ("ipv6_static_routes", stem),
            None => ("static_routes", name.strip_prefix("route_jailferry_").unwrap_or(name)),
        };
        let jail = stem.rsplit_once('_').map_or(stem, |(jail, _)| jail);
        // rc.conf(5) has no '-' in names.
        let is_it = |running: &str| running.replace('-', "_") == jail;
        let (verdict, why, _) = self.for_the_network(is_it, jail, "keeps a route of the jail after a reboot");
        if verdict == Verdict::InUse {
            return (verdict, why, None);
        }
        let safe = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let command =
            (safe(name) && safe(stem)).then(|| Way::There(format!("sysrc -x {name}; sysrc {list}-=jailferry_{stem}")));
        (verdict, why, command)
    }
}

/// A name that [`crate::plan::datasets::stale_copy`] gives, or something below it.
fn is_aside(name: &str) -> bool {
    name.split('/').any(|part| part.split_once(".jailferry-").is_some_and(|(_, run)| RunId::new(run).is_ok()))
        && DatasetName::new(name).is_ok()
}

/// A clone that [`crate::plan::dress`] makes, or one below it.
fn is_rehearsal(name: &str) -> bool {
    name.split('/').any(|part| {
        let run = part.split_once(".jailferry-").and_then(|(_, rest)| rest.strip_suffix("-dress"));
        run.is_some_and(|run| RunId::new(run).is_ok())
    })
}

#[cfg(test)]
#[path = "leftovers_tests.rs"]
mod tests;
