//! The commands by which a broken transfer goes on: `receive_resume_token`, `zfs send -t`, `zfs receive -A` (contract 5.5).

use crate::effect::Base;
use crate::effect::Transfer;
use crate::effect::Way;
use crate::effect::command::Command;
use crate::effect::command::Lock;
use crate::effect::commands::RUN_PROPERTY;
use crate::effect::commands::SHORT;
use crate::effect::commands::TRANSFER;
use crate::effect::commands::ending;
use crate::effect::commands::ending::Of;
use crate::effect::commands::ending::of_package;
use crate::effect::commands::zfs;
use crate::effect::resume::ARRIVED;
use crate::effect::resume::Onward;
use crate::effect::resume::Resume;
use crate::effect::resume::TOKEN;
use crate::model::DatasetName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::model::SnapshotLabel;

/// While the jail runs, a link may be away for minutes.
pub(super) const TRIES: u32 = 6;

/// While nobody answers, going back is better than waiting long.
const TRIES_IN_THE_CUT: u32 = 3;

/// One snapshot of one dataset on its way.
pub(super) struct Stream<'a> {
    pub(super) from: &'a NodeName,
    pub(super) dataset: &'a DatasetName,
    pub(super) to: &'a NodeName,
    pub(super) into: &'a DatasetName,
    pub(super) label: &'a SnapshotLabel,
    /// What a stream that goes on does not bring: it carries no properties, and `refquota`, which zfs(8) sets when all has
    /// arrived, is lost with the first stream.
    pub(super) refquota: Option<&'a str>,
    /// Which come with it in one stream.
    pub(super) package: Option<Package<'a>>,
}

/// Several snapshots in one stream, the last of them the one that it is named after.
pub(super) struct Package<'a> {
    run: &'a RunId,
    /// Those before it, oldest first.
    through: &'a [SnapshotLabel],
}

/// What sends the rest; the token carries the flags of the first stream (-L, -e, -c, -w).
fn send_rest() -> [String; 4] {
    ["zfs", "send", "-t", TOKEN].map(str::to_owned)
}

/// What sends the snapshots behind one that has arrived.
fn send_onward(transfer: &Transfer) -> Option<Vec<String>> {
    let base = SnapshotLabel::new(ARRIVED).ok().filter(|_| !transfer.through.is_empty())?;
    Some(zfs::send(&transfer.dataset, &Base::Snapshot(base), &transfer.through, &transfer.label, transfer.raw))
}

/// The receive of a stream that goes on: properties came with the first part, or were set by its receive. And that of
/// several snapshots, which begins as it goes on.
#[must_use]
pub fn receive_rest(transfer: &Transfer) -> Command {
    Stream::of(transfer).receive()
}

pub(super) fn resume(transfer: &Transfer) -> Option<Box<Resume>> {
    let direct = match &transfer.way {
        Way::Relay => None,
        // A plan of an earlier version: its key may only do what that one had planned.
        Way::Direct { resume: None, .. } => return None,
        Way::Direct { direct, resume: Some(number), .. } => Some((direct, *number)),
    };
    let straight = |argv: &[String]| direct.as_ref().map(|(direct, number)| direct.send(argv, *number, TRANSFER));
    let onward = send_onward(transfer).map(|argv| Onward {
        from: Command::argv(&transfer.from, TRANSFER, argv.iter().cloned()).whole(),
        direct: straight(&argv),
        through: transfer.through.clone(),
    });
    let tries = if transfer.round.is_some() { TRIES } else { TRIES_IN_THE_CUT };
    Some(Box::new(Stream::of(transfer).resume(straight(&send_rest()), onward, tries)))
}

impl Stream<'_> {
    fn of(transfer: &Transfer) -> Stream<'_> {
        Stream {
            from: &transfer.from,
            dataset: &transfer.dataset,
            to: &transfer.to,
            into: &transfer.into,
            label: &transfer.label,
            refquota: transfer.refquota.as_deref(),
            package: (!transfer.through.is_empty())
                .then_some(Package { run: &transfer.run, through: &transfer.through }),
        }
    }

    fn receive(&self) -> Command {
        let mut argv: Vec<String> = ["zfs", "receive", "-s", "-u"].map(str::to_owned).into();
        if let Some(refquota) = self.refquota {
            argv.extend(["-o".to_owned(), format!("refquota={refquota}")]);
        }
        match &self.package {
            // A stream of several names each of them itself (zfs-receive(8)).
            Some(package) => argv.extend(["-x".to_owned(), of_package(package.run), self.into.to_string()]),
            None => argv.push(format!("{}@{}", self.into, self.label)),
        }
        Command::argv(self.to, TRANSFER, argv).whole().under(Lock::receive(self.into))
    }

    /// A receive that a lost connection left behind has not let go of its token yet, so it ends first.
    pub(super) fn resume(&self, direct: Option<Command>, onward: Option<Onward>, tries: u32) -> Resume {
        let (into, label, dataset) = (self.into, self.label, self.dataset);
        let of = Of::Snapshot(label);
        let (at_work, newest) = match &self.package {
            Some(package) => (
                ending::receives(into, &Of::Run(package.run)),
                format!(
                    "newest=$(zfs list -Hp -d 1 -t snapshot -s createtxg -o name {into} 2>/dev/null | tail -n 1)\necho \"arrived ${{newest#*@}}\"\n"
                ),
            ),
            None => (ending::receives(into, &of), String::new()),
        };
        let ask = format!(
            "{end}{newest}guid=$(zfs get -Hp -o value guid {into}@{label} 2>/dev/null) || guid=\nif [ -n \"$guid\" ]; then\n  echo \"guid $guid\"\n  exit 0\nfi\ntoken=$(zfs get -Hp -o value receive_resume_token {into} 2>/dev/null) || token=\ncase $token in\n'' | -) echo nothing ;;\n*) echo \"token $token\" ;;\nesac",
            end = ending::end(&[at_work]),
        );
        let guids = match &self.package {
            None => format!("echo \"guid $(zfs get -Hp -o value guid {dataset}@{label})\"\n"),
            // One process, however many there are.
            Some(package) => {
                let labels: String = package.through.iter().chain([label]).map(|label| format!("{label} ")).collect();
                format!(
                    "zfs list -Hp -d 1 -t snapshot -o guid,name {dataset} | while read -r guid name; do\n  case ' {labels}' in *\" ${{name#*@}} \"*) echo \"guid $guid\" ;; esac\ndone\n"
                )
            }
        };
        let decode = format!(
            "{end}{guids}zfs send -nvP -t {TOKEN} 2>&1 || :",
            // Somebody else may send a snapshot of his own; ours ends with its receive.
            end = if label.is_ours() { ending::end_sends(&[dataset], &of) } else { String::new() },
        );
        // -s local,received: what a child only inherits says nothing of whose it is.
        let abort = format!(
            "[ -n \"$(zfs get -Hp -s local,received -o value {RUN_PROPERTY} {into})\" ] || {{ echo '{into} is no copy of jailferry' >&2; exit 22; }}\nzfs receive -A {into}"
        );
        Resume {
            ask: Command::script(self.to, SHORT, ask).whole(),
            decode: Command::script(self.from, SHORT, decode).whole(),
            abort: Command::script(self.to, SHORT, abort).whole(),
            from: Command::argv(self.from, TRANSFER, send_rest()).whole(),
            to: self.receive(),
            direct,
            onward,
            tries,
        }
    }
}
