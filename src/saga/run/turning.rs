//! The turn: a run waits behind its copy until it may cut over, and goes on with the plan that holds then.

use std::time::Instant;

use super::Run;
use super::milliseconds;
use crate::effect::Effect;
use crate::plan::Plan;
use crate::plan::Step;
use crate::saga::interrupt::INTERRUPTED;
use crate::saga::journal::JournalError;
use crate::saga::record::Record;
use crate::saga::state::StepEvent;
use crate::saga::turn::NoTurn;
use crate::saga::turn::Turn;
use crate::ui::event::Event;

impl<'a> Run<'a> {
    /// Waits until this run may cut over, and goes on with the plan that holds then.
    pub(super) async fn take_turn(&mut self, index: usize, turn: &'a dyn Turn) -> Result<(), NoTurn> {
        let (number, begun) = (index + 1, Instant::now());
        let step = self.plan.steps.get(index).filter(|step| matches!(step.effect, Effect::TakeNetwork { .. }));
        if let Some(step) = step {
            // Coming to the turn takes it, and whatever stops us then must give it back.
            self.intend(index).map_err(unwritten)?;
            let (host, title) = (step.host().clone(), step.title.clone());
            (self.events)(Event::StepStarted { number, host, title, undo: false });
            self.started.insert(index);
        }
        if let Err(why) = self.come(index, turn).await {
            if let Some(step) = step {
                let (NoTurn::Away(error) | NoTurn::Never(error)) = why.clone();
                (self.events)(Event::StepFailed { number, error: error.clone(), undo: false });
                self.journal.step(number, StepEvent::Failed, Some(error)).map_err(unwritten)?;
                if matches!(why, NoTurn::Away(_)) {
                    self.let_others_pass(number, step).await;
                }
            }
            return Err(why);
        }
        if step.is_some() {
            self.journal.step(number, StepEvent::Done, None).map_err(unwritten)?;
            (self.events)(Event::StepDone { number, milliseconds: milliseconds(begun.elapsed()), undo: false });
        }
        match turn.plan() {
            Some(plan) => self.go_on_with(plan).await.map_err(NoTurn::Never),
            None => Ok(()),
        }
    }

    /// The turn, however often it takes while a host is away.
    async fn come(&self, index: usize, turn: &dyn Turn) -> Result<(), NoTurn> {
        let mut tries = self.tries(index);
        loop {
            let stop = self.interrupts.clone();
            let came = tokio::select! {
                came = turn.come() => came,
                () = stop.asked_to() => Err(NoTurn::Never(INTERRUPTED.into())),
            };
            match came {
                Err(NoTurn::Away(why)) => {
                    if !self.waits_once_more(&mut tries, &why).await {
                        return Err(NoTurn::Away(why));
                    }
                }
                other => return other,
            }
        }
    }

    /// Gives the turn back, if we have it: the run waits for a person now. Where that fails, others find us silent.
    async fn let_others_pass(&self, number: usize, step: &Step) {
        for effect in &step.undo {
            let _ = self.perform(number, &step.undo_work(effect)).await;
        }
    }

    async fn go_on_with(&mut self, plan: &'a Plan) -> Result<(), String> {
        let whole = serde_json::to_value(plan).map_err(|e| format!("the plan cannot be written: {e}"))?;
        self.journal.append(Record::Plan(whole)).map_err(|e| format!("the journal cannot be written: {e}"))?;
        self.plan = plan;
        // The hub's copy, for a machine without this journal.
        let kept = plan.steps.iter().enumerate().find(|(_, s)| matches!(s.effect, Effect::StorePlan { .. }));
        if let Some((index, step)) = kept {
            self.perform(index + 1, &step.work()).await.map_err(|e| format!("{}: {e}", step.title))?;
        }
        Ok(())
    }
}

fn unwritten(error: JournalError) -> NoTurn {
    NoTurn::Never(format!("the journal cannot be written: {error}"))
}
