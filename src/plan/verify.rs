//! Comparing by content what has arrived, while the jail still runs.
//!
//! It is the first copy that is compared, which is nearly everything, behind the dress rehearsal and before the turn and
//! the rounds that catch up. To read it all takes as long as copying it, or longer: what the jail writes meanwhile goes
//! over in the rounds, so the blackout does not grow, and nobody waits for the hub. Behind the rounds it would be what is
//! sent with the jail stopped. What the rounds bring is checksummed in its stream, and compared by GUID at the end.

use crate::effect::Effect;
use crate::effect::contents::Listing;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::datasets::DatasetMove;
use crate::plan::finding::Findings;
use crate::plan::naming::label;
use crate::plan::situation::Situation;
use crate::playbook::Verify;

/// The two listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Both {
    /// Of the source.
    pub source: Listing,
    /// Of the target.
    pub target: Listing,
}

/// What is listed; `None` when that is not asked for, or with a warning when there is nothing to list.
pub(super) fn prepare(
    how: Verify,
    situation: &Situation,
    datasets: &[DatasetMove],
    run: &RunId,
    findings: &mut Findings,
) -> Option<Both> {
    let sampled = match how {
        Verify::Guids => return None,
        Verify::Sampled => true,
        Verify::Deep => false,
    };
    let target = &situation.target.node;
    let names = |wanted: &dyn Fn(&DatasetMove) -> bool| {
        let names: Vec<&str> = datasets.iter().filter(|d| wanted(d)).map(|d| d.source.dataset.as_str()).collect();
        names.join(", ")
    };
    let mut without = Vec::new();
    let volumes = names(&|d| d.source.volume && !d.raw);
    if !volumes.is_empty() {
        // zfsprops(7), snapdev: the devices of their snapshots are hidden unless somebody shows them.
        without.push(format!("{volumes} (volumes, whose snapshots have no device to read)"));
    }
    let encrypted = names(&|d| d.raw);
    if !encrypted.is_empty() {
        without.push(format!("{encrypted} (encrypted, and {target} loads no key before the jail starts there)"));
    }
    let without = without.join(" and ");
    let listed: Vec<&DatasetMove> = datasets.iter().filter(|d| !d.source.volume && !d.raw).collect();
    if listed.is_empty() {
        findings.warning(
            "no-verify",
            target,
            format!("nothing is compared by content: not {without}; the GUIDs of their snapshots are, as always"),
            "go on without, or say `verify: guids`",
        );
        return None;
    }
    if !without.is_empty() {
        findings.note("verify", target, format!("compared by the GUIDs of their snapshots only: {without}"));
    }
    let mut apart: Vec<String> = listed.iter().flat_map(|d| &d.properties.apart).map(|p| p.name.clone()).collect();
    apart.sort();
    apart.dedup();
    let listing = |host: &NodeName, of: &dyn Fn(&DatasetMove) -> DatasetName| Listing {
        host: host.clone(),
        jail: situation.jail.clone(),
        run: run.clone(),
        label: label(run, "0"),
        datasets: listed.iter().map(|d| of(d)).collect(),
        sampled,
        apart: apart.clone(),
    };
    Some(Both {
        source: listing(&situation.source.node, &|d| d.source.dataset.clone()),
        target: listing(target, &|d| d.target.dataset.clone()),
    })
}

/// Both hosts list at the same time; then the listings are compared, and go.
pub(super) fn steps(cast: &Cast<'_>) -> Vec<Step> {
    let Some(Both { source, target }) = cast.verify else { return Vec::new() };
    let read = if source.sampled { "one file in sixteen" } else { "every file" };
    let list = |listing: &Listing| {
        let (host, count, label) = (&listing.host, listing.datasets.len(), &listing.label);
        let title = format!("{host} lists {count} datasets as they are in @{label}, and reads {read}");
        Step::new(Phase::Copy, title, Effect::ListContents(listing.clone()))
            .undo(Effect::ForgetListing(listing.clone()))
    };
    let forget = |listing: &Listing| {
        let title = format!("{} forgets its listing", listing.host);
        Step::new(Phase::Copy, title, Effect::ForgetListing(listing.clone()))
    };
    vec![
        list(source),
        list(target).alongside(),
        Step::new(
            Phase::Copy,
            format!("what has arrived on {} is what {} has, by content", target.host, source.host),
            Effect::CompareContents { source: source.clone(), target: target.clone() },
        ),
        forget(source),
        forget(target).alongside(),
    ]
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
