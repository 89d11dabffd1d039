//! Checks of a custom configuration from an untrusted source: its size, its depth and its content.
//!
//! Forbidden patterns are looked for in keys and texts after parsing, so that a finding names its place; escapes,
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

/// The size of a text that was checked.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SecurityInfo {
    /// The size of the text in bytes.
    pub size_bytes: usize,
    /// The largest size that is allowed, in bytes.
    pub max_size_bytes: usize,
    /// The number of fields at the top; 0 if the text could not be read.
    pub field_count: usize,
}

/// The limits that a text from an untrusted source must keep.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SecurityLimits {
    /// The largest text, in bytes.
    pub max_size_bytes: usize,
    /// The longest key or text, in characters.
    pub max_string_length: usize,
    /// The most elements of a list.
    pub max_array_items: usize,
    /// The most properties of an object.
    pub max_object_properties: usize,
    /// How deep lists and objects may be nested.
    pub max_nesting_depth: usize,
    /// The highest Unicode code point that is allowed.
    pub max_unicode_codepoint: u32,
    /// Unicode categories whose characters are refused.
    pub forbidden_unicode_categories: Vec<String>,
    /// The most equal characters in a row.
    pub max_repeated_chars: usize,
    /// The names of the fields that are allowed.
    pub allowed_fields: Vec<String>,
    /// The number of patterns of content that are refused.
    pub forbidden_pattern_count: usize,
}

/// The limits that [`validate_secure`] checks.
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

/// Checks the JSON text of a custom configuration for content that could do harm, and then its values as
/// [`validate`](custom::validate) does.
pub fn validate_secure(text: &str, catalog: &Catalog) -> (Verdict, SecurityInfo) {
    let (mut verdict, info, value) = content(text);
    if let Some(value) = value {
        verdict.join(custom::validate(&value, catalog));
    }
    (verdict, info)
}

/// Checks for content that could do harm. The third is the value, if it could be read.
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
