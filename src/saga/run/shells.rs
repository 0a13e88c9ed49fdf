//! Shells that wait on the hosts for the time in which nobody answers, so that a command need not wait for its channel.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Run;
use crate::model::NodeName;
use crate::plan::Phase;
use crate::plan::Step;
use crate::remote::READY_SHELLS;
use crate::saga::lanes;

impl Run<'_> {
    /// Before a group of steps of that phase: the network is rehearsed while the first are opened. Once nobody answers no
    /// more are opened than the groups `behind` it take, since each is some processes on a host that has other things to do.
    pub(super) fn keep_shells_for(&self, phase: Phase, behind: Range<usize>) {
        match phase {
            Phase::Copy | Phase::Stage | Phase::Persist => {}
            Phase::Arm | Phase::Rehearse | Phase::Prove => self.keep_shells(READY_SHELLS),
            Phase::CutOver => {
                let wanted = lanes::channels(&self.plan.steps, behind);
                for host in self.silent_hosts() {
                    self.hosts.replenish(&host, wanted.get(&host).copied().unwrap_or_default());
                }
            }
        }
    }

    /// So many on each host that does something while nobody answers.
    pub(super) fn keep_shells(&self, count: usize) {
        self.silent_hosts().iter().for_each(|host| self.hosts.keep_ready(host, count));
    }

    fn silent_hosts(&self) -> BTreeSet<NodeName> {
        let silent = self.plan.steps.iter().filter(|s| matches!(s.phase, Phase::CutOver | Phase::Prove));
        silent.flat_map(Step::commands).map(|command| command.host).collect()
    }
}
