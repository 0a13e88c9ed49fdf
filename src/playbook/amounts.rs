//! What nodes have and jails use, as somebody declares it. What is declared counts instead of what is measured.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::playbook::options::SizeText;

/// Processors and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct Amount {
    /// Processors, such as 0.5 or 8.
    #[serde(default)]
    #[schemars(with = "Option<f64>", range(min = 0.001, max = 100_000))]
    pub cpu: Option<Thousandths>,
    /// Memory, such as 512MiB.
    #[serde(default)]
    #[schemars(with = "Option<SizeText>")]
    pub memory: Option<u64>,
}

/// What is kept free on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct Reserve {
    /// Processors for the node itself, such as 1.
    #[serde(default)]
    #[schemars(with = "Option<f64>", range(min = 0.001, max = 100_000))]
    pub cpu: Option<Thousandths>,
    /// Memory for the node itself (the ZFS cache too), such as 4GiB.
    #[serde(default)]
    #[schemars(with = "Option<SizeText>")]
    pub memory: Option<u64>,
    /// What stays free below the dataset of its jails, such as 20GiB.
    #[serde(default)]
    #[schemars(with = "Option<SizeText>")]
    pub disk: Option<u64>,
}

/// Thousandths of something, written as a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thousandths(pub u64);

impl Thousandths {
    /// `0.5`, `8`, `1.125`: digits, at most three of them after the point.
    #[must_use]
    pub fn read(text: &str) -> Option<Thousandths> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 {
            return None;
        }
        let part: u64 = format!("{part:0<3}").parse().ok()?;
        whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part).map(Thousandths)
    }
}

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:03}", self.0 % 1000);
        match part.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / 1000),
            part => write!(f, "{}.{part}", self.0 / 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_numbers_are_read_exactly() {
        for (text, value) in [("8", 8000), ("0.5", 500), ("1.125", 1125), ("0.05", 50), ("100000", 100_000_000)] {
            assert_eq!(Thousandths::read(text), Some(Thousandths(value)), "{text}");
            assert_eq!(Thousandths(value).to_string(), text);
        }
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1.0000", "1,5", "99999999999999999999", "20000000000000000"] {
            assert_eq!(Thousandths::read(text), None, "{text}");
        }
    }
}
