//! The runs that the journals of this machine know, for verbs that look back at them.

use crate::cli::Exit;
use crate::cli::output;
use crate::model::RunId;
use crate::plan::Plan;
use crate::plan::forecast::PastMove;
use crate::plan::rollback::LaterMove;
use crate::plan::rollback::top_at_the_target;
use crate::saga::RunRecord;
use crate::saga::journal;
use crate::saga::journal::FoundRun;
use crate::saga::past;
use crate::ui::sanitize;

/// All of them, oldest first.
///
/// # Errors
/// When the folder cannot be read; it has been said.
pub(super) fn runs() -> Result<Vec<FoundRun>, Exit> {
    let listed = journal::runs_directory().and_then(|folder| journal::list_runs(&folder));
    let mut found = listed.map_err(|error| {
        output::complain(&error.to_string());
        Exit::Internal
    })?;
    found.sort_by_key(|f| f.record.as_ref().map(|r| r.started).unwrap_or_default());
    Ok(found)
}

/// What earlier moves took; nothing where there are none.
pub(super) fn past() -> Vec<PastMove> {
    journal::runs_directory().map(|folder| past::moves(&folder)).unwrap_or_default()
}

/// Did the run move its jail?
pub(super) fn has_moved(record: &RunRecord) -> bool {
    record.finished.as_ref().is_some_and(|f| f.outcome == "moved")
}

/// What `finalize` writes into the journal of a run when it has let go of everything.
pub(super) const FINALIZED: &str = "finalized";

/// Has `finalize` let go of what the run kept?
pub(super) fn is_finalized(record: &RunRecord) -> bool {
    record.notes(FINALIZED)
}

/// The variable by which a scheduler tells its runs who started them.
pub(super) const SCHEDULE_VARIABLE: &str = "JAILFERRY_SCHEDULE";

/// What the journal of such a run says.
pub(super) fn started_by(schedule: &str) -> String {
    format!("started by the schedule {}", sanitize::line(schedule))
}

/// The run of that name with its plan, when it moved its jail.
///
/// # Errors
/// It is said why not.
pub(super) fn moved(wanted: &str) -> Result<(Plan, Vec<FoundRun>), Exit> {
    let bad = |message: &str| {
        output::complain(message);
        Exit::BadInput
    };
    let id = RunId::new(wanted).map_err(|e| bad(&e.to_string()))?;
    let runs = runs()?;
    let Some(found) = runs.iter().find(|r| r.run == id) else {
        return Err(bad(&format!("no run {}; `jailferry runs` lists them", sanitize::line(wanted))));
    };
    let record = match &found.record {
        Ok(record) => record,
        Err(error) => return Err(bad(&format!("{}: {error}", found.path.display()))),
    };
    if !has_moved(record) {
        let instead = match &record.finished {
            _ if found.active => "it is under way".to_owned(),
            Some(finished) if finished.outcome == "needs-human" => {
                format!("it was not finished: jailferry recover {id}")
            }
            Some(finished) => format!("it ended: {}", sanitize::line(&finished.outcome)),
            None => format!("it was interrupted: jailferry recover {id}"),
        };
        return Err(bad(&format!("run {id} did not move its jail: {instead}")));
    }
    let plan: Plan = serde_json::from_value(record.header.plan.clone())
        .map_err(|e| bad(&format!("the plan of run {id} cannot be read: {e}")))?;
    Ok((plan, runs))
}

/// The moves of the jail after that run, oldest first.
pub(super) fn later(plan: &Plan, runs: &[FoundRun]) -> Vec<LaterMove> {
    let started = |run: &FoundRun| run.record.as_ref().map(|r| r.started).ok();
    let since = runs.iter().find(|r| r.run == plan.run).and_then(started);
    runs.iter()
        .filter(|r| started(r) > since)
        .filter_map(|r| r.record.as_ref().ok())
        .filter(|r| r.header.jail == plan.jail && has_moved(r))
        .map(|r| &r.header)
        .map(|h| {
            let plan = serde_json::from_value::<Plan>(h.plan.clone()).ok();
            let dataset = plan.as_ref().and_then(top_at_the_target);
            LaterMove { run: h.run.clone(), from: h.from.clone(), to: h.to.clone(), dataset }
        })
        .collect()
}
