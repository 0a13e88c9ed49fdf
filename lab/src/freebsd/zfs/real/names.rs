//! A host's names of pools and files, and the kernel's.

use std::path::PathBuf;

use crate::world::nodes::NODES;

/// Both sides of the names.
pub struct Names {
    /// What every pool of the lab begins with.
    pub lab: String,
    /// What those of this host begin with.
    pub host: String,
    /// Where the kernel sees the host's files.
    pub folder: PathBuf,
    /// The pools that the host has.
    pub pools: Vec<String>,
}

impl Names {
    /// Is it a dataset, snapshot or bookmark of a pool that the host has?
    pub fn is_one(&self, word: &str) -> bool {
        let pool = word.split(['/', '@', '#']).next().unwrap_or(word);
        self.pools.iter().any(|known| known == pool)
    }

    /// A command line as the kernel's tools need it.
    pub fn put_in(&self, args: &[String]) -> Vec<String> {
        args.iter().map(|arg| self.word(arg)).collect()
    }

    fn word(&self, arg: &str) -> String {
        if self.is_one(arg) {
            return format!("{}{arg}", self.host);
        }
        if let Some(origin) = arg.strip_prefix("origin=")
            && self.is_one(origin)
        {
            return format!("origin={}{origin}", self.host);
        }
        // A column, a property that is asked for, or one that is set.
        let property = |part: &str| match part.strip_prefix("jailed") {
            Some(rest) if rest.is_empty() || rest.starts_with('=') => format!("zoned{rest}"),
            _ => part.to_owned(),
        };
        arg.split(',').map(property).collect::<Vec<_>>().join(",")
    }

    /// What the kernel's tools said, as the host's would say it.
    pub fn take_out(&self, line: &[u8]) -> Vec<u8> {
        let mut line = String::from_utf8_lossy(line).into_owned();
        for node in NODES {
            line = line.replace(&format!("{}{}-", self.lab, node.name), "");
        }
        line = line.replace(&format!("{}/", self.folder.display()), "/");
        let mut words: Vec<String> = line.split('\t').map(str::to_owned).collect();
        for word in &mut words {
            if word.trim_end() == "zoned" {
                *word = word.replace("zoned", "jailed");
            }
        }
        words.join("\t").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            lab: "lab7-".into(),
            host: "lab7-big-".into(),
            folder: "/tmp/x/pools/big".into(),
            pools: vec!["jfpool".into()],
        }
    }

    #[test]
    fn pools_get_the_kernel_s_names_and_nothing_else_does() {
        let words = |text: &str| names().put_in(&text.split(' ').map(str::to_owned).collect::<Vec<_>>()).join(" ");
        assert_eq!(words("send -w -i @a jfpool/j@b"), "send -w -i @a lab7-big-jfpool/j@b");
        assert_eq!(words("send -i jfpool/j#a jfpool/j@b"), "send -i lab7-big-jfpool/j#a lab7-big-jfpool/j@b");
        assert_eq!(
            words("receive -o origin=jfpool/t@0 -o x:y=jfpool-1 jfpool"),
            "receive -o origin=lab7-big-jfpool/t@0 -o x:y=jfpool-1 lab7-big-jfpool"
        );
        assert_eq!(words("list -o name,jailed,readonly jfpool2"), "list -o name,zoned,readonly jfpool2");
        assert_eq!(words("set jailed=on jfpool/j"), "set zoned=on lab7-big-jfpool/j");
    }

    #[test]
    fn answers_read_as_the_host_s_own() {
        let out = |text: &str| String::from_utf8(names().take_out(text.as_bytes())).unwrap();
        assert_eq!(
            out("cannot open 'lab7-big-jfpool/x': dataset does not exist\n"),
            "cannot open 'jfpool/x': dataset does not exist\n"
        );
        assert_eq!(out("\ttoname = lab7-spare-jfpool/j@b\n"), "\ttoname = jfpool/j@b\n");
        assert_eq!(out("lab7-big-jfpool\tzoned\toff\n"), "jfpool\tjailed\toff\n");
        assert_eq!(out("  /tmp/x/pools/big/var/p.img  ONLINE\n"), "  /var/p.img  ONLINE\n");
    }
}
