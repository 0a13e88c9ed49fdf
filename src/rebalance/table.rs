//! Nodes before and after, with bars.

use std::fmt::Write;

use super::model::Outcome;
use super::objective::share;

/// Cells of a bar.
const WIDTH: u64 = 16;

fn bar(used: u64, capacity: u64) -> String {
    let share = share(used, capacity);
    let full = (share.min(1000) * WIDTH).div_ceil(1000);
    let cells: String = (0..WIDTH).map(|n| if n < full { '#' } else { '.' }).collect();
    format!("{cells} {:>4}%", share.min(99_990) / 10)
}

/// One line a node and resource.
#[must_use]
pub fn table(outcome: &Outcome) -> String {
    let width = outcome.before.iter().map(|u| u.node.as_str().len()).max().unwrap_or(0).max(4);
    let mut out = format!("{:width$}          {:<22}    {}\n", "node", "before", "after");
    for (before, after) in outcome.before.iter().zip(&outcome.after) {
        let rows = [
            ("cpu", before.used.cpu, after.used.cpu, before.capacity.cpu),
            ("memory", before.used.memory, after.used.memory, before.capacity.memory),
        ];
        for (index, (what, was, is, capacity)) in rows.into_iter().enumerate() {
            let name = if index == 0 { before.node.as_str() } else { "" };
            let jails = match index {
                0 if before.jails == after.jails => format!("  {} jails", before.jails),
                0 => format!("  {} -> {} jails", before.jails, after.jails),
                _ => String::new(),
            };
            let _ = writeln!(out, "{name:width$}  {what:<6}  {} -> {}{jails}", bar(was, capacity), bar(is, capacity));
        }
    }
    out
}
