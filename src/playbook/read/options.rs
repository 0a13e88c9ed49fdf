//! Reads what fleets, jails, playbooks and moves have in common: options, lengths of time, sizes, free text.

use std::num::NonZeroU64;

use bytesize::ByteSize;
use jiff::SignedDuration;
use jiff::Span;
use jiff::SpanRelativeTo;

use crate::playbook::diagnostic::Findings;
use crate::playbook::options::Options;
use crate::playbook::options::Precopy;
use crate::playbook::options::Transfer;
use crate::playbook::options::Verify;
use crate::playbook::reader::Fields;
use crate::playbook::reader::Problem;
use crate::playbook::reader::choice;
use crate::playbook::reader::number;
use crate::playbook::reader::scalar;
use crate::playbook::yaml::Located;

/// The options that stand among the other keys of `fields`.
pub(crate) fn options(fields: &mut Fields<'_>, findings: &mut Findings) -> Options {
    const WAYS: &[(&str, Transfer)] = &[("relay", Transfer::Relay), ("direct", Transfer::Direct)];
    const YES_OR_NO: &[(&str, bool)] = &[("true", true), ("false", false)];
    const VERIFY: &[(&str, Verify)] = &[("guids", Verify::Guids), ("sampled", Verify::Sampled), ("deep", Verify::Deep)];
    Options {
        transfer: fields.get("transfer").and_then(|n| choice(n, "a way to transfer", WAYS, findings)),
        precopy: fields.get("precopy").and_then(|n| precopy(n, findings)),
        keep: fields.get("keep").and_then(|n| duration(n, findings)),
        lease: fields.get("lease").and_then(|n| lease(n, findings)),
        accept_blackout: fields.get("accept_blackout").and_then(|n| duration(n, findings)),
        rate_limit: fields.get("rate_limit").and_then(|n| scalar(n, "bytes a second", findings, rate)),
        dress_rehearsal: fields.get("dress_rehearsal").and_then(|n| choice(n, "true or false", YES_OR_NO, findings)),
        check_first: fields.get("check_first").and_then(|n| choice(n, "true or false", YES_OR_NO, findings)),
        verify: fields.get("verify").and_then(|n| choice(n, "a way to compare the copy", VERIFY, findings)),
    }
}

fn precopy(node: &Located, findings: &mut Findings) -> Option<Precopy> {
    let mut fields = Fields::of(node, "precopy", findings)?;
    let rounds = fields.get("rounds").and_then(|n| number(n, "a number of rounds", 0..=100, findings));
    let until = fields.get("until").and_then(|n| size(n, findings));
    fields.finish(findings);
    Some(Precopy { rounds, until })
}

/// A length of time such as `30s`, `2 min`, `7 days`. A day has 24 hours here: the length is counted from when a
/// run ends, whatever the clocks do meanwhile.
pub(crate) fn duration(node: &Located, findings: &mut Findings) -> Option<SignedDuration> {
    scalar(node, "a length of time", findings, length_of_time)
}

/// The same for a command line.
///
/// # Errors
/// Why it is no length of time, on one line.
pub fn duration_argument(text: &str) -> Result<SignedDuration, String> {
    length_of_time(text).map_err(on_one_line)
}

fn length_of_time(text: &str) -> Result<SignedDuration, Problem> {
    let problem = |label: &str| Problem::new(format!("`{text}` is not a length of time"), label);
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(problem("a number without a unit").hint(format!("seconds are written `{text}s`")));
    }
    let span: Span = text.parse().map_err(|_| problem("such as 30s, 2 min, 12h or 7 days"))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(problem("months and years differ in length").hint("count in days"));
    }
    let length =
        span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| problem("longer than can be counted"))?;
    if length.is_positive() { Ok(length) } else { Err(problem("must be more than nothing")) }
}

/// How long the operator may be silent. Whole seconds, since the hosts count them by sleeping.
fn lease(node: &Located, findings: &mut Findings) -> Option<SignedDuration> {
    let length = duration(node, findings)?;
    if length >= SignedDuration::from_secs(5) && length <= SignedDuration::from_mins(10) && length.subsec_nanos() == 0 {
        return Some(length);
    }
    let problem = Problem::new("a lease must be from 5s to 10 min, in whole seconds", "not between them");
    findings.push(problem.hint("30s is what it is without this line").at(node.span.clone()));
    None
}

/// How long one attempt of a check may take.
pub(crate) fn timeout(node: &Located, findings: &mut Findings) -> Option<SignedDuration> {
    let length = duration(node, findings)?;
    if length <= SignedDuration::from_mins(10) {
        return Some(length);
    }
    let problem = Problem::new("a timeout of more than 10 minutes", "a check is asked again and again until it passes");
    findings.push(problem.hint("write how long one attempt may take").at(node.span.clone()));
    None
}

/// A number of bytes such as `16MiB`.
pub(crate) fn size(node: &Located, findings: &mut Findings) -> Option<u64> {
    scalar(node, "a number of bytes", findings, number_of_bytes).map(NonZeroU64::get)
}

/// The least `rate_limit`, in bytes a second.
const SLOWEST: u64 = 64 << 10;

/// How much may go over in a second, on a command line.
///
/// # Errors
/// Why it is no rate, on one line.
pub fn rate_argument(text: &str) -> Result<NonZeroU64, String> {
    rate(text).map_err(on_one_line)
}

fn rate(text: &str) -> Result<NonZeroU64, Problem> {
    let rate = number_of_bytes(text)?;
    if rate.get() >= SLOWEST {
        return Ok(rate);
    }
    let problem = Problem::new(format!("`{text}` is too little for a second"), "at least 64KiB");
    Err(problem.hint("write it with its unit, such as 20MiB"))
}

fn number_of_bytes(text: &str) -> Result<NonZeroU64, Problem> {
    let problem = |label: &str| Problem::new(format!("`{text}` is not a number of bytes"), label);
    if text.len() > 40 {
        return Err(problem("such as 512KiB, 16MiB or 1GiB"));
    }
    let size: ByteSize = text.parse().map_err(|_| problem("such as 512KiB, 16MiB or 1GiB"))?;
    NonZeroU64::new(size.as_u64()).ok_or_else(|| problem("must be more than nothing"))
}

fn on_one_line(problem: Problem) -> String {
    [problem.label].into_iter().chain(problem.hints).collect::<Vec<_>>().join("; ")
}

/// Free text that ends up in a command or beside one: no control characters, no endless text.
pub(crate) fn plain_text(node: &Located, wanted: &str, findings: &mut Findings) -> Option<String> {
    scalar(node, wanted, findings, |text| {
        if text.is_empty() {
            return Err(Problem::new(format!("expected {wanted}, found nothing"), "an empty text"));
        }
        if text.chars().any(char::is_control) {
            let problem = Problem::new("a control character", "line ends, tabs and escapes cannot be part of this");
            return Err(problem.hint("write one line of printable text"));
        }
        if text.len() > 4096 {
            return Err(Problem::new(format!("expected {wanted}, found {} bytes", text.len()), "at most 4096"));
        }
        Ok(text.to_owned())
    })
}
