//! What a person should know about a jail's configuration before it is used on another host.

use serde::Deserialize;
use serde::Serialize;

/// Something that rewriting could not settle by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// 14.0 and later only; 13.x takes it for an unknown parameter (contract 2.1).
    #[error("line {line}: .include {pattern:?} is not followed; what it brings in is neither moved nor rewritten")]
    Include {
        /// Line.
        line: usize,
        /// The file pattern.
        pattern: String,
    },
    /// The file also defines other jails.
    #[error("the file also defines {}; their blocks are left as they are", .0.join(", "))]
    OtherJails(Vec<String>),
    /// A VNET jail whose interfaces are not epairs that we know the unit of.
    #[error("no epair unit found: {why}")]
    NoEpair {
        /// What there is instead.
        why: String,
    },
    /// More epairs than the one that is rewritten.
    #[error("epair{unit} is used too, and stays as it is")]
    OtherEpair {
        /// Its unit.
        unit: u32,
    },
    /// A variable that nothing in the file defines.
    #[error("line {line}: nothing defines ${name}")]
    UnknownVariable {
        /// Line.
        line: usize,
        /// The variable.
        name: String,
    },
    /// The FIB is named where it does not belong to the jail's epair.
    #[error("line {line}: {text:?} names FIB {fib} and is left as it is")]
    FibElsewhere {
        /// Line.
        line: usize,
        /// FIB.
        fib: u16,
        /// The command.
        text: String,
    },
    /// Nothing was found to put the FIB on.
    #[error("no place to set FIB {fib}: {why}")]
    FibNotAdded {
        /// FIB.
        fib: u16,
        /// Why.
        why: String,
    },
    /// The jail's own rc.conf names an interface that gets another name.
    #[error("the jail's rc.conf configures {old}, which becomes {new}")]
    InnerName {
        /// Interface as the jail's rc.conf calls it.
        old: String,
        /// What it will be called.
        new: String,
    },
    /// The rewritten file does not mean what it should; it must not be used.
    #[error("{parameter} should become {wanted:?}, but reads {got:?}")]
    NotReached {
        /// Parameter.
        parameter: String,
        /// What it should be.
        wanted: String,
        /// What jail(8) would make of the rewritten text.
        got: String,
    },
}

impl Finding {
    /// Must the configuration not be used as it is?
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Finding::NotReached { .. }
                | Finding::UnknownVariable { .. }
                | Finding::Include { .. }
                | Finding::FibNotAdded { .. }
                | Finding::InnerName { .. }
        )
    }
}
