//! Text files and what jail(8) reads in them.

use crate::configuration::jail_conf::Edit;
use crate::configuration::jail_conf::apply;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::value::Scope;
use crate::effect::commands::sha256;
use crate::effect::simulate::Host;
use crate::effect::simulate::SimulationError;
use crate::effect::simulate::refused;
use crate::facts::JailConfiguration;
use crate::facts::TextFile;
use crate::model::JailName;
use crate::model::RemotePath;

type Done = Result<(), SimulationError>;

impl Host {
    pub(super) fn write_file(&mut self, path: &RemotePath, text: &str, mode: &str, replaces: Option<&str>) -> Done {
        let have = self.files.get(path).map(|f| f.sha256.as_str());
        // The script's here-document ends with a newline.
        let text = if text.ends_with('\n') || text.is_empty() { text.to_owned() } else { format!("{text}\n") };
        let wanted = sha256(&text);
        if have == Some(&wanted) {
            return Ok(());
        }
        if have != replaces {
            return Err(SimulationError::Changed(path.to_string()));
        }
        self.files.insert(path.clone(), TextFile { text, sha256: wanted, mode: mode.to_owned(), owner: (0, 0) });
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &RemotePath, sha256: &str) -> Done {
        match self.files.get(path) {
            Some(file) if file.sha256 != sha256 => Err(SimulationError::NotOurs(path.to_string())),
            _ => {
                self.files.remove(path);
                Ok(())
            }
        }
    }

    pub(super) fn edit_jail_file(&mut self, path: &RemotePath, before: &str, after: &str, edits: &[Edit]) -> Done {
        let Some(file) = self.files.get_mut(path) else { return refused(format!("realpath: {path}: no such file")) };
        if file.sha256 == after {
            return Ok(());
        }
        if file.sha256 != before {
            return Err(SimulationError::Changed(path.to_string()));
        }
        let text = apply(&file.text, edits.to_vec());
        if sha256(&text) != after {
            return Err(SimulationError::NotTaken(path.to_string()));
        }
        (file.text, file.sha256) = (text, after.to_owned());
        Ok(())
    }

    pub(super) fn move_file(&mut self, from: &RemotePath, to: &RemotePath) -> Done {
        if let Some(file) = self.files.remove(from) {
            self.files.insert(to.clone(), file);
        }
        if self.files.contains_key(to) { Ok(()) } else { Err(SimulationError::NotTaken(format!("{from} to {to}"))) }
    }

    pub(super) fn check_configuration(
        &self,
        jail: &JailName,
        file: &RemotePath,
        expected: &[(String, String)],
    ) -> Done {
        let configuration = self.configured(jail, file)?;
        for (name, wanted) in expected {
            let seen = configuration.parameters.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.as_ref());
            if seen != Some(wanted) {
                return Err(SimulationError::NotTaken(format!("{file} does not say {name}={wanted}")));
            }
        }
        Ok(())
    }

    /// The jail as that file configures it.
    pub(super) fn configured(&self, jail: &JailName, file: &RemotePath) -> Result<JailConfiguration, SimulationError> {
        let Some(text) = self.files.get(file) else { return refused(format!("jail: open {file}: no such file")) };
        match configurations(file, &text.text).into_iter().find(|c| c.name == jail.as_str()) {
            Some(found) => Ok(found),
            None => refused(format!("jail: \"{jail}\" not found in {file}")),
        }
    }
}

/// Every jail that a file defines, with the parameters as `jail -e` prints them (contract 2.1).
pub(super) fn configurations(file: &RemotePath, text: &str) -> Vec<JailConfiguration> {
    let Ok(document) = Document::parse(text) else { return Vec::new() };
    // No jail is called that, so all of them are others.
    let Ok(nobody) = JailName::new("nobody-is-called-that") else { return Vec::new() };
    let names = document.other_jails(&nobody);
    let jails = names.into_iter().filter_map(|name| JailName::new(name).ok());
    jails
        .map(|jail| {
            let effective = Scope::of(&document, &jail).effective();
            let parameters = effective.into_iter().map(|(name, values)| (name, listed(&values))).collect();
            JailConfiguration { name: jail.to_string(), file: file.clone(), parameters }
        })
        .collect()
}

fn listed(values: &[Option<String>]) -> Option<String> {
    let quoted = |value: &Option<String>| {
        let text = value.clone().unwrap_or_default();
        if text.contains([' ', '\t', '"', '\'']) {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            text
        }
    };
    (!values.is_empty()).then(|| values.iter().map(quoted).collect::<Vec<_>>().join(","))
}
