//! The turn to change the network of a hub, between all machines that move jails there: waits while another run has it,
//! takes it from one that fell silent, and finds out whether what is known of the network is old by then.

use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::BoxFuture;

use crate::cli::replan::Replan;
use crate::cli::takeover::LONGEST_BEAT;
use crate::cli::takeover::MARGIN;
use crate::effect::Effect;
use crate::effect::command::Command;
use crate::effect::commands::hub_turn;
use crate::effect::commands::hub_turn::HELD;
use crate::effect::commands::hub_turn::Holder;
use crate::effect::commands::lock;
use crate::effect::lease::Stage;
use crate::model::NodeName;
use crate::model::RunId;
use crate::plan::Plan;
use crate::plan::Step;
use crate::remote::Hosts;
use crate::remote::Kind;
use crate::remote::RemoteError;
use crate::saga::direction::Direction;
use crate::saga::turn::NoTurn;
use crate::saga::turn::Turn;
use crate::ui::event::Event;
use crate::ui::sanitize;

/// How often a run that waits asks again.
const EVERY: Duration = Duration::from_secs(2);

/// Seconds of the longest lease that can be asked for (docs/reference.md).
const LONGEST_LEASE: u32 = 600;

/// Facts of that age are asked for again before anything of the network or the jail changes: somebody may have edited a file.
pub(super) const OLD: Duration = Duration::from_secs(60);

/// How long others were waited for, in questions. No clock is asked.
#[derive(Debug, Default)]
struct Silence {
    last: Option<Holder>,
    questions: u64,
}

impl Silence {
    /// Seconds for which the holder has been silent by now.
    fn hears(&mut self, holder: &Holder) -> u64 {
        if self.last.as_ref() == Some(holder) {
            self.questions += 1;
        } else {
            self.last = Some(holder.clone());
            self.questions = 0;
        }
        self.questions * EVERY.as_secs()
    }
}

/// Seconds of silence after which a run is gone and its hosts have gone back by themselves, as its plan on the hub says.
async fn patience(hosts: &Hosts, hub: &NodeName, holder: &Holder) -> u64 {
    if holder.stage.is_none() {
        // It has told nobody its plan, and so has armed no host.
        return LONGEST_BEAT;
    }
    let said = hosts.run_repeatable(&lock::plan_of(hub, &holder.run)).await;
    let plan = said.ok().and_then(|said| serde_json::from_slice::<Plan>(&said.stdout).ok());
    patience_of(plan.map(|plan| plan.lease))
}

/// The same by its lease; the longest there may be where that is not known.
fn patience_of(lease: Option<u32>) -> u64 {
    LONGEST_BEAT.max(u64::from(lease.unwrap_or(LONGEST_LEASE)) * 2 + MARGIN)
}

/// The step that takes the turn. A plan that an older version made has none.
fn step(plan: &Plan) -> Option<&Step> {
    plan.steps.iter().find(|step| matches!(step.effect, Effect::TakeNetwork { .. }))
}

/// Does what an interrupted run needs touch the network, or can the turn be with it?
pub(super) fn is_needed(plan: &Plan, way: &Direction) -> bool {
    match way {
        Direction::Nothing => false,
        Direction::Forward(_) => true,
        Direction::Back(indexes) => indexes
            .iter()
            .filter_map(|index| plan.steps.get(*index))
            .any(|step| matches!(step.effect, Effect::TakeNetwork { .. })),
    }
}

/// Takes it, after however long. Has another run changed the network meanwhile?
///
/// # Errors
/// The hub cannot be asked, or says no.
pub(super) async fn take(plan: &Plan, hosts: &Hosts, tell: &(dyn Fn(String) + Sync)) -> Result<bool, NoTurn> {
    let Some(step) = step(plan) else { return Ok(false) };
    let question = hub_turn::ask(&plan.hub);
    let mut silence = Silence::default();
    let mut patience_for: Option<(RunId, u64)> = None;
    let mut waited = false;
    loop {
        match carried_out(step, hosts).await {
            Ok(said) => return Ok(waited || hub_turn::has_changed(&said)),
            Err(error) if matches!(error.kind, Kind::Exit(HELD)) => {}
            Err(error) => return Err(no_turn(&error)),
        }
        // Nobody: it has just become free.
        let Some(holder) = holder(hosts, &question).await? else { continue };
        if !waited {
            tell(format!(
                "run {} of {} changes the network of {} {}; this one waits until it is done",
                holder.run,
                holder.owner,
                plan.hub,
                sanitize::line(&holder.since)
            ));
        }
        waited = true;
        let silent = silence.hears(&holder);
        let patience = match &patience_for {
            Some((run, seconds)) if *run == holder.run => *seconds,
            // Asked once for each run, when it is of interest.
            _ if silent > LONGEST_BEAT => {
                let seconds = patience(hosts, &plan.hub, &holder).await;
                patience_for = Some((holder.run.clone(), seconds));
                seconds
            }
            _ => LONGEST_BEAT,
        };
        if silent > patience {
            if holder.stage == Some(Stage::Accepted) {
                return Err(NoTurn::Never(format!(
                    "run {} of {} has moved its jail and was interrupted before it had made that last on {}: nothing else is switched there until `jailferry recover {}` has finished it",
                    holder.run, holder.owner, plan.hub, holder.run
                )));
            }
            tell(format!(
                "{} has not been heard for {silent} s, so it is no longer run {}'s turn on {}; what that run left is for `jailferry recover {}`",
                holder.owner, holder.run, plan.hub, holder.run
            ));
            // Refused when it was heard after all, or another run was faster: asked again.
            let _ = hosts.run(&hub_turn::break_up(&plan.hub, &holder)).await;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Gives it back, for a run that was interrupted and has taken it anew.
pub(super) async fn leave(plan: &Plan, hosts: &Hosts) -> Result<(), RemoteError> {
    let leave = Effect::LeaveNetwork { host: plan.hub.clone(), run: plan.run.clone() };
    for command in leave.work().commands() {
        hosts.run(command).await?;
    }
    Ok(())
}

/// What the step's last command says.
async fn carried_out(step: &Step, hosts: &Hosts) -> Result<String, RemoteError> {
    let mut said = String::new();
    for command in step.commands() {
        said = hosts.run_repeatable(&command).await?.text();
    }
    Ok(said)
}

async fn holder(hosts: &Hosts, question: &Command) -> Result<Option<Holder>, NoTurn> {
    let said = hosts.run_repeatable(question).await.map_err(|error| no_turn(&error))?;
    let text = said.text();
    let unread = || format!("{} says of who changes its network: {}", question.host, sanitize::line(text.trim()));
    Holder::parse(&text).ok_or_else(|| NoTurn::Never(unread()))
}

fn no_turn(error: &RemoteError) -> NoTurn {
    if error.is_away() { NoTurn::Away(error.to_string()) } else { NoTurn::Never(error.to_string()) }
}

/// The turn of a run that no other run of this machine waits for.
pub(super) struct Alone<'a> {
    replan: Replan<'a>,
    /// Are the hosts asked again in any case?
    always: bool,
    /// Since when its facts get old.
    asked: Instant,
    fresh: OnceLock<Plan>,
}

impl<'a> Alone<'a> {
    /// `replan` knows the plan that the run begins with.
    pub(super) fn new(replan: Replan<'a>) -> Alone<'a> {
        Alone { replan, always: false, asked: Instant::now(), fresh: OnceLock::new() }
    }

    /// Of a run that was interrupted, or waited for a person's word: who knows what has happened meanwhile.
    pub(super) fn after_a_while(replan: Replan<'a>) -> Alone<'a> {
        Alone { always: true, ..Alone::new(replan) }
    }

    async fn wait(&self) -> Result<(), NoTurn> {
        let Replan { plan, begun, hosts, renderer, .. } = self.replan;
        let tell = |text: String| renderer.event(&Event::Note { text });
        let changed = take(plan, hosts, &tell).await?;
        // Runs that were under way when the hosts were asked may have changed the network before this one had its lock.
        if changed || begun.others || self.always || self.asked.elapsed() > OLD {
            let _ = self.fresh.set(self.replan.again().await?);
        }
        Ok(())
    }
}

impl Turn for Alone<'_> {
    fn come(&self) -> BoxFuture<'_, Result<(), NoTurn>> {
        Box::pin(self.wait())
    }

    fn plan(&self) -> Option<&Plan> {
        self.fresh.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Owner;

    #[test]
    fn only_who_is_silent_all_the_time_is_taken_for_gone() {
        let holder = |beat: u32| Holder {
            run: RunId::new("web-12345678").unwrap(),
            owner: Owner::new("anna@laptop-1").unwrap(),
            beat: beat.to_string(),
            stage: None,
            since: "since".into(),
        };
        let mut silence = Silence::default();
        let questions = LONGEST_BEAT / EVERY.as_secs();
        assert!((0..=questions).all(|_| silence.hears(&holder(1)) <= LONGEST_BEAT));
        assert_eq!(silence.hears(&holder(2)), 0, "heard at the last moment");
        assert!((0..questions).all(|_| silence.hears(&holder(2)) <= LONGEST_BEAT));
        assert!(silence.hears(&holder(2)) > LONGEST_BEAT);
    }

    /// The source of a run with a long lease starts its jail again after twice that: no earlier is it gone.
    #[test]
    fn a_long_lease_is_waited_for() {
        assert_eq!([Some(30), Some(300), None].map(patience_of), [LONGEST_BEAT, 610, 1210]);
    }
}
