//! How long `jailferry --help` takes.

use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use crate::table::Figures;
use crate::table::head;
use crate::table::row;
use crate::table::title;

const REPETITIONS: usize = 50;

pub fn measure() {
    let mut figures = [(); 2].map(|()| Figures::default());
    for _ in 0..REPETITIONS {
        for (program, figures) in [env!("CARGO_BIN_EXE_jailferry"), "/bin/true"].iter().zip(&mut figures) {
            let started = Instant::now();
            let mut command = Command::new(program);
            let status = command.arg("--help").stdin(Stdio::null()).stdout(Stdio::null()).status().expect("it runs");
            figures.took(started.elapsed());
            assert!(status.success(), "{program}");
        }
    }
    title("Start-up", "`jailferry --help` within 10 ms.", REPETITIONS);
    head(&["program", "took"]);
    let [ours, least] = &figures;
    row(&["jailferry --help", &format!("{:.1} ms", ours.median())]);
    row(&["/bin/true --help, what starting any program costs here", &format!("{:.1} ms", least.median())]);
}
