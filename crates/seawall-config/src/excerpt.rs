//! Excerpts of text from a file that are safe to print: short, on one line, with nothing that moves a cursor.
//!
//! A terminal obeys control characters and a reader is deceived by invisible ones, so both are escaped.

/// The longest excerpt, in characters.
const ROOM: usize = 60;

/// Quotes a value for a message, in at most 60 characters.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", bounded(text, ROOM - 2))
}

/// Shortens a key or a word to at most 60 characters, as it goes between backticks or into a path.
pub fn word(text: &str) -> String {
    bounded(text, ROOM)
}

/// Lists words with commas between them; beyond 40 it says only how many more there are.
pub fn listed<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    const MOST: usize = 40;
    let mut words = words.into_iter();
    let shown: Vec<String> = words.by_ref().take(MOST).map(|w| word(w.as_ref())).collect();
    let rest = words.count();
    let list = shown.join(", ");
    if rest == 0 { list } else { format!("{list} and {rest} more") }
}

fn bounded(text: &str, room: usize) -> String {
    let mut shown = String::new();
    let mut length = 0;
    for (at, c) in text.char_indices() {
        let last = at + c.len_utf8() == text.len();
        let escaped: String = match c {
            '\'' => c.to_string(),
            _ => c.escape_debug().collect(),
        };
        let width = escaped.chars().count();
        // One place is kept for the mark, unless this is the end.
        if length + width + usize::from(!last) > room {
            shown.push('…');
            break;
        }
        shown.push_str(&escaped);
        length += width;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_bounded_and_escaped() {
        for (text, expected) in [
            ("plain", "\"plain\""),
            ("it's", "\"it's\""),
            ("say \"hi\"", r#""say \"hi\"""#),
            ("a\nb\x1b[2J", r#""a\nb\u{1b}[2J""#),
            ("\u{202e}evil", r#""\u{202e}evil""#),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn length_is_at_most_sixty() {
        for length in [1, 57, 58, 59, 60, 61, 5_000_000] {
            let shown = quoted(&"é".repeat(length));
            assert!(shown.chars().count() <= 60, "{length}: {}", shown.chars().count());
            assert_eq!(shown.contains('…'), length > 58, "{length}");
        }
        assert!(quoted(&"\0".repeat(100)).chars().count() <= 60);
    }

    #[test]
    fn long_lists_are_cut() {
        let words: Vec<String> = (0..42).map(|i| format!("w{i}")).collect();
        assert!(listed(&words).ends_with(", w39 and 2 more"));
        assert_eq!(listed(["a", "b"]), "a, b");
    }
}
