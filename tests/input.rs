//! Fleets and playbooks as files: every fixture, every example, every schema.

#[path = "input/fixtures.rs"]
mod fixtures;
