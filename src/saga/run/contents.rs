//! Two listings against each other: their digests first, and where these differ the lines behind them.

use super::Run;
use super::StepError;
use super::Yield;
use crate::effect::Comparison;
use crate::effect::commands;
use crate::effect::contents;
use crate::effect::contents::Difference;
use crate::effect::contents::Digests;
use crate::effect::contents::Part;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::ui::event::Event;
use crate::ui::text;

/// Entries that an error names.
const NAMED: usize = 5;

/// Parts of which the lines are asked for; each has about a 256th of a dataset's entries.
const LOOKED_INTO: usize = 5;

impl Run<'_> {
    /// Tells what was compared, or what differs.
    pub(super) async fn compare_contents(&self, both: &Comparison) -> Result<Yield, StepError> {
        let (left, right) = tokio::join!(self.command(&both.left), self.command(&both.right));
        let read = |text: String, host: &NodeName| Digests::read(&text).map_err(|e| format!("{host}: {e}"));
        let (source, target) = (&both.source.host, &both.target.host);
        let ours = read(left?, source).map_err(StepError::Contents)?;
        let theirs = read(right?, target).map_err(StepError::Contents)?;
        if ours.is_empty() {
            return Err(StepError::Contents(format!("{source} has listed nothing")));
        }
        let differing = ours.differing(&theirs);
        if differing.is_empty() {
            let amount = ours.amount;
            let note = format!(
                "compared by content: {} entries of {} datasets as they are in @{}, and what is in {} files ({}), are the same on {source} and {target}",
                amount.entries,
                both.source.datasets.len(),
                both.source.label,
                amount.files,
                text::bytes(amount.bytes),
            );
            (self.events)(Event::Note { text: note.clone() });
            self.journal.note(note)?;
            return Ok(Yield::default());
        }
        let named = self.name(both, &differing).await;
        Err(StepError::Contents(contents::verdict(both, &named, differing.len())))
    }

    /// The first entries that differ. That they cannot be asked for takes nothing from the verdict.
    async fn name(&self, both: &Comparison, differing: &[Part]) -> Vec<(DatasetName, Difference)> {
        let mut named = Vec::new();
        for part in differing.iter().take(LOOKED_INTO) {
            let name = part.name();
            let (left, right) = (commands::of_part(&both.left_part, &name), commands::of_part(&both.right_part, &name));
            let (Ok(left), Ok(right)) = tokio::join!(self.command(&left), self.command(&right)) else { break };
            let Some(dataset) = both.source.datasets.get(part.dataset) else { break };
            named.extend(contents::differences(&left, &right).into_iter().map(|d| (dataset.clone(), d)));
            if named.len() >= NAMED {
                break;
            }
        }
        named.truncate(NAMED);
        named
    }
}
