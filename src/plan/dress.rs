//! The dress rehearsal: a clone of what has arrived starts at the target and is asked the jail's checks, while the jail
//! itself still runs at the source; then it is gone.
//!
//! The canary tries the way, this tries the jail: a base that is too old for it, a missing file, a broken rc. It runs
//! behind the full copy and before the rounds that catch up, so that what is written meanwhile does not make the blackout
//! longer. Nobody reaches the clone and it reaches nobody: it has a network stack of its own without any interface of the
//! host's, only epairs with both ends inside, so its own addresses and routes can be set as always. It writes into clones
//! only; of the host's directories it gets those that the jail has read-only.

use std::net::IpAddr;

use crate::configuration::fstab;
use crate::effect::Delegation;
use crate::effect::Effect;
use crate::effect::Probe;
use crate::effect::commands::sha256;
use crate::effect::understudy::CloneOf;
use crate::effect::understudy::DeadEnd;
use crate::effect::understudy::Manner;
use crate::effect::understudy::Understudy;
use crate::facts::HostFacts;
use crate::facts::JailConfiguration;
use crate::facts::JailFacts;
use crate::model::DatasetName;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::RemotePath;
use crate::model::RunId;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::checks;
use crate::plan::checks::Examination;
use crate::plan::datasets::DatasetMove;
use crate::plan::finding::Findings;
use crate::plan::situation::Situation;
use crate::playbook;
use crate::playbook::Check;
use crate::playbook::HttpTarget;

/// What every such jail's name begins with; the run's digits follow.
const NAME: &str = "jailferry_dress_";

/// Parameters of the jail that its clone gets. Not those that attach something of the host's: interfaces, datasets, CPU
/// sets.
const KEPT: [&str; 13] = [
    "children.max",
    "devfs_ruleset",
    "enforce_statfs",
    "linux",
    "mount.devfs",
    "mount.fdescfs",
    "mount.nodevfs",
    "mount.nofdescfs",
    "mount.noprocfs",
    "mount.procfs",
    "osreldate",
    "osrelease",
    "securelevel",
];

/// The beginnings of others.
const KEPT_GROUPS: [&str; 4] = ["allow.", "host.", "linux.", "sysv"];

/// File systems whose every mount stands for itself.
const OWN_KINDS: [&str; 6] = ["tmpfs", "fdescfs", "procfs", "linprocfs", "linsysfs", "devfs"];

/// Is that jail a clone for a rehearsal?
#[must_use]
pub fn is_ours(jail: &JailName) -> bool {
    jail.as_str().starts_with(NAME)
}

/// What is rehearsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dress {
    /// The clone.
    pub understudy: Understudy,
    /// The text of its fstab.
    pub fstab: String,
    /// What it is asked.
    pub examinations: Vec<Examination>,
}

/// What the rehearsal is about.
pub(super) struct Subject<'a> {
    pub(super) situation: &'a Situation,
    pub(super) source: &'a HostFacts,
    pub(super) jail: &'a JailFacts,
    pub(super) datasets: &'a [DatasetMove],
    pub(super) checks: &'a [Check],
    pub(super) run: &'a RunId,
}

/// Paths of the jail's datasets, moved to where the clones are.
struct Moved {
    from: RemotePath,
    to: RemotePath,
}

impl Moved {
    fn path(&self, path: &str) -> Option<RemotePath> {
        let rest = path.strip_prefix(self.from.as_str().trim_end_matches('/'))?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        RemotePath::new(format!("{}{}", self.to, rest.trim_end_matches('/'))).ok()
    }
}

/// Everything for it; `None` with a finding where it cannot be.
pub(super) fn prepare(subject: &Subject<'_>, findings: &mut Findings) -> Option<Dress> {
    match made(subject) {
        Ok((dress, left_out)) => {
            if !left_out.is_empty() {
                let text = format!("the dress rehearsal goes without {}", left_out.join("; without "));
                findings.note("dress-rehearsal", &subject.situation.target.node, text);
            }
            Some(dress)
        }
        Err(why) => {
            let (jail, target) = (&subject.situation.jail, &subject.situation.target.node);
            findings.warning(
                "no-dress-rehearsal",
                target,
                format!("{why}, so whether jail {jail} starts on {target} is seen only once it has stopped"),
                "go on without, or take `dress_rehearsal` out",
            );
            None
        }
    }
}

/// The rehearsal, and what it goes without.
fn made(subject: &Subject<'_>) -> Result<(Dress, Vec<String>), String> {
    let Subject { situation, source, jail, datasets, run, .. } = subject;
    if datasets.iter().any(|d| d.raw) {
        return Err("a dress rehearsal of encrypted datasets is not made".into());
    }
    if datasets.iter().any(|d| d.source.delegation != Delegation::None) {
        return Err("a dress rehearsal of a jail that mounts datasets of its own is not made".into());
    }
    let configuration = source.jail_configuration(&situation.jail).ok_or("nothing tells what jail -e says of it")?;
    let mut left_out = Vec::new();
    let place = RemotePath::new(format!("/var/db/jailferry-dress-{run}")).map_err(|e| e.to_string())?;
    let moved = moved(subject, &place).ok_or("the jail's root is on none of its datasets")?;
    let clones = clones(subject, &moved)?;
    let volumes = datasets.iter().filter(|d| d.source.volume).map(|d| d.source.dataset.as_str()).collect::<Vec<_>>();
    if !volumes.is_empty() {
        left_out.push(format!("the volumes {}", volumes.join(", ")));
    }
    let root = moved.path(situation.path.as_str()).ok_or("the jail's root is on none of its datasets")?;
    let digits = run.as_str().rsplit_once('-').map_or("", |(_, digits)| digits);
    let own = jail.fstab.as_ref().map(|(_, file)| file.text.as_str()).unwrap_or_default();
    let more = configuration.values("mount").unwrap_or_default();
    let fstab = mounts(own, &more, &moved, &mut left_out)?;
    let path = RemotePath::new(format!("/etc/.dress.fstab.jailferry-{run}")).map_err(|e| e.to_string())?;
    let ends = ends(configuration);
    let running = source.jail(&situation.jail).map(|j| j.addresses.clone()).unwrap_or_default();
    let kept = |name: &str| KEPT.contains(&name) || KEPT_GROUPS.iter().any(|group| name.starts_with(group));
    let parameters = configuration.parameters.iter().filter(|(name, _)| kept(name));
    let understudy = Understudy {
        host: situation.target.node.clone(),
        jail: JailName::new(format!("{NAME}{digits}")).map_err(|e| e.to_string())?,
        of: situation.jail.clone(),
        run: (*run).clone(),
        place,
        root,
        clones,
        addresses: if ends.len() == 1 { running } else { Vec::new() },
        ends,
        fstab: (!fstab.is_empty()).then_some(path),
        parameters: parameters
            .map(|(name, value)| (name.clone(), value.as_ref().map(|_| value_of(configuration, name))))
            .collect(),
        manner: Manner {
            clean: is_on(configuration, "exec.clean"),
            user: configuration.value("exec.jail_user"),
            of_the_host: is_on(configuration, "exec.system_jail_user"),
            timeout: configuration.value("exec.timeout").and_then(|seconds| seconds.parse().ok()),
        },
        start: configuration.values("exec.start").unwrap_or_default(),
        stop: configuration.values("exec.stop").unwrap_or_default(),
    };
    let examinations = examinations(subject, &understudy.jail, &mut left_out);
    Ok((Dress { understudy, fstab, examinations }, left_out))
}

fn is_on(configuration: &JailConfiguration, parameter: &str) -> bool {
    configuration.parameters.iter().any(|(name, value)| name == parameter && value.as_deref() != Some("false"))
}

/// Several values are a list to jail(8), joined by commas.
fn value_of(configuration: &JailConfiguration, parameter: &str) -> String {
    configuration.values(parameter).unwrap_or_default().join(",")
}

/// What is mounted at the jail's root or above it, of its own datasets: the topmost.
fn moved(subject: &Subject<'_>, place: &RemotePath) -> Option<Moved> {
    let path = &subject.situation.path;
    let datasets = subject.datasets.iter().filter_map(|d| subject.source.dataset(&d.source.dataset));
    let points = datasets.filter_map(|d| RemotePath::new(d.on_the_host()?.trim_end_matches('/')).ok());
    let from = points.filter(|point| path.is_within(point)).min_by_key(|point| point.as_str().len())?;
    Some(Moved { from, to: place.clone() })
}

fn clones(subject: &Subject<'_>, moved: &Moved) -> Result<Vec<CloneOf>, String> {
    let (root, run) = (&subject.situation.target.dataset, subject.run);
    let top = DatasetName::new(format!("{root}.jailferry-{run}-dress")).map_err(|e| e.to_string())?;
    let mut clones = Vec::new();
    for moving in subject.datasets.iter().filter(|d| !d.source.volume) {
        let origin = moving.target.dataset.clone();
        let dataset =
            origin.rebase(root, &top).ok_or_else(|| format!("there is no room for the name of a clone of {origin}"))?;
        let facts = subject.source.dataset(&moving.source.dataset).filter(|d| d.on_the_host().is_some());
        let readonly = matches!(&moving.target.readonly, crate::effect::PropertyState::Local(value) if value == "on");
        clones.push(CloneOf { origin, dataset, mountpoint: facts.and_then(|d| moved.path(&d.mountpoint)), readonly });
    }
    Ok(clones)
}

/// The interfaces that the jail gets from its host.
fn ends(configuration: &JailConfiguration) -> Vec<DeadEnd> {
    let names = configuration.values("vnet.interface").unwrap_or_default();
    let names = names.iter().flat_map(|value| value.split([' ', ','])).filter_map(|name| InterfaceName::new(name).ok());
    let mut ends: Vec<DeadEnd> = names
        .map(|name| {
            let digits = name.as_str().strip_prefix("epair").and_then(|rest| rest.strip_suffix(['a', 'b']));
            DeadEnd { unit: digits.and_then(|d| d.parse().ok()), name }
        })
        .collect();
    // Those that ifconfig(8) numbers by itself come behind, so that they do not take another one's number.
    ends.sort_by_key(|end| end.unit.is_none());
    ends
}

/// What it mounts: the jail's own lines with its paths, as far as nothing of the host can be written that way.
fn mounts(own: &str, more: &[String], moved: &Moved, left_out: &mut Vec<String>) -> Result<String, String> {
    let mut kept = String::new();
    let all = std::iter::once(own).chain(more.iter().map(String::as_str));
    for text in all {
        let mounts = fstab::mounts(text).map_err(|e| format!("the jail's fstab: {e}"))?;
        let lines: Vec<&str> = text.lines().collect();
        for mount in &mounts {
            let inside = |path: &str| moved.path(path).is_some();
            let harmless = match mount.kind.as_str() {
                "nullfs" => !mount.writes_to_the_host() || inside(&mount.source),
                kind => OWN_KINDS.contains(&kind),
            };
            if harmless && inside(&mount.target) {
                kept.extend(lines.get(mount.line - 1).map(|line| format!("{}\n", line.trim_end())));
            } else {
                left_out.push(format!("{} at {}, which others may write to or see", mount.source, mount.target));
            }
        }
    }
    Ok(fstab::rewrite(&kept, &moved.from, &moved.to).0)
}

/// The checks of fleet.yml that make sense where nobody else is.
fn examinations(subject: &Subject<'_>, jail: &JailName, left_out: &mut Vec<String>) -> Vec<Examination> {
    let Subject { situation, checks, .. } = subject;
    let own = checks::answering(situation);
    let within = |probe: Probe| Probe::Within { jail: jail.clone(), asked: Box::new(probe) };
    let mut list = Vec::new();
    let mut add = |what: String, probe: Probe| {
        let title = format!("the clone of jail {} on {}: {what}", situation.jail, situation.target.node);
        list.push(Examination { title, effect: Effect::Probe { host: situation.target.node.clone(), probe } });
    };
    for check in *checks {
        let seconds = check.timeout_seconds().max(checks::PATIENCE);
        let mut elsewhere = |what: String| left_out.push(format!("the check of {what}, which is not the jail's own"));
        let mut each = |address: &Option<IpAddr>| match address {
            Some(address) if !situation.addresses.contains(address) => {
                elsewhere(address.to_string());
                Vec::new()
            }
            Some(address) => vec![*address],
            None => own.clone(),
        };
        match &check.probe {
            // A host that is up answers itself, whatever else is wrong.
            playbook::Probe::Icmp { .. } => {}
            playbook::Probe::Command { run } => add(
                format!("{} succeeds inside", crate::effect::shell::line(run)),
                Probe::Inside { jail: jail.clone(), argv: run.clone(), seconds },
            ),
            playbook::Probe::Tcp { address, port, .. } => {
                for address in each(address) {
                    let what = format!("{} accepts", checks::endpoint(address, *port));
                    add(what, within(Probe::Tcp { address, port: *port, source: None, seconds }));
                }
            }
            playbook::Probe::Http { target, status, body, .. } => {
                let urls = match target {
                    HttpTarget::Path { address, port, path } => {
                        each(address).into_iter().map(|a| checks::url(a, *port, path)).collect()
                    }
                    HttpTarget::Url(url) if is_of(url, &situation.addresses) => vec![url.clone()],
                    HttpTarget::Url(url) => {
                        elsewhere(url.clone());
                        Vec::new()
                    }
                };
                for url in urls {
                    let what = format!("{url} answers with status {status}");
                    let probe = Probe::Http { url, status: *status, body: body.clone(), source: None, seconds };
                    add(what, within(probe));
                }
            }
        }
    }
    list
}

/// Does the URL name one of these addresses?
fn is_of(url: &str, addresses: &[IpAddr]) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next(),
        None => authority.split(':').next(),
    };
    host.and_then(|h| h.parse::<IpAddr>().ok()).is_some_and(|address| addresses.contains(&address))
}

/// The whole rehearsal, from its files to the last trace of it.
pub(super) fn steps(cast: &Cast<'_>) -> Vec<Step> {
    let Some(Dress { understudy, fstab, examinations }) = cast.dress else { return Vec::new() };
    let (target, jail) = (&understudy.host, &cast.situation.jail);
    let mut steps = Vec::new();
    let mut gone = None;
    if let Some(path) = &understudy.fstab {
        let remove = Effect::RemoveFile { host: target.clone(), path: path.clone(), sha256: sha256(fstab) };
        gone = Some(Step::new(Phase::Copy, format!("remove {path} again"), remove.clone()));
        let title = format!("write {path}, for the dress rehearsal on {target}");
        let (path, text) = (path.clone(), fstab.clone());
        let write = Effect::WriteFile { host: target.clone(), path, text, mode: "600".into(), replaces: None };
        steps.push(Step::new(Phase::Copy, title, write).undo(remove));
    }
    let end = |title: String, effect: Effect| Step::new(Phase::Copy, title, effect);
    let (discard, stop) = (Effect::DiscardClones(understudy.clone()), Effect::StopUnderstudy(understudy.clone()));
    steps.push(
        end(
            format!("clone what has arrived on {target}, and mount it at {}", understudy.place),
            Effect::CloneForRehearsal(understudy.clone()),
        )
        .undo(discard.clone()),
    );
    steps.push(
        end(
            format!("the clone of jail {jail} starts on {target}, where nobody reaches it"),
            Effect::StartUnderstudy(understudy.clone()),
        )
        .undo(stop.clone())
        .change(Change::new(format!("jail {} on {target}", understudy.jail), "", "for the rehearsal only")),
    );
    steps.extend(examinations.iter().map(|e| end(e.title.clone(), e.effect.clone())));
    steps.push(end(format!("stop the clone of jail {jail} on {target}"), stop));
    steps.push(end(format!("destroy the clones on {target}"), discard));
    steps.extend(gone);
    steps
}

#[cfg(test)]
#[path = "dress_tests.rs"]
mod tests;
