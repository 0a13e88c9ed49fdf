//! A landmark: something outside of the fleet that every jail should reach, such as a page that shows its caller's address.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::model::InvalidName;

/// An address outside that answers echo requests, or a page there: `203.0.113.100`, `http://203.0.113.100/`,
/// `http://[2001:db8:ff::100]:8080/ip`. Never a name: it is the way that is tried, not name resolution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Landmark {
    address: IpAddr,
    page: Option<(u16, String)>,
}

/// What a landmark is, for messages.
const RULE: &str = "an address, or http:// with an address (no name), perhaps port and path";

impl Landmark {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Port and path of the page, when it is one.
    #[must_use]
    pub fn page(&self) -> Option<(u16, &str)> {
        self.page.as_ref().map(|(port, path)| (*port, path.as_str()))
    }
}

impl FromStr for Landmark {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Landmark, InvalidName> {
        let invalid = || InvalidName { what: "landmark", text: text.chars().take(80).collect(), rule: RULE };
        let Some(rest) = text.strip_prefix("http://") else {
            return text.parse().map(|address| Landmark { address, page: None }).map_err(|_| invalid());
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let fit = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&b);
        if text.len() > 2000 || !path.bytes().all(fit) {
            return Err(invalid());
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
            Some((host, port)) => (host, port),
            None => authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|p| *p > 0).ok_or_else(invalid)?,
            None if port.is_empty() => 80,
            None => return Err(invalid()),
        };
        let address: IpAddr = host.parse().map_err(|_| invalid())?;
        if address.is_ipv6() != authority.starts_with('[') {
            return Err(invalid());
        }
        Ok(Landmark { address, page: Some((port, path.to_owned())) })
    }
}

impl fmt::Display for Landmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((port, path)) = &self.page else { return self.address.fmt(f) };
        match self.address {
            IpAddr::V4(address) => write!(f, "http://{address}")?,
            IpAddr::V6(address) => write!(f, "http://[{address}]")?,
        }
        if *port != 80 {
            write!(f, ":{port}")?;
        }
        f.write_str(path)
    }
}

impl TryFrom<String> for Landmark {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Landmark, InvalidName> {
        text.parse()
    }
}

impl From<Landmark> for String {
    fn from(landmark: Landmark) -> String {
        landmark.to_string()
    }
}

impl schemars::JsonSchema for Landmark {
    fn schema_name() -> Cow<'static, str> {
        "Landmark".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9A-Fa-f.:]+|http://([0-9.]+|\\[[0-9A-Fa-f.:]+\\])(:[0-9]+)?(/.*)?)$",
            "description": RULE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_pages_are_read_and_names_refused() {
        for text in ["203.0.113.100", "2001:db8::1", "http://203.0.113.100/", "http://[2001:db8::1]:8080/a?b=c"] {
            assert_eq!(text.parse::<Landmark>().unwrap().to_string(), text);
        }
        let page: Landmark = "http://203.0.113.100".parse().unwrap();
        assert_eq!(page.page(), Some((80, "/")));
        for text in [
            "",
            "www.example.org",
            "http://www.example.org/",
            "https://203.0.113.100/",
            "http://2001:db8::1/",
            "http://[203.0.113.100]/",
            "http://203.0.113.100:0/",
            "http://203.0.113.100/it's",
            "203.0.113.100/32",
        ] {
            assert!(text.parse::<Landmark>().is_err(), "{text}");
        }
    }
}
