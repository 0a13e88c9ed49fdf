//! What came of all cases: rows for programs, a table for people.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The run itself came to a good end: moved, or all put back.
    Survived,
    /// One `jailferry recover` was needed, and enough.
    Recovered,
    /// `recover` says that a person has to look.
    Human,
    /// A promise was broken.
    Failed,
}

/// One case.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The step that was struck, the first if there are several.
    pub step: usize,
    /// How many steps were struck.
    pub steps: usize,
    pub phase: String,
    pub title: String,
    pub fault: String,
    pub then: String,
    pub ending: Ending,
    /// Exit codes: of the run, unless it was killed, and of each `recover`.
    pub exits: Vec<i32>,
    /// What the journal says in the end.
    pub outcome: String,
    pub seconds: f64,
    /// What was wrong.
    pub note: String,
}

/// One line, as soon as a case is over.
pub fn tell(row: &Row, done: usize, all: usize) {
    let Row { step, fault, ending, outcome, seconds, title, .. } = row;
    let first = row.note.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let _ = writeln!(
        std::io::stderr(),
        "[{done}/{all}] step {step} {fault}: {ending:?} {outcome} {:?} in {seconds:.0} s ({title}) {first}",
        row.exits
    );
}

/// The rows, a JSON object a line: target/faults.jsonl, or where JAILFERRY_FAULTS_ROWS says.
pub fn write(rows: &[Row]) {
    let path = std::env::var("JAILFERRY_FAULTS_ROWS").unwrap_or_else(|_| {
        let target = Path::new(env!("CARGO_BIN_EXE_jailferry")).parent().and_then(Path::parent);
        target.expect("target/PROFILE").join("faults.jsonl").display().to_string()
    });
    let lines: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).expect("a row is JSON")).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap_or_else(|e| panic!("{path}: {e}"));
    println!("rows: {path}");
}

/// By fault: cases, and how they ended. Then whatever needs somebody to look.
pub fn print(rows: &[Row]) {
    let mut faults: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    for row in rows {
        for name in [format!("{}, {}", row.fault, row.then), "~all".to_owned()] {
            faults.entry(name).or_default()[row.ending as usize] += row.steps;
        }
    }
    println!(
        "\n{:32} {:>6} {:>9} {:>10} {:>6} {:>7}",
        "fault, then", "cases", "survived", "recovered", "human", "broken"
    );
    for (name, count) in &faults {
        let [survived, recovered, human, failed] = count;
        let all: usize = count.iter().sum();
        println!("{:32} {all:>6} {survived:>9} {recovered:>10} {human:>6} {failed:>7}", name.trim_start_matches('~'));
    }
    for row in rows.iter().filter(|row| matches!(row.ending, Ending::Human | Ending::Failed)) {
        let note: String = row.note.lines().take(12).map(|line| format!("\n      {line}")).collect();
        println!("\n{:?}: step {} ({}), {}, {}{note}", row.ending, row.step, row.title, row.fault, row.then);
    }
}

/// No promise was broken, and nobody had to look.
#[track_caller]
pub fn require(rows: &[Row]) {
    assert!(!rows.is_empty(), "no cases");
    let bad = rows.iter().filter(|row| matches!(row.ending, Ending::Human | Ending::Failed));
    let bad: Vec<String> = bad.map(|row| format!("{}/{} ({:?})", row.step, row.fault, row.ending)).collect();
    assert!(bad.is_empty(), "{} of {} cases: {}", bad.len(), rows.len(), bad.join(" "));
}
