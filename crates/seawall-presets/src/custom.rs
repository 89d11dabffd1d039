//! The custom configuration: a preset changed in a few words. Everything that is wrong with one is reported at once.

use crate::field::{Fields, Problem, type_name};
use schemars::JsonSchema;
use seawall::{Catalog, Override};
use seawall_config::strict_json;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

mod cross;
#[cfg(test)]
mod tests;

/// The result of checking a custom configuration. Each message names its field.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Verdict {
    /// Whether the configuration can be used: there are no errors.
    pub is_valid: bool,
    /// Mistakes, which must be mended before the configuration can be used.
    pub errors: Vec<String>,
    /// Values that are allowed and probably not meant.
    pub warnings: Vec<String>,
    /// For each error and each warning, what to set instead.
    pub suggestions: Vec<String>,
}

/// The check of one field that was given.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FieldReport {
    /// Whether there is a field of this name.
    pub allowed: bool,
    /// The JSON type that its values must have; none if there is no such field.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// The bounds of its values, as keywords of JSON Schema; none if only the type matters.
    pub constraints: Option<Value>,
    /// The value that was given.
    pub current_value: Value,
    /// The JSON type of the value that was given.
    pub current_type: String,
    /// The first thing that is wrong with the value, if anything is.
    pub problem: Option<String>,
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

    /// Adds the messages of another verdict that are not there yet.
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

/// Checks a custom configuration: its fields, and the fields against one another.
pub fn validate(value: &Value, catalog: &Catalog) -> Verdict {
    validate_for(value, catalog, false)
}

/// Checks a custom configuration as [`validate`] does. With `production`, also what matters in production only.
pub fn validate_for(value: &Value, catalog: &Catalog, production: bool) -> Verdict {
    let mut verdict = Verdict::new();
    let Some(given) = object(value, &mut verdict) else { return verdict };
    if given.is_empty() {
        let known = Fields::names().join(", ");
        let message = format!("the configuration needs at least one field; known: {known}");
        verdict.error(message, "give the fields that are to differ from the preset");
    }
    let (change, problems) = Fields::of(catalog).read(given);
    for Problem { message, suggestion } in problems {
        verdict.error(message, suggestion);
    }
    cross::check(&change, catalog, production, &mut verdict);
    verdict
}

/// Checks a custom configuration that is JSON text. Keys that are given twice are mistakes, too.
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

/// Reports on each field that a custom configuration gives; on none if the value is not an object.
pub fn fields(value: &Value, catalog: &Catalog) -> BTreeMap<String, FieldReport> {
    let fields = Fields::of(catalog);
    let report = |(name, value): (&String, &Value)| {
        let kind = fields.type_of(name).map(str::to_owned);
        let report = FieldReport {
            allowed: kind.is_some(),
            type_name: kind,
            constraints: fields.constraints(name),
            current_value: value.clone(),
            current_type: type_name(value).to_owned(),
            problem: fields.problems(name, value).into_iter().next().map(|it| it.message),
        };
        (name.clone(), report)
    };
    value.as_object().into_iter().flatten().map(report).collect()
}

/// The fields of the configuration; none, and an error in the verdict, if it is not an object.
fn object<'v>(value: &'v Value, verdict: &mut Verdict) -> Option<&'v Map<String, Value>> {
    let object = value.as_object();
    if object.is_none() {
        let given = type_name(value);
        let message = format!("the configuration must be a JSON object, not of type {given}");
        verdict.error(message, "write one JSON object, such as {\"retry_attempts\": 3}");
    }
    object
}

/// Checks fields that are right one by one against one another.
pub(crate) fn across(change: &Override, catalog: &Catalog) -> Verdict {
    let mut verdict = Verdict::new();
    cross::check(change, catalog, false, &mut verdict);
    verdict
}
