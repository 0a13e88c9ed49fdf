//! What this program does inside the lab.

pub mod answer;
pub mod line;
pub mod probe;

/// Runs the verb, if it is one of those for the lab.
pub fn run(verb: &str, words: &[String]) -> bool {
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    match verb {
        "in-jail" => answer::begin(),
        "in-jail-for-ever" => answer::serve(),
        "on-client" => probe::ask(word(0)),
        "slow-line" => line::relay(word(0), word(1)),
        _ => return false,
    }
    true
}
