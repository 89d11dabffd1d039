//! The custom configuration of somebody who is not trusted: how large, how deep, and made of what.
//!
//! What is forbidden is looked for in keys and texts after parsing, so that a finding names its place; escapes,
//! which parsing undoes, are looked for before.

use crate::{
    custom::{self, Verdict},
    field::Fields,
};
use schemars::JsonSchema;
use seawall::Catalog;
use seawall_config::strict_json;
use serde::Serialize;
use serde_json::Value;

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
        allowed_fields: owned(&Fields::names()),
        forbidden_pattern_count: patterns::count(),
    }
}

/// Checks the JSON text of a custom configuration for what could do harm, and whether its values are right.
pub fn validate_secure(text: &str, catalog: &Catalog) -> (Verdict, SecurityInfo) {
    let (mut verdict, info, value) = content(text);
    if let Some(value) = value {
        verdict.join(custom::validate(&value, catalog));
    }
    (verdict, info)
}

/// Looks for what could do harm; the third is the value, if it could be read.
fn content(text: &str) -> (Verdict, SecurityInfo, Option<Value>) {
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
    info.field_count = value.as_object().map_or(0, serde_json::Map::len);
    walk::check(&value, &mut verdict);
    (verdict, info, Some(value))
}
