//! rc.conf(5) as text: assignments, read with the shell's simplest rules and changed line by line.

/// One assignment in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Its value, with variables put in.
    pub value: String,
}

/// The name that a line assigns to, and the raw text after `=`.
fn split(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.trim_start().split_once('=')?;
    let mut chars = name.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    good.then_some((name, rest))
}

/// Reads the assignments of a file in order; `known` looks up variables set earlier.
pub fn read(text: &str, known: &mut Vec<Assignment>) {
    for line in text.lines() {
        if let Some((name, rest)) = split(line) {
            let value = value(rest, known);
            match known.iter_mut().find(|a| a.name == name) {
                Some(assignment) => assignment.value = value,
                None => known.push(Assignment { name: name.into(), value }),
            }
        }
    }
}

fn value(raw: &str, known: &[Assignment]) -> String {
    let mut out = String::new();
    let mut chars = raw.chars().peekable();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() || c == ';' || c == '#' => break,
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => out.push(c),
            (_, '\\') => out.extend(chars.next()),
            (_, '$') => {
                let braced = chars.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                if braced {
                    chars.next_if_eq(&'}');
                }
                if let Some(found) = known.iter().find(|a| a.name == name) {
                    out.push_str(&found.value);
                }
            }
            (_, c) => out.push(c),
        }
    }
    out
}

/// Does the file assign `name`?
pub fn mentions(text: &str, name: &str) -> bool {
    text.lines().any(|line| split(line).is_some_and(|(known, _)| known == name))
}

/// The file with `name` set: the last assignment replaced in its place, or a new last line.
pub fn set(text: &str, name: &str, value: &str) -> String {
    let escaped: String =
        value.chars().flat_map(|c| if matches!(c, '"' | '\\' | '`') { vec!['\\', c] } else { vec![c] }).collect();
    let new = format!("{name}=\"{escaped}\"");
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    match lines.iter().rposition(|line| split(line).is_some_and(|(known, _)| known == name)) {
        Some(at) => lines[at] = new,
        None => lines.push(new),
    }
    lines.join("\n") + "\n"
}

/// The file without `name`.
pub fn unset(text: &str, name: &str) -> String {
    text.lines()
        .filter(|line| split(line).is_none_or(|(known, _)| known != name))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quotes_variables_and_comments() {
        let mut known = Vec::new();
        read("a=\"x y\" # c\nb='$a'\nc=\"$a ${a}z\"\nif=1\n  d=4;\n#e=5\n", &mut known);
        let get = |name: &str| known.iter().find(|a| a.name == name).map(|a| a.value.as_str());
        assert_eq!(get("a"), Some("x y"));
        assert_eq!(get("b"), Some("$a"));
        assert_eq!(get("c"), Some("x y x yz"));
        assert_eq!(get("d"), Some("4"));
        assert_eq!(get("e"), None);
    }

    #[test]
    fn changes_in_place_and_takes_away() {
        let text = "# top\na=\"1\"\nb=\"2\"\n";
        assert_eq!(set(text, "a", "9"), "# top\na=\"9\"\nb=\"2\"\n");
        assert_eq!(set(text, "c", "x"), "# top\na=\"1\"\nb=\"2\"\nc=\"x\"\n");
        assert_eq!(unset(text, "a"), "# top\nb=\"2\"\n");
        assert!(mentions(text, "b") && !mentions(text, "c"));
    }
}
