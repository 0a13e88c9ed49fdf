//! A run that had to wait is planned anew from behind its copy, with what the hosts say now.

use futures_util::future::join_all;

use crate::cli::gather;
use crate::cli::input::FleetFile;
use crate::effect::command::Command;
use crate::plan::Plan;
use crate::plan::Severity;
use crate::plan::assemble;
use crate::plan::finding::Findings;
use crate::plan::hooks;
use crate::plan::refresh;
use crate::plan::refresh::Begun;
use crate::plan::situation;
use crate::playbook::batch::Hook;
use crate::remote::Hosts;
use crate::saga::turn::NoTurn;
use crate::ui::event::Event;
use crate::ui::renderer::Renderer;

/// Seconds that a host gets to show that it answers.
const SHORT: u32 = 60;

/// What it needs for that.
#[derive(Clone, Copy)]
pub(super) struct Replan<'a> {
    pub(super) fleet: &'a FleetFile,
    pub(super) hosts: &'a Hosts,
    pub(super) renderer: &'a Renderer,
    /// Those of its playbook; `None`: as they stand in the plan.
    pub(super) hooks: Option<&'a [Hook]>,
    /// The plan it began with.
    pub(super) plan: &'a Plan,
    /// What was so then.
    pub(super) begun: &'a Begun,
}

impl Replan<'_> {
    /// The same run, planned with what the hosts say now.
    ///
    /// # Errors
    /// Why it must not go on, or cannot now.
    pub(super) async fn again(&self) -> Result<Plan, NoTurn> {
        let (plan, settings) = (self.plan, &self.begun.settings);
        let (jail, target) = (&plan.jail, &plan.target);
        let events = |event: Event| self.renderer.event(&event);
        events(Event::Note { text: "the hosts are asked again, since other things may have changed meanwhile".into() });
        let asked = gather::evidence(self.hosts, &self.fleet.fleet, jail, target, settings.transfer, &events).await;
        let (now, _, gathered) = match asked {
            Ok(asked) => asked,
            Err(error) => {
                let why = format!("the hosts cannot be asked again: {error}");
                return Err(if self.somebody_is_away().await { NoTurn::Away(why) } else { NoTurn::Never(why) });
            }
        };
        let now = refresh::refreshed(self.begun, now, plan);
        let mut findings = Findings::default();
        let Some(situation) = situation::resolve(&now, jail, target, &mut findings) else {
            return Err(reasons(&findings.into_sorted()).into());
        };
        for finding in gathered.into_sorted().into_iter().filter(|f| !refresh::is_itself(f, &plan.run)) {
            findings.take(finding);
        }
        let mut fresh = assemble::plan_as(&now, &situation, settings, &plan.owner, &plan.run, findings)
            .map_err(|findings| reasons(&findings))?;
        if fresh.refused() {
            return Err(reasons(&fresh.findings).into());
        }
        let done = refresh::seed(plan);
        refresh::goes_on(plan, &fresh, done)
            .map_err(|why| format!("jail {jail} or its hosts were changed while it was copied: {why}; try again"))?;
        if self.begun.as_it_stands {
            refresh::stands(plan, &fresh, done)
                .map_err(|why| format!("the plan was agreed to as it stands, and no longer holds: {why}; plan anew"))?;
        }
        fresh.hooks = match self.hooks {
            Some(list) => hooks::calls(&fresh, list),
            None => plan.hooks.clone(),
        };
        fresh.summary.clone_from(&plan.summary);
        Ok(fresh)
    }

    /// Is there a host that cannot be reached?
    async fn somebody_is_away(&self) -> bool {
        let asked = self.hosts.names().map(|name| async move {
            let nothing = Command::argv(name, SHORT, ["true"]);
            self.hosts.run_repeatable(&nothing).await.is_err_and(|error| error.is_away())
        });
        join_all(asked).await.contains(&true)
    }
}

/// What forbids it, in one text.
pub(super) fn reasons(findings: &[crate::plan::Finding]) -> String {
    let errors: Vec<String> = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .map(|f| format!("{}{}", f.host.as_ref().map(|h| format!("{h}: ")).unwrap_or_default(), f.what))
        .collect();
    errors.join("; ")
}
