//! Arrangements of networks, each of them once: a jail moves, every host boots anew, the jail moves back. README.md has
//! the table; the rows have the names of these tests.

#![allow(dead_code, reason = "tests/fleet, whose modules these are, uses the rest of them")]

#[path = "network/arrange.rs"]
mod arrange;
#[path = "fleet/bench.rs"]
mod bench;
#[path = "fleet/client.rs"]
mod client;
#[path = "fleet/lab.rs"]
mod lab;
#[path = "fleet/relay.rs"]
mod relay;
#[path = "network/row.rs"]
mod row;
#[path = "fleet/state.rs"]
mod state;
#[path = "fleet/thin.rs"]
mod thin;
#[path = "fleet/tool.rs"]
mod tool;

use row::DB;
use row::Egress;
use row::Jail;
use row::MAIL;
use row::PLAIN;
use row::Row;
use row::WEB;

const WEB_PREFIXES: &str = "prefixes: [\"192.168.123.50/32\", \"2001:db8:1:1::50/128\"]";

/// A node whose bridge is a part of a segment.
const BRIDGED: (&str, &str) =
    ("    fib: 1\n    mtu: 1380\n", "    fib: 1 # bridged\n    mtu: 1360\n    fabric: bridged\n");

/// The rows, each a test of its name.
macro_rules! rows {
    ($($name:ident: $row:expr;)*) => {
        $(#[test]
        fn $name() {
            $row.holds(stringify!($name));
        })*
    };
}

rows! {
    node_to_node: PLAIN;

    node_to_node_whole_networks_in_all_fibs: Row {
        jail: DB,
        arrange: Some(|fleet| {
            arrange::networks_in_all_fibs(fleet);
            arrange::big_has_a_route_to_db(fleet);
        }),
        ..PLAIN
    };

    node_to_node_several_prefixes_other_fib: Row {
        jail: Jail { inet: &["192.168.125.10", "192.168.123.60"], inet6: &["2001:db8:1:3::10", "2001:db8:1:1::60"], ..DB },
        arrange: Some(|fleet| {
            arrange::db_has_more(fleet);
            arrange::big_uses_fib_2(fleet);
        }),
        settings: &[
            ("    fib: 1\n    mtu: 1380\n    parent: jfpool/jails\njails:", "    fib: 2\n    mtu: 1380\n    parent: jfpool/jails\njails:"),
            ("\"192.168.125.0/24\", ", "\"192.168.125.0/24\", 192.168.123.60/32, \"2001:db8:1:1::60/128\", "),
        ],
        ..PLAIN
    };

    node_to_node_inet_only_fib_0: Row {
        jail: Jail { inet6: &[], ..WEB },
        arrange: Some(|fleet| {
            arrange::web_without_inet6(fleet);
            arrange::one_fib(fleet);
        }),
        settings: &[(WEB_PREFIXES, "prefixes: [192.168.123.50/32]"), ("    fib: 1\n", "    fib: 0\n"), ("    fib: 1\n", "    fib: 0\n")],
        ..PLAIN
    };

    node_to_node_inet6_only_one_jail_conf: Row {
        jail: Jail { inet: &[], ..WEB },
        arrange: Some(|fleet| {
            arrange::web_without_inet(fleet);
            arrange::one_jail_conf(fleet, "spare");
        }),
        settings: &[(WEB_PREFIXES, "prefixes: [\"2001:db8:1:1::50/128\"]")],
        ..PLAIN
    };

    node_to_node_halves_before_a_default: Row {
        arrange: Some(arrange::big_has_halves_before_its_default),
        ..PLAIN
    };

    node_to_node_that_translate_themselves: Row {
        egress: Egress::Node,
        arrange: Some(arrange::nodes_translate),
        settings: &[("    fib: 1\n", "    fib: 1 # spare\n    egress: node\n"), ("    fib: 1\n", "    fib: 1 # big\n    egress: node\n")],
        ..PLAIN
    };

    node_to_node_bridged: Row {
        arrange: Some(arrange::one_segment),
        settings: &[BRIDGED, BRIDGED],
        ..PLAIN
    };

    node_to_node_bastille_in_all_fibs: Row {
        arrange: Some(|fleet| {
            arrange::networks_in_all_fibs(fleet);
            arrange::bastille(fleet);
        }),
        ..PLAIN
    };

    node_to_node_in_a_mesh_published: Row {
        pages: &["http://203.0.113.1:8090/"],
        arrange: Some(arrange::anchors_last),
        connect: |fleet| Some(relay::connect(fleet)),
        settings: &[(WEB_PREFIXES, "prefixes: [\"192.168.123.50/32\", \"2001:db8:1:1::50/128\"]\n    publish: [{ port: 8090, to: 80 }]")],
        ..PLAIN
    };

    hub_to_node_one_jail_conf: Row {
        jail: MAIL,
        from: "small",
        arrange: Some(|fleet| arrange::one_jail_conf(fleet, "small")),
        ..PLAIN
    };

    node_to_hub_by_a_table_in_all_fibs: Row {
        to: "small",
        arrange: Some(|fleet| {
            arrange::networks_in_all_fibs(fleet);
            arrange::table(fleet);
        }),
        settings: &[("    fib: 0\n", "    fib: 0\n    pf_table: jf_nat\n")],
        ..PLAIN
    };

    node_to_hub_whole_networks: Row {
        jail: DB,
        to: "small",
        ..PLAIN
    };
}
