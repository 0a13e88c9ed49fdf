//! Figures of several repetitions, and lines of a table.

use std::fs;
use std::time::Duration;

/// So many repetitions, or as many as JAILFERRY_BENCH_REPETITIONS says: an even number, so that a jail comes home again.
pub fn repetitions(usual: usize) -> usize {
    let said = std::env::var("JAILFERRY_BENCH_REPETITIONS").ok().and_then(|n| n.parse::<usize>().ok());
    said.map_or(usual, |n| n.max(1).next_multiple_of(2))
}

/// Repeated measurements of one thing.
#[derive(Debug, Default, Clone)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// One more, in whatever unit.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// One more, in milliseconds.
    pub fn took(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1000.0);
    }

    /// The one in the middle.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match (self.0.len() % 2, self.0.get(middle)) {
            (0, Some(upper)) => self.0.get(middle - 1).map_or(*upper, |lower| (lower + upper) / 2.0),
            (_, Some(one)) => *one,
            (_, None) => f64::NAN,
        }
    }

    /// `median (least to most)`.
    pub fn told(&self, unit: &str) -> String {
        let (least, most) = (self.0.first().unwrap_or(&f64::NAN), self.0.last().unwrap_or(&f64::NAN));
        format!("{:.0} {unit} ({least:.0} to {most:.0})", self.median())
    }
}

/// A title and what was wanted.
pub fn title(what: &str, wanted: &str, repetitions: usize) {
    println!("\n## {what}\n\n{wanted} Medians of {repetitions}, measured in turns (least to most).\n");
}

/// A row.
pub fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

/// The row of titles and the line below it.
pub fn head(cells: &[&str]) {
    row(cells);
    row(&vec!["---"; cells.len()]);
}

/// What it runs on, and how much else runs there.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("").trim_start_matches(['\t', ':', ' ']);
    let load = read("/proc/loadavg");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{processors} processors ({model}), Linux {}, load {} at the beginning",
        kernel.trim(),
        load.split_whitespace().next().unwrap_or("unknown")
    )
}
