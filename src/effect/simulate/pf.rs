//! pfctl(8)'s anchors and tables, contract 4.

use std::collections::BTreeSet;

use crate::effect::commands::pf;
use crate::effect::commands::sha256;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::facts::TextFile;
use crate::model::JailName;
use crate::model::Prefix;
use crate::model::RemotePath;
use crate::model::TableName;

type Done = Result<(), SimulationError>;

impl Host {
    pub(super) fn load_anchor(&mut self, jail: &JailName, before: &[String], rules: &[String]) -> Done {
        let now = self.facts.pf.of_jails.get(jail).cloned().unwrap_or_default();
        if now == rules {
            return Ok(());
        }
        if !now.is_empty() && now != before {
            return Err(SimulationError::Changed(format!("anchor {}", pf::anchor(jail))));
        }
        if rules.is_empty() {
            self.facts.pf.of_jails.remove(jail);
        } else {
            self.facts.pf.of_jails.insert(jail.clone(), rules.to_vec());
        }
        Ok(())
    }

    /// The index is made with the first line and goes with the last one.
    pub(super) fn keep_anchor(&mut self, jail: &JailName, rules: &[String]) -> Done {
        let path = |text: &str| RemotePath::new(text).map_err(|e| SimulationError::Refused(e.to_string()));
        let (file, index) = (path(&pf::anchor_file(jail))?, path(pf::INDEX)?);
        let line = pf::load_line(jail);
        let lines = self.files.get(&index).map(|f| f.text.clone()).unwrap_or_default();
        let mut lines: Vec<&str> = lines.lines().collect();
        let mut write = |path: RemotePath, text: String| {
            let sha256 = sha256(&text);
            self.files.insert(path, TextFile { text, sha256, mode: "600".into(), owner: (0, 0) });
        };
        if rules.is_empty() {
            lines.retain(|l| *l != line);
        } else {
            write(file.clone(), pf::anchor_text(rules));
            if !lines.contains(&line.as_str()) {
                lines.push(&line);
            }
        }
        let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
        write(index.clone(), text.clone());
        if rules.is_empty() {
            self.files.remove(&file);
        }
        if text.is_empty() {
            self.files.remove(&index);
        }
        Ok(())
    }

    pub(super) fn change_table(&mut self, table: &TableName, add: &[Prefix], remove: &[Prefix]) -> Done {
        let Some(entries) = self.facts.pf.tables.get_mut(table) else {
            return Err(SimulationError::Changed(format!("pf table {table}")));
        };
        entries.extend(add);
        entries.retain(|e| !remove.contains(e));
        Ok(())
    }

    /// The checksum of a table's file stands for its entries.
    pub(super) fn edit_table_file(
        &mut self,
        path: &RemotePath,
        expected: &str,
        add: &BTreeSet<Prefix>,
        remove: &BTreeSet<Prefix>,
    ) -> Done {
        let files = self.facts.pf.file.iter_mut().flat_map(|f| f.table_files.values_mut());
        let Some(file) = files.into_iter().find(|f| f.path == *path) else {
            return Err(SimulationError::Refused(format!("realpath: {path}: no such file")));
        };
        let mut entries = file.entries.clone();
        entries.extend(add);
        entries.retain(|e| !remove.contains(e));
        if entries == file.entries {
            return Ok(());
        }
        if file.sha256 != expected {
            return Err(SimulationError::Changed(path.to_string()));
        }
        file.sha256 = table_sum(&entries);
        file.entries = entries;
        Ok(())
    }
}

/// What a table's file is known by.
pub(crate) fn table_sum(entries: &BTreeSet<Prefix>) -> String {
    sha256(&format!("{entries:?}"))
}
