//! What jailferry does to a fleet of hosts, seen from outside: its own output, the hosts over ssh, a client on the internet.
//!
//! The fleet is a lab that each test raises for itself (root is needed), or, with FLEET=/path/fleet.yml, real hosts that tests/acceptance/fleet.sh prepared.
//! Tests that need to inject faults or to read the hosts' command logs have only the lab.

#[path = "fleet/aftercare.rs"]
mod aftercare;
#[path = "fleet/bastille.rs"]
mod bastille;
#[path = "fleet/batches.rs"]
mod batches;
#[path = "fleet/bench.rs"]
mod bench;
#[path = "fleet/bridged.rs"]
mod bridged;
#[path = "fleet/canary.rs"]
mod canary;
#[allow(dead_code, reason = "tests/faults.rs uses the rest")]
#[path = "fleet/client.rs"]
mod client;
#[path = "fleet/clones.rs"]
mod clones;
#[path = "fleet/delegated.rs"]
mod delegated;
#[path = "fleet/direct.rs"]
mod direct;
#[path = "fleet/doctor.rs"]
mod doctor;
#[path = "fleet/dress.rs"]
mod dress;
#[path = "fleet/dying.rs"]
mod dying;
#[path = "fleet/encrypted.rs"]
mod encrypted;
#[path = "fleet/forecast.rs"]
mod forecast;
#[path = "fleet/hardened.rs"]
mod hardened;
#[path = "fleet/hubs.rs"]
mod hubs;
#[path = "fleet/hung.rs"]
mod hung;
#[path = "fleet/in_use.rs"]
mod in_use;
#[path = "fleet/interrupts.rs"]
mod interrupts;
#[allow(dead_code, reason = "tests/faults.rs uses the rest")]
#[path = "fleet/lab.rs"]
mod lab;
#[path = "fleet/leases.rs"]
mod leases;
#[path = "fleet/mesh.rs"]
mod mesh;
#[path = "fleet/moving.rs"]
mod moving;
#[path = "fleet/nat.rs"]
mod nat;
#[path = "fleet/plans.rs"]
mod plans;
#[path = "fleet/promise.rs"]
mod promise;
#[path = "fleet/properties.rs"]
mod properties;
#[path = "fleet/rate_limit.rs"]
mod rate_limit;
#[path = "fleet/rebalance.rs"]
mod rebalance;
#[path = "fleet/refusals.rs"]
mod refusals;
#[path = "fleet/relay.rs"]
mod relay;
#[path = "fleet/report.rs"]
mod report;
#[path = "fleet/resume.rs"]
mod resume;
#[path = "fleet/rollbacks.rs"]
mod rollbacks;
#[path = "fleet/schedule.rs"]
mod schedule;
#[path = "fleet/secrets.rs"]
mod secrets;
#[path = "fleet/siblings.rs"]
mod siblings;
#[path = "fleet/snapshots.rs"]
mod snapshots;
#[path = "fleet/state.rs"]
mod state;
#[path = "fleet/thin.rs"]
mod thin;
#[allow(dead_code, reason = "tests/faults.rs uses the rest")]
#[path = "fleet/tool.rs"]
mod tool;
#[path = "fleet/turns.rs"]
mod turns;
#[path = "fleet/verify.rs"]
mod verify;
#[path = "fleet/volumes.rs"]
mod volumes;
