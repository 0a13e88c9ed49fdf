//! Quoting for /bin/sh, done once and in one place.

/// One word for a POSIX shell: quoted only when it has to be, so that plans stay readable.
///
/// A NUL byte cannot be part of any command; it is dropped here, and validated names never hold one.
#[must_use]
pub fn word(text: &str) -> String {
    let clean: String = text.chars().filter(|c| *c != '\0').collect();
    if !clean.is_empty() && clean.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.,:/@%+=-".contains(&b)) {
        return clean;
    }
    format!("'{}'", clean.replace('\'', r"'\''"))
}

/// The words of a command as one line.
#[must_use]
pub fn line<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|w| word(w.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_words_stay_plain() {
        assert_eq!(line(&["zfs", "send", "-i", "@a", "zroot/web@b"]), "zfs send -i @a zroot/web@b");
        assert_eq!(line(&["sysrc", "jail_list= web db"]), "sysrc 'jail_list= web db'");
        assert_eq!(word(""), "''");
        assert_eq!(word("it's"), r"'it'\''s'");
    }

    proptest! {
        #[test]
        fn a_posix_shell_reads_back_what_went_in(words in proptest::collection::vec("[^\0]{0,20}", 1..5)) {
            prop_assert_eq!(shlex::split(&line(&words)), Some(words));
        }
    }
}
