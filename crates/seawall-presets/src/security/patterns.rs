//! Content that has no business in a configuration: what a browser, a shell, a template or an interpreter would
//! act on.

use regex_lite::Regex;
use std::sync::LazyLock;

/// Patterns of content that keys and texts must not hold.
const CONTENT: &[(&str, &str)] = &[
    ("a script tag", r"<\s*/?\s*script"),
    ("markup", r"<[a-z/!?]"),
    ("a `javascript:` address", r"javascript\s*:"),
    ("a `data:` address", r"\bdata\s*:"),
    ("a `vbscript:` address", r"vbscript\s*:"),
    ("an event handler", r"\bon\w+\s*="),
    ("a step to the folder above", r"\.\.[/\\]"),
    ("a template tag", r"<%|\{%|\{\{"),
    ("a `${…}` placeholder", r"\$\{"),
    ("a call of `eval`", r"\beval\s*\("),
    ("a call of `exec`", r"\bexec\s*\("),
    ("an `import`", r"\bimport\s"),
    ("a call of `require`", r"\brequire\s*\("),
    ("a dunder name", r"__\w+__"),
];

/// Escapes that the text must not hold before it is parsed.
const ESCAPES: &[(&str, &str)] =
    &[("an escape `\\x..`", r"\\x[0-9a-f]{2}"), ("an escape `\\u....`", r"\\u[0-9a-f]{4}")];

type Compiled = Vec<(&'static str, Regex)>;

static CONTENT_FOUND: LazyLock<Compiled> = LazyLock::new(|| compiled(CONTENT));
static ESCAPES_FOUND: LazyLock<Compiled> = LazyLock::new(|| compiled(ESCAPES));

/// A pattern that does not compile would be missing; a test counts them.
fn compiled(patterns: &[(&'static str, &str)]) -> Compiled {
    let each = |(what, pattern): &(&'static str, &str)| {
        Some((*what, Regex::new(&format!("(?i){pattern}")).ok()?))
    };
    patterns.iter().filter_map(each).collect()
}

/// The number of all patterns.
pub(super) fn count() -> usize {
    CONTENT_FOUND.len() + ESCAPES_FOUND.len()
}

/// The forbidden content that a key or a text holds, in words.
pub(super) fn content(text: &str) -> impl Iterator<Item = &'static str> {
    CONTENT_FOUND.iter().filter(|(_, pattern)| pattern.is_match(text)).map(|(what, _)| *what)
}

/// The first escape of each kind, with the byte it begins at.
pub(super) fn escapes(text: &str) -> impl Iterator<Item = (&'static str, usize)> {
    ESCAPES_FOUND.iter().filter_map(|(what, pattern)| Some((*what, pattern.find(text)?.start())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_compile() {
        assert_eq!(count(), CONTENT.len() + ESCAPES.len());
    }
}
