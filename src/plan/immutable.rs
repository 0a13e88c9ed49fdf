//! Files that the steps rewrite or move and that not even root may: chflags(1) has made them so, which a step would find
//! out when the jail stands still, or when it has moved and its new place is to be kept over boots.

use std::collections::BTreeMap;

use crate::effect::Effect;
use crate::facts::HostFacts;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::plan::Step;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;

/// Each such file once.
pub fn examine(steps: &[Step], hosts: &BTreeMap<NodeName, HostFacts>, findings: &mut Findings) {
    for (host, facts) in hosts {
        for file in &facts.unwritable {
            if !steps.iter().any(|step| step.host() == host && changes(&step.effect, file)) {
                continue;
            }
            findings.error(
                "file-immutable",
                host,
                format!("{file} on {host} cannot be written, not even by root (ls -lo), and the move changes it"),
                Fix::new("take the flag off").run(format!("chflags noschg,nouchg {file}")),
            );
        }
    }
}

/// The scripts name the file they edit; sysrc(8) knows that of rc.conf(5) by itself.
fn changes(effect: &Effect, file: &RemotePath) -> bool {
    match effect {
        Effect::WriteFile { path, .. } | Effect::RemoveFile { path, .. } => path == file,
        Effect::MoveFile { from, to, .. } => from == file || to == file,
        Effect::Edit { script, .. } => {
            let named = script.split(|c: char| c.is_whitespace() || "'\"=;()".contains(c)).any(|w| w == file.as_str());
            named || (file.as_str() == "/etc/rc.conf" && script.contains("sysrc"))
        }
        _ => false,
    }
}
