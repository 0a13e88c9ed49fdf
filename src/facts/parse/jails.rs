//! `jls --libxo json` (usr.sbin/jls/jls.c) and `jail -e` (usr.sbin/jail/jail.c), contract 2.1 and 2.4.

use serde_json::Value;

use super::error;
use super::error::FactsError;
use super::error::line;
use super::json;
use crate::facts::JailConfiguration;
use crate::facts::RunningJail;
use crate::model::RemotePath;

/// What separates parameters in the output of `jail -e`; no value holds it.
pub const SEPARATOR: char = '\u{1f}';

/// The jails; addresses and gateways inside are other questions.
///
/// # Errors
/// Output that is not jls's JSON.
pub fn running(question: &str, text: &str) -> Result<Vec<RunningJail>, FactsError> {
    let fail = |problem: String| error::json(question, problem);
    let document = json::document(question, text)?;
    let information = json::find(&document, "jail-information").ok_or_else(|| fail("no jail-information".into()))?;
    let jails = information.get("jail").and_then(Value::as_array);
    jails
        .into_iter()
        .flatten()
        .map(|jail| one(jail).ok_or_else(|| fail(format!("a jail without its fields: {jail}"))))
        .collect()
}

fn one(jail: &Value) -> Option<RunningJail> {
    Some(RunningJail {
        name: json::text(jail.get("name")?)?,
        jid: u32::try_from(json::number(jail.get("jid")?)?).ok()?,
        path: json::text(jail.get("path")?)?,
        vnet: jail.get("vnet").and_then(json::text).is_some_and(|v| v == "new" || v == "1"),
        dying: jail.get("dying").and_then(json::text).is_some_and(|d| d == "true" || d == "1"),
        addresses: Vec::new(),
        gateways: Vec::new(),
        mtu: None,
        smallest_mtu: None,
    })
}

/// The jails that one file configures.
///
/// # Errors
/// A path that is not usable, or a line without a name that continues no other.
pub fn configured(path: &str, text: &str) -> Result<Vec<JailConfiguration>, FactsError> {
    let file = RemotePath::new(path).map_err(|e| error::file(path, e))?;
    let mut found: Vec<JailConfiguration> = Vec::new();
    for (index, row) in text.lines().enumerate() {
        if row.is_empty() && found.is_empty() {
            continue;
        }
        let parameters: Vec<(String, Option<String>)> = row.split(SEPARATOR).map(parameter).collect();
        let name = parameters.iter().find(|(n, _)| n == "name").and_then(|(_, v)| v.clone());
        match (name, found.last_mut().and_then(|j| j.parameters.last_mut())) {
            (Some(name), _) => found.push(JailConfiguration { name, file: file.clone(), parameters }),
            // A value with a newline in it: the last one goes on here.
            (None, Some((_, value))) => {
                let mut pieces = row.split(SEPARATOR);
                let text = value.get_or_insert_default();
                text.push('\n');
                text.push_str(pieces.next().unwrap_or_default());
                if let Some(jail) = found.last_mut() {
                    jail.parameters.extend(pieces.map(parameter));
                }
            }
            (None, None) => return Err(line(&format!("jail -e {path}"), index, row, "a jail without a name")),
        }
    }
    Ok(found)
}

fn parameter(piece: &str) -> (String, Option<String>) {
    match piece.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (piece.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    #[test]
    fn jls_with_values_as_strings() {
        let jails = running("jls", &stdout("jls-json-params")).unwrap();
        let web = RunningJail {
            name: "web".into(),
            jid: 1,
            path: "/usr/jails/web".into(),
            vnet: true,
            dying: false,
            addresses: vec![],
            gateways: vec![],
            mtu: None,
            smallest_mtu: None,
        };
        assert_eq!(jails, [web]);
    }

    #[test]
    fn jls_with_numbers_other_fields_and_no_jails() {
        let text = r#"{"__version": "2", "jail-information": {"jail": [{"jid":7,"name":"a\"b","path":"/j","vnet":2,"dying":true,"x":{}}]}}"#;
        let jail = running("jls", text).unwrap().remove(0);
        assert_eq!((jail.name.as_str(), jail.jid, jail.vnet, jail.dying), ("a\"b", 7, false, true));
        assert_eq!(running("jls", r#"{"__version": "2", "jail-information": {"jail": []}}"#).unwrap(), []);
        assert!(running("jls", "jls: unknown parameter: vnet").is_err());
    }

    #[test]
    fn a_configuration_comes_apart() {
        let text = stdout("jail-e-us").replace("^_", "\u{1f}");
        let web = configured("/etc/jail.conf.d/web.conf", &text).unwrap().remove(0);
        assert_eq!(web.name, "web");
        assert_eq!(web.parameters.len(), 14);
        assert_eq!(web.value("path").as_deref(), Some("/usr/jails/web"));
        assert_eq!(web.value("mount.fstab").as_deref(), Some("/etc/jail.web.fstab"));
        assert_eq!(web.value("vnet.interface").as_deref(), Some("epair7b"));
        assert_eq!(web.values("vnet"), Some(vec![]));
        assert_eq!(
            web.values("exec.prestart").unwrap(),
            [
                "ifconfig epair7 create",
                "ifconfig bridge0 addm epair7a",
                "ifconfig epair7a up fib 1",
                "ifconfig epair7b mtu 1380"
            ]
        );
    }

    #[test]
    fn a_file_with_defaults_only_has_no_jails_and_newlines_stay_in_values() {
        assert_eq!(configured("/etc/jail.conf", "").unwrap(), []);
        let two = configured("/etc/jail.conf", "name=a\u{1f}x=1\n2\u{1f}y\nname=b\u{1f}path=/b\n").unwrap();
        assert_eq!(two.iter().map(|j| j.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(two[0].value("x").as_deref(), Some("1\n2"));
        assert_eq!(two[0].values("y"), Some(vec![]));
        assert!(configured("/etc/jail.conf", "path=/b\n").is_err());
        assert!(configured("/etc/jail.d/my jail.conf", "").is_err());
    }
}
