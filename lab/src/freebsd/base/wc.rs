//! wc(1): every number in a column of seven behind a blank, also the only one, so that `[ "$(wc -l <f)" = 3 ]` fails here as it does on FreeBSD (recording
//! `wg-syncconf-nokey`).

use std::io::Read;

#[derive(Clone, Copy, Default)]
struct Counts {
    lines: usize,
    words: usize,
    bytes: usize,
    characters: usize,
    longest: usize,
}

/// Runs it on checked arguments.
pub fn run(args: &[String]) -> i32 {
    let mut wanted = String::new();
    let mut files = args;
    while let [first, rest @ ..] = files {
        let Some(letters) = first.strip_prefix('-').filter(|letters| !letters.is_empty()) else { break };
        files = rest;
        if first == "--" {
            break;
        }
        wanted += letters;
    }
    if wanted.is_empty() {
        wanted = "lwc".into();
    }
    let (mut total, mut status) = (Counts::default(), 0);
    for file in files {
        match std::fs::read(file) {
            Ok(bytes) => {
                let counts = count(&bytes);
                print(&wanted, counts, Some(file));
                total.lines += counts.lines;
                total.words += counts.words;
                total.bytes += counts.bytes;
                total.characters += counts.characters;
                total.longest = total.longest.max(counts.longest);
            }
            Err(error) => {
                eprintln!("wc: {file}: open: {}", super::reason(&error));
                status = 1;
            }
        }
    }
    if files.len() > 1 {
        print(&wanted, total, Some("total"));
    }
    if files.is_empty() {
        let mut bytes = Vec::new();
        if let Err(error) = std::io::stdin().lock().read_to_end(&mut bytes) {
            eprintln!("wc: stdin: read: {}", super::reason(&error));
            return 1;
        }
        print(&wanted, count(&bytes), None);
    }
    status
}

fn count(bytes: &[u8]) -> Counts {
    let lines = || bytes.split(|byte| *byte == b'\n');
    Counts {
        lines: bytes.iter().filter(|byte| **byte == b'\n').count(),
        words: bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count(),
        bytes: bytes.len(),
        characters: String::from_utf8_lossy(bytes).chars().count(),
        longest: lines().map(<[u8]>::len).max().unwrap_or(0),
    }
}

fn print(wanted: &str, counts: Counts, name: Option<&str>) {
    let mut line = String::new();
    for (letter, number) in
        [('l', counts.lines), ('w', counts.words), ('m', counts.characters), ('c', counts.bytes), ('L', counts.longest)]
    {
        if wanted.contains(letter) {
            line += &format!(" {number:>7}");
        }
    }
    println!("{line}{}", name.map(|name| format!(" {name}")).unwrap_or_default());
}
