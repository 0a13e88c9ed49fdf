//! Text from hosts made harmless for a terminal: no escape sequence, no control character, no endless line.
//!
//! What a host says is somebody else's text (design promise 8): a jail's name on the far side, an error message or a
//! motd must not be able to move the cursor, set a title or hide a line.

/// The longest line shown; the rest is cut, and the cut is said.
const LONGEST_LINE: usize = 2000;

/// One line: everything that is not printable becomes visible (`\n`, `\x1b`, `\u{202e}`).
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST_LINE));
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST_LINE {
            out.push_str(" [cut]");
            break;
        }
        if is_harmless(c) { out.push(c) } else { out.extend(c.escape_default()) }
    }
    out
}

/// Several lines: line ends are kept (`\r\n` counts as one), tabs become blanks, all else as in [`line()`].
#[must_use]
pub fn block(text: &str) -> String {
    text.lines().map(|l| line(&l.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

/// The last `count` lines of a program's output, as [`block`] shows them; bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn tail(bytes: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    block(&lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n"))
}

/// Printable, and unable to reorder or hide its neighbours (Unicode's bidirectional and invisible format characters).
pub(crate) fn is_harmless(c: char) -> bool {
    let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{061c}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !hides
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(line("\x1b]0;owned\x07big"), r"\u{1b}]0;owned\u{7}big");
        assert_eq!(line("a\nb\r"), r"a\nb\r");
        assert_eq!(line("x\u{202e}y"), r"x\u{202e}y");
        assert_eq!(line("größe 日本"), "größe 日本");
    }

    #[test]
    fn blocks_keep_their_lines() {
        assert_eq!(block("a\tb\r\nc\x1b[2J"), "a    b\nc\\u{1b}[2J");
        assert_eq!(tail(b"1\n2\n\n3\n", 2), "2\n3");
        assert_eq!(tail(b"\xff\xfe", 2), "\u{fffd}\u{fffd}");
        assert_eq!(tail(b"", 2), "");
    }

    #[test]
    fn a_megabyte_line_is_cut() {
        let shown = line(&"x".repeat(1 << 20));
        assert!(shown.ends_with(" [cut]") && shown.len() < 2100);
    }

    proptest! {
        #[test]
        fn nothing_shown_controls_a_terminal(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let shown = tail(&bytes, 1000);
            prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
