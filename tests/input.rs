//! Fleets and playbooks as files: every fixture, every example, every schema.

#[path = "input/examples.rs"]
mod examples;
#[path = "input/fixtures.rs"]
mod fixtures;
#[path = "input/hostile.rs"]
mod hostile;
#[path = "input/journals.rs"]
mod journals;
#[path = "input/schema.rs"]
mod schema;
