//! A run's journal: read or refused, and a direction for whatever states it tells.
#![no_main]

use jailferry::plan::Plan;
use jailferry::saga::direction::direction;
use jailferry::saga::record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(run) = record::read(bytes) else { return };
    assert!(run.length <= bytes.len() as u64);
    if let Ok(plan) = serde_json::from_value::<Plan>(run.header.plan.clone()) {
        let outcome = run.finished.as_ref().map(|f| f.outcome.as_str());
        let _ = direction(&plan, &run.steps, outcome);
        plan.steps.iter().for_each(|s| drop((s.commands(), s.undo_commands())));
    }
});
