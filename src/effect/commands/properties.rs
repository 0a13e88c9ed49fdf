//! Properties of a dataset: zfs-set(8), zfs-inherit(8).

use crate::effect::PropertyState;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::zfs;
use crate::effect::properties::PropertyChange;
use crate::effect::properties::is_limit;
use crate::effect::shell;
use crate::model::DatasetName;
use crate::model::NodeName;

/// One after the other: what is refused is told by its name, and none of them depends on another.
pub(super) fn set(host: &NodeName, dataset: &DatasetName, changes: &[PropertyChange]) -> Work {
    let line = |change: &PropertyChange| {
        let name = &change.name;
        match &change.state {
            PropertyState::Local(value) => format!("zfs set {} {dataset}", shell::word(&format!("{name}={value}"))),
            PropertyState::Received => format!("zfs inherit -S {} {dataset}", shell::word(name)),
            // Not inheritable, so plain `zfs inherit` refuses it; -S clears the local value all the same.
            PropertyState::Inherited if is_limit(name) => format!("zfs inherit -S {} {dataset}", shell::word(name)),
            PropertyState::Inherited => format!("zfs inherit {} {dataset}", shell::word(name)),
        }
    };
    let script = changes.iter().map(line).collect::<Vec<_>>().join("\n");
    Work::Run(vec![Command::script(host, zfs::each(changes.len()), script).whole()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_limits_are_not_inherited() {
        let change = |name: &str, state| PropertyChange { name: name.to_owned(), state };
        let changes = [
            change("org.example:owner", PropertyState::Local("it's $(reboot)".to_owned())),
            change("compression", PropertyState::Inherited),
            change("quota", PropertyState::Inherited),
            change("atime", PropertyState::Received),
        ];
        let work = set(&NodeName::new("big").unwrap(), &DatasetName::new("zroot/web").unwrap(), &changes);
        let Work::Run(commands) = work else { panic!("{work:?}") };
        let text = commands[0].text();
        for line in [
            r"zfs set 'org.example:owner=it'\''s $(reboot)' zroot/web",
            "zfs inherit compression zroot/web",
            "zfs inherit -S quota zroot/web",
            "zfs inherit -S atime zroot/web",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
