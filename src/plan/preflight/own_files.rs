//! The jail's own files at the source, which are put aside when it has left and in the end removed: nobody else may need
//! them.

use crate::configuration::jail_conf::tree::Document;
use crate::facts::JailConfiguration;
use crate::plan::finding::Findings;
use crate::plan::persist;
use crate::plan::preflight::Subject;

pub(super) fn examine(s: &Subject<'_>, findings: &mut Findings) {
    let (node, jail) = (&s.situation.source.node, &s.situation.jail);
    for (file, _) in persist::files_aside(s.situation) {
        if file == s.situation.configuration_file {
            // What cannot be read is told where it is rewritten.
            let others = Document::parse(&s.jail.configuration.text).map(|d| d.other_jails(jail)).unwrap_or_default();
            if !others.is_empty() {
                let others = others.join(", ");
                findings.error(
                    "shared-file",
                    node,
                    format!("{file} defines {others} besides jail {jail}, and is put aside when that leaves: {others} could not be started on {node} any more"),
                    format!("give each jail a file of its own: write the block of {others} into another file of /etc/jail.conf.d, with what the file says for all jails"),
                );
            }
        }
        let named = |c: &&JailConfiguration| {
            c.name != jail.as_str() && c.value("mount.fstab").as_deref() == Some(file.as_str())
        };
        let others: Vec<&str> = s.source.jail_configurations.iter().filter(named).map(|c| c.name.as_str()).collect();
        if !others.is_empty() {
            let others = others.join(", ");
            findings.error(
                "shared-file",
                node,
                format!("{file} is the fstab of {others} besides jail {jail}, and is put aside when that leaves: {others} could not be started on {node} any more"),
                "give each jail an fstab of its own (mount.fstab)",
            );
        }
    }
}
