//! Keys of encrypted datasets: zfs-load-key(8), zfs-change-key(8). Only files are read, on the host itself.

use crate::effect::KeyUse;
use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::SHORT;
use crate::model::DatasetName;
use crate::model::NodeName;

fn run(host: &NodeName, script: String) -> Work {
    Work::Run(vec![Command::script(host, SHORT, script).whole()])
}

/// `load-key -n` reads and checks the key and changes nothing, loaded or not. A dataset that uses its parent's key has
/// none of its own to check.
pub(super) fn try_keys(host: &NodeName, keys: &[KeyUse]) -> Work {
    let mut script = String::new();
    for KeyUse { dataset, file, .. } in keys {
        script.push_str(&format!(
            "if [ \"$(zfs get -Hp -o value encryptionroot {dataset})\" = {dataset} ]; then\n  zfs load-key -n -L file://{file} {dataset} || {{ echo 'the key in {file} does not open {dataset}' >&2; exit 21; }}\nfi\n"
        ));
    }
    script.push(':');
    run(host, script)
}

/// Parents first, since a dataset can only take to the key of a parent that has it loaded. `keylocation` is what the
/// host loads the key by at boot (rc.d/zfskeys); after a raw receive it may be `prompt`.
pub(super) fn load(host: &NodeName, keys: &[KeyUse]) -> Work {
    let mut script = "load() { [ \"$(zfs get -Hp -o value keystatus $1)\" = available ] || zfs load-key -L file://$2 $1; }\nis_root() { [ \"$(zfs get -Hp -o value encryptionroot $1)\" = $1 ]; }\n".to_owned();
    for KeyUse { dataset, file, inherits } in keys {
        script.push_str(&if *inherits {
            format!("if is_root {dataset}; then\n  load {dataset} {file}\n  zfs change-key -i {dataset}\nfi\n")
        } else {
            format!("load {dataset} {file}\n[ \"$(zfs get -Hp -o value keylocation {dataset})\" = file://{file} ] || zfs set keylocation=file://{file} {dataset}\n")
        });
    }
    script.push_str("for d in");
    for key in keys {
        script.push_str(&format!(" {}", key.dataset));
    }
    script.push_str("; do\n  [ \"$(zfs get -Hp -o value keystatus $d)\" = available ] || exit 21\ndone");
    run(host, script)
}

/// Children first. A dataset that is not there, or has no key of its own loaded, has nothing to let go of.
pub(super) fn unload(host: &NodeName, datasets: &[DatasetName]) -> Work {
    let names: Vec<&str> = datasets.iter().rev().map(DatasetName::as_str).collect();
    run(
        host,
        format!(
            "for d in {}; do\n  root=$(zfs get -Hp -o value encryptionroot $d 2>/dev/null) || continue\n  [ \"$root\" = $d ] || continue\n  [ \"$(zfs get -Hp -o value keystatus $d)\" = available ] || continue\n  zfs unload-key $d\ndone",
            names.join(" ")
        ),
    )
}
