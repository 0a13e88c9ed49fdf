//! Reads the checks of a jail: a list whose items have one key, the kind of check.

use std::net::IpAddr;

use jiff::SignedDuration;

use crate::model::NodeName;
use crate::playbook::check::Check;
use crate::playbook::check::HttpTarget;
use crate::playbook::check::Probe;
use crate::playbook::check::Vantage;
use crate::playbook::diagnostic::Diagnostic;
use crate::playbook::diagnostic::Findings;
use crate::playbook::read::options::plain_text;
use crate::playbook::read::options::timeout;
use crate::playbook::reader::Fields;
use crate::playbook::reader::Problem;
use crate::playbook::reader::list;
use crate::playbook::reader::name;
use crate::playbook::reader::nearest;
use crate::playbook::reader::number;
use crate::playbook::reader::scalar;
use crate::playbook::yaml::Entry;
use crate::playbook::yaml::Located;
use crate::playbook::yaml::Value;

const KINDS: [&str; 4] = ["icmp", "tcp", "http", "command"];

/// The list of checks.
pub(crate) fn checks(node: &Located, findings: &mut Findings) -> Vec<Check> {
    let items = list(node, "a list of checks", findings).unwrap_or_default();
    items.iter().filter_map(|item| check(item, findings)).collect()
}

fn check(item: &Located, findings: &mut Findings) -> Option<Check> {
    let wanted = "a check has one key that names its kind, such as `http:`";
    match &item.value {
        Value::Map(entries) => match entries.as_slice() {
            [entry] => of_kind(entry, findings),
            [_, second, ..] => {
                let finding = Diagnostic::error("a check with more than one kind", second.at.clone())
                    .label("every check is an item of its own")
                    .hint("settings of a check are indented below its kind; another check starts with '-'");
                findings.push(finding);
                None
            }
            [] => {
                findings.push(Diagnostic::error("an empty check", item.span.clone()).label(wanted));
                None
            }
        },
        Value::Scalar(word) => {
            let finding = Diagnostic::error(format!("`{word}` is not a check"), item.span.clone()).label(wanted);
            findings.push(match nearest(word, KINDS) {
                Some(kind) => finding.hint(format!("write `{kind}:`, with a colon")),
                None => finding.hint(format!("the kinds are {}", KINDS.join(", "))),
            });
            None
        }
        Value::Null | Value::List(_) => {
            findings.push(Diagnostic::error("not a check", item.span.clone()).label(wanted));
            None
        }
    }
}

fn of_kind(entry: &Entry, findings: &mut Findings) -> Option<Check> {
    match entry.key.as_str() {
        "icmp" => icmp(&entry.value, findings),
        "tcp" => tcp(entry, findings),
        "http" => http(&entry.value, findings),
        "command" => command(entry, findings),
        other => {
            let finding = Diagnostic::error(format!("unknown kind of check `{other}`"), entry.at.clone());
            let hint = match nearest(other, KINDS) {
                Some(kind) => format!("did you mean `{kind}`?"),
                None => format!("the kinds are {}", KINDS.join(", ")),
            };
            findings.push(finding.hint(hint));
            None
        }
    }
}

fn icmp(node: &Located, findings: &mut Findings) -> Option<Check> {
    let mut fields = Fields::of(node, "an icmp check", findings)?;
    let probe = Probe::Icmp { address: address(&mut fields, findings), from: from(&mut fields, findings) };
    Some(Check { probe, timeout: finish(fields, findings) })
}

fn tcp(entry: &Entry, findings: &mut Findings) -> Option<Check> {
    let mut fields = Fields::of(&entry.value, "a tcp check", findings)?;
    let port = match fields.get("port") {
        Some(node) => number(node, "a port", 1..=u16::MAX, findings),
        None => {
            findings.push(Diagnostic::error("a tcp check without a port", entry.at.clone()).hint("add `port: 22`"));
            None
        }
    };
    let (address, from) = (address(&mut fields, findings), from(&mut fields, findings));
    let timeout = finish(fields, findings);
    Some(Check { probe: Probe::Tcp { address, port: port?, from }, timeout })
}

fn http(node: &Located, findings: &mut Findings) -> Option<Check> {
    let mut fields = Fields::of(node, "an http check", findings)?;
    let whole = fields.get("url").map(|n| scalar(n, "a URL", findings, url));
    let parts = ["address", "port", "path"].into_iter().filter_map(|key| fields.at(key)).next();
    if let (Some(part), Some(whole)) = (parts, fields.at("url")) {
        let finding = Diagnostic::error("an http check with a URL and with parts of one", part)
            .label("part of a URL")
            .also(whole, "the whole of it")
            .hint("keep `url`, or `address`, `port` and `path`");
        findings.push(finding);
    }
    let address = address(&mut fields, findings);
    let port = fields.get("port").map_or(Some(80), |n| number(n, "a port", 1..=u16::MAX, findings));
    let path = fields.get("path").map_or(Some("/".into()), |n| scalar(n, "a path", findings, path));
    let status = fields.get("status").map_or(Some(200), |n| number(n, "an HTTP status", 100..=599, findings));
    let body = fields.get("body").and_then(|n| plain_text(n, "a text to look for", findings));
    let from = from(&mut fields, findings);
    let timeout = finish(fields, findings);
    let target = match whole {
        Some(url) => HttpTarget::Url(url?),
        None => HttpTarget::Path { address, port: port?, path: path? },
    };
    Some(Check { probe: Probe::Http { target, status: status?, body, from }, timeout })
}

fn command(entry: &Entry, findings: &mut Findings) -> Option<Check> {
    let mut fields = Fields::of(&entry.value, "a command check", findings)?;
    let run = match fields.get("run") {
        Some(node) if matches!(node.value, Value::List(_)) => {
            let words = list(node, "a program with its arguments", findings)?;
            words.iter().map(|w| plain_text(w, "a word of a command", findings)).collect()
        }
        Some(node) => plain_text(node, "a command", findings).map(|t| vec!["/bin/sh".into(), "-c".into(), t]),
        None => {
            let finding = Diagnostic::error("a command check without a command", entry.at.clone());
            findings.push(finding.hint("add `run: service nginx status`"));
            None
        }
    };
    let timeout = finish(fields, findings);
    Some(Check { probe: Probe::Command { run: run? }, timeout })
}

fn address(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<IpAddr> {
    let node = fields.get("address")?;
    scalar(node, "an address", findings, |text| {
        text.parse().map_err(|_| {
            let problem = Problem::new(format!("`{text}` is not an address"), "such as 192.168.123.50 or 2001:db8::50");
            if text.contains('/') { problem.hint("an address to ask has no prefix length") } else { problem }
        })
    })
}

fn from(fields: &mut Fields<'_>, findings: &mut Findings) -> Vantage {
    match fields.get("from").and_then(|n| name::<NodeName>(n, "`hub` or the name of a node", findings)) {
        Some(node) if node.as_str() != "hub" => Vantage::Node(node),
        _ => Vantage::Hub,
    }
}

/// The last key of every check, and the keys nobody asked for.
fn finish(mut fields: Fields<'_>, findings: &mut Findings) -> SignedDuration {
    let limit = fields.get("timeout").and_then(|n| timeout(n, findings));
    fields.finish(findings);
    limit.unwrap_or(Check::DEFAULT_TIMEOUT)
}

/// A URL that fetch(1) and every shell take as it stands.
fn url(text: &str) -> Result<String, Problem> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && is_url_text(text) => Ok(text.to_owned()),
        _ => Err(Problem::new(format!("`{text}` is not a URL"), "http:// or https://, a host, perhaps port and path")),
    }
}

fn path(text: &str) -> Result<String, Problem> {
    if text.starts_with('/') && is_url_text(text) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(format!("`{text}` is not the path of a URL"), "starts with '/', without blanks"))
}

/// Characters of RFC 3986, without those that quote in YAML or a shell.
fn is_url_text(text: &str) -> bool {
    text.len() <= 2000 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&b))
}
