//! What running jails use.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// What was used at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Use {
    /// Thousandths of a processor.
    pub cpu: u64,
    /// Bytes of memory.
    pub memory: u64,
}

/// What the jails of a host used at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Loads {
    /// By jail name, of those that the kernel counts for.
    pub counted: BTreeMap<String, Use>,
    /// The sums of processes, by jid.
    pub summed: BTreeMap<u32, Use>,
}

impl Loads {
    /// What the jail uses; nothing when it has no process.
    #[must_use]
    pub fn of(&self, name: &str, jid: u32) -> Use {
        self.counted.get(name).or_else(|| self.summed.get(&jid)).copied().unwrap_or_default()
    }
}
