//! The hosts that an interrupted run needs to be put right, and those that it can do without.

use std::collections::BTreeSet;

use crate::cli::gather;
use crate::cli::input::FleetFile;
use crate::cli::output;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::plan::Step;
use crate::remote::Hosts;
use crate::saga::direction::Direction;

/// Connects to those nodes of `fleet` that answer. Hub, source and target of the run are missed; any other has no more than
/// a way to the jail: its steps fail, are told, and done by the next `recover`.
///
/// # Errors
/// Those are away without which nothing is changed; it has been said.
pub(super) async fn connect(fleet: &FleetFile, plan: &Plan) -> Result<Hosts, ()> {
    let reached = gather::connect_reachable(&fleet.fleet, fleet.ssh_config.as_deref()).await;
    let (hosts, away) = reached.map_err(|error| output::complain(&error.to_string()))?;
    for error in &away {
        output::complain(&error.to_string());
    }
    if away.iter().any(|error| is_missed(plan, &error.host)) { Err(()) } else { Ok(hosts) }
}

fn is_missed(plan: &Plan, host: &NodeName) -> bool {
    [&plan.hub, &plan.source, &plan.target].contains(&host)
}

/// The same way without what only concerns nodes that are no longer in the fleet: nothing is left to put right there. Gives
/// those nodes, too.
pub(super) fn without_gone(plan: &Plan, way: Direction, fleet: &FleetFile) -> (Direction, BTreeSet<NodeName>) {
    let mut gone = BTreeSet::new();
    let mut stays = |index: &usize, hosts: fn(&Step) -> Vec<NodeName>| {
        let all = plan.steps.get(*index).map(hosts).unwrap_or_default();
        let left: Vec<NodeName> =
            all.iter().filter(|h| !is_missed(plan, h) && !fleet.fleet.nodes.contains_key(*h)).cloned().collect();
        let only_there = !all.is_empty() && left.len() == all.len();
        gone.extend(left);
        !only_there
    };
    let way = match way {
        Direction::Nothing => Direction::Nothing,
        Direction::Forward(indexes) => Direction::Forward(indexes.into_iter().filter(|i| stays(i, forward)).collect()),
        Direction::Back(indexes) => Direction::Back(indexes.into_iter().filter(|i| stays(i, back)).collect()),
    };
    (way, gone)
}

fn forward(step: &Step) -> Vec<NodeName> {
    step.commands().into_iter().map(|command| command.host).collect()
}

fn back(step: &Step) -> Vec<NodeName> {
    step.undo_commands().into_iter().map(|command| command.host).collect()
}

/// Says which nodes are taken for gone.
pub(super) fn tell_gone(gone: &BTreeSet<NodeName>) {
    for node in gone {
        output::error(&format!("{node} is no longer in the fleet: what the run changed there is left as it is."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effect;
    use crate::effect::RouteSpec;
    use crate::model::InterfaceName;
    use crate::plan::Phase;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    #[test]
    fn only_hosts_that_have_a_mere_way_to_the_jail_may_be_gone() {
        let shape = Shape::testbed();
        let (evidence, situation, findings) = shape.world().evidence(&shape.fleet(), &jail("mail"), &node("big"));
        let settings = Options::default().settle();
        let mut plan = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings).unwrap();
        let route = RouteSpec {
            host: node("spare"),
            prefix: "192.168.122.25/32".parse().unwrap(),
            interface: InterfaceName::new("wg0").unwrap(),
            fib: 0,
        };
        let step = Step::new(Phase::CutOver, "a way", Effect::AddRoute(route.clone())).undo(Effect::DeleteRoute(route));
        plan.steps.insert(plan.point_of_no_return() - 1, step);
        let of_spare = |index: &usize| plan.steps[*index].undo_commands().iter().any(|c| c.host == node("spare"));
        let all: Vec<usize> = (0..plan.steps.len()).rev().collect();
        assert!(all.iter().any(of_spare));
        let with = |gone: Option<&str>| {
            let mut fleet = shape.fleet();
            fleet.nodes.retain(|name, _| Some(name.as_str()) != gone);
            let fleet = FleetFile { fleet, path: "fleet.yml".into(), ssh_config: None };
            let (way, gone) = without_gone(&plan, Direction::Back(all.clone()), &fleet);
            let Direction::Back(left) = way else { panic!("another way") };
            (left, gone)
        };
        assert_eq!(with(None), (all.clone(), BTreeSet::new()));
        let (left, gone) = with(Some("spare"));
        assert!(!left.iter().any(of_spare) && gone.iter().eq([&node("spare")]));
        // What the target has left is missed: nothing of it is passed over.
        assert_eq!(with(Some("big")), (all.clone(), BTreeSet::new()));
    }
}
