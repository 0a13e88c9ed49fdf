//! What to do when a step has failed, where its kind or its words tell.

use crate::effect::Effect;
use crate::effect::Probe;
use crate::effect::Transfer;
use crate::plan::Phase;
use crate::plan::Step;

/// In words, behind what the step said; mostly nothing.
#[must_use]
pub fn of(step: &Step, said: &str) -> String {
    match &step.effect {
        Effect::Probe { probe, .. } if step.phase == Phase::Copy => of_a_check(probe).to_owned(),
        Effect::Transfer(transfer) if transfer.raw && said.contains("has been modified") => of_a_raw_stream(transfer),
        _ => String::new(),
    }
}

/// What is asked before anything is copied.
fn of_a_check(probe: &Probe) -> &'static str {
    match probe {
        Probe::Tcp { .. } | Probe::Http { .. } | Probe::Inside { .. } => {
            "\nThe jail does not pass this check where it is. Mend the one or the other; a jail that shall move as it is does so with --no-check-first."
        }
        // Whether fleet.yml asks for it or not: every move is proven so.
        Probe::Ping { .. } | Probe::PingFromInside { .. } => {
            "\nEvery move is proven by echo requests like these, and one that they do not get through is taken back behind the stop. Let them through (pf of the hosts and of the jail); where only this node loses them, --no-check-first moves all the same."
        }
        Probe::Within { .. } | Probe::Trial(_) | Probe::Runs { .. } | Probe::Unused { .. } => "",
    }
}

/// The newest snapshot must be the one that the stream begins at, also where the others show nothing new (dmu_recv.c,
/// recv_begin_check_existing_impl).
fn of_a_raw_stream(transfer: &Transfer) -> String {
    let Transfer { into, to, .. } = transfer;
    let above = into.parent().map_or_else(|| into.to_string(), |parent| parent.to_string());
    format!(
        "\nSomebody has taken a snapshot of {into} on {to} while it arrived, or written to it; no increment of an encrypted dataset fits behind that. `zfs list -t snapshot {into}` tells. Leave {above} out of what takes snapshots there until the jail has moved (`zfs set com.sun:auto-snapshot=false {above}`, or the configuration of what does it)."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::assemble;
    use crate::plan::finding::Findings;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    #[test]
    fn a_raw_increment_that_is_refused_tells_whom_to_ask() {
        let shape = Shape::testbed();
        let (evidence, situation, _) = shape.world().evidence(&shape.fleet(), &jail("web"), &node("big"));
        let settings = Options::default().settle();
        let plan =
            assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", Findings::default()).unwrap();
        let mut step = plan.steps.into_iter().find(|s| matches!(s.effect, Effect::Transfer(_))).unwrap();
        let refused = "cannot receive: destination jfpool/jails/web has been modified\nsince most recent snapshot";
        assert_eq!(of(&step, refused), "");
        if let Effect::Transfer(transfer) = &mut step.effect {
            transfer.raw = true;
        }
        assert!(of(&step, refused).contains("auto-snapshot=false jfpool/jails`"), "{}", of(&step, refused));
        assert_eq!(of(&step, "out of space"), "");
    }
}
