//! Rust source as words and signs, without comments and literals, so that a rule about code does
//! not find what a comment or a string says.

/// A word or a sign; `::` is one sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

impl Token<'_> {
    pub(super) fn is_word(&self) -> bool {
        self.text.bytes().next().is_some_and(in_word)
    }
}

/// Splits source that the compiler accepts; what it does not accept yields some tokens or others.
pub(super) fn read(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let rest = &text[at..];
        let skipped = skipped(rest);
        let length = if skipped > 0 { skipped } else { token(rest) };
        let piece = &rest[..length];
        if skipped == 0 {
            tokens.push(Token { text: piece, line });
        }
        line += piece.matches('\n').count();
        at += length;
    }
    tokens
}

/// The length of the white space, comment or literal that the text starts with, or 0.
fn skipped(text: &str) -> usize {
    let to_end = |found: Option<usize>| found.unwrap_or(text.len());
    if text.starts_with("//") {
        return to_end(text.find('\n'));
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if text.starts_with('"') {
        return closed_by(text, 1, b'"');
    }
    if text.starts_with('\'') {
        return character(text);
    }
    if text.starts_with(['r', 'b', 'c']) {
        return raw_string(text);
    }
    to_end(text.find(|c: char| !c.is_whitespace()))
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 {
        let opens = text[at..].find("/*").map_or(text.len(), |found| at + found);
        let closes = text[at..].find("*/").map_or(text.len(), |found| at + found);
        if opens == closes {
            return text.len();
        }
        depth = if opens < closes { depth + 1 } else { depth - 1 };
        at = opens.min(closes) + 2;
    }
    at
}

/// The length of a literal with escapes, whose inside begins at `at`.
fn closed_by(text: &str, mut at: usize, quote: u8) -> usize {
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A character; a lifetime is none, and only its tick is skipped.
fn character(text: &str) -> usize {
    let mut inside = text[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => closed_by(text, 1, b'\''),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 1,
    }
}

/// `r"…"` and `br##"…"##`; a raw name, `r#match`, is none.
fn raw_string(text: &str) -> usize {
    let prefix = ["r", "br", "cr"].iter().find(|prefix| {
        text.strip_prefix(**prefix)
            .is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    });
    let Some(prefix) = prefix else { return 0 };
    let quoted = &text[prefix.len()..];
    let hashes = quoted.len() - quoted.trim_start_matches('#').len();
    let inside = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[inside..].find(&end).map_or(text.len(), |found| inside + found + end.len())
}

fn token(text: &str) -> usize {
    if text.starts_with("::") {
        return 2;
    }
    let word = text.bytes().take_while(|byte| in_word(*byte)).count();
    if word > 0 { word } else { text.chars().next().map_or(0, char::len_utf8) }
}

fn in_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        read(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_and_signs() {
        assert_eq!(texts("a::b{c,d_1}!"), ["a", "::", "b", "{", "c", ",", "d_1", "}", "!"]);
        assert_eq!(texts("größe + r#match"), ["größe", "+", "r", "#", "match"]);
    }

    #[test]
    fn comments_are_skipped() {
        assert_eq!(texts("a // b\n/// c\nd"), ["a", "d"]);
        assert_eq!(texts("a /* b /* c */ d */ e"), ["a", "e"]);
        assert_eq!(texts("a /* never closed"), ["a"]);
    }

    #[test]
    fn literals_are_skipped() {
        assert_eq!(texts(r#"a "b \" c" d"#), ["a", "d"]);
        assert_eq!(texts("a r##\"b \"# c\"## d br\"e\\\" f"), ["a", "d", "f"]);
        assert_eq!(texts(r"'a' '\'' 'é' '\u{1f}' b'x' z"), ["b", "z"]);
        assert_eq!(texts("\"// no comment\" a"), ["a"]);
    }

    #[test]
    fn lifetimes_are_no_characters() {
        assert_eq!(texts("&'a str, 'b: loop"), ["&", "a", "str", ",", "b", ":", "loop"]);
    }

    #[test]
    fn lines_are_counted_across_what_is_skipped() {
        let lines: Vec<_> = read("a\n\"b\nc\"\n/*\n*/ d").into_iter().map(|t| t.line).collect();
        assert_eq!(lines, [1, 5]);
    }
}
