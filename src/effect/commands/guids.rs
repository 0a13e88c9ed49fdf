//! The proof that everything arrived: zfs-get(8), contract 5.4.

use crate::effect::Work;
use crate::effect::command::Command;
use crate::effect::commands::zfs::each;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::SnapshotLabel;

/// Prints the GUID of the snapshot of every dataset, in the order of the plan (contract 5.4: the success criterion).
pub(super) fn compare(
    source: &NodeName,
    target: &NodeName,
    pairs: &[(DatasetName, DatasetName)],
    label: &SnapshotLabel,
) -> Work {
    let ask = |host: &NodeName, datasets: Vec<&DatasetName>| {
        // One question for all: the jail is down meanwhile. zfs(8) answers in an order of its own.
        let snapshots: Vec<String> = datasets.iter().map(|d| format!("{d}@{label}")).collect();
        let snapshots = snapshots.join(" ");
        let body = format!(
            "t=$(printf '\\t') n='\n'\nall=$n$(zfs get -Hp -o name,value guid {snapshots})$n\nfor s in {snapshots}; do\n  case $all in *\"$n$s$t\"*) ;; *) echo \"$s: no GUID\" >&2; exit 21 ;; esac\n  guid=${{all#*\"$n$s$t\"}}\n  echo ${{guid%%$n*}}\ndone"
        );
        Command::script(host, each(pairs.len()), body)
    };
    Work::Compare {
        left: ask(source, pairs.iter().map(|(s, _)| s).collect()),
        right: ask(target, pairs.iter().map(|(_, t)| t).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::sh;
    use crate::effect::command::Form;

    /// What a side prints of three datasets where zfs(8) answers so.
    fn said(answer: &str) -> (i32, String) {
        let name = |text: &str| DatasetName::new(text).unwrap();
        let pairs = ["z/web", "z/web/a", "z/web-b"].map(|d| (name(d), name(d)));
        let host = NodeName::new("big").unwrap();
        let Work::Compare { left, .. } = compare(&host, &host, &pairs, &SnapshotLabel::new("last").unwrap()) else {
            panic!("no comparison")
        };
        let Form::Script(body) = &left.form else { panic!("{left:?}") };
        let zfs = format!("zfs() {{ {answer}; }}\n");
        let ran = sh::run(tempfile::tempdir().unwrap().path(), &format!("{zfs}{body}"));
        (ran.status, ran.stdout)
    }

    #[test]
    fn guids_are_in_the_order_of_the_plan_whatever_that_of_the_answer_and_none_may_miss() {
        let in_order = (0, "11\n1\n22\n".to_owned());
        assert_eq!(said("printf 'z/web@last\\t11\\nz/web/a@last\\t1\\nz/web-b@last\\t22\\n'"), in_order);
        assert_eq!(said("printf 'z/web-b@last\\t22\\nz/web/a@last\\t1\\nz/web@last\\t11\\n'"), in_order);
        assert_eq!(said("printf 'z/web@last\\t11\\nz/web-b@last\\t22\\n'").0, 21);
        assert_eq!(said("printf 'z/web@last\\t11\\n'; return 1").0, 1);
    }
}
