//! `jailferry drain` and `undrain`: all running jails leave a node, and come home again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use crate::batch::drain;
use crate::batch::drain::Leaving;
use crate::batch::drain::Room;
use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::batch;
use crate::cli::batch::Done;
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
use crate::facts::HostFacts;
use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::rehearsal;
use crate::playbook::Batch;
use crate::playbook::Drain;
use crate::playbook::Options;
use crate::rebalance::survey::parent_of_jails;
use crate::remote::Hosts;
use crate::ui::plan_view;
use crate::ui::sanitize;
use crate::ui::text;

/// What a drain is asked to do.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) title: String,
    pub(super) drain: &'a Drain,
    pub(super) batch: &'a Batch,
    pub(super) options: &'a Options,
}

/// A jail that can leave.
#[derive(Debug, Clone, serde::Serialize)]
struct Way {
    jail: JailName,
    to: NodeName,
    bytes: u64,
    predicted_blackout_milliseconds: u64,
}

/// One that cannot, and why.
#[derive(Debug, Clone, serde::Serialize)]
struct Stays {
    jail: String,
    why: String,
    /// Does the node count as empty all the same?
    expected: bool,
}

/// What is said before anything begins.
#[derive(Debug, Default, serde::Serialize)]
struct Outlook {
    leaves: Vec<Way>,
    stays: Vec<Stays>,
}

pub(super) async fn drain(global: &Global, wish: &Wish<'_>, consent: Consent) -> Exit {
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    within(global, &fleet, wish, consent).await
}

/// The same, with a fleet that is known already.
pub(super) async fn within(global: &Global, fleet: &FleetFile, wish: &Wish<'_>, consent: Consent) -> Exit {
    let node = &wish.drain.node;
    for name in std::iter::once(node).chain(&wish.drain.to) {
        if let Err(exit) = prepare::known(fleet, name) {
            return exit;
        }
    }
    if wish.drain.to.contains(node) {
        output::complain(&format!("{node} cannot be emptied into itself"));
        return Exit::BadInput;
    }
    let deadline =
        wish.drain.deadline.and_then(|d| Duration::try_from(d).ok()).and_then(|d| Instant::now().checked_add(d));
    let hosts = match prepare::connect(fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let exit = match emptied(global, fleet, &hosts, wish, consent, deadline).await {
        Ok(exit) | Err(exit) => exit,
    };
    drop(hosts);
    exit
}

async fn emptied(
    global: &Global,
    fleet: &FleetFile,
    hosts: &Hosts,
    wish: &Wish<'_>,
    consent: Consent,
    deadline: Option<Instant>,
) -> Result<Exit, Exit> {
    let node = &wish.drain.node;
    let facts = ask(fleet, hosts).await?;
    stays_are_known(fleet, wish.drain, &facts)?;
    let outlook = outlook(fleet, hosts, wish, &facts).await?;
    let stuck = outlook.stays.iter().any(|s| !s.expected);
    if global.json && consent.dry_run {
        output::json(&outlook).map_err(|_| Exit::Internal)?;
    } else if global.json {
        output::say(&serde_json::json!({ "event": "outlook", "node": node, "outlook": outlook }).to_string());
    } else {
        output::say(&told(node, &outlook));
    }
    if consent.dry_run {
        return Ok(if stuck { Exit::Refused } else { Exit::Done });
    }
    if outlook.leaves.is_empty() {
        if !stuck {
            marks::set(node)?;
        }
        return Ok(if stuck { Exit::Refused } else { Exit::Done });
    }
    let moves = outlook.leaves.iter().map(|way| Order {
        jail: way.jail.clone(),
        from: Some(node.clone()),
        to: way.to.clone(),
        after: Vec::new(),
        options: wish.options.clone(),
    });
    let orders = Orders { title: wish.title.clone(), moves: moves.collect(), batch: wish.batch, deadline, note: None };
    let mark = || marks::set(node);
    let all = batch::carry_out_after(global, fleet, hosts, &orders, consent, &mark).await?;
    let left = still_there(fleet, hosts, node, &outlook).await?;
    Ok(ending(global, node, &all, &left))
}

async fn ask(fleet: &FleetFile, hosts: &Hosts) -> Result<BTreeMap<NodeName, HostFacts>, Exit> {
    gather::facts_of_all(hosts, &fleet.fleet, &|_| ()).await.map_err(|error| {
        output::complain(&format!("the fleet cannot be asked; nothing was changed\n{error}"));
        Exit::Refused
    })
}

/// A name that nobody knows is a mistake in writing, and the jail that was meant would be moved. One that is elsewhere is
/// fine: a playbook may be older than its last move.
fn stays_are_known(fleet: &FleetFile, drain: &Drain, facts: &BTreeMap<NodeName, HostFacts>) -> Result<(), Exit> {
    let somewhere = |jail: &JailName| {
        let name = jail.as_str();
        fleet.fleet.jails.contains_key(jail)
            || facts.values().any(|host| {
                host.jails.iter().any(|j| j.name == name) || host.jail_configurations.iter().any(|c| c.name == name)
            })
    };
    let unknown: Vec<String> = drain.stay.iter().filter(|jail| !somewhere(jail)).map(ToString::to_string).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    output::complain(&format!(
        "no node has or configures {}, which should stay on {}; nothing was changed",
        unknown.join(", "),
        drain.node
    ));
    Err(Exit::Refused)
}

/// Which jails leave to where, and which stay and why: every one of them is planned, so that what forbids its move is known
/// before anything begins.
async fn outlook(
    fleet: &FleetFile,
    hosts: &Hosts,
    wish: &Wish<'_>,
    facts: &BTreeMap<NodeName, HostFacts>,
) -> Result<Outlook, Exit> {
    let node = &wish.drain.node;
    let mut outlook = Outlook::default();
    let Some(here) = facts.get(node) else { return Ok(outlook) };
    let mut leaving = Vec::new();
    for jail in here.jails.iter().filter(|j| !j.dying) {
        let stays = |why: &str, expected| Stays { jail: jail.name.clone(), why: why.to_owned(), expected };
        let Ok(name) = JailName::new(jail.name.as_str()) else {
            outlook.stays.push(stays("its name is none that jailferry moves", false));
            continue;
        };
        // It goes with the run that made it.
        if rehearsal::is_ours(&name) {
            continue;
        }
        if wish.drain.stay.contains(&name) {
            outlook.stays.push(stays("as asked", true));
            continue;
        }
        leaving.push(Leaving { bytes: size(here, &jail.path), jail: name });
    }
    let configured: BTreeSet<&str> = here.jail_configurations.iter().map(|c| c.name.as_str()).collect();
    for name in configured.into_iter().filter(|name| !here.jails.iter().any(|j| j.name == *name)) {
        // A copy that a run has parked is not configured: its file is put aside.
        outlook.stays.push(Stays { jail: name.to_owned(), why: "it does not run".into(), expected: true });
    }
    drain::order(&mut leaving);
    let mut rooms = rooms(fleet, wish, facts)?;
    for one in leaving {
        let mut why = Vec::new();
        let mut places = drain::places(&rooms, one.bytes);
        if places.is_empty() {
            why.push(no_room(&rooms, one.bytes));
        }
        let needs = fleet.fleet.jail(&one.jail).needs;
        places.retain(|place| match lacking(fleet, place, &needs) {
            None => true,
            Some(lacks) => {
                why.push(format!("to {place}: it needs {lacks}, which {place} does not provide"));
                false
            }
        });
        let mut found = None;
        for place in places {
            match way(fleet, hosts, wish, &one, &place).await? {
                Ok(way) => {
                    found = Some(way);
                    break;
                }
                Err(reason) => why.push(format!("to {place}: {reason}")),
            }
        }
        match found {
            Some(way) => {
                if let Some(room) = rooms.iter_mut().find(|r| r.node == way.to) {
                    room.give(one.bytes);
                }
                outlook.leaves.push(way);
            }
            None => {
                outlook.stays.push(Stays { jail: one.jail.to_string(), why: why.join("\n"), expected: false });
            }
        }
    }
    Ok(outlook)
}

/// What the datasets at and below a jail's root hold.
fn size(facts: &HostFacts, path: &str) -> u64 {
    facts.dataset_at(path).map_or(0, |root| root.used)
}

/// The nodes that may take jails: those that were named, else all but the node itself, the hub, and nodes that are being
/// emptied too.
fn rooms(fleet: &FleetFile, wish: &Wish<'_>, facts: &BTreeMap<NodeName, HostFacts>) -> Result<Vec<Room>, Exit> {
    let marked = marks::all()?;
    let named = &wish.drain.to;
    let may = |node: &NodeName| {
        if named.is_empty() {
            *node != wish.drain.node && !fleet.fleet.is_hub(node) && !marked.contains_key(node)
        } else {
            named.contains(node)
        }
    };
    let mine = facts.get(&wish.drain.node);
    let all = facts.iter().filter(|(node, _)| may(node));
    Ok(all
        .map(|(node, facts)| {
            let written = fleet.fleet.nodes.get(node).and_then(|n| n.parent.clone());
            // Without `parent:` jails keep their dataset's place (plan::situation).
            let parent = written.or_else(|| mine.and_then(parent_of_jails));
            let free = parent.and_then(|p| facts.dataset(&p)).map_or(0, |d| d.available);
            Room { node: node.clone(), free, given: 0 }
        })
        .collect())
}

fn no_room(rooms: &[Room], bytes: u64) -> String {
    if rooms.is_empty() {
        return "there is no node that may take it".to_owned();
    }
    let each: Vec<String> =
        rooms.iter().map(|r| format!("{} {}", r.node, text::bytes(r.free.saturating_sub(r.given)))).collect();
    format!("no node has room for its {} with a fifth to spare ({})", text::bytes(bytes), each.join(", "))
}

/// What the jail needs and the node does not provide, by fleet.yml.
fn lacking(fleet: &FleetFile, place: &NodeName, needs: &BTreeSet<String>) -> Option<String> {
    let provides = fleet.fleet.nodes.get(place).map(|n| &n.provides);
    let lacks = needs.iter().filter(|need| provides.is_none_or(|p| !p.contains(*need)));
    let lacks: Vec<&str> = lacks.map(String::as_str).collect();
    (!lacks.is_empty()).then(|| lacks.join(", "))
}

/// Can it go there? Planned as if it were moved now.
async fn way(
    fleet: &FleetFile,
    hosts: &Hosts,
    wish: &Wish<'_>,
    one: &Leaving,
    place: &NodeName,
) -> Result<Result<Way, String>, Exit> {
    match prepare::try_draw(fleet, hosts, (&one.jail, place), wish.options, &|_| (), &|_, _| ()).await {
        Ok(drawn) if !drawn.plan.refused() => Ok(Ok(Way {
            jail: one.jail.clone(),
            to: place.clone(),
            bytes: drawn.plan.bytes,
            predicted_blackout_milliseconds: drawn.plan.predicted_blackout,
        })),
        Ok(drawn) => Ok(Err(reasons(&drawn.plan.findings))),
        Err(Undrawn::Findings(findings)) => Ok(Err(reasons(&findings))),
        Err(Undrawn::NotAsked(error)) => Ok(Err(error)),
        Err(Undrawn::Failed(exit)) => Err(exit),
    }
}

/// For people.
fn told(node: &NodeName, outlook: &Outlook) -> String {
    let mut out = format!("Drain of {node}: {} leave, {} stay\n", outlook.leaves.len(), outlook.stays.len());
    for way in &outlook.leaves {
        out.push_str(&format!(
            "  {} to {}: {} to send, nobody answers for about {}\n",
            way.jail,
            way.to,
            text::bytes(way.bytes),
            plan_view::seconds(way.predicted_blackout_milliseconds)
        ));
    }
    for one in &outlook.stays {
        let word = if one.expected { "stays" } else { "CANNOT MOVE" };
        let why = sanitize::block(&one.why).replace('\n', "\n      ");
        out.push_str(&format!("  {} {word}: {why}\n", sanitize::line(&one.jail)));
    }
    out
}

/// The jails that run there now, those that were expected to left out.
async fn still_there(
    fleet: &FleetFile,
    hosts: &Hosts,
    node: &NodeName,
    outlook: &Outlook,
) -> Result<Vec<String>, Exit> {
    let facts = ask(fleet, hosts).await?;
    let expected = |name: &str| outlook.stays.iter().any(|s| s.expected && s.jail == name);
    let here = facts.get(node).map(|f| f.jails.as_slice()).unwrap_or_default();
    Ok(here.iter().filter(|j| !j.dying && !expected(&j.name)).map(|j| sanitize::line(&j.name)).collect())
}

fn ending(global: &Global, node: &NodeName, all: &[Done], left: &[String]) -> Exit {
    let worst = batch::worst(all);
    if left.is_empty() {
        if !global.json {
            output::say(&format!(
                "{node} is empty: none of its jails runs there any more. Home again: jailferry undrain {node}"
            ));
        }
        return worst;
    }
    output::complain(&format!(
        "{node} is not empty: {} still there. When the cause is mended, jailferry drain {node} goes on",
        match left {
            [one] => format!("{one} is"),
            several => format!("{} are", several.join(", ")),
        }
    ));
    if worst == Exit::Done { Exit::Refused } else { worst }
}

/// Brings home what `drain` has moved away, and takes the mark from the node.
pub(super) async fn undrain(
    global: &Global,
    node: &NodeName,
    stay: bool,
    batch: &Batch,
    options: &Options,
    consent: Consent,
) -> Exit {
    let Ok(fleet) = input::fleet(global) else { return Exit::BadInput };
    match home(global, &fleet, node, stay, batch, options, consent).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn home(
    global: &Global,
    fleet: &FleetFile,
    node: &NodeName,
    stay: bool,
    batch: &Batch,
    options: &Options,
    consent: Consent,
) -> Result<Exit, Exit> {
    prepare::known(fleet, node)?;
    let Some(since) = marks::all()?.remove(node) else {
        output::complain(&format!("{node} is not being drained, by what this machine knows"));
        return Err(Exit::BadInput);
    };
    let unmarked = || {
        marks::clear(node)?;
        if !global.json {
            output::say(&format!("{node} takes jails again."));
        }
        Ok(Exit::Done)
    };
    if stay {
        return if consent.dry_run { Ok(Exit::Done) } else { unmarked() };
    }
    // The last move of each jail since then, if it led away from here.
    let mut away: BTreeMap<JailName, NodeName> = BTreeMap::new();
    for run in known::runs()? {
        let Ok(record) = &run.record else { continue };
        if record.started < since || !known::has_moved(record) {
            continue;
        }
        away.remove(&record.header.jail);
        if record.header.from == *node {
            away.insert(record.header.jail.clone(), record.header.to.clone());
        }
    }
    let hosts = prepare::connect(fleet).await?;
    let facts = ask(fleet, &hosts).await?;
    let mut moves = Vec::new();
    for (jail, place) in away {
        if facts.get(&place).is_none_or(|f| f.jail(&jail).is_none()) {
            output::error(&format!("jail {jail} does not run on {place}, where drain had moved it; it is left alone"));
            continue;
        }
        moves.push(Order { jail, from: Some(place), to: node.clone(), after: Vec::new(), options: options.clone() });
    }
    if moves.is_empty() {
        output::error(&format!("nothing is to come back to {node}"));
        return if consent.dry_run { Ok(Exit::Done) } else { unmarked() };
    }
    let orders = Orders { title: format!("undrain of {node}"), moves, batch, deadline: None, note: None };
    let all = batch::carry_out(global, fleet, &hosts, &orders, consent).await?;
    drop(hosts);
    if consent.dry_run {
        return Ok(Exit::Done);
    }
    let worst = batch::worst(&all);
    if worst != Exit::Done {
        output::complain(&format!(
            "{node} stays marked: not everything came home; jailferry undrain {node} tries again"
        ));
        return Ok(worst);
    }
    unmarked()
}
