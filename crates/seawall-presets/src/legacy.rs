//! The variables of two older systems: which preset they are nearest to, and how they differ from it.

use super::{custom, rounded};
use schemars::JsonSchema;
use seawall::{Catalog, Override, Preset};
use seawall_config::excerpt;
use serde::Serialize;
use std::collections::BTreeMap;

mod env_file;
mod similarity;
#[cfg(test)]
mod tests;
mod variables;

pub(crate) use env_file::is_name;
pub use env_file::read_env_file;
pub(crate) use variables::{BASE_URL, Meaning, TIMEOUT, meaning, truth};

/// How well a recommended preset matches the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A score of 0.9 or more.
    High,
    /// A score from 0.7 on, below 0.9.
    Medium,
    /// A score below 0.7.
    Low,
}

/// An older variable that was found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Found {
    /// The name of the variable.
    pub variable: String,
    /// The value of the variable, without anything that could be a password.
    pub value: String,
    /// The field of the configuration that takes the place of the variable, if there is one.
    pub target: Option<String>,
    /// An explanation of what becomes of the variable.
    pub explanation: String,
}

/// The meaning of a set of older variables: a preset, and what differs from it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Legacy {
    /// The name of the nearest preset.
    pub recommended_preset: String,
    /// How near that preset is, from 0 to 1.
    pub score: f64,
    /// The score in one word.
    pub confidence: Confidence,
    /// The reason why this preset is the nearest.
    pub reasoning: String,
    /// How near each preset is, from 0 to 1; empty if no older variable is set.
    pub similarity: BTreeMap<String, f64>,
    /// The older variables that are set.
    pub found: Vec<Found>,
    /// The custom configuration that has, with the preset, the effect of the variables.
    pub custom_overrides: Override,
    /// Values that the older systems allowed and that are probably not meant.
    pub warnings: Vec<String>,
    /// Values that cannot be used and were skipped, and why.
    pub problems: Vec<String>,
    /// The steps of the migration, in their order.
    pub migration_steps: Vec<String>,
}

/// Whether an older variable is set that stands for a field of the custom configuration.
pub fn is_legacy(variables: &BTreeMap<String, String>) -> bool {
    variables.iter().any(|(name, value)| {
        let meaning = meaning(name);
        !value.trim().is_empty()
            && matches!(meaning, Some(Meaning::Field(_) | Meaning::Operation(_)))
    })
}

/// Everything that the variables say, as a custom configuration of any preset. Values that cannot be used are left out.
pub fn overrides(variables: &BTreeMap<String, String>) -> Override {
    variables::read(variables).change
}

/// Finds the preset that the variables are nearest to, what differs from it, and the steps to migrate.
pub fn analyze(variables: &BTreeMap<String, String>) -> Legacy {
    let reading = variables::read(variables);
    let (preset, score, similarity) = if is_legacy(variables) {
        similarity::nearest(&reading.change)
    } else {
        (&seawall::presets()[0], 1.0, BTreeMap::new())
    };
    let custom_overrides = differences(&reading.change, preset);
    Legacy {
        recommended_preset: preset.name.clone(),
        score: rounded(score),
        confidence: confidence(score),
        reasoning: reasoning(&reading, preset, score, &similarity),
        similarity,
        migration_steps: steps(&reading, preset, &custom_overrides),
        custom_overrides,
        warnings: warnings(&reading.change),
        found: reading.found,
        problems: reading.problems,
    }
}

fn confidence(score: f64) -> Confidence {
    match rounded(score) {
        score if score >= 0.9 => Confidence::High,
        score if score >= 0.7 => Confidence::Medium,
        _ => Confidence::Low,
    }
}

/// The custom configuration that has, with the preset, the same effect. A strategy that an operation names counts as a
/// difference even if it is the preset's default: named, it brings its own numbers.
fn differences(change: &Override, preset: &Preset) -> Override {
    fn other<T: PartialEq + Clone>(given: &Option<T>, own: &T) -> Option<T> {
        given.clone().filter(|given| given != own)
    }
    let mut rest = change.clone();
    rest.retry_attempts = other(&change.retry_attempts, &preset.retry_attempts);
    rest.circuit_breaker_threshold =
        other(&change.circuit_breaker_threshold, &preset.circuit_breaker_threshold);
    rest.recovery_timeout = other(&change.recovery_timeout, &preset.recovery_timeout);
    rest.default_strategy = other(&change.default_strategy, &preset.default_strategy);
    let own = &preset.operation_overrides;
    rest.operation_overrides.retain(|operation, strategy| own.get(operation) != Some(strategy));
    rest
}

/// Warnings of values that the older systems allowed.
fn warnings(change: &Override) -> Vec<String> {
    let mut warnings = custom::across(change, &Catalog::default()).warnings;
    if change.default_strategy.as_deref() == Some("aggressive") {
        let told =
            "default_strategy is aggressive: it gives up early, which production seldom wants";
        warnings.push(told.into());
    }
    warnings
}

fn reasoning(
    reading: &variables::Reading,
    preset: &Preset,
    score: f64,
    similarity: &BTreeMap<String, f64>,
) -> String {
    let name = &preset.name;
    if similarity.is_empty() {
        return format!("no variable of a former system is set; `{name}` fits most services");
    }
    if !similarity::comparable(&reading.change) {
        return format!("nothing that is set tells presets apart; `{name}` fits most services");
    }
    let others = similarity.iter().filter(|(other, _)| *other != name);
    let others: Vec<String> =
        others.map(|(other, score)| format!("`{other}` {:.0} %", score * 100.0)).collect();
    format!("the values are as `{name}` has them to {:.0} % ({})", score * 100.0, others.join(", "))
}

fn steps(reading: &variables::Reading, preset: &Preset, change: &Override) -> Vec<String> {
    let mut steps = vec![
        "keep a copy of the old variables".to_owned(),
        format!("set RESILIENCE_PRESET to {}", preset.name),
    ];
    if change.is_empty() {
        steps.push("no RESILIENCE_CUSTOM_CONFIG is needed: nothing differs from the preset".into());
    } else {
        let fields = serde_json::to_value(change).unwrap_or_default();
        let fields = fields.as_object().into_iter().flat_map(|fields| fields.keys());
        steps.push(format!(
            "set RESILIENCE_CUSTOM_CONFIG to what differs: {}",
            excerpt::listed(fields)
        ));
    }
    let old = reading.found.iter().map(|found| &found.variable);
    let old: Vec<&String> = old.filter(|name| is_obsolete(name)).collect();
    if !old.is_empty() {
        steps.push(format!("remove {}", excerpt::listed(old)));
    }
    if !reading.problems.is_empty() {
        steps.push("decide on the values that were skipped".into());
    }
    steps.push(
        "compare the effective configuration before and after, then watch the metrics".into(),
    );
    steps
}

/// Whether the variable is not read any more once the preset is set. Variables that other programs may read are not
/// obsolete.
pub(crate) fn is_obsolete(name: &str) -> bool {
    matches!(meaning(name), Some(Meaning::Field(_) | Meaning::Operation(_) | Meaning::Switch(_)))
}
