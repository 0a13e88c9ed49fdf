//! `netstat --libxo json -rnW` (usr.bin/netstat/route.c, contract 1.5).

use std::net::IpAddr;

use serde_json::Value;

use super::error;
use super::error::FactsError;
use super::json;
use crate::facts::Route;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::Prefix;

/// The routes of one FIB and family; link-local and multicast ones are left out.
///
/// # Errors
/// Output that is not netstat's JSON, of another FIB, or holds a route that cannot be read.
pub fn routes(question: &str, text: &str, fib: u16) -> Result<Vec<Route>, FactsError> {
    let fail = |problem: String| error::json(question, problem);
    let document = json::document(question, text)?;
    let information = json::find(&document, "route-information").ok_or_else(|| fail("no route-information".into()))?;
    let answered = information.get("fib").map_or(Some(0), json::number);
    if answered != Some(i64::from(fib)) {
        return Err(fail(format!("asked for FIB {fib}, got {}", information.get("fib").unwrap_or(&Value::Null))));
    }
    let families = information.get("route-table").and_then(|t| t.get("rt-family")).and_then(Value::as_array);
    let mut routes = Vec::new();
    for family in families.into_iter().flatten() {
        let name = match family.get("address-family").and_then(Value::as_str) {
            Some("Internet") => Family::Inet,
            Some("Internet6") => Family::Inet6,
            _ => continue,
        };
        for entry in family.get("rt-entry").and_then(Value::as_array).into_iter().flatten() {
            routes.extend(route(entry, name).map_err(|problem| fail(format!("{problem} in {entry}")))?);
        }
    }
    Ok(routes)
}

fn route(entry: &Value, family: Family) -> Result<Option<Route>, String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let destination = text("destination").ok_or("no destination")?;
    let Some(destination) = prefix(destination, family)? else { return Ok(None) };
    // A name with `*` is one of an interface that is down.
    let interface = text("interface-name").ok_or("no interface-name")?.trim_end_matches('*');
    Ok(Some(Route {
        destination,
        interface: InterfaceName::new(interface).map_err(|e| e.to_string())?,
        gateway: text("gateway").and_then(gateway),
        flags: text("flags").unwrap_or_default().to_owned(),
    }))
}

/// `default`, `a.b.c.d/len` or a bare address; `None` for link-local and multicast ones.
fn prefix(text: &str, family: Family) -> Result<Option<Prefix>, String> {
    if text == "default" {
        return Ok(Some(Prefix::default_route(family)));
    }
    if text.contains('%') {
        return Ok(None);
    }
    let prefix = match text.parse::<IpAddr>() {
        Ok(address) => Prefix::host(address),
        Err(_) => text.parse::<Prefix>().map_err(|e| e.to_string())?,
    };
    let special = match prefix.network() {
        IpAddr::V4(a) => a.is_multicast() || a.is_link_local(),
        IpAddr::V6(a) => a.is_multicast() || a.is_unicast_link_local(),
    };
    Ok((!special).then_some(prefix))
}

/// A next hop's address; `link#8` and link-layer addresses are interface routes.
fn gateway(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    fn show(routes: &[Route]) -> Vec<String> {
        let gateway = |r: &Route| r.gateway.map_or("-".to_owned(), |g| g.to_string());
        routes.iter().map(|r| format!("{} {} {} {}", r.destination, gateway(r), r.interface, r.flags)).collect()
    }

    #[test]
    fn fib_1_of_a_node() {
        let routes = routes("netstat", &stdout("netstat-F1"), 1).unwrap();
        assert_eq!(show(&routes), ["0.0.0.0/0 - wg0 US", "127.0.0.1/32 - lo0 UHS", "192.168.123.61/32 - bridge0 UHS"]);
    }

    /// JSON need not escape DEL and the control characters from U+0080 on (found by the fuzz target `facts`).
    #[test]
    fn a_route_that_cannot_be_read_is_told_without_control_characters() {
        for control in ['\u{7f}', '\u{9b}'] {
            let text = stdout("netstat-F1").replace("\"wg0\"", &format!("\"wg{control}0\""));
            let told = routes("netstat", &text, 1).unwrap_err().to_string();
            assert!(told.contains("is not a valid interface name") && !told.contains(char::is_control), "{told:?}");
        }
    }

    #[test]
    fn fib_0_of_the_hub_has_gateways() {
        let routes = routes("netstat", &stdout("netstat-json-setfib0"), 0).unwrap();
        assert_eq!(routes.len(), 12);
        assert_eq!(show(&routes)[..2], ["0.0.0.0/0 10.0.2.2 vtnet0 UGS", "10.0.2.0/24 - vtnet0 U"]);
        assert_eq!(show(&routes)[10], "192.168.150.0/24 - wg0 US");
    }

    #[test]
    fn link_local_and_multicast_are_left_out() {
        let routes = routes("netstat", &stdout("netstat-json-1-6"), 1).unwrap();
        assert_eq!(
            show(&routes),
            [
                "::/96 ::1 lo0 URS",
                "::1/128 - lo0 UHS",
                "::ffff:0.0.0.0/96 ::1 lo0 URS",
                "2001:db8:1::/72 - bridge0 US",
                "2001:db8:1::50/128 - bridge0 UHS"
            ]
        );
    }

    #[test]
    fn the_wrong_fib_is_noticed() {
        let error = routes("netstat 0 inet", &stdout("netstat-F1"), 0).unwrap_err();
        assert_eq!(error.to_string(), "netstat 0 inet: asked for FIB 0, got 1");
        assert!(routes("netstat", &stdout("netstat-json-0"), 0).is_err(), "\"{{ }}\" of a refused FIB");
    }

    #[test]
    fn a_fib_as_string_and_an_interface_that_is_down() {
        let text = r#"{"statistics":{"route-information":{"fib":"1","new":[],"route-table":{"rt-family":[{"address-family":"Internet","rt-entry":[
            {"destination":"10.0.0.0/8","gateway":"link#2","flags":"U","interface-name":"em0*","later":{"x":1}}]}]}}}}"#;
        assert_eq!(show(&routes("netstat", text, 1).unwrap()), ["10.0.0.0/8 - em0 U"]);
    }
}
