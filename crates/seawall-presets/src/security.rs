//! The custom configuration of somebody who is not trusted: how large, how deep, and made of what.
//!
//! What is forbidden is looked for in keys and texts after parsing, so that a finding names its place; escapes,
//! which parsing undoes, are looked for before.

use super::{
    custom::{self, Verdict},
    field,
};
use schemars::JsonSchema;
use seawall::Catalog;
use seawall_config::strict_json;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

mod patterns;
#[cfg(test)]
mod tests;
mod unicode;
mod walk;

const MAX_SIZE_BYTES: usize = 4096;
const MAX_STRING_LENGTH: usize = 200;
const MAX_ARRAY_ITEMS: usize = 20;
const MAX_OBJECT_PROPERTIES: usize = 50;
const MAX_NESTING_DEPTH: usize = 10;
const MAX_REPEATED_CHARS: usize = 10;

/// How large the text was.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SecurityInfo {
    /// Its size.
    pub size_bytes: usize,
    /// What its size may be.
    pub max_size_bytes: usize,
    /// Its fields at the top; none if it was not read.
    pub field_count: usize,
}

/// What the checks hold a text against.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SecurityLimits {
    /// The largest text.
    pub max_size_bytes: usize,
    /// The longest key or text, in characters.
    pub max_string_length: usize,
    /// The longest list.
    pub max_array_items: usize,
    /// The largest object.
    pub max_object_properties: usize,
    /// Lists and objects within one another.
    pub max_nesting_depth: usize,
    /// The highest code point.
    pub max_unicode_codepoint: u32,
    /// Unicode categories without a place in a configuration.
    pub forbidden_unicode_categories: Vec<String>,
    /// Equal characters in a row.
    pub max_repeated_chars: usize,
    /// The fields there may be.
    pub allowed_fields: Vec<String>,
    /// How many kinds of content are refused.
    pub forbidden_pattern_count: usize,
}

/// What there is to say of one field.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FieldReport {
    /// Whether there is such a field.
    pub allowed: bool,
    /// The type it must have.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Its bounds, in the words of JSON Schema.
    pub constraints: Option<Value>,
    /// What it was set to.
    pub current_value: Value,
    /// The type of that.
    pub current_type: String,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// The limits.
pub fn limits() -> SecurityLimits {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    SecurityLimits {
        max_size_bytes: MAX_SIZE_BYTES,
        max_string_length: MAX_STRING_LENGTH,
        max_array_items: MAX_ARRAY_ITEMS,
        max_object_properties: MAX_OBJECT_PROPERTIES,
        max_nesting_depth: MAX_NESTING_DEPTH,
        max_unicode_codepoint: unicode::MAX_CODE_POINT,
        forbidden_unicode_categories: owned(&unicode::FORBIDDEN),
        max_repeated_chars: MAX_REPEATED_CHARS,
        allowed_fields: owned(&field::names()),
        forbidden_pattern_count: patterns::count(),
    }
}

/// Checks the JSON text of a custom configuration for what could do harm; whether its values are right,
/// [`validate`](super::validate) tells.
pub fn check(text: &str) -> (Verdict, SecurityInfo) {
    let (verdict, info, _) = checked(text);
    (verdict, info)
}

/// Checks a custom configuration that was read already.
pub fn check_value(value: &Value) -> (Verdict, SecurityInfo) {
    check(&value.to_string())
}

/// Checks the JSON text of a custom configuration for what could do harm, and whether its values are right.
pub fn validate_secure(text: &str, catalog: &Catalog) -> (Verdict, SecurityInfo) {
    let (mut verdict, info, value) = checked(text);
    if let Some(value) = value {
        verdict.join(custom::validate(&value, catalog));
    }
    (verdict, info)
}

fn checked(text: &str) -> (Verdict, SecurityInfo, Option<Value>) {
    let mut verdict = Verdict::new();
    let mut info =
        SecurityInfo { size_bytes: text.len(), max_size_bytes: MAX_SIZE_BYTES, field_count: 0 };
    if text.len() > MAX_SIZE_BYTES {
        // Not worth the work of a closer look.
        let message = format!(
            "the configuration has {} bytes; at most {MAX_SIZE_BYTES} are allowed",
            text.len()
        );
        verdict.error(message, "give only the fields that are to differ from the preset");
        return (verdict, info, None);
    }
    for (what, at) in patterns::escapes(text) {
        let message = format!("the configuration holds {what} at byte {at}, which is not allowed");
        verdict.error(message, "write characters themselves, not their codes");
    }
    let value = match strict_json(text) {
        Ok(value) => value,
        Err(error) => {
            verdict.error(error, "write one JSON object, such as {\"retry_attempts\": 3}");
            return (verdict, info, None);
        }
    };
    if let Some(given) = custom::object(&value, &mut verdict) {
        info.field_count = given.len();
        custom::unknown_fields(given, &mut verdict);
    }
    walk::check(&value, &mut verdict);
    (verdict, info, Some(value))
}

/// What there is to say of each field; nothing if the value is not an object.
pub fn fields(value: &Value, catalog: &Catalog) -> BTreeMap<String, FieldReport> {
    let strategies = field::strategies(catalog);
    let report = |(name, value): (&String, &Value)| {
        let field = field::named(name);
        let problem = match field {
            Some(field) => field.problems(value, &strategies).into_iter().next(),
            None => Some(field::unknown(name)),
        };
        let report = FieldReport {
            allowed: field.is_some(),
            type_name: field.map(|field| field.type_name().to_owned()),
            constraints: field.and_then(|field| field.constraints(catalog)),
            current_value: value.clone(),
            current_type: field::type_name(value).to_owned(),
            problem: problem.map(|problem| problem.message),
        };
        (name.clone(), report)
    };
    value.as_object().into_iter().flatten().map(report).collect()
}
