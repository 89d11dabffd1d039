//! The custom configuration: a preset changed in a few words, checked, with everything that is wrong told at once.

use super::field;
use schemars::JsonSchema;
use seawall::{Catalog, Override, Settings};
use seawall_config::strict_json;
use serde::Serialize;
use serde_json::{Map, Value};

mod cross;
#[cfg(test)]
mod tests;

/// What was found of a configuration. Each message names its field.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Verdict {
    /// Whether it can be used: there are no errors.
    pub is_valid: bool,
    /// What must change.
    pub errors: Vec<String>,
    /// What is allowed, and probably not meant.
    pub warnings: Vec<String>,
    /// What to set instead.
    pub suggestions: Vec<String>,
}

impl Verdict {
    pub(crate) fn new() -> Self {
        let (errors, warnings, suggestions) = (Vec::new(), Vec::new(), Vec::new());
        Self { is_valid: true, errors, warnings, suggestions }
    }

    pub(crate) fn error(&mut self, message: impl Into<String>, suggestion: impl Into<String>) {
        self.is_valid = false;
        add(&mut self.errors, message.into());
        add(&mut self.suggestions, suggestion.into());
    }

    pub(crate) fn warning(&mut self, message: impl Into<String>, suggestion: impl Into<String>) {
        add(&mut self.warnings, message.into());
        add(&mut self.suggestions, suggestion.into());
    }

    pub(crate) fn problem(&mut self, problem: field::Problem) {
        self.error(problem.message, problem.suggestion);
    }

    /// Takes over what another found, without repeating it.
    pub(crate) fn join(&mut self, other: Self) {
        self.is_valid &= other.is_valid;
        other.errors.into_iter().for_each(|message| add(&mut self.errors, message));
        other.warnings.into_iter().for_each(|message| add(&mut self.warnings, message));
        other.suggestions.into_iter().for_each(|message| add(&mut self.suggestions, message));
    }
}

fn add(messages: &mut Vec<String>, message: String) {
    if !message.is_empty() && !messages.contains(&message) {
        messages.push(message);
    }
}

/// Checks a custom configuration.
pub fn validate(value: &Value, catalog: &Catalog) -> Verdict {
    validate_for(value, catalog, false)
}

/// Checks a custom configuration; in production some things are asked that do not matter elsewhere.
pub fn validate_for(value: &Value, catalog: &Catalog, production: bool) -> Verdict {
    let mut verdict = Verdict::new();
    let Some(given) = object(value, &mut verdict) else { return verdict };
    if given.is_empty() {
        let known = field::names().join(", ");
        let message = format!("the configuration needs at least one field; known: {known}");
        verdict.error(message, "give the fields that are to differ from the preset");
    }
    let strategies = field::strategies(catalog);
    for (name, value) in given {
        if let Some(field) = field::named(name) {
            let problems = field.problems(value, &strategies);
            problems.into_iter().for_each(|problem| verdict.problem(problem));
        }
    }
    unknown_fields(given, &mut verdict);
    cross::check(&field::right_part(given, &strategies), catalog, production, &mut verdict);
    verdict
}

/// Checks a custom configuration that is still text.
pub fn validate_text(text: &str, catalog: &Catalog) -> Verdict {
    match strict_json(text) {
        Ok(value) => validate(&value, catalog),
        Err(error) => {
            let mut verdict = Verdict::new();
            verdict.error(error, "write one JSON object, such as {\"retry_attempts\": 3}");
            verdict
        }
    }
}

/// The custom configuration as the library takes it.
///
/// # Errors
/// All that is wrong with it.
pub fn read(value: &Value, catalog: &Catalog) -> Result<Override, Verdict> {
    let verdict = validate(value, catalog);
    match value.as_object().filter(|_| verdict.is_valid) {
        Some(given) => Ok(field::right_part(given, &field::strategies(catalog))),
        None => Err(verdict),
    }
}

/// The longest that all waits together can take, in seconds.
pub fn worst_case_wait(settings: &Settings) -> f64 {
    const DOUBLINGS: u32 = 64; // By then a wait has reached its bound.
    let jitter = if settings.jitter_enabled { settings.jitter_max } else { 0.0 };
    let waits = settings.retry_attempts.saturating_sub(1);
    let (mut base, mut wait, mut total) = (settings.exponential_multiplier, 0.0, 0.0);
    for _ in 0..waits.min(DOUBLINGS) {
        wait = base.min(settings.exponential_max).max(settings.exponential_min) + jitter;
        total += wait;
        base *= 2.0;
    }
    total += wait * f64::from(waits.saturating_sub(DOUBLINGS));
    total.min(f64::from(settings.max_delay_seconds))
}

/// The fields, or an error if there cannot be any.
pub(crate) fn object<'v>(
    value: &'v Value,
    verdict: &mut Verdict,
) -> Option<&'v Map<String, Value>> {
    let object = value.as_object();
    if object.is_none() {
        let given = field::type_name(value);
        let message = format!("the configuration must be a JSON object, not of type {given}");
        verdict.error(message, "write one JSON object, such as {\"retry_attempts\": 3}");
    }
    object
}

/// Names the fields that do not exist; of very many, the first ones.
pub(crate) fn unknown_fields(given: &Map<String, Value>, verdict: &mut Verdict) {
    const MOST: usize = 20;
    let unknown: Vec<&String> = given.keys().filter(|name| field::named(name).is_none()).collect();
    for name in unknown.iter().take(MOST) {
        verdict.problem(field::unknown(name));
    }
    if unknown.len() > MOST {
        verdict.error(format!("{} more fields are not known either", unknown.len() - MOST), "");
    }
}

/// What is to be said of fields that are right one by one.
pub(crate) fn across(change: &Override, catalog: &Catalog) -> Verdict {
    let mut verdict = Verdict::new();
    cross::check(change, catalog, false, &mut verdict);
    verdict
}
