//! The lab's own verbs: `lab up`, `lab down` ….

/// Runs a verb.
pub fn run(args: &[String]) -> i32 {
    match args.first().map(String::as_str) {
        Some(verb) => {
            eprintln!("lab: unknown verb {verb}");
            64
        }
        None => {
            eprintln!("usage: lab up|down|status|shell|client|reboot|fault|log|watch|as …");
            64
        }
    }
}
