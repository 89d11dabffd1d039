//! The preset for the environment that the process finds itself in.

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

/// What there is to see: variables, and the names of files in the working directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Surroundings {
    /// Variables with their values.
    pub variables: BTreeMap<String, String>,
    /// Files and folders.
    pub files: BTreeSet<String>,
}

/// Something that tells of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Sign {
    /// What it is.
    pub source: String,
    /// The environment it tells of.
    pub environment: String,
    /// How sure it is, from 0 to 1.
    pub confidence: f64,
}

/// A preset for the surroundings, and all that was seen.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Detection {
    /// The preset.
    #[serde(flatten)]
    pub recommendation: Recommendation,
    /// What decided.
    pub detection_method: String,
    /// All signs, the surest first.
    pub signs: Vec<Sign>,
    /// The signs that speak for another preset.
    pub conflicts: Vec<String>,
}

/// The surest first. Only a known word counts.
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

/// What a variable must be set to, to be a sign.
const SET: [(&str, &[&str], &str, f64); 4] = [
    ("DEBUG", &["true", "1"], "development", DEVELOPMENT),
    ("PRODUCTION", &["true"], "production", PRODUCTION),
    ("PROD", &["true"], "production", PRODUCTION),
    ("DEBUG", &["false", "0"], "production", PRODUCTION),
];

/// Files that are there while people work on the code.
const FILES: [&str; 2] = [".env", ".git"];

/// Variables that platforms set, whatever to.
const PLATFORMS: [&str; 5] =
    ["KUBERNETES_SERVICE_HOST", "AWS_EXECUTION_ENV", "K_SERVICE", "DYNO", "FLY_APP_NAME"];

/// Beyond this no number of signs makes sure.
const SUREST: f64 = 0.98;
/// What each further sign adds.
const FURTHER: f64 = 0.05;
/// A conflicting sign surer than this takes [`DOUBT`].
const DOUBTFUL: f64 = 0.70;
const DOUBT: f64 = 0.85;

impl Surroundings {
    /// Those of this process. Only variables that could be signs are kept: the others may be secrets.
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

    /// A variable that is set to something.
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

/// The preset for these surroundings.
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
