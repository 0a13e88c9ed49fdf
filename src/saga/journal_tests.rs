use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::model::JailName;
use crate::model::NodeName;
use crate::saga::record::FinishedRecord;
use crate::saga::state::StepState;

fn header(run: &str) -> Header {
    Header {
        begun: None,
        run: RunId::new(run).unwrap(),
        jail: JailName::new("web").unwrap(),
        from: NodeName::new("spare").unwrap(),
        to: NodeName::new("big").unwrap(),
        plan: serde_json::json!({"steps": [1, 2]}),
    }
}

#[test]
fn a_run_is_written_and_read_back() {
    let folder = TempDir::new().unwrap();
    let runs = folder.path().join("state/runs");
    let journal = Journal::create(&runs, header("web-00000001")).unwrap();
    assert_eq!(fs::metadata(journal.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&runs).unwrap().permissions().mode() & 0o777, 0o700);
    journal.step(1, StepEvent::Intended, None).unwrap();
    let entry = CommandEntry {
        host: &NodeName::new("big").unwrap(),
        line: "exec timeout --foreground -k 10 60 /bin/sh -s",
        stdin: Some("set -eu\n"),
        status: Some(1),
        duration: Duration::from_millis(1500),
        stdout: b"\x1b[2J\xff",
        stderr: b"",
        problem: None,
    };
    journal.command(&entry).unwrap();
    journal.step(1, StepEvent::Failed, Some("cannot open".into())).unwrap();
    assert!(list_runs(&runs).unwrap()[0].active);
    journal
        .append(Record::Finished(FinishedRecord {
            outcome: "rolled-back".into(),
            blackout_milliseconds: None,
            measured: None,
        }))
        .unwrap();
    let path = journal.path().to_owned();
    drop(journal);
    let run = replay(&path).unwrap();
    assert_eq!(run.header, header("web-00000001"));
    assert_eq!((run.state(1), run.entries.len()), (StepState::Failed, 5));
    let Record::Command(command) = &run.entries[2].what else { panic!("{:?}", run.entries[2]) };
    assert_eq!((command.milliseconds, command.stdout.as_str()), (1500, "\\u{1b}[2J\u{fffd}"));
    assert_eq!(run.finished.unwrap().outcome, "rolled-back");
    let listed = list_runs(&runs).unwrap();
    assert_eq!((listed.len(), listed[0].active, listed[0].run.as_str()), (1, false, "web-00000001"));
}

#[test]
fn one_process_drives_a_run() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::create(folder.path(), header("web-00000001")).unwrap();
    assert!(matches!(Journal::open(journal.path()), Err(JournalError::InUse(_))));
    assert!(matches!(Journal::create(folder.path(), header("web-00000001")), Err(JournalError::File { .. })));
    replay(journal.path()).unwrap();
    let path = journal.path().to_owned();
    drop(journal);
    Journal::open(&path).unwrap();
}

#[test]
fn a_torn_line_is_dropped_before_the_run_goes_on() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::create(folder.path(), header("web-00000001")).unwrap();
    journal.step(1, StepEvent::Intended, None).unwrap();
    let path = journal.path().to_owned();
    drop(journal);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"at":"2026-11-22T20:00:01Z","what":{"st"#).unwrap();
    let (journal, run) = Journal::open(&path).unwrap();
    assert_eq!((run.torn, run.state(1)), (true, StepState::Intended));
    journal.step(1, StepEvent::Undoing, None).unwrap();
    let run = replay(&path).unwrap();
    assert_eq!((run.torn, run.state(1)), (false, StepState::Undoing));
}

#[test]
fn a_damaged_journal_makes_room_and_is_kept() {
    let folder = TempDir::new().unwrap();
    let run = RunId::new("web-00000001").unwrap();
    assert_eq!(put_aside(folder.path(), &run).unwrap(), None);
    let path = path_of(folder.path(), &run);
    for (number, end) in ["", ".1"].iter().enumerate() {
        fs::write(&path, format!("no journal {number}\n")).unwrap();
        assert!(list_runs(folder.path()).unwrap()[0].record.as_ref().unwrap_err().is_damage());
        let aside = put_aside(folder.path(), &run).unwrap().unwrap();
        assert_eq!(aside, folder.path().join(format!("web-00000001.jsonl.damaged{end}")));
        assert_eq!(fs::read_to_string(aside).unwrap(), format!("no journal {number}\n"));
    }
    assert!(list_runs(folder.path()).unwrap().is_empty());
    // One that is whole, in use, or of a newer jailferry stays where it is.
    let journal = Journal::create(folder.path(), header("web-00000001")).unwrap();
    assert!(matches!(put_aside(folder.path(), &run), Err(JournalError::InUse(_))));
    drop(journal);
    assert!(matches!(put_aside(folder.path(), &run), Err(JournalError::File { .. })));
    let (journal, _) = Journal::open(&path).unwrap();
    journal
        .append(Record::Finished(FinishedRecord {
            outcome: "superseded".into(),
            blackout_milliseconds: None,
            measured: None,
        }))
        .unwrap();
    drop(journal);
    let aside = put_aside(folder.path(), &run).unwrap().unwrap();
    assert_eq!(aside, folder.path().join("web-00000001.jsonl.ended"));
    drop(Journal::create(folder.path(), header("web-00000001")).unwrap());
    let newer = fs::read_to_string(&path).unwrap().replacen(&format!("\"format\":{FORMAT}"), "\"format\":9999", 1);
    fs::write(&path, newer).unwrap();
    assert!(!put_aside(folder.path(), &run).unwrap_err().is_damage());
    assert!(path.exists());
}

#[test]
fn a_full_disk_is_an_error_and_what_was_acknowledged_stays() {
    let folder = TempDir::new().unwrap();
    // /dev/full exists on Linux and FreeBSD: every write fails with ENOSPC.
    let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let journal = Journal {
        path: folder.path().join("x"),
        file: Mutex::new(Tail { file, length: 0, torn: false, owed: Vec::new() }),
    };
    let error = journal.step(1, StepEvent::Intended, None).unwrap_err();
    assert!(matches!(error, JournalError::File { error, .. } if error.kind() == io::ErrorKind::StorageFull));
}

/// The disk is full for a moment: what was said of a step then stands before what is said of it later.
#[test]
fn no_step_has_a_gap() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::create(folder.path(), header("web-00000001")).unwrap();
    let full = || OpenOptions::new().append(true).open("/dev/full").unwrap();
    let exchange = |file| std::mem::replace(&mut journal.file.lock().unwrap().file, file);
    let real = exchange(full());
    journal.step(1, StepEvent::Intended, None).unwrap_err();
    journal.note("lost").unwrap_err();
    exchange(real);
    journal.step(1, StepEvent::Undoing, None).unwrap();
    let real = exchange(full());
    journal.step(1, StepEvent::Undone, None).unwrap_err();
    exchange(real);
    journal.note("the end").unwrap();
    let run = replay(journal.path()).unwrap();
    assert_eq!((run.state(1), run.entries.len()), (StepState::Undone, 5));
}

#[test]
fn the_place_follows_the_documented_order() {
    let with = |set: &[(&str, &str)]| {
        let set: Vec<(String, String)> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        runs_directory_from(move |name| set.iter().find(|(k, _)| k == name).map(|(_, v)| PathBuf::from(v)))
    };
    let all = [("HOME", "/h"), ("XDG_STATE_HOME", "/x"), ("JAILFERRY_STATE", "/j")];
    assert_eq!(with(&all).unwrap(), Path::new("/j/runs"));
    assert_eq!(with(&all[..2]).unwrap(), Path::new("/x/jailferry/runs"));
    assert_eq!(with(&[all[0], ("XDG_STATE_HOME", "relative")]).unwrap(), Path::new("/h/.local/state/jailferry/runs"));
    assert!(matches!(with(&[]), Err(JournalError::NoPlace)));
    assert!(matches!(with(&[all[0], ("JAILFERRY_STATE", "./here")]), Err(JournalError::Relative(_))));
    assert_eq!(with(&[all[0], ("JAILFERRY_STATE", "")]).unwrap(), Path::new("/h/.local/state/jailferry/runs"));
}
