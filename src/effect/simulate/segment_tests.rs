//! Moves within one layer-2 segment, carried out in the simulator: there, home, and back from everywhere.

use crate::effect::simulate::tests::back_from_everywhere;
use crate::effect::simulate::tests::difference;
use crate::effect::simulate::tests::travel;
use crate::plan::fixture::Shape;
use crate::plan::fixture::jail;
use crate::plan::fixture::node;

#[test]
fn a_jail_goes_along_its_segment_and_comes_home_and_the_network_is_as_before() {
    let shape = Shape { bridged: vec![1, 2], ..Shape::testbed() };
    let (web, spare, big) = (jail("web"), node("spare"), node("big"));
    let start = shape.world();
    let there = travel(start.clone(), &shape, &web, &big, 1).unwrap();
    for (name, host) in &there.hosts {
        let before = &start.hosts[name].facts;
        assert_eq!(host.facts.routes, before.routes, "{name}");
        assert_eq!(host.facts.wireguard, before.wireguard, "{name}");
        assert_eq!(host.facts.sysctls, before.sysctls, "{name}");
    }
    let home = travel(there, &shape, &web, &spare, 2).unwrap();
    let network = difference(&start.hosts, &home.hosts);
    let lines = network.lines().filter(|l| ["wg0", "Route", "proxyall", "jailferry_arp"].iter().any(|w| l.contains(w)));
    assert_eq!(lines.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn a_move_along_a_segment_goes_back_from_everywhere() {
    let shape = Shape { bridged: vec![1, 2], ..Shape::testbed() };
    back_from_everywhere(&shape.world(), &shape, &jail("web"), &node("big")).unwrap();
}
