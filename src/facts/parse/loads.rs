//! [`Loads`] out of the answers to `loads.sh`.

use std::collections::BTreeMap;

use super::error::FactsError;
use super::error::line;
use super::frames::Frames;
use crate::facts::Loads;
use crate::facts::Use;

/// Reads a host's answer to [`crate::facts::questions::load_questions`].
///
/// # Errors
/// What is wrong with it.
pub fn parse_loads(answer: &[u8]) -> Result<Loads, FactsError> {
    let frames = Frames::parse(answer)?;
    let mut counted = BTreeMap::new();
    // A jail that has ended meanwhile, or for which the kernel does not count, is in the list of processes or nowhere.
    for frame in frames.all("rctl").filter(|f| f.status == 0) {
        if let Some(used) = counters(&frame.text()) {
            counted.insert(frame.subject.clone(), used);
        }
    }
    Ok(Loads { counted, summed: processes(&frames.get("ps")?.success()?.text())? })
}

/// `rctl -u`: one `resource=amount` a line. `pcpu` is in hundredths of one processor, `memoryuse` in bytes (rctl(8)).
fn counters(text: &str) -> Option<Use> {
    let of = |name: &str| {
        let found = text.lines().filter_map(|l| l.trim().split_once('=')).find(|(key, _)| *key == name);
        found.and_then(|(_, value)| value.parse::<u64>().ok())
    };
    Some(Use { cpu: of("pcpu")?.saturating_mul(10), memory: of("memoryuse")? })
}

/// `ps -o jid= -o pcpu= -o rss=`: three numbers a line, the last in KiB (ps(1)). The host's own have jid 0.
fn processes(text: &str) -> Result<BTreeMap<u32, Use>, FactsError> {
    let mut all: BTreeMap<u32, Use> = BTreeMap::new();
    for (index, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let odd = || line("ps", index, row, "not jid, share of a processor and memory");
        let words: Vec<&str> = row.split_whitespace().collect();
        let [jid, share, memory] = words.as_slice() else { return Err(odd()) };
        let jid: u32 = jid.parse().map_err(|_| odd())?;
        // One digit after the point (which some locales write as a comma): tenths of a hundredth.
        let (whole, tenth) = share.split_once(['.', ',']).unwrap_or((share, "0"));
        let number = |text: &str| text.parse::<u64>().map_err(|_| odd());
        let (whole, tenth) = (number(whole)?, number(tenth.get(..1).unwrap_or(tenth))?);
        let cpu = whole.saturating_mul(10).saturating_add(tenth);
        let memory = number(memory)?.saturating_mul(1024);
        let sum = all.entry(jid).or_default();
        *sum = Use { cpu: sum.cpu.saturating_add(cpu), memory: sum.memory.saturating_add(memory) };
    }
    all.remove(&0);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(label: &str, subject: &str, status: i32, output: &str) -> String {
        format!("{label} {status} {} {}\n{subject}{output}\n0\n\n", subject.len(), output.len())
    }

    fn read(frames: &[String]) -> Result<Loads, FactsError> {
        let end = frame("end", "", 0, "");
        parse_loads(format!("jailferry facts 1\n{}{end}", frames.concat()).as_bytes())
    }

    #[test]
    fn processes_are_summed_by_jail() {
        let ps = "  0  0.0     16\n  3 12.5   2048\n 3  0.1 1024\n 12 100.0 4\n";
        let loads = read(&[frame("ps", "", 0, ps)]).unwrap();
        assert_eq!(loads.of("web", 3), Use { cpu: 126, memory: 3 << 20 });
        assert_eq!(loads.of("db", 12), Use { cpu: 1000, memory: 4096 });
        assert_eq!(loads.of("gone", 9), Use::default());
        assert_eq!(loads.summed.len(), 2, "the host's own processes count for no jail");
    }

    /// The resources of rctl(8) in the order of the kernel's table.
    #[test]
    fn what_the_kernel_counts_comes_first() {
        let rctl = "cputime=42\ndatasize=0\nstacksize=0\ncoredumpsize=0\nmemoryuse=1073741824\nmemorylocked=0\nmaxproc=9\n\
            openfiles=0\nvmemoryuse=0\npseudoterminals=0\nswapuse=0\nnthr=9\nmsgqqueued=0\nmsgqsize=0\nnmsgq=0\nnsem=0\n\
            nsemop=0\nnshm=0\nshmsize=0\nwallclock=77\npcpu=150\nreadbps=0\nwritebps=0\nreadiops=0\nwriteiops=0\n";
        let frames =
            [frame("rctl", "web", 0, rctl), frame("rctl", "db", 1, ""), frame("ps", "", 0, "3 1.0 100\n4 2.0 100\n")];
        let loads = read(&frames).unwrap();
        assert_eq!(loads.of("web", 3), Use { cpu: 1500, memory: 1 << 30 });
        assert_eq!(loads.of("db", 4), Use { cpu: 20, memory: 102_400 }, "what it does not count for, ps tells");
    }

    #[test]
    fn anything_else_is_refused() {
        for ps in ["3 1.0\n", "x 1.0 5\n", "3 -1.0 5\n", "3 1.0 5 6\n", "JID %CPU RSS\n"] {
            assert!(read(&[frame("ps", "", 0, ps)]).is_err(), "{ps}");
        }
        assert!(read(&[frame("ps", "", 1, "")]).is_err());
        assert!(read(&[]).is_err());
    }
}
