//! THE STORY: a migration from top to bottom, as an administrator would tell it.
//!
//! Read [`story`] first; each line of it is a chapter below or in the folder of this name, each chapter a list of steps.
//! A step has a title, one effect and what undoes it. When a step before the point of no return fails, the undo effects
//! of all steps so far run in reverse order.

mod configuration;
mod copying;

use std::net::IpAddr;

use crate::effect::BringBack;
use crate::effect::Delegation;
use crate::effect::Effect;
use crate::effect::Parked;
use crate::effect::Probe;
use crate::effect::RouteSpec;
use crate::effect::hand_over::HandOver;
use crate::plan::Change;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::checks;
use crate::plan::datasets::DatasetMove;
use crate::plan::direct;
use crate::plan::dress;
use crate::plan::keys;
use crate::plan::leases;
use crate::plan::migrate::configuration::make_ready;
use crate::plan::migrate::configuration::rewrite_in_place;
use crate::plan::migrate::copying::catch_up;
use crate::plan::migrate::copying::compare;
use crate::plan::migrate::copying::copy_everything;
use crate::plan::migrate::copying::final_snapshot;
use crate::plan::migrate::copying::park_the_copy;
use crate::plan::migrate::copying::send_the_rest;
use crate::plan::naming::label;
use crate::plan::nat;
use crate::plan::network;
use crate::plan::network::RouteChange;
use crate::plan::notices;
use crate::plan::persist;
use crate::plan::rehearsal;
use crate::plan::segment;
use crate::plan::siblings;
use crate::plan::verify;

/// The whole migration, in order.
#[must_use]
pub fn story(cast: &Cast<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    // The jail runs at the source.
    steps.push(take_the_lock(cast));
    steps.push(leases::store_the_plan(cast));
    steps.push(checks::still_there(cast.situation));
    steps.extend(pass_the_checks_here(cast));
    steps.push(notices::leaving(cast));
    steps.extend(copy_everything(cast));
    // Before the turn and the rounds: it needs nobody's network, and what is written while a clone is tried goes over while
    // the jail still works.
    steps.extend(dress::steps(cast));
    // For the same reasons, and because it may take hours.
    steps.extend(verify::steps(cast));
    steps.push(take_the_network(cast));
    for round in 1..=cast.settings.rounds {
        steps.extend(catch_up(cast, round));
    }
    steps.extend(make_ready(cast));
    // The first changes of the network, for a canary.
    let mut cut = rehearse(cast);
    // A target that is no hub is on nobody's way to the jail yet: its network is ready before the jail stops.
    let (before, after) = match cast.situation.is_hub(&cast.target()) {
        false => (prepare_the_target_network(cast), Vec::new()),
        true => (Vec::new(), prepare_the_target_network(cast)),
    };
    cut.extend(at_once([not_at_boot_of_the_source(cast), before, open_the_copy(cast)]));
    cut.extend(nobody_else_uses_it(cast));
    // Nobody answers.
    cut.extend(at_once([vec![stop_at_the_source(cast)], final_snapshot(cast)]));
    cut.extend(at_once([send_the_rest(cast), fence_the_source(cast), after, forget_where_it_was(cast)]));
    // Without the proof nobody starts the jail here: letting go only ends that the source goes back by itself.
    cut.extend(at_once([compare(cast), vec![leases::let_go_at_the_source(cast)]]));
    cut.push(keep_the_way_back_open(cast));
    cut.extend(at_once([switch(cast), start_at_the_target(cast), segment::told(cast), forget_connections(cast)]));
    steps.extend(leases::knock(cast));
    // Before any of it the hosts get ready to undo it by themselves.
    steps.extend(leases::arm(cast, &cut));
    steps.extend(cut);
    // The jail runs at the target.
    steps.extend(prove(cast));
    steps.extend(leases::accept(cast));
    // Accepted: from here only forward.
    steps.extend(persist::make_it_last(cast, &steps));
    let mut steps = match cast.link {
        Some(link) => direct::node_to_node(cast.situation, cast.run, link, steps),
        None => steps,
    };
    leases::guard(cast, &mut steps);
    steps
}

/// Chapters of which nothing waits for anything else: all their steps run at the same time, but for those of one host, which
/// are in order, and go to it as one command where they can.
fn at_once<const N: usize>(chapters: [Vec<Step>; N]) -> Vec<Step> {
    let steps = chapters.into_iter().flatten().enumerate();
    steps.map(|(place, step)| if place == 0 { step } else { step.alongside() }).collect()
}

/// Nobody else moves this jail meanwhile.
fn take_the_lock(cast: &Cast<'_>) -> Step {
    let (host, jail, run) = (cast.situation.hub.clone(), cast.situation.jail.clone(), cast.run.clone());
    let owner = cast.owner.clone();
    Step::new(
        Phase::Copy,
        format!("lock jail {jail} on {host} for this run"),
        Effect::Lock { host: host.clone(), jail: jail.clone(), run: run.clone(), owner },
    )
    .undo(Effect::Unlock { host, jail, run })
}

/// What the jail does not pass where it runs, it will not pass at the target either: better told now than once it was down.
fn pass_the_checks_here(cast: &Cast<'_>) -> Vec<Step> {
    if !cast.settings.check_first {
        return Vec::new();
    }
    let asked =
        checks::beforehand(cast.situation, cast.checks, cast.nat, cast.hosts, &cast.hub_addresses_here()).into_iter();
    at_once([asked.map(|e| Step::new(Phase::Copy, e.title, e.effect)).collect()])
}

/// The last moment at which it costs nothing: behind the stop, a shell that somebody has left in the jail's folder would keep its
/// dataset from being unmounted, and the move would be taken back with the jail down all the while.
fn nobody_else_uses_it(cast: &Cast<'_>) -> Option<Step> {
    let (host, jail) = (cast.source(), cast.situation.jail.clone());
    let mounted = |d: &&DatasetMove| cast.source.dataset(&d.source.dataset).is_some_and(|facts| facts.mounted);
    let datasets = cast.datasets.iter().filter(|d| mounted(d) || d.source.delegation != Delegation::None);
    let datasets: Vec<_> = datasets.map(|d| d.source.dataset.clone()).collect();
    if !cast.settings.check_first || datasets.is_empty() {
        return None;
    }
    Some(Step::new(
        Phase::CutOver,
        format!("nobody on {host} but jail {jail} uses its datasets"),
        Effect::Probe { host, probe: Probe::Unused { jail, root: cast.situation.path.clone(), datasets } },
    ))
}

/// Nobody else switches at the hub meanwhile: whatever the hosts say from here on is so until the end. Not before the first
/// copy, which may take long and changes nothing there.
fn take_the_network(cast: &Cast<'_>) -> Step {
    let (host, run, owner) = (cast.situation.hub.clone(), cast.run.clone(), cast.owner.clone());
    Step::new(
        Phase::Copy,
        format!("the network of {host} is this run's to change; while another run has it, this one waits"),
        Effect::TakeNetwork { host: host.clone(), run: run.clone(), owner },
    )
    .undo(Effect::LeaveNetwork { host, run })
}

/// The new path, while the jail still runs on the old one; then the hub begins to watch.
fn rehearse(cast: &Cast<'_>) -> Vec<Step> {
    let mut steps = rehearsal::steps(cast);
    if let Some(address) = checks::answering(cast.situation).first() {
        let host = cast.situation.hub.clone();
        steps.push(
            Step::new(
                Phase::Rehearse,
                format!("{host} watches {address}, to measure the blackout from outside"),
                Effect::Watch { host: host.clone(), address: *address, run: cast.run.clone() },
            )
            .undo(Effect::Unwatch { host, run: cast.run.clone() }),
        );
    }
    steps
}

/// It may not start by itself any more before it stops: a reboot in between leaves nobody running, never two.
fn not_at_boot_of_the_source(cast: &Cast<'_>) -> Vec<Step> {
    cast.situation.manager.says().autostart_off(cast)
}

fn stop_at_the_source(cast: &Cast<'_>) -> Step {
    let place = cast.at_source();
    let mut stop = Step::new(
        Phase::CutOver,
        format!("stop jail {} on {}", cast.situation.jail, place.host),
        Effect::StopJail(place.clone()),
    )
    .undo(Effect::ForgetNeighbours {
        host: place.host.clone(),
        addresses: cast.situation.addresses.clone(),
        jails: cast.siblings(cast.source),
    })
    .undo(Effect::StartJail(place))
    .change(Change::new(format!("jail {} on {}", cast.situation.jail, cast.source()), "runs", "stopped"));
    if let Some(announce) = segment::announce(cast, &cast.source()) {
        stop = stop.undo(announce);
    }
    stop
}

/// Nothing can write to the source's copy any more, nor start it.
fn fence_the_source(cast: &Cast<'_>) -> Vec<Step> {
    let live: Vec<Parked> = cast.datasets.iter().map(|d| d.source.clone()).collect();
    let mut steps = vec![
        Step::new(
            Phase::CutOver,
            format!("unmount the datasets on {} and make them read-only", cast.source()),
            Effect::Park { host: cast.source(), datasets: live.clone(), run: cast.run.clone() },
        )
        .undo(Effect::Unpark { host: cast.source(), datasets: live })
        .undo(Effect::ClearMark {
            host: cast.source(),
            datasets: cast.datasets.iter().map(|d| d.source.dataset.clone()).collect(),
        })
        .change(Change::new(
            &cast.situation.source.dataset,
            "mounted, writable",
            "unmounted, read-only, canmount=noauto",
        )),
    ];
    for (file, aside) in persist::files_aside(cast.situation) {
        steps.push(
            Step::new(
                Phase::CutOver,
                format!("put {file} aside on {}", cast.source()),
                Effect::MoveFile { host: cast.source(), from: file.clone(), to: aside.clone() },
            )
            .undo(Effect::MoveFile { host: cast.source(), from: aside.clone(), to: file.clone() })
            .change(Change::new(format!("file on {}", cast.source()), &file, &aside)),
        );
    }
    steps
}

/// The target answers for the jail's gateways and routes its prefixes to the bridge, before the hub sends anything.
fn prepare_the_target_network(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let target = &situation.target;
    let mut steps = Vec::new();
    let gateways = cast.missing_gateways();
    let routes = cast.routes_on(&target.node, &target.bridge);
    let (deletions, additions): (Vec<_>, Vec<_>) =
        routes.into_iter().partition(|c| matches!(c, RouteChange::Delete(_)));
    steps.extend(deletions.into_iter().map(route_step));
    // A gateway that gets its whole network's length brings the route of that network with it, in the bridge's FIB, and
    // takes the place of a static one, which the way back must put there again.
    let bridge_fib = cast.target_facts().interface(&target.bridge).map_or(0, |i| i.fib);
    let connects = |change: &RouteChange, address: IpAddr, length: u8| match change {
        RouteChange::Add { route, .. } => {
            route.fib == bridge_fib && network::connected(address, length) == Some(route.prefix)
        }
        RouteChange::Delete(_) => false,
    };
    steps.extend(cast.missing_link_local().map(|address| link_local_step(cast, address)));
    for (address, length) in &gateways {
        let title = format!("{} answers for the jail's gateway {address}", target.node);
        let mut step = alias_step(cast, title, (*address, *length));
        for change in additions.iter().filter(|c| connects(c, *address, *length)) {
            if let RouteChange::Add { route, instead_of: Some(before) } = change {
                let old = RouteSpec { interface: before.clone(), ..route.clone() };
                let what = format!("route {} on {} (FIB {})", route.prefix, route.host, route.fib);
                step = step.undo(Effect::AddRoute(old)).change(Change::new(what, before, &route.interface));
            }
        }
        steps.push(step);
    }
    let connected = |c: &RouteChange| gateways.iter().any(|(a, l)| connects(c, *a, *l));
    steps.extend(additions.into_iter().filter(|c| !connected(c)).map(route_step));
    steps.extend(nat::steps::arrive(cast));
    steps
}

/// Neighbours with IPv6 are asked from it.
pub(super) fn link_local_step(cast: &Cast<'_>, address: (IpAddr, u8)) -> Step {
    let (node, bridge) = (&cast.situation.target.node, &cast.situation.target.bridge);
    alias_step(
        cast,
        format!("{bridge} of {node} gets a link-local address, from which it finds jails with IPv6"),
        address,
    )
}

fn alias_step(cast: &Cast<'_>, title: String, (address, length): (IpAddr, u8)) -> Step {
    let (host, interface) = (cast.target(), cast.situation.target.bridge.clone());
    let change = Change::new(format!("{interface} on {host}"), "", format!("{address}/{length}"));
    let add = Effect::AddAlias { host: host.clone(), interface: interface.clone(), address, length };
    Step::new(Phase::CutOver, title, add)
        .undo(Effect::RemoveAlias { host, interface, address, length, unless_kept: true })
        .change(change)
}

/// The jail is stopped and the target's routes lead to its bridge: nobody tells the old place any more.
fn forget_where_it_was(cast: &Cast<'_>) -> Vec<Step> {
    let host = cast.target();
    vec![Step::new(
        Phase::CutOver,
        format!("{host} forgets where {} had the jail's addresses", neighbours(cast)),
        Effect::ForgetNeighbours {
            host: host.clone(),
            addresses: cast.situation.addresses.clone(),
            jails: cast.siblings(cast.target),
        },
    )]
}

/// One `wg set` on the hub, and on each host with peers of its own, gives the prefixes to the target; the others learn the
/// way.
fn switch(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let hand_overs = std::iter::once(cast.hand_over).chain(cast.mesh).filter(|h| !h.peers.is_empty());
    let mut steps: Vec<Step> = hand_overs.map(|hand_over| hand_over_step(cast, hand_over)).collect();
    let gateways = persist::departing_gateways(cast);
    let link_local = persist::departing_link_local(cast, &gateways);
    for (address, length) in gateways.into_iter().chain(link_local) {
        let interface = situation.source.bridge.clone();
        let host = situation.source.node.clone();
        let title = if link_local == Some((address, length)) {
            format!("{interface} of {host} loses the link-local address that it had for jails with IPv6")
        } else {
            format!("{host} no longer answers for the jail's gateway {address}")
        };
        let (at, on) = (interface.clone(), host.clone());
        let end = Effect::RemoveAlias { host: on.clone(), interface: at.clone(), address, length, unless_kept: false };
        steps.push(
            Step::new(Phase::CutOver, title, end)
                .undo(Effect::AddAlias { host: on, interface: at, address, length })
                .change(Change::new(format!("{interface} on {host}"), format!("{address}/{length}"), "")),
        );
    }
    for (node, facts) in cast.hosts {
        if *node == situation.target.node {
            continue;
        }
        steps.extend(cast.way_from(node, facts).into_iter().map(route_step));
    }
    steps.extend(nat::steps::leave(cast));
    steps
}

/// What undoes it puts the lists back only where they are as this step left them.
fn hand_over_step(cast: &Cast<'_>, hand_over: &HandOver) -> Step {
    let HandOver { host, interface, peers } = hand_over;
    let list = |p: &std::collections::BTreeSet<crate::model::Prefix>| {
        p.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let target = &cast.situation.target.node;
    let title = if *host == *target && *host != cast.situation.hub {
        format!("{host} no longer looks for {} behind its peers", cast.prefixes())
    } else {
        format!("{host} hands {} to {target}", cast.prefixes())
    };
    let mut step = Step::new(Phase::CutOver, title, Effect::HandOver(hand_over.clone()))
        .undo(Effect::HandOver(hand_over.inverse()));
    for peer in peers {
        let name = peer.node.as_ref().map_or_else(|| peer.public_key.short().to_owned(), ToString::to_string);
        step = step.change(Change::new(
            format!("AllowedIPs of {name} on {host} {interface}"),
            list(&peer.before),
            list(&peer.after),
        ));
    }
    step
}

/// The properties of the copy that would otherwise be set while nobody answers: each waits until the pool has written a
/// group of transactions (OpenZFS, dsl_prop.c: dsl_sync_task). Not `canmount`: a target that boots before the source has let
/// go must not mount the copy, since it may start whatever jail it finds there (an empty jail_list, Bastille).
fn open_the_copy(cast: &Cast<'_>) -> Vec<Step> {
    let (host, dataset) = (cast.target(), &cast.situation.target.dataset);
    let unmounted = |d: &DatasetMove| d.target.clone().unmounted();
    let step = Step::new(
        Phase::CutOver,
        format!("{dataset} on {host} becomes writable where it is to be mounted; it is not mounted yet"),
        Effect::Unpark { host: host.clone(), datasets: cast.datasets.iter().map(unmounted).collect() },
    )
    .change(Change::new(dataset, "unmounted, read-only", "unmounted, writable"));
    vec![park_the_copy(cast, unmounted).into_iter().fold(step, Step::undo)]
}

/// Mount and start.
fn start_at_the_target(cast: &Cast<'_>) -> Vec<Step> {
    let situation = cast.situation;
    let place = cast.at_target();
    let arrived: Vec<Parked> = cast.datasets.iter().map(|d| d.target.clone()).collect();
    let mut steps: Vec<Step> = keys::loaded(cast).into_iter().collect();
    let mount = Step::new(
        Phase::CutOver,
        format!("mount the datasets on {}", place.host),
        Effect::Unpark { host: place.host.clone(), datasets: arrived },
    )
    .change(Change::new(&situation.target.dataset, "unmounted", "mounted"));
    steps.push(park_the_copy(cast, |d| d.target.clone()).into_iter().fold(mount, Step::undo));
    steps.extend(rewrite_in_place(cast));
    steps.push(
        Step::new(
            Phase::CutOver,
            format!("start jail {} on {}", situation.jail, place.host),
            Effect::StartJail(place.clone()),
        )
        .undo(Effect::StopJail(place.clone()))
        .change(Change::new(format!("jail {} on {}", situation.jail, place.host), "absent", "runs")),
    );
    steps
}

/// Clients fail fast instead of waiting for a connection that died with the stopped copy. Behind the switch, in the
/// hub's own order: before it, the old state would come back.
fn forget_connections(cast: &Cast<'_>) -> Vec<Step> {
    let (host, prefixes) = (cast.situation.hub.clone(), cast.situation.prefixes.clone());
    let mut steps = vec![Step::new(
        Phase::CutOver,
        format!("{host} forgets the connections of the stopped copy"),
        Effect::KillStates { host: host.clone(), prefixes },
    )];
    steps.extend(nat::steps::forget(cast));
    steps
}

/// Only once the source has let go, and before anything is mounted at the target: a way back that brings something home
/// never meets a source that runs its copy again.
fn keep_the_way_back_open(cast: &Cast<'_>) -> Step {
    Step::new(
        Phase::CutOver,
        format!("keep the way back open: going back takes along what is written on {} from now on", cast.target()),
        Effect::KeepWayBack { host: cast.source() },
    )
    .undo(Effect::BringBack(BringBack {
        from: cast.target(),
        to: cast.source(),
        pairs: cast.datasets.iter().map(|d| (d.target.dataset.clone(), d.source.dataset.clone())).collect(),
        base: label(cast.run, "final"),
        label: label(cast.run, "back"),
        raw: cast.datasets.iter().any(|d| d.raw),
        run: Some(cast.run.clone()),
    }))
}

fn neighbours(cast: &Cast<'_>) -> String {
    let mut who = vec!["it".to_owned()];
    who.extend(cast.siblings(cast.target).iter().map(ToString::to_string));
    who.join(", ")
}

/// From the hub, from inside, and whatever fleet.yml asks for.
fn prove(cast: &Cast<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = checks::after_start(cast.situation, cast.checks, &cast.hub_addresses())
        .into_iter()
        .map(|e| Step::new(Phase::Prove, e.title, e.effect))
        .collect();
    steps = at_once([leases::confirm(cast), steps]);
    steps.extend(rehearsal::afterwards(cast));
    steps.extend(siblings::meet(cast));
    if !checks::answering(cast.situation).is_empty() {
        let host = cast.situation.hub.clone();
        steps.push(Step::new(
            Phase::Prove,
            format!("{host} tells how long nobody answered"),
            Effect::Unwatch { host, run: cast.run.clone() },
        ));
    }
    steps
}

pub(super) fn route_step(change: RouteChange) -> Step {
    match change {
        RouteChange::Add { route, instead_of } => {
            let title = format!("{} routes {} to {} (FIB {})", route.host, route.prefix, route.interface, route.fib);
            let what = format!("route {} on {} (FIB {})", route.prefix, route.host, route.fib);
            let before = instead_of.as_ref().map_or_else(String::new, ToString::to_string);
            let undo = match instead_of {
                Some(interface) => Effect::AddRoute(crate::effect::RouteSpec { interface, ..route.clone() }),
                None => Effect::DeleteRoute(route.clone()),
            };
            let after = route.interface.to_string();
            Step::new(Phase::CutOver, title, Effect::AddRoute(route))
                .undo(undo)
                .change(Change::new(what, before, after))
        }
        RouteChange::Delete(route) => {
            let title =
                format!("{} no longer routes {} to {} (FIB {})", route.host, route.prefix, route.interface, route.fib);
            let what = format!("route {} on {} (FIB {})", route.prefix, route.host, route.fib);
            let before = route.interface.to_string();
            Step::new(Phase::CutOver, title, Effect::DeleteRoute(route.clone()))
                .undo(Effect::AddRoute(route))
                .change(Change::new(what, before, ""))
        }
    }
}
