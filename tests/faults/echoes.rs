//! The sibling's answers to ping6(8), five a second, from the client: one process on either side, so it costs nothing
//! where many labs share a machine.

use std::fs;
use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::process::Stdio;

use crate::bench::wait_until;
use crate::lab::Lab;

/// Longer than any case.
const COUNT: &str = "9000";

/// A ping6(8) that runs.
pub struct Echoes<'a> {
    lab: &'a Lab,
    child: Child,
    path: PathBuf,
}

impl<'a> Echoes<'a> {
    /// Begins, and has an answer before anything happens.
    pub fn of(lab: &'a Lab, address: &str) -> Echoes<'a> {
        let path = lab.dir.join("echoes");
        let file = File::create(&path).expect("the lab's folder is writable");
        let ping = ["client", "--", "ping", "-6", "-n", "-i", "0.2", "-c", COUNT, address];
        let child = lab.command(&ping).stdin(Stdio::null()).stdout(file).spawn().expect("the lab's program runs");
        let echoes = Echoes { lab, child, path };
        echoes.answers();
        echoes
    }

    /// Waits for another answer.
    pub fn answers(&self) {
        let before = self.numbers().len();
        wait_until("the sibling answers ping6", || self.numbers().len() > before);
    }

    /// The most requests in a row that were never answered, up to the last answer. Late is not lost.
    pub fn lost_in_a_row(&self) -> usize {
        let mut numbers = self.numbers();
        numbers.sort_unstable();
        let gaps = numbers.windows(2).map(|pair| (pair[1] - pair[0]).saturating_sub(1));
        gaps.max().unwrap_or_default()
    }

    /// The sequence numbers of the answers.
    fn numbers(&self) -> Vec<usize> {
        let text = fs::read_to_string(&self.path).expect("what ping6 said can be read");
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let words = whole.filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("icmp_seq=")));
        words.map(|number| number.trim_end_matches(',').parse().expect("a number")).collect()
    }
}

impl Drop for Echoes<'_> {
    fn drop(&mut self) {
        // The child is who brought it into the host; it ends with it.
        self.lab.verb(&["client", "--", "pkill", "-f", "ping -6 -n -i 0.2"]);
        let _ = self.child.wait();
    }
}
