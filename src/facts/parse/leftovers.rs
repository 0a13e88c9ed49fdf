//! [`Traces`] out of the answers to `leftovers.sh`.

use super::error::FactsError;
use super::error::line;
use super::frames::Frame;
use super::frames::Frames;
use super::zfs;
use crate::effect::commands::pf;
use crate::facts::leftovers::Trace;
use crate::facts::leftovers::TraceKind;
use crate::facts::leftovers::Traces;
use crate::model::JailName;
use crate::model::Notice;
use crate::model::Owner;
use crate::model::RunId;

/// Reads a host's answer to [`crate::facts::questions::leftover_questions`].
///
/// # Errors
/// What is wrong with it.
pub fn parse_leftovers(answer: &[u8]) -> Result<Traces, FactsError> {
    let frames = Frames::parse(answer)?;
    let clock = frames.get("clock")?.success()?.word();
    let clock = clock.parse().map_err(|_| line("clock", 0, &clock, "not a number"))?;
    let mut traces = Vec::new();
    if zfs::version(&frames.get("zfs-version")?.text()).is_some() {
        traces.extend(rows(frames.get("zfs")?.success()?).filter_map(|r| in_zfs(&r)));
        traces.extend(rows(frames.get("holds")?.success()?).filter_map(|r| hold(&r)));
        traces.extend(rows(frames.get("marked")?.success()?).filter_map(|r| marked(&r)));
    }
    traces.extend(rows(frames.get("files")?.success()?).filter_map(|r| configuration_file(&r)));
    let locks: Vec<Trace> = rows(frames.get("locks")?.success()?).filter_map(|r| lock(&r)).collect();
    let state = rows(frames.get("state")?.success()?).filter_map(|r| own_file(TraceKind::StateFile, &r));
    // A lock is in both lists; its time stands in the second.
    let mut others = Vec::new();
    let mut locks = locks;
    for file in state {
        match locks.iter_mut().find(|l| l.name == file.name) {
            Some(lock) => lock.since = file.since,
            None => others.push(file),
        }
    }
    traces.extend(locks);
    traces.extend(others);
    traces.extend(rows(frames.get("running")?.success()?).filter_map(|r| own_file(TraceKind::RunFile, &r)));
    traces.extend(rows(frames.get("keys")?.success()?).filter_map(|r| key(&r)));
    traces.extend(rows(frames.get("rc")?.success()?).filter_map(|r| variable(&r)));
    for frame in frames.all("hooks") {
        traces.extend(rows(frame.success()?).filter_map(|r| hook(&frame.subject, &r)));
    }
    for frame in frames.all("ways") {
        traces.extend(rows(frame.success()?).filter_map(|r| way(&frame.subject, &r)));
    }
    // Without pf there are no anchors.
    let anchors = frames.get("pf")?;
    if anchors.status == 0 {
        traces.extend(rows(anchors).filter_map(|r| anchor(&r)));
    }
    let jails: Vec<String> = rows(frames.get("jails")?.success()?).map(|r| r.trim().to_owned()).collect();
    traces.extend(jails.iter().filter(|n| is_own(n)).map(|name| plain(TraceKind::Jail, name)));
    let interfaces = frames.get("interfaces")?.success()?.text();
    traces.extend(interfaces.split_whitespace().filter(|n| is_own(n)).map(|name| plain(TraceKind::Interface, name)));
    traces.extend(rows(frames.get("processes")?.success()?).filter_map(|r| process(&r)));
    Ok(Traces { clock, jails, traces })
}

fn rows(frame: &Frame) -> impl Iterator<Item = String> {
    let text = frame.text();
    text.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// A jail or an interface that jailferry made for itself.
fn is_own(name: &str) -> bool {
    name.starts_with("jailferry")
}

fn plain(kind: TraceKind, name: &str) -> Trace {
    Trace { kind, name: name.to_owned(), since: None, run: run_in(name), jail: None, owner: None, notice: None }
}

/// The run in `jailferry-RUN`, with or without `-SUFFIX` or `.SUFFIX` behind it, wherever it stands.
fn run_in(text: &str) -> Option<RunId> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.match_indices("jailferry-").find_map(|(at, found)| {
        let rest = text.get(at + found.len()..)?;
        let word = rest.split(|c: char| !is_of_name(c)).next()?;
        let mut word = word;
        loop {
            if let Ok(run) = RunId::new(word) {
                return Some(run);
            }
            word = word.rsplit_once('-')?.0;
        }
    })
}

fn in_zfs(row: &str) -> Option<Trace> {
    let (name, since) = row.split_once('\t')?;
    let kind = if name.contains('@') { TraceKind::Snapshot } else { TraceKind::Bookmark };
    Some(Trace { since: since.trim().parse().ok(), ..plain(kind, name) })
}

fn hold(row: &str) -> Option<Trace> {
    let (name, tag) = row.split_once('\t')?;
    Some(Trace { run: run_in(tag), ..plain(TraceKind::Hold, name) })
}

fn marked(row: &str) -> Option<Trace> {
    let columns: Vec<&str> = row.split('\t').collect();
    let [name, run, state, owner, since, mounted, token] = columns.as_slice() else { return None };
    let kind = match (*run, *mounted, *token) {
        ("-", ..) => TraceKind::Notice,
        (_, "yes", _) => TraceKind::MountedCopy,
        (_, _, "-" | "") => TraceKind::Copy,
        _ => TraceKind::PartialCopy,
    };
    let notice = Notice::read(state, owner);
    let run = RunId::new(*run).ok();
    // An older copy that is being brought up to date: what is said of it is the newer run's.
    let run = notice.as_ref().map(|n| n.run.clone()).or(run);
    let owner = notice.as_ref().and_then(|n| n.owner.clone());
    Some(Trace { since: since.parse().ok(), run, owner, notice, ..plain(kind, name) })
}

/// `%m%t%N` of stat(1).
fn stat(row: &str) -> Option<(Option<i64>, &str)> {
    let (since, path) = row.split_once('\t')?;
    path.starts_with('/').then(|| (since.parse().ok(), path))
}

/// Only names that jailferry gives (files.rs, frame.rs, persist.rs, pf.rs); a file of another form is somebody else's.
fn configuration_file(row: &str) -> Option<Trace> {
    let (since, path) = stat(row)?;
    if let Some(end) = path.strip_prefix("/etc/pf.jailferry.") {
        let jail = end.strip_suffix(".conf").and_then(|jail| JailName::new(jail).ok());
        return (jail.is_some() || path == pf::INDEX).then(|| Trace {
            since,
            run: None,
            jail,
            ..plain(TraceKind::RulesFile, path)
        });
    }
    let name = path.rsplit('/').next()?;
    let (stem, end) = name.rsplit_once(".jailferry")?;
    let hidden = stem.starts_with('.') && stem.len() > 1;
    let of_run = end.strip_prefix('-').and_then(|run| RunId::new(run).ok());
    let (kind, run) = match (hidden, end, of_run) {
        (true, "", _) => (TraceKind::FileAside, None),
        (true, "-stage", _) => (TraceKind::StagedFile, None),
        (true, _, Some(run)) => (TraceKind::StagedFile, Some(run)),
        (false, _, Some(run)) => (TraceKind::Backup, Some(run)),
        _ => return None,
    };
    Some(Trace { since, run, ..plain(kind, path) })
}

fn own_file(kind: TraceKind, row: &str) -> Option<Trace> {
    let (since, path) = stat(row)?;
    let name = path.rsplit('/').next()?;
    let run = run_in(name).or_else(|| name.split('.').next().and_then(|stem| RunId::new(stem).ok()));
    Some(Trace { since, run, ..plain(kind, path) })
}

fn lock(row: &str) -> Option<Trace> {
    let (path, line) = row.split_once('\t')?;
    let jail = path.rsplit('/').next()?.strip_suffix(".lock").and_then(|j| JailName::new(j).ok());
    let mut words = line.split(' ');
    let run = words.next().and_then(|run| RunId::new(run).ok());
    let owner = words.next().and_then(|owner| Owner::new(owner).ok());
    Some(Trace { run, jail, owner, ..plain(TraceKind::Lock, path) })
}

fn key(row: &str) -> Option<Trace> {
    let (path, comment) = row.split_once('\t')?;
    if comment.is_empty() {
        return Some(plain(TraceKind::StagedFile, path));
    }
    let run = comment.strip_prefix("jailferry-").and_then(|run| RunId::new(run).ok())?;
    Some(Trace { run: Some(run), ..plain(TraceKind::Key, path) })
}

fn variable(row: &str) -> Option<Trace> {
    let (name, _) = row.split_once(':')?;
    let ours = ["jailferry_", "route_jailferry_", "ipv6_route_jailferry_"];
    ours.iter().any(|start| name.starts_with(start)).then(|| plain(TraceKind::Variable, row))
}

fn hook(file: &str, row: &str) -> Option<Trace> {
    let (_, jail) = row.rsplit_once(" # jailferry ")?;
    let jail = JailName::new(jail).ok()?;
    Some(Trace { jail: Some(jail), ..plain(TraceKind::Hook, &format!("{file}: {row}")) })
}

/// A statement of jail.conf(5) that ends with `|| : jailferry JAIL";`.
fn way(file: &str, row: &str) -> Option<Trace> {
    let (_, jail) = row.strip_suffix("\";")?.rsplit_once(" || : jailferry ")?;
    let jail = JailName::new(jail).ok()?;
    Some(Trace { jail: Some(jail), ..plain(TraceKind::Way, &format!("{file}: {row}")) })
}

fn anchor(row: &str) -> Option<Trace> {
    let jail = row.strip_prefix("jailferry/")?;
    let jail = JailName::new(jail.split('/').next()?).ok();
    Some(Trace { jail, ..plain(TraceKind::Anchor, row) })
}

/// The program itself, and the ssh(1) that it started, are no leftovers of it; what is wrapped around a transfer or a
/// listing ends with it.
fn process(row: &str) -> Option<Trace> {
    let (pid, command) = row.trim_start().split_once(' ')?;
    pid.parse::<u32>().ok()?;
    let program = command.split_whitespace().next()?.trim_end_matches(':');
    let program = program.rsplit('/').next()?;
    let wrapped = command.contains(" zfs ") || command.contains(".verify timeout ");
    let wraps = matches!(program, "lockf" | "timeout") && wrapped;
    let own = wraps || matches!(program, "jailferry" | "ssh" | "sudo" | "doas" | "mdo");
    (!own).then(|| plain(TraceKind::Process, row.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Option<String> {
        run_in(text).map(|r| r.to_string())
    }

    #[test]
    fn runs_are_found_in_names() {
        for name in [
            "zroot/jails/web@jailferry-web-0123abcd-final",
            "zroot/web#jailferry-web-0123abcd",
            "/var/run/jailferry-web-0123abcd.watch.pid",
            "/var/run/jailferry-web-0123abcd.direct",
            "daemon: ping[4711] /var/run/jailferry-web-0123abcd.watch",
        ] {
            assert_eq!(run(name).as_deref(), Some("web-0123abcd"), "{name}");
        }
        assert_eq!(run("x@jailferry-a-b-0123abcd-back").as_deref(), Some("a-b-0123abcd"));
        for name in ["jailferry", "jailferry-", "jailferry-web", "/etc/pf.jailferry-testbed.conf", "jailferry-é-01"] {
            assert_eq!(run(name), None, "{name}");
        }
    }

    #[test]
    fn only_our_own_forms_of_files_are_ours() {
        let kind = |path: &str| configuration_file(&format!("1700000000\t{path}")).map(|t| t.kind);
        assert_eq!(kind("/etc/jail.conf.d/.web.conf.jailferry"), Some(TraceKind::FileAside));
        assert_eq!(kind("/etc/jail.conf.d/.web.conf.jailferry-stage"), Some(TraceKind::StagedFile));
        assert_eq!(kind("/etc/wireguard/.wg0.conf.jailferry-web-0123abcd"), Some(TraceKind::StagedFile));
        assert_eq!(kind("/etc/wireguard/wg0.conf.jailferry-web-0123abcd"), Some(TraceKind::Backup));
        assert_eq!(kind("/etc/pf.jailferry.web.conf"), Some(TraceKind::RulesFile));
        assert_eq!(kind("/etc/pf.jailferry.conf"), Some(TraceKind::RulesFile));
        assert_eq!(kind("/etc/.pf.jailferry.web.conf.jailferry-stage"), Some(TraceKind::StagedFile));
        for other in [
            "/usr/local/etc/jailferry",
            "/etc/pf.jailferry.web",
            "/etc/pf.jailferry.a b.conf",
            "/etc/pf.jailferry-mine.conf",
            "/etc/jailferry/fleet.yml",
            "relative",
        ] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn the_program_itself_is_none() {
        assert_eq!(process("12 /usr/local/bin/jailferry leftovers"), None);
        assert_eq!(process("12 ssh: /tmp/jailferry-x/control [mux]"), None);
        assert_eq!(process("12 lockf -k -s -t 30 x timeout 9 zfs receive zroot/web@jailferry-web-0123abcd-0"), None);
        assert_eq!(process("12 lockf -k -s -t 604800 /var/run/jailferry-web.verify timeout -k 10 9 /bin/sh -s"), None);
        let left = process("12 mtree -c -p /var/db/jailferry/jailferry-web-0123abcd.listing/at").unwrap();
        assert_eq!(left.run.map(|r| r.to_string()).as_deref(), Some("web-0123abcd"));
        let left = process("12 zfs receive -s -u zroot/web@jailferry-web-0123abcd-0").unwrap();
        assert_eq!(left.run.map(|r| r.to_string()).as_deref(), Some("web-0123abcd"));
        let left = process("12 zfs receive -s -u -x org.jailferry:jailferry-web-0123abcd zroot/web").unwrap();
        assert_eq!(left.run.map(|r| r.to_string()).as_deref(), Some("web-0123abcd"));
        assert!(process("  12 daemon: ping[3] -o /var/run/jailferry-web-0123abcd.watch").is_some());
    }
}
