//! Words that may not stay in the code: left-over debugging, open ends, tests that nobody runs.

use super::files_below;

/// Each is written in two parts, so that this file does not find itself.
const WORDS: &[[&str; 2]] =
    &[["dbg", "!("], ["todo", "!("], ["unimplemented", "!("], ["FIX", "ME"], ["TO", "DO"], ["#[ig", "nore"]];

#[test]
fn no_forbidden_word_stays() {
    let mut offences = Vec::new();
    for folder in ["src", "lab", "tests", "scripts", "playbooks", "docs"] {
        for path in files_below(folder).iter().filter(|p| !p.ends_with(".snap")) {
            // Some fixtures of tests are not text.
            let Ok(text) = std::fs::read_to_string(super::root().join(path)) else { continue };
            for (index, line) in text.lines().enumerate() {
                let is_three_x = line.split(|c: char| !c.is_alphanumeric()).any(|word| word == ["X", "XX"].concat());
                // Measurements are called by hand and say so; a test that is not run is none.
                if line.contains("a measurement, not a test") {
                    continue;
                }
                if is_three_x || WORDS.iter().any(|word| line.contains(&word.concat())) {
                    offences.push(format!("{path}:{}: {}", index + 1, line.trim()));
                }
            }
        }
    }
    assert!(offences.is_empty(), "forbidden words:\n{}", offences.join("\n"));
}
