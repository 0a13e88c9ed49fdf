//! How FreeBSD spells each effect. One file per tool family; sources are contract sections.
//!
//! Exit statuses of our own scripts: 20 somebody changed it since the plan (compare-and-swap), 21 it did not take
//! (read-back), 22 it is not ours to touch, 23 it is in the way.

pub mod canary;
mod contents;
mod ending;
mod files;
mod guids;
mod hand_over;
pub mod hub_turn;
mod jail;
mod keys;
pub mod lease;
pub mod lock;
mod network;
mod parked;
mod parking;
pub mod pf;
mod probe;
mod properties;
mod resume;
mod snapshots;
mod understudy;
pub mod users;
pub mod watch;
mod way_back;
mod zfs;

#[cfg(test)]
mod portability_tests;

pub(crate) use contents::of_part;
pub use files::sha256;
pub(crate) use files::terminator;
pub use network::SUBNETS;
pub use network::alias_mark;
pub use network::in_variables;
pub use resume::receive_rest;
pub use zfs::OWNER_PROPERTY;
pub use zfs::RUN_PROPERTY;
pub use zfs::STATE_PROPERTY;
pub use zfs::receive;
pub use zfs::redeclare;

use crate::effect::Effect;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::command::Lock;
use crate::effect::direct::SshPublicKey;

/// Seconds for a script that only changes kernel tables, properties or small files: on an emulated machine each of its
/// commands may take a second.
const SHORT: u32 = 120;
/// Seconds for a jail's own start and stop scripts.
const JAIL: u32 = 330;
/// Seconds for a transfer; a stalled one is ended earlier by the byte watchdog.
const TRANSFER: u32 = 7 * 24 * 3600;

impl Effect {
    /// The exact commands.
    #[must_use]
    pub fn work(&self) -> Work {
        match self {
            Effect::Snapshot { host, dataset, label, known } => zfs::snapshot(host, dataset, label, known),
            Effect::DestroySnapshot { host, dataset, label, held_by } => {
                zfs::destroy_snapshot(host, dataset, label, held_by.as_ref())
            }
            Effect::Hold { host, dataset, label, tag } => zfs::hold(host, dataset, label, tag),
            Effect::HoldSnapshots { host, snapshots, tag } => snapshots::hold(host, snapshots, tag),
            Effect::ReleaseSnapshots { host, snapshots, tag } => snapshots::release(host, snapshots, tag),
            Effect::MoveBookmark { host, datasets, bookmark, label } => {
                zfs::move_bookmark(host, datasets, bookmark, label)
            }
            Effect::RemoveBookmark { host, datasets, bookmark } => zfs::remove_bookmark(host, datasets, bookmark),
            Effect::Transfer(transfer) => zfs::transfer(transfer),
            Effect::AdmitKey { direct, host_key, receives } => Work::AdmitKey {
                make: direct.make_key(host_key),
                admit: direct.admit(&SshPublicKey::placeholder(), receives),
                direct: direct.clone(),
                receives: receives.clone(),
            },
            Effect::TryKey { direct } => Work::Run(vec![direct.try_key()]),
            // The target first: from then on the key opens nothing.
            Effect::RemoveKey { direct } => Work::Run(vec![direct.dismiss(), direct.forget_key()]),
            Effect::RenameDataset { host, from, to } => zfs::rename(host, from, to),
            Effect::DiscardReceived { host, datasets, run, arriving } => {
                zfs::discard_received(host, datasets, run, arriving)
            }
            Effect::DestroyParked { host, datasets, run, others } => parked::destroy(host, datasets, run, others),
            Effect::ForgetBackups { host, run, files } => files::forget_backups(host, run, files),
            Effect::RollBackReceived { host, dataset, base, run, arriving, newer } => {
                way_back::roll_back_received(host, dataset, base, run, arriving, *newer)
            }
            Effect::CompareGuids { source, target, pairs, label } => guids::compare(source, target, pairs, label),
            Effect::Park { host, datasets, run } => parking::park(host, datasets, run),
            Effect::Unpark { host, datasets } => parking::unpark(host, datasets),
            Effect::SetProperties { host, dataset, changes } => properties::set(host, dataset, changes),
            Effect::Tidy { host, dataset, jail, keep, bases } => {
                zfs::tidy(host, dataset, jail, std::iter::once(keep).chain(bases))
            }
            Effect::TryKeys { host, keys } => keys::try_keys(host, keys),
            Effect::LoadKeys { host, keys } => keys::load(host, keys),
            Effect::UnloadKeys { host, datasets } => keys::unload(host, datasets),
            Effect::ClearMark { host, datasets } => parking::clear_mark(host, datasets),
            Effect::Declare { host, dataset, notice } => zfs::declare(host, dataset, notice),
            Effect::Amend { host, dataset, notice } => zfs::amend(host, dataset, notice),
            Effect::Withdraw { host, dataset, run } => zfs::withdraw(host, dataset, run),
            Effect::BringBack(back) => way_back::bring_back(back),
            Effect::KeepWayBack { .. } => Work::Nothing,
            Effect::WriteFile { host, path, text, mode, replaces } => {
                files::write(host, path, text, mode, replaces.as_deref())
            }
            Effect::RemoveFile { host, path, sha256 } => files::remove(host, path, sha256),
            Effect::MoveFile { host, from, to } => files::rename(host, from, to),
            Effect::ForgetFile { host, path } => files::forget(host, path),
            Effect::CheckJailConfiguration { host, jail, file, expected } => jail::check(host, jail, file, expected),
            Effect::StopJail(place) => jail::stop(place),
            Effect::StartJail(place) => jail::start(place),
            Effect::Edit { host, script, .. } => {
                Work::Run(vec![Command::script(host, SHORT, script.as_str()).under(Lock::edits())])
            }
            Effect::AddRoute(route) => network::add_route(route),
            Effect::DeleteRoute(route) => network::delete_route(route, false),
            Effect::DeleteSubnetRoute(route) => network::delete_route(route, true),
            Effect::AddAlias { host, interface, address, length } => {
                network::add_alias(host, interface, *address, *length)
            }
            Effect::RemoveAlias { host, interface, address, length, unless_kept } => {
                network::remove_alias(host, interface, (*address, *length), *unless_kept)
            }
            Effect::ProxyArp { host, on, unless_kept } => network::proxy_arp(host, *on, *unless_kept),
            Effect::JailRoute { host, jail, to, gateway, there } => {
                network::jail_route(host, jail, *to, *gateway, *there)
            }
            Effect::HandOver(hand_over) => hand_over::hand_over(hand_over),
            Effect::KillStates { host, prefixes } => network::kill_states(host, prefixes),
            Effect::CheckAnchor { host, jail, rules } => pf::check_anchor(host, jail, rules),
            Effect::LoadAnchor { host, jail, before, rules } => pf::load_anchor(host, jail, before, rules),
            Effect::KeepAnchor { host, jail, rules, main } => pf::keep_anchor(host, jail, rules, main),
            Effect::ChangeTable { host, table, add, remove } => pf::change_table(host, table, add, remove),
            Effect::ForgetNeighbours { host, addresses, jails } => network::forget_neighbours(host, addresses, jails),
            Effect::Announce { host, jail, neighbours } => network::announce(host, jail, neighbours),
            Effect::Lock { host, jail, run, owner } => lock::lock(host, jail, run, owner),
            Effect::TakeNetwork { host, run, owner } => hub_turn::take(host, run, owner),
            Effect::LeaveNetwork { host, run } => hub_turn::leave(host, run),
            Effect::StorePlan { host, run } => Work::StorePlan {
                store: lease::store_plan(host, run, lease::THIS_PLAN),
                host: host.clone(),
                run: run.clone(),
            },
            Effect::Mark { host, run, stage } => lease::mark(host, run, *stage),
            Effect::Arm(lease) => lease::arm(lease),
            Effect::Release { host, jail, run } => lease::release(host, jail, run),
            Effect::Disarm { host, jail, run } => lease::disarm(host, jail, run),
            Effect::Confirm { host } => Work::Fresh(Command::argv(host, SHORT, ["true"])),
            Effect::MakeCanary(canary) => canary::make(canary),
            Effect::RemoveCanary(canary) => canary::remove(canary),
            Effect::CloneForRehearsal(understudy) => understudy::clone(understudy),
            Effect::DiscardClones(understudy) => understudy::discard(understudy),
            Effect::StartUnderstudy(understudy) => understudy::start(understudy),
            Effect::StopUnderstudy(understudy) => understudy::stop(understudy),
            Effect::ListContents(listing) => contents::list(listing),
            Effect::CompareContents { source, target } => contents::compare(source, target),
            Effect::ForgetListing(listing) => contents::forget(listing),
            Effect::Unlock { host, jail, run } => lock::unlock(host, jail, run),
            Effect::Watch { host, address, run } => watch::watch(host, *address, run),
            Effect::Unwatch { host, run } => watch::unwatch(host, run),
            Effect::Probe { host, probe } => probe::probe(host, probe),
        }
    }
}
