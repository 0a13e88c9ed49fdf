//! Reads `fixtures/freebsd-13.2/`: what a real FreeBSD 13.2 answered, one file a question.

use std::path::Path;

/// Standard output of a recording.
pub(crate) fn stdout(name: &str) -> String {
    section(&text(name), "--- stdout\n", "--- stderr")
}

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/freebsd-13.2").join(format!("{name}.txt"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn section(text: &str, from: &str, to: &str) -> String {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from:?} in a recording"));
    let (section, _) = rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} in a recording"));
    section.to_owned()
}
