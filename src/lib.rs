//! jailferry moves FreeBSD VNET jails between nodes, address and all: a guide to the code.
//!
//! # The way of a migration through the code
//!
//! ```text
//! cli ── playbook ──▶ Fleet ─────────────────────────────┐
//! cli ── facts::questions ──▶ remote ──▶ facts::parse ──▶ Evidence
//!                                                         │
//!              plan::situation (what fleet.yml leaves out, the hosts told)
//!              plan::preflight (what speaks against it)
//!              plan::migrate   (the story)               ──▶ Plan: steps, each with effect, undo, changes
//!                                                         │
//!  plan, --dry-run:  effect::commands ──▶ ui::plan_view   │
//!  migrate:          saga::run ──▶ effect::commands ──▶ remote
//!                        └──▶ saga::journal (before and after each step), ui (events)
//! ```
//!
//! Begin with [`plan::migrate`]: it tells a migration from top to bottom, for people who know FreeBSD but not Rust.
//!
//! # The modules
//!
//! Pure (no file, clock, environment, process or network; `tests/house/border.rs` holds them to it):
//!
//! - [`model`]: validated names, prefixes with longest match, datasets. Nothing unvalidated gets further than here.
//! - [`playbook`]: `fleet.yml` and playbooks, every finding at once with line and column.
//! - [`facts`]: the read-only questions to a host, one parser per tool's output, and what they add up to.
//! - [`configuration`]: jail.conf, fstab, rc.conf and WireGuard's files, edited losslessly.
//! - [`plan`]: from evidence to a [`plan::Plan`], which is a value: serialisable, and all that a run will do.
//! - [`rebalance`]: which jails should go where, and in which order.
//! - [`effect`]: the closed list of things done to a host; [`effect::commands`] has the exact FreeBSD command of each.
//! - [`report`]: a run looked back at, as a value and as one page.
//! - [`schedule`]: when a playbook runs, from its `schedule:` and the time, which is an argument.
//! - [`batch`]: many moves together: which begins next, where the jails of a node to be emptied go.
//! - [`saga::record`] and [`saga::state`]: what a journal says, and what may follow.
//!
//! Touching the world:
//!
//! - [`cli`]: the command line, one file a verb; files, environment, terminal.
//! - [`remote`]: SSH; the one place where remote commands run and data is relayed.
//! - [`saga`]: [`saga::run`] goes forward and, on failure, back; [`saga::journal`] is the file it writes.
//! - [`ui`]: events in; plain lines, bars or JSON lines out.
//!
//! # Rules that hold everywhere
//!
//! - A remote command is a value ([`effect::command::Command`]); what the plan prints is what runs.
//! - Every effect may be repeated: it asks whether things are already so, and reads the state back.
//! - Before the point of no return ([`plan::Plan::point_of_no_return`]) a failure undoes everything; after it a run only
//!   goes forward or says what remains.
//! - The exit code tells the outcome ([`cli::Exit`]).

// What comes from outside is never unwrapped, and nothing but cli::output and ui writes to the terminal (`println!` would
// panic when a reader goes away). Tests may.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr))]

pub mod batch;
pub mod cli;
pub mod configuration;
pub mod effect;
pub mod facts;
pub mod model;
pub mod plan;
pub mod playbook;
pub mod rebalance;
pub mod remote;
pub mod report;
pub mod saga;
pub mod schedule;
pub mod ui;
