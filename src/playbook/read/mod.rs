//! From the tree to the values of a fleet or a playbook.

mod batch;
mod check;
pub(crate) mod fleet;
pub(crate) mod options;
pub(crate) mod playbook;
mod publish;
mod rebalance;
mod schedule;
