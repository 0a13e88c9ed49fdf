//! Names as newtypes: one rule each, checked once at the border.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {rule}")]
pub struct InvalidName {
    /// What kind of name was wanted, in an administrator's words.
    pub what: &'static str,
    /// The text that was given, cut to a printable length.
    pub text: String,
    /// The rule, as a sentence fragment.
    pub rule: &'static str,
}

/// Defines a name newtype whose only constructor applies `$valid`.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text`.
            ///
            /// # Errors
            /// [`InvalidName`] when the rule of this kind of name is broken.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidName { what: $what, text: text.chars().take(80).collect(), rule: $rule })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $rule })
            }
        }
    };
}

/// First character by `first`, the others by `rest`, at most `max` bytes.
fn shaped(text: &str, max: usize, first: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= max
        && bytes.first().is_some_and(|b| first(*b))
        && bytes.iter().skip(1).all(|b| rest(*b))
}

fn alpha(b: u8) -> bool {
    b.is_ascii_alphabetic()
}

fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

name!(
    /// A host of the fleet as fleet.yml calls it.
    NodeName, "node name", "letters, digits, '.', '_' and '-', starting with a letter or digit, at most 64",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    |t| shaped(t, 64, alnum, |b| alnum(b) || b"._-".contains(&b))
);

name!(
    /// Who drives a run, such as `anna@laptop-1a2b3c4d`: user, machine, and digits that the machine chose once.
    Owner, "owner of a run", "letters, digits, '.', '_', '-' and '@', at most 120",
    "^[A-Za-z0-9._@-]{1,120}$",
    |t| shaped(t, 120, |b| alnum(b) || b"._-@".contains(&b), |b| alnum(b) || b"._-@".contains(&b))
);

name!(
    /// A jail's name. Starts with a letter, since jail(8) takes an all-digit name for a jid; no '.' (a hierarchy) and
    /// no '/', which rc.d/jail turns into '_' (contract 2.2).
    JailName, "jail name", "letters, digits, '_' and '-', starting with a letter, at most 64",
    "^[A-Za-z][A-Za-z0-9_-]{0,63}$",
    |t| shaped(t, 64, alpha, |b| alnum(b) || b"_-".contains(&b))
);

name!(
    /// A ZFS filesystem or volume, `pool/a/b`. Names outside the character set are refused instead of quoted
    /// (contract 5.2).
    DatasetName, "dataset name", "components of letters, digits, '_', '.', ':' and '-' joined by '/', at most 200",
    "^[A-Za-z][A-Za-z0-9_.:-]*(/[A-Za-z0-9_.:-]+)*$",
    |t| t.len() <= 200
        && t.starts_with(|c: char| c.is_ascii_alphabetic())
        && t.split('/').all(|part| part != "." && part != ".." && shaped(part, 200, |b| alnum(b) || b"_.:-".contains(&b), |b| alnum(b) || b"_.:-".contains(&b)))
);

impl DatasetName {
    /// The pool, the first component.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// Is this dataset `other` or below it?
    #[must_use]
    pub fn is_within(&self, other: &DatasetName) -> bool {
        self.0 == other.0 || self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The same dataset below another root: `zroot/jails/web/data` from `zroot/jails/web` to `tank/j/web` is
    /// `tank/j/web/data`. `None` when this dataset is not within `from`.
    #[must_use]
    pub fn rebase(&self, from: &DatasetName, to: &DatasetName) -> Option<DatasetName> {
        if !self.is_within(from) {
            return None;
        }
        let rest = self.0.get(from.0.len()..)?;
        DatasetName::new(format!("{to}{rest}")).ok()
    }

    /// The dataset above this one; a pool has none.
    #[must_use]
    pub fn parent(&self) -> Option<DatasetName> {
        DatasetName::new(self.0.rsplit_once('/')?.0).ok()
    }

    /// A child of this dataset.
    ///
    /// # Errors
    /// [`InvalidName`] when the component is not valid.
    pub fn child(&self, component: &str) -> Result<DatasetName, InvalidName> {
        DatasetName::new(format!("{}/{component}", self.0))
    }
}

name!(
    /// The part of a snapshot's name after '@'.
    SnapshotLabel, "snapshot name", "letters, digits, '_', '.', ':' and '-', at most 100",
    "^[A-Za-z0-9_.:-]{1,100}$",
    |t| shaped(t, 100, |b| alnum(b) || b"_.:-".contains(&b), |b| alnum(b) || b"_.:-".contains(&b))
);

impl SnapshotLabel {
    /// Does it carry our name? All others are somebody's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.0.starts_with("jailferry-")
    }
}

name!(
    /// A network interface. IFNAMSIZ is 16 with the terminating NUL (net/if.h); vm-bhyve names its bridges `vm-public`.
    InterfaceName, "interface name", "letters, digits, '_', '-' and '.', starting with a letter, at most 15",
    "^[A-Za-z][A-Za-z0-9_.-]{0,14}$",
    |t| shaped(t, 15, alpha, |b| alnum(b) || b"_.-".contains(&b))
);

name!(
    /// A WireGuard public key: 32 bytes in base64 (wg(8)).
    PublicKey, "WireGuard public key", "43 base64 characters and one '='",
    "^[A-Za-z0-9+/]{43}=$",
    |t| t.len() == 44 && t.ends_with('=') && t.bytes().take(43).all(|b| alnum(b) || b == b'+' || b == b'/')
);

impl PublicKey {
    /// The first eight characters, enough for a person to tell peers apart.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

name!(
    /// An absolute path on a host, of characters that no shell and no jail.conf gives a meaning to.
    RemotePath, "path", "absolute, of letters, digits, '_', '.', ':', '+', '@', '-' and '/', without '..' parts",
    "^/[A-Za-z0-9_.:+@/-]*$",
    |t| t.len() <= 1000
        && t.starts_with('/')
        && t.bytes().all(|b| alnum(b) || b"_.:+@-/".contains(&b))
        && t.split('/').all(|part| part != "..")
);

impl RemotePath {
    /// Is this path `other` or below it?
    #[must_use]
    pub fn is_within(&self, other: &RemotePath) -> bool {
        let root = other.0.trim_end_matches('/');
        self.0 == other.0 || self.0.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The file's own name, the part after the last '/'.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

name!(
    /// Anything that ssh(1) takes as a destination: a Host of `~/.ssh/config`, `user@host`, `ssh://user@host:port`.
    /// Never starts with '-', so that it cannot become an option.
    SshDestination, "ssh destination", "a Host of ssh_config, user@host or ssh://user@host:port, without blanks",
    "^[A-Za-z0-9_\\[][A-Za-z0-9_.@:%\\[\\]/+-]*$",
    |t| shaped(t, 255, |b| alnum(b) || b"_[".contains(&b), |b| alnum(b) || b"_.@:%[]/+-".contains(&b))
);

name!(
    /// One execution of a plan: the jail's name, a dash and eight hexadecimal digits.
    RunId, "run id", "a jail name, '-' and eight hexadecimal digits",
    "^[A-Za-z][A-Za-z0-9_-]{0,63}-[0-9a-f]{8}$",
    |t| t.rsplit_once('-').is_some_and(|(jail, hex)| {
        JailName::new(jail).is_ok() && hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
);

impl RunId {
    /// Its jail's name.
    #[must_use]
    pub fn jail(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(jail, _)| jail)
    }
}

name!(
    /// A pf table. PF_TABLE_NAME_SIZE is 32 with the terminating NUL (net/pfvar.h).
    TableName, "pf table name", "letters, digits, '_' and '-', starting with a letter, at most 31",
    "^[A-Za-z][A-Za-z0-9_-]{0,30}$",
    |t| shaped(t, 31, alpha, |b| alnum(b) || b"_-".contains(&b))
);

name!(
    /// A layer-2 segment that several nodes' bridges make up, as fleet.yml calls it.
    SegmentName, "segment name", "letters, digits, '.', '_' and '-', starting with a letter or digit, at most 64",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    |t| shaped(t, 64, alnum, |b| alnum(b) || b"._-".contains(&b))
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn jail_names_follow_jail_and_rc() {
        for good in ["web", "web_1", "W3b", "a", "web-01"] {
            assert!(JailName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "7", "7web", "web.example", "a/b", "web ", "we\nb", "$(id)", "-web", "wéb"] {
            assert!(JailName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn datasets_rebase_only_below_their_root() {
        let d = |t: &str| DatasetName::new(t).unwrap();
        assert_eq!(d("zroot/jails/web/data").rebase(&d("zroot/jails/web"), &d("tank/web")), Some(d("tank/web/data")));
        assert_eq!(d("zroot/jails/web2").rebase(&d("zroot/jails/web"), &d("tank/web")), None);
        assert!(DatasetName::new("zroot/jails@snap").is_err());
        assert!(DatasetName::new("zroot//web").is_err());
        assert!(DatasetName::new("zroot/../web").is_err());
    }

    #[test]
    fn ssh_destinations_cannot_be_options() {
        for good in ["big", "root@big", "ssh://root@[2001:db8::1]:22", "admin@10.0.0.1"] {
            assert!(SshDestination::new(good).is_ok(), "{good}");
        }
        for bad in ["-oProxyCommand=id", "a b", "a;b", "", "$(id)"] {
            assert!(SshDestination::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_valid_name_means_anything_to_a_shell(text in "\\PC{0,40}") {
            let accepted = [
                JailName::new(text.as_str()).is_ok(),
                DatasetName::new(text.as_str()).is_ok(),
                RemotePath::new(text.as_str()).is_ok(),
                InterfaceName::new(text.as_str()).is_ok(),
                SnapshotLabel::new(text.as_str()).is_ok(),
            ];
            if accepted.contains(&true) {
                prop_assert!(!text.contains([' ', '\'', '"', '$', '`', '\\', ';', '|', '&', '<', '>', '(', ')', '*', '?', '!', '~', '#', '\n']));
            }
        }
    }
}
