//! `sysctl -i NAME...`: `name: value` lines; unknown names print nothing (sysctl(8)).

use std::collections::BTreeMap;

/// Values by name.
#[must_use]
pub fn values(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|row| row.split_once(": ")).map(|(n, v)| (n.to_owned(), v.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    #[test]
    fn values_of_a_real_host() {
        let found = values(&stdout("sysctls"));
        assert_eq!(found.len(), 10);
        assert_eq!(found["net.fibs"], "2");
        assert_eq!(found["kern.securelevel"], "-1");
    }
}
