//! What `jail -e` prints (contract 2.1, recordings jail-e*.txt): lists of values, and the epair units in them.

use std::collections::BTreeSet;

use crate::configuration::jail_conf::matching;

/// The values of a list as `jail -e` prints it: joined by commas, quoted where they hold blanks or quotes, with `\`
/// before a quote or backslash (usr.sbin/jail/jail.c, quoted_print). A bare value with a comma in it cannot be told
/// from two values; jail(8) prints it so.
#[must_use]
pub fn parse_list(value: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut current = String::new();
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => current.extend(chars.next()),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) if current.is_empty() => quote = Some(c),
            (',', None) => values.push(std::mem::take(&mut current)),
            (c, _) => current.push(c),
        }
    }
    if !value.is_empty() {
        values.push(current);
    }
    values
}

/// The epair units a jail's parameters mention, in ascending order: `epair7`, `epair7a` and `epair7b` are unit 7.
#[must_use]
pub fn epair_units(parameters: &[(String, Option<String>)]) -> Vec<u32> {
    let units: BTreeSet<u32> = parameters
        .iter()
        .filter(|(name, _)| matching::names_interfaces(name))
        .filter_map(|(_, value)| value.as_deref())
        .flat_map(matching::units)
        .collect();
    units.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// recordings/freebsd-13.2/jail-e.txt
    const RECORDED: &str = r#"name=web|path=/usr/jails/web|host.hostname=web.example.org|mount.fstab=/etc/jail.web.fstab|mount.devfs|devfs_ruleset=5|exec.clean|vnet|vnet.interface=epair7b|exec.prestart="ifconfig epair7 create","ifconfig bridge0 addm epair7a","ifconfig epair7a up fib 1","ifconfig epair7b mtu 1380"|exec.start="ifconfig epair7b inet 192.168.123.50/24 up","route add default 192.168.123.1","/bin/sh /etc/rc"|exec.stop="/bin/sh /etc/rc.shutdown jail"|exec.poststop="ifconfig epair7a destroy"|persist"#;

    fn parameters(line: &str) -> Vec<(String, Option<String>)> {
        line.split('|')
            .map(|p| match p.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (p.to_owned(), None),
            })
            .collect()
    }

    #[test]
    fn a_recorded_list_falls_into_its_commands() {
        let parameters = parameters(RECORDED);
        let prestart = parameters.iter().find(|(n, _)| n == "exec.prestart").and_then(|(_, v)| v.as_deref()).unwrap();
        assert_eq!(
            parse_list(prestart),
            [
                "ifconfig epair7 create",
                "ifconfig bridge0 addm epair7a",
                "ifconfig epair7a up fib 1",
                "ifconfig epair7b mtu 1380"
            ]
        );
        assert_eq!(epair_units(&parameters), [7]);
    }

    #[test]
    fn bare_values_escapes_and_other_quotes() {
        assert_eq!(parse_list("/usr/bin/true"), ["/usr/bin/true"]);
        assert_eq!(parse_list(r#"a,"b \"c\", d",'e "f"'"#), ["a", r#"b "c", d"#, r#"e "f""#]);
        assert_eq!(parse_list(""), Vec::<String>::new());
        assert_eq!(parse_list("\"\""), [""]);
    }

    /// usr.sbin/jail/jail.c quoted_print, for the test of the way back.
    fn printed(value: &str) -> String {
        let quote = match value {
            v if v.is_empty() || v.contains('\'') => "\"",
            v if v.contains('"') => "'",
            v if v.contains([' ', '\t']) => "\"",
            _ => "",
        };
        let escaped: String = value
            .chars()
            .flat_map(|c| {
                let escape = c == '\\' || (!quote.is_empty() && quote.starts_with(c));
                escape.then_some('\\').into_iter().chain([c])
            })
            .collect();
        format!("{quote}{escaped}{quote}")
    }

    proptest! {
        #[test]
        fn what_jail_prints_is_read_back(values in proptest::collection::vec("[a-z \"'\\\\;|/]{0,12}", 1..5)) {
            let line = values.iter().map(|v| printed(v)).collect::<Vec<_>>().join(",");
            prop_assert_eq!(parse_list(&line), values);
        }
    }
}
