//! What came of all cases: rows for programs, a table for people.

use std::collections::BTreeMap;
use std::fs;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::matrix::Case;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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

impl Row {
    /// Which case it is. Not by the step's title, which may name the run.
    fn key(&self) -> (usize, usize, &str, &str, &str) {
        (self.step, self.steps, &self.phase, &self.fault, &self.then)
    }

    /// Did it end as it should?
    pub fn is_good(&self) -> bool {
        matches!(self.ending, Ending::Survived | Ending::Recovered)
    }

    /// Did this come of that case?
    pub fn is_of(&self, case: &Case) -> bool {
        let (step, fault, then) = (case.step(), case.fault.to_string(), case.then.to_string());
        self.key() == (step.number, case.steps.len(), step.phase.as_str(), fault.as_str(), then.as_str())
    }
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

/// The rows, a JSON object a line as soon as its case is over, so that what interrupts hours of cases loses none of them.
pub struct Rows {
    path: PathBuf,
}

impl Rows {
    /// target/faults.jsonl for the whole matrix, faults-some.jsonl for a part of it, so that `make test` does not take away
    /// what hours have brought; or where JAILFERRY_FAULTS_ROWS says.
    pub fn file(whole: bool) -> Rows {
        let name = if whole { "faults.jsonl" } else { "faults-some.jsonl" };
        let path = std::env::var("JAILFERRY_FAULTS_ROWS").map(PathBuf::from).unwrap_or_else(|_| {
            let target = Path::new(env!("CARGO_BIN_EXE_jailferry")).parent().and_then(Path::parent);
            target.expect("target/PROFILE").join(name)
        });
        Rows { path }
    }

    /// Forgets those of earlier runs.
    pub fn begin(&self) {
        fs::write(&self.path, "").unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
    }

    /// Rows of another build prove nothing of this one.
    #[track_caller]
    pub fn of_this_build(&self) {
        let changed = |path: &Path| fs::metadata(path).and_then(|about| about.modified());
        let built = changed(Path::new(env!("CARGO_BIN_EXE_jailferry"))).expect("jailferry is built");
        if let Ok(written) = changed(&self.path) {
            assert!(built <= written, "{} is of an earlier build: make faults", self.path.display());
        }
    }

    /// Writes one down.
    pub fn add(&self, row: &Row) {
        let line = serde_json::to_string(row).expect("a row is JSON") + "\n";
        let file = OpenOptions::new().append(true).create(true).open(&self.path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
    }

    /// Those that are written down, in the order of the plan. A line that an interrupted run did not end is not a row.
    pub fn read(&self) -> Vec<Row> {
        let text = fs::read_to_string(&self.path).or_else(|e| match e.kind() {
            ErrorKind::NotFound => Ok(String::new()),
            _ => Err(e),
        });
        let text = text.unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let row = |line: &str| -> Row {
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()))
        };
        let mut rows: Vec<Row> = Vec::new();
        for row in lines.map(row) {
            // Of a case that was carried out again the newest counts.
            rows.retain(|earlier| earlier.key() != row.key());
            rows.push(row);
        }
        rows.sort_by_key(|row| row.step);
        rows
    }
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
    for row in rows.iter().filter(|row| !row.is_good()) {
        let note: String = ends(&row.note).map(|line| format!("\n      {line:.WIDE$}")).collect();
        println!("\n{:?}: step {} ({}), {}, {}{note}", row.ending, row.step, row.title, row.fault, row.then);
    }
}

/// Characters of a line; those of a journal hold whole scripts.
const WIDE: usize = 300;

/// The first lines, which say what is wrong, and the last, which say where it came to.
fn ends(note: &str) -> impl Iterator<Item = &str> {
    const FIRST: usize = 6;
    const LAST: usize = 40;
    let left_out = FIRST..note.lines().count().saturating_sub(LAST);
    note.lines().enumerate().filter(move |(number, _)| !left_out.contains(number)).map(|(_, line)| line)
}

/// No promise was broken, and nobody had to look.
#[track_caller]
pub fn require(rows: &[Row]) {
    assert!(!rows.is_empty(), "no cases");
    let bad = rows.iter().filter(|row| !row.is_good());
    let bad: Vec<String> = bad.map(|row| format!("{}/{} ({:?})", row.step, row.fault, row.ending)).collect();
    assert!(bad.is_empty(), "{} of {} cases: {}", bad.len(), rows.len(), bad.join(" "));
}
