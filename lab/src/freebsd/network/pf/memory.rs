//! What pf(4) holds: kept in `/run/pf.json`, put into the kernel as the nft table `pf` after every change.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::model::Ruleset;
use crate::context::Context;

/// A table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Table {
    /// Stays without rules that use it.
    pub persist: bool,
    /// Its entries, `!` in front of negated ones.
    pub entries: Vec<String>,
}

/// All of pf.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// `pfctl -e`: since when (seconds since 1970).
    pub enabled: Option<u64>,
    /// The main ruleset.
    pub main: Ruleset,
    /// Anchors by their full name.
    pub anchors: BTreeMap<String, Ruleset>,
    /// Tables; those of an anchor as `ANCHOR:NAME`.
    pub tables: BTreeMap<String, Table>,
    /// `set skip on`.
    pub skip: Vec<String>,
}

impl Memory {
    fn file(ctx: &Context) -> PathBuf {
        ctx.run.join("pf.json")
    }

    /// Opens pf; changes are serialised by the lock that comes with it.
    pub fn open(ctx: &Context) -> io::Result<(Memory, fs::File)> {
        fs::create_dir_all(&ctx.run)?;
        let lock = fs::File::create(ctx.run.join("pf.lock"))?;
        lock.lock()?;
        let memory = match fs::read(Memory::file(ctx)) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Memory::default(),
            Err(error) => return Err(error),
        };
        Ok((memory, lock))
    }

    /// Puts it into the kernel, then keeps it: a change that the kernel refuses has not been made.
    pub fn save(&self, ctx: &Context) -> io::Result<()> {
        super::compile::install(self)?;
        let temporary = ctx.run.join("pf.json.new");
        fs::write(&temporary, serde_json::to_vec(self)?)?;
        fs::rename(temporary, Memory::file(ctx))
    }

    /// The anchors that an anchor rule means: `jailferry/*` those directly below, `x` itself.
    pub fn meant(&self, name: &str) -> Vec<(&String, &Ruleset)> {
        self.anchors
            .iter()
            .filter(|(known, _)| match name.strip_suffix('*') {
                Some(prefix) => known.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
                None => known.as_str() == name,
            })
            .collect()
    }

    /// A table as a rule in `anchor` sees it: its own, else the main ruleset's.
    pub fn table_key(&self, anchor: &str, name: &str) -> String {
        let own = format!("{anchor}:{name}");
        if !anchor.is_empty() && self.tables.contains_key(&own) { own } else { name.to_string() }
    }
}
