//! Rules for comments: they use the terms of the field, and documentation says something by itself.

/// Phrases that a newcomer cannot look up, each with what to write instead.
const TERMS: &[(&str, &str)] = &[
    ("anew", "again, or from the start"),
    ("heeds", "observes"),
    ("long way", "slow path"),
    ("naked", "direct, or outside a pipeline"),
    ("nobody is told", "no event is emitted, or no error is returned"),
    ("short way", "fast path"),
];

/// Openings that make a line a question, or a reference to its neighbour.
const OPENINGS: &[&str] = &[
    "how", "nothing", "the same", "what", "when", "where", "which", "who", "whom", "whose", "why",
];

/// The fewest words with which documentation that opens like this can say something.
const FEWEST: usize = 5;

/// Finds the private phrases of all comments, and documentation that only asks.
pub(super) fn findings(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((_, comment)) = line.split_once("//") else { continue };
        let comment = comment.to_lowercase();
        for (phrase, term) in TERMS.iter().filter(|(phrase, _)| names(&comment, phrase)) {
            found.push((at + 1, format!("`{phrase}` in a comment: write {term}")));
        }
        let Some((kind, documentation)) = documentation(line) else { continue };
        let goes_on = |line: Option<&&str>| line.is_some_and(|line| line.starts_with(kind));
        let alone = !goes_on(lines.get(at + 1)) && !goes_on(lines[..at].last());
        if alone && is_riddle(documentation) {
            found.push((at + 1, "a riddle for documentation: say it in a sentence".to_owned()));
        }
    }
    found
}

/// Splits a line of documentation into its marker and its text.
fn documentation(line: &str) -> Option<(&str, &str)> {
    ["///", "//!"].iter().find_map(|kind| Some((*kind, line.strip_prefix(kind)?.trim())))
}

fn is_riddle(documentation: &str) -> bool {
    let text = documentation.to_lowercase();
    let opens = |opening: &&str| {
        text.strip_prefix(opening).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    text.split_whitespace().count() < FEWEST && OPENINGS.iter().any(opens)
}

/// Whether the phrase stands in the text as whole words.
fn names(text: &str, phrase: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(phrase).any(|(at, _)| {
        !is_word(text[..at].chars().next_back())
            && !is_word(text[at + phrase.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn riddles_are_found_and_sentences_are_not() {
        for bad in [
            "/// What.",
            "    /// Why it is so.",
            "//! The same, twice.",
            "//! A file.\n/// Nothing.",
        ] {
            assert_eq!(findings(bad).len(), 1, "{bad}");
        }
        for good in [
            "/// Whether it acts.",
            "/// When the circuit entered this state.",
            "/// Whatever.",
            "/// What it is\n/// made of.",
            "// What else?",
            "let what = 1;",
        ] {
            assert_eq!(findings(good), [], "{good}");
        }
    }

    #[test]
    fn private_phrases_are_found_in_comments_alone_and_as_whole_words() {
        for (phrase, term) in TERMS {
            let told = format!("`{phrase}` in a comment: write {term}");
            assert_eq!(findings(&format!("fn f() {{}}\n// Then {phrase}.")), [(2, told)]);
            assert_eq!(findings(&format!("let a = {phrase:?}; // x{phrase}y")), []);
        }
    }
}
