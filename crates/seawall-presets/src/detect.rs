//! Detects the environment of a process by its variables and files, and recommends a preset for it.

use super::recommend::{Recommendation, family, known_word, normalized, preset_of};
use super::rounded;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

#[cfg(test)]
mod tests;

/// The input of the detection: variables, and the names of files in the working directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Surroundings {
    /// The environment variables with their values.
    pub variables: BTreeMap<String, String>,
    /// The names of files and folders in the working directory.
    pub files: BTreeSet<String>,
}

/// A variable or a file that hints at an environment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Sign {
    /// The variable or the file, in words.
    pub source: String,
    /// The environment that it hints at.
    pub environment: String,
    /// How reliable the hint is, from 0 to 1.
    pub confidence: f64,
}

/// The preset that was recommended for the surroundings, with all the signs that were found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Detection {
    /// The recommended preset, and the reason.
    #[serde(flatten)]
    pub recommendation: Recommendation,
    /// The sign that decided; `none` if there was none.
    pub detection_method: String,
    /// All signs that were found, the most reliable first.
    pub signs: Vec<Sign>,
    /// The signs that speak for another preset, in words.
    pub conflicts: Vec<String>,
}

/// Variables that name an environment, and how reliable each is. Only a known word counts as a value.
const NAMED: [(&str, f64); 8] = [
    ("ENVIRONMENT", 0.95),
    ("APP_ENV", 0.85),
    ("ENV", 0.85),
    ("RUST_ENV", 0.85),
    ("NODE_ENV", 0.85),
    ("FLASK_ENV", 0.85),
    ("RAILS_ENV", 0.85),
    ("DEPLOYMENT_ENV", 0.85),
];

const DEVELOPMENT: f64 = 0.70;
const PRODUCTION: f64 = 0.75;
const TESTING: f64 = 0.70;

/// Variables that are a sign when they have one of these values, with the environment and the reliability.
const SET: [(&str, &[&str], &str, f64); 4] = [
    ("DEBUG", &["true", "1"], "development", DEVELOPMENT),
    ("PRODUCTION", &["true"], "production", PRODUCTION),
    ("PROD", &["true"], "production", PRODUCTION),
    ("DEBUG", &["false", "0"], "production", PRODUCTION),
];

/// Files that are commonly there while people work on the code.
const FILES: [&str; 2] = [".env", ".git"];

/// Variables that platforms set; any value is a sign of production.
const PLATFORMS: [&str; 5] =
    ["KUBERNETES_SERVICE_HOST", "AWS_EXECUTION_ENV", "K_SERVICE", "DYNO", "FLY_APP_NAME"];

/// The highest confidence, however many signs agree.
const SUREST: f64 = 0.98;
/// The amount by which each further sign of the same environment raises the confidence.
const FURTHER: f64 = 0.05;
/// A conflicting sign that is more reliable than this multiplies the confidence by [`DOUBT`].
const DOUBTFUL: f64 = 0.70;
const DOUBT: f64 = 0.85;

impl Surroundings {
    /// The surroundings of this process. Only variables that could be signs are kept, since others may be secrets.
    pub fn of_process() -> Self {
        let named = NAMED.iter().map(|(name, _)| *name);
        let set = SET.iter().map(|(name, ..)| *name);
        let names = named.chain(set).chain(PLATFORMS).chain(["CI", "HOSTNAME"]);
        let value = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        let there = |file: &&&str| Path::new(file).exists();
        Self {
            variables: names.filter_map(value).collect(),
            files: FILES.iter().filter(there).map(ToString::to_string).collect(),
        }
    }

    /// The value of a variable, in lower case; none if it is not set or empty.
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| normalized(value)).filter(|value| !value.is_empty())
    }

    fn signs(&self) -> Vec<Sign> {
        let mut signs = Vec::new();
        let mut add = |source: String, environment: &str, confidence: f64| {
            signs.push(Sign { source, environment: environment.to_owned(), confidence });
        };
        for (name, confidence) in NAMED {
            if let Some(word) = self.variable(name).as_deref().and_then(known_word) {
                add(format!("{name}={}", word.word), word.environment, confidence);
            }
        }
        for (name, values, environment, confidence) in SET {
            if let Some(value) = self.variable(name).filter(|v| values.contains(&v.as_str())) {
                add(format!("{name}={value}"), environment, confidence);
            }
        }
        for file in FILES.iter().filter(|file| self.files.contains(**file)) {
            add(format!("{file} in the working directory"), "development", DEVELOPMENT);
        }
        for name in PLATFORMS.iter().filter(|name| self.variable(name).is_some()) {
            add(format!("{name} is set"), "production", PRODUCTION);
        }
        if self.variable("CI").as_deref() == Some("true") {
            add("CI=true".into(), "testing", TESTING);
        }
        if let Some((family, part)) = self.variable("HOSTNAME").as_deref().and_then(family) {
            let confidence = match family.environment {
                "development" => 0.60,
                "staging" => 0.65,
                _ => 0.70,
            };
            add(format!("HOSTNAME contains `{part}`"), family.environment, confidence);
        }
        signs
    }
}

/// Recommends a preset for these surroundings; `simple` if nothing hints at an environment.
pub fn detect(surroundings: &Surroundings) -> Detection {
    let mut signs = surroundings.signs();
    signs.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let Some(best) = signs.first() else { return nothing() };
    let preset = preset_of(&best.environment);
    // Staging and production are different names for the same wish.
    let (agreeing, against): (Vec<&Sign>, Vec<&Sign>) =
        signs.iter().partition(|sign| preset_of(&sign.environment) == preset);
    let same = agreeing.iter().filter(|sign| sign.environment == best.environment).count() - 1;
    let mut confidence = (best.confidence + FURTHER * same as f64).min(SUREST);
    if against.iter().any(|sign| sign.confidence > DOUBTFUL) {
        confidence *= DOUBT;
    }
    let tell = |sign: &&Sign| format!("{} tells of {}", sign.source, sign.environment);
    let conflicts: Vec<String> = against.iter().map(tell).collect();
    let recommendation = Recommendation {
        environment_detected: format!("{} (auto-detected)", best.environment),
        recommended_preset: preset.to_owned(),
        confidence: rounded(confidence),
        reasoning: reasoning(best, same, &conflicts),
    };
    let detection_method = best.source.clone();
    Detection { recommendation, detection_method, conflicts, signs }
}

fn reasoning(best: &Sign, same: usize, conflicts: &[String]) -> String {
    let mut text = format!("{} tells of {}", best.source, best.environment);
    if same > 0 {
        text += &format!("; further signs of it: {same}");
    }
    if !conflicts.is_empty() {
        text += &format!("; against it: {}", conflicts.join(", "));
    }
    text
}

fn nothing() -> Detection {
    Detection {
        recommendation: Recommendation {
            environment_detected: "unknown (auto-detected)".into(),
            recommended_preset: preset_of("unknown").into(),
            confidence: 0.50,
            reasoning: "nothing tells of an environment; `simple` fits most services".into(),
        },
        detection_method: "none".into(),
        signs: Vec::new(),
        conflicts: Vec::new(),
    }
}
