//! Reads the port forwards of a jail.

use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::publish::Outside;
use crate::playbook::publish::Proto;
use crate::playbook::publish::Publish;
use crate::playbook::read::fleet::At;
use crate::playbook::reader::Fields;
use crate::playbook::reader::Problem;
use crate::playbook::reader::choice;
use crate::playbook::reader::list;
use crate::playbook::reader::number;
use crate::playbook::reader::scalar;
use crate::playbook::yaml::Located;

/// The list of port forwards; the same port twice leads to two places.
pub(crate) fn publish(node: &Located, findings: &mut Findings) -> Vec<Publish> {
    let mut ports: Vec<At<Publish>> = Vec::new();
    for item in list(node, "a list of port forwards", findings).unwrap_or_default() {
        let Some(port) = one(item, findings) else { continue };
        let same = |(other, _): &&At<Publish>| {
            (other.proto, other.port) == (port.proto, port.port)
                && (other.on == port.on || other.on.is_none() || port.on.is_none())
        };
        if let Some((other, at)) = ports.iter().find(same) {
            let finding =
                Diagnostic::error(format!("{} port {} is published twice", other.proto, other.port), item.span.clone());
            findings.push(finding.label("leads to one place only").also(at.clone(), "first here"));
            continue;
        }
        ports.push((port, item.span.clone()));
    }
    ports.into_iter().map(|(port, _)| port).collect()
}

fn one(item: &Located, findings: &mut Findings) -> Option<Publish> {
    const PROTOS: &[(&str, Proto)] = &[("tcp", Proto::Tcp), ("udp", Proto::Udp)];
    let mut fields = Fields::of(item, "a port forward", findings)?;
    let proto = fields.get("proto").map_or(Some(Proto::Tcp), |n| choice(n, "a protocol", PROTOS, findings));
    let port = fields.require("port", "which port of the host?", findings);
    let port = port.and_then(|n| number(n, "a port", 1..=u16::MAX, findings));
    let to = fields.get("to").map_or(port, |n| number(n, "a port", 1..=u16::MAX, findings));
    let on = fields.get("on").map(|n| scalar(n, "an interface or an address", findings, outside));
    fields.finish(findings);
    let on = match on {
        Some(on) => Some(on?),
        None => None,
    };
    Some(Publish { proto: proto?, port: port?, to: to?, on })
}

fn outside(text: &str) -> Result<Outside, Problem> {
    if let Ok(address) = text.parse() {
        return Ok(Outside::Address(address));
    }
    text.parse().map(Outside::Interface).map_err(|_| {
        let problem = Problem::new(
            format!("`{text}` is neither an interface nor an address"),
            "such as vtnet0 or 203.0.113.1, of the host by which the jail leaves",
        );
        if text.contains('/') { problem.hint("an address to publish on has no prefix length") } else { problem }
    })
}
