//! What earlier moves took, from both ends of their journals: whole journals hold every command and are long.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::JailName;
use crate::model::NodeName;
use crate::plan::forecast::PastMove;
use crate::saga::journal;
use crate::saga::record::Entry;
use crate::saga::record::FinishedRecord;
use crate::saga::record::Record;

/// Journals that are looked at, the youngest ones.
const MOST: usize = 60;

/// No first line is longer; a file that has one is not ours.
const LONGEST_HEADER: u64 = 64 << 20;

/// Where the end of a run is looked for; what `finalize` did stands behind it.
const TAIL: u64 = 1 << 20;

/// The first line without its plan.
#[derive(Deserialize)]
struct First {
    at: Timestamp,
    what: What,
}

#[derive(Deserialize)]
struct What {
    header: Ends,
}

#[derive(Deserialize)]
struct Ends {
    jail: JailName,
    from: NodeName,
    to: NodeName,
}

/// The moves that the journals of a folder have measured, the oldest first. It only informs: a journal that cannot be read,
/// a newer one, or a folder that is not there counts as none.
#[must_use]
pub fn moves(directory: &Path) -> Vec<PastMove> {
    let mut files: Vec<_> = journal::named(directory)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(_, path)| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    files.sort();
    let youngest = files.iter().rev().take(MOST);
    let mut moves: Vec<(Timestamp, PastMove)> = youngest.filter_map(|(_, path)| one(path)).collect();
    moves.sort_by_key(|(at, _)| *at);
    moves.into_iter().map(|(_, one)| one).collect()
}

fn one(path: &Path) -> Option<(Timestamp, PastMove)> {
    let mut file = File::open(path).ok()?;
    // The end first: most of what has none needs no look at its plan.
    let finished = finished(&mut file).ok()??;
    let (measured, blackout) = (finished.measured?, finished.blackout_milliseconds?);
    file.seek(SeekFrom::Start(0)).ok()?;
    let mut line = Vec::new();
    BufReader::new(file).take(LONGEST_HEADER).read_until(b'\n', &mut line).ok()?;
    let First { at, what: What { header } } = serde_json::from_slice(&line).ok()?;
    let past = PastMove {
        jail: header.jail,
        from: header.from,
        to: header.to,
        datasets: measured.datasets,
        blackout,
        terms: measured.terms,
        // How fast a limited copy went tells nothing of the next.
        copied: measured.rounds.first().copied().filter(|_| measured.rate_limit.is_none()).unwrap_or_default(),
    };
    (finished.outcome == "moved").then_some((at, past))
}

/// The last ending in a journal's last part.
fn finished(file: &mut File) -> io::Result<Option<FinishedRecord>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|b| *b == b'\n').unwrap_or_default();
    let lines = tail.get(..whole).unwrap_or_default().rsplit(|b| *b == b'\n');
    let ending = |line: &[u8]| match serde_json::from_slice::<Entry>(line).ok()?.what {
        Record::Finished(finished) => Some(finished),
        _ => None,
    };
    Ok(lines.filter(|line| line.windows(12).any(|w| w == b"{\"finished\":")).find_map(ending))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::plan::forecast::Term;

    fn write(folder: &TempDir, name: &str, lines: &[&str]) {
        std::fs::write(folder.path().join(name), lines.join("\n")).unwrap();
    }

    const HEADER: &str = r#"{"format":1,"at":"2026-11-27T02:00:01Z","what":{"header":{"run":"web-0000000a","jail":"web","from":"spare","to":"big","plan":{"steps":[]}}}}"#;
    const ENDING: &str = r#"{"at":"2026-11-27T02:00:09Z","what":{"finished":{"outcome":"moved","blackout_milliseconds":900,"measured":{"datasets":2,"terms":{"stop":100,"start":400},"rounds":[[1000,20],[5,1]]}}}}"#;
    const NOTE: &str = r#"{"at":"2026-11-27T02:00:10Z","what":{"note":{"text":"finalized, {\"finished\": nothing}"}}}"#;

    #[test]
    fn what_is_measured_is_found_behind_whatever_followed() {
        let folder = TempDir::new().unwrap();
        write(&folder, "web-0000000a.jsonl", &[HEADER, NOTE, ENDING, NOTE, "{\"torn"]);
        let found = moves(folder.path());
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((one.jail.as_str(), one.from.as_str(), one.to.as_str()), ("web", "spare", "big"));
        assert_eq!((one.datasets, one.blackout, one.copied, one.terms.get(Term::Start)), (2, 900, (1000, 20), 400));
    }

    #[test]
    fn what_tells_nothing_is_passed_over() {
        let folder = TempDir::new().unwrap();
        assert_eq!(moves(&folder.path().join("nowhere")), []);
        write(&folder, "web-0000000b.jsonl", &["\u{1}", "garbage", ENDING, ""]);
        write(&folder, "web-0000000c.jsonl", &[HEADER, &ENDING.replace("moved", "rolled-back"), ""]);
        write(&folder, "web-0000000d.jsonl", &[HEADER, NOTE, ""]);
        write(&folder, "web-0000000e.jsonl", &[]);
        write(&folder, "other.txt", &[HEADER, ENDING, ""]);
        // Written by a jailferry that measured nothing.
        write(
            &folder,
            "web-0000000f.jsonl",
            &[HEADER, r#"{"at":"2026-11-27T02:00:09Z","what":{"finished":{"outcome":"moved"}}}"#, ""],
        );
        assert_eq!(moves(folder.path()), []);
    }
}
