//! Writes Seawall's own file.

use super::{is_upstream, quote, upstream};
use crate::legacy::Legacy;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Writes the preset, what differs from it, and the upstream that the variables name.
pub(super) fn file(legacy: &Legacy, originals: &BTreeMap<String, String>) -> String {
    let mut text = format!("preset: {}\n", quote::yaml(&legacy.recommended_preset));
    if !legacy.custom_overrides.is_empty() {
        let change = serde_json::to_value(&legacy.custom_overrides).unwrap_or_default();
        text += "custom:\n";
        text += &change.as_object().map_or_else(String::new, |fields| mapping(fields, 1));
    }
    if let Some((url, seconds)) = upstream(originals) {
        text += &format!("upstreams:\n  external_api:\n    endpoints: [{}]\n", quote::yaml(url));
        if let Some(seconds) = seconds {
            text += &format!("    attempt_timeout: {}\n", length(seconds));
        }
        text += "routes:\n  - { path: \"/*\", upstream: external_api }\n";
    } else if originals.keys().any(|name| is_upstream(name)) {
        text += "# Without EXTERNAL_API_BASE_URL there is no upstream to write.\n";
    }
    text
}

fn length(seconds: f64) -> String {
    let ms = (seconds * 1000.0).round() as u64;
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

fn mapping(fields: &Map<String, Value>, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let field = |(name, value): (&String, &Value)| {
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        // Names of fields are plain; of operations, only a quoted one is sure to be text.
        let name = if plain && depth == 1 { name.clone() } else { quote::yaml(name) };
        match value {
            Value::Object(below) => format!("{indent}{name}:\n{}", mapping(below, depth + 1)),
            Value::String(text) => format!("{indent}{name}: {}\n", quote::yaml(text)),
            other => format!("{indent}{name}: {other}\n"),
        }
    };
    fields.iter().map(field).collect()
}
