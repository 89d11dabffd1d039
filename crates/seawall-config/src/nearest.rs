//! The known word that an unknown one was probably meant to be.
//!
//! Case, `-` and `_` do not count, since `maxAttempts` for `max_attempts` is the commonest slip of all.

/// The nearest of `known`, if it is near enough that naming it helps.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const LONGEST: usize = 64; // The distance costs the product of both lengths.
    if word.len() > LONGEST {
        return None;
    }
    let folded = fold(word);
    let allowed = (folded.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
            ("b", None),
            ("endpoint", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&"timeout".repeat(100_000), known), None);
    }
}
