//! Finds the known word that an unknown one was probably meant to be.
//!
//! Case, `-` and `_` do not count, since `maxAttempts` for `max_attempts` is the commonest slip of all.

/// The word of `known` that is nearest to `word`, if it is near enough for a suggestion: a few letters off, or cut short.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const LONGEST: usize = 64; // The distance costs the product of both lengths.
    const SHORTEST_START: usize = 3;
    if word.len() > LONGEST {
        return None;
    }
    let folded = fold(word);
    let length = folded.chars().count();
    let near = |candidate: &'k str| {
        let other = fold(candidate);
        let distance = strsim::osa_distance(&folded, &other);
        let slip = distance <= (length / 3).max(1) && distance < other.chars().count();
        let start = length >= SHORTEST_START && other.starts_with(&folded);
        (slip || start).then_some((distance, candidate))
    };
    let nearest = known.into_iter().filter_map(near).min_by_key(|(distance, _)| *distance);
    nearest.map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["timeout", "max_attempts", "rate", "a"];
        for (word, expected) in [
            ("timeot", Some("timeout")),
            ("tiemout", Some("timeout")),
            ("maxAttempts", Some("max_attempts")),
            ("max-attempt", Some("max_attempts")),
            ("rates", Some("rate")),
            ("max", Some("max_attempts")),
            ("ti", None),
            ("b", None),
            ("endpoint", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&"timeout".repeat(100_000), known), None);
    }
}
