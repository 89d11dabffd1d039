//! Recommends a preset for an environment by its name.

use schemars::JsonSchema;
use seawall::Catalog;
use seawall_config::excerpt;
use serde::Serialize;

/// A recommended preset, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Recommendation {
    /// The environment, as it was understood.
    pub environment_detected: String,
    /// The name of the preset for it.
    pub recommended_preset: String,
    /// How sure the recommendation is, from 0 to 1.
    pub confidence: f64,
    /// The reason why this preset fits.
    pub reasoning: String,
}

/// The name of an environment that is known.
pub(crate) struct Word {
    pub(crate) word: &'static str,
    pub(crate) environment: &'static str,
    confidence: f64,
    because: &'static str,
}

const fn word(
    word: &'static str,
    environment: &'static str,
    confidence: f64,
    because: &'static str,
) -> Word {
    Word { word, environment, confidence, because }
}

const WORDS: [Word; 9] = [
    word("development", "development", 0.95, "the name says so"),
    word("dev", "development", 0.90, "it is short for development"),
    word("testing", "testing", 0.85, "tests should fail fast, as in development"),
    word("test", "testing", 0.85, "tests should fail fast, as in development"),
    word("staging", "staging", 0.90, "staging should behave as production does"),
    word("stage", "staging", 0.85, "staging should behave as production does"),
    word("production", "production", 0.95, "the name says so"),
    word("prod", "production", 0.90, "it is short for production"),
    word("live", "production", 0.85, "what is live is production"),
];

/// Parts of names that hint at an environment.
pub(crate) struct Family {
    pub(crate) environment: &'static str,
    parts: &'static [&'static str],
    confidence: f64,
}

/// The families in the order in which they are tried: `integration-test` is like staging.
const FAMILIES: [Family; 3] = [
    Family {
        environment: "staging",
        parts: &["stag", "pre-prod", "preprod", "uat", "integration"],
        confidence: 0.70,
    },
    Family {
        environment: "development",
        parts: &["dev", "local", "test", "sandbox", "demo"],
        confidence: 0.75,
    },
    Family {
        environment: "production",
        parts: &["prod", "live", "release", "stable", "main", "master"],
        confidence: 0.75,
    },
];

/// The preset of an environment that is known.
pub(crate) fn preset_of(environment: &str) -> &'static str {
    match environment {
        "development" | "testing" => "development",
        "staging" | "production" => "production",
        _ => "simple",
    }
}

/// A name without surrounding space and in lower case: neither counts.
pub(crate) fn normalized(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The known word that a name is.
pub(crate) fn known_word(name: &str) -> Option<&'static Word> {
    let name = normalized(name);
    WORDS.iter().find(|known| known.word == name)
}

/// The first family that a name belongs to, and the part that says so.
pub(crate) fn family(name: &str) -> Option<(&'static Family, &'static str)> {
    let name = normalized(name);
    let part = |family: &'static Family| {
        Some((family, *family.parts.iter().find(|part| name.contains(**part))?))
    };
    FAMILIES.iter().find_map(part)
}

/// The built-in preset that fits an environment by its name.
fn by_name(environment: &str) -> Recommendation {
    let shown = excerpt::word(&normalized(environment));
    let (preset, confidence, reasoning) = if let Some(word) = known_word(environment) {
        let reasoning = format!("`{shown}` is a known environment: {}", word.because);
        (preset_of(word.environment), word.confidence, reasoning)
    } else if let Some((family, part)) = family(environment) {
        let environment = family.environment;
        let reasoning = format!("`{shown}` contains `{part}`, as names of {environment} do");
        (preset_of(environment), family.confidence, reasoning)
    } else {
        let reasoning = format!("`{shown}` tells of no environment; `simple` fits most services");
        ("simple", 0.40, reasoning)
    };
    Recommendation {
        environment_detected: shown,
        recommended_preset: preset.to_owned(),
        confidence,
        reasoning,
    }
}

/// Recommends a preset for the environment of this name. A preset that was added to the catalog for exactly this name
/// comes before the built-in ones.
pub fn recommend(environment: &str, catalog: &Catalog) -> Recommendation {
    let name = normalized(environment);
    let added = catalog.presets().into_iter().find(|preset| {
        seawall::preset(&preset.name).is_none() && preset.environment_contexts.contains(&name)
    });
    let Some(preset) = added else { return by_name(environment) };
    let shown = excerpt::word(&name);
    Recommendation {
        reasoning: format!(
            "the preset `{}` was added for the environment `{shown}`",
            excerpt::word(&preset.name)
        ),
        environment_detected: shown,
        recommended_preset: preset.name.clone(),
        confidence: 0.95,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall::Preset;

    #[test]
    fn names_lead_to_presets() {
        for (name, preset, confidence) in [
            ("development", "development", 0.95),
            ("dev", "development", 0.90),
            ("testing", "development", 0.85),
            ("test", "development", 0.85),
            ("staging", "production", 0.90),
            ("stage", "production", 0.85),
            ("production", "production", 0.95),
            ("prod", "production", 0.90),
            ("live", "production", 0.85),
            (" Prod\n", "production", 0.90),
            ("my-staging-2", "production", 0.70),
            ("pre-prod", "production", 0.70),
            ("preprod", "production", 0.70),
            ("UAT", "production", 0.70),
            ("integration", "production", 0.70),
            ("integration-test", "production", 0.70),
            ("stag-dev", "production", 0.70),
            ("devprod", "development", 0.75),
            ("localhost", "development", 0.75),
            ("test-7", "development", 0.75),
            ("sandbox", "development", 0.75),
            ("demo", "development", 0.75),
            ("prod-eu", "production", 0.75),
            ("go-live", "production", 0.75),
            ("release", "production", 0.75),
            ("stable", "production", 0.75),
            ("main", "production", 0.75),
            ("master", "production", 0.75),
            ("elsewhere", "simple", 0.40),
            ("", "simple", 0.40),
        ] {
            let answer = recommend(name, &Catalog::default());
            assert_eq!(answer.recommended_preset, preset, "{name}");
            assert_eq!(answer.confidence, confidence, "{name}");
            assert!(answer.reasoning.contains(&answer.environment_detected), "{name}");
        }
        assert!(by_name(&"x".repeat(100_000)).environment_detected.chars().count() <= 60);
    }

    #[test]
    fn presets_that_were_added_for_a_name_come_first() {
        let added = |name: &str, contexts: &[&str]| Preset {
            name: name.into(),
            environment_contexts: contexts.iter().map(ToString::to_string).collect(),
            ..Preset::default()
        };
        let mut catalog = Catalog::default();
        catalog.add_preset(added("edge", &["edge", "production"]));
        catalog.add_preset(added("simple", &["staging", "lab"]));
        for (name, preset, confidence) in [
            ("edge", "edge", 0.95),
            (" PRODUCTION ", "edge", 0.95),
            ("edge-1", "simple", 0.40),
            ("staging", "production", 0.90),
            ("lab", "simple", 0.40),
        ] {
            let answer = recommend(name, &catalog);
            assert_eq!(
                (answer.recommended_preset.as_str(), answer.confidence),
                (preset, confidence)
            );
        }
    }
}
