//! The reference page of a configuration file, made as Markdown from the JSON Schema that editors use.

use serde_json::{Map, Value};
use std::{fmt::Write, time::Duration};

/// Writes a page with every section of a file: its fields with type, bounds, default and meaning.
pub fn reference(schema: &Value) -> String {
    let mut page = String::from(
        "# Every field of the configuration file\n\n\
         Made from the types by `cargo xtask codegen`; `seawall explain PATH` says the same of one field, and\n\
         `seawall schema` is what editors use. Lengths are written with a unit (`250ms`, `20s`, `5m`), or as a number\n\
         of seconds.\n",
    );
    section(&mut page, "The file", schema);
    let empty = Map::new();
    for (name, part) in schema["$defs"].as_object().unwrap_or(&empty) {
        section(&mut page, name, part);
    }
    page
}

fn section(page: &mut String, name: &str, schema: &Value) {
    let _ = write!(page, "\n## {name}\n{}\n", text(schema));
    if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
        table(page, fields);
    }
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    let words: Vec<&Value> =
        branches.into_iter().flatten().filter(|branch| branch.get("const").is_some()).collect();
    for word in &words {
        let _ = writeln!(page, "- `{}`: {}", shown(&word["const"]), text(word));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let _ = writeln!(
            page,
            "{}",
            values.iter().map(|value| format!("- `{}`\n", shown(value))).collect::<String>()
        );
    }
    for branch in branches.into_iter().flatten().filter(|branch| branch.get("const").is_none()) {
        let Some(fields) = branch.get("properties").and_then(Value::as_object) else { continue };
        let tag = fields.get("type").and_then(|tag| tag.get("const")).map(shown);
        let title = tag.map(|tag| format!("`type: {tag}`"));
        let title = title.or_else(|| fields.keys().next().map(|field| format!("`{field}:`")));
        let _ = write!(page, "\n### {}\n{}\n", title.unwrap_or_default(), text(branch));
        table(page, fields);
    }
}

fn table(page: &mut String, fields: &Map<String, Value>) {
    let rows: Vec<(&String, &Value)> =
        fields.iter().filter(|(_, field)| field.get("const").is_none()).collect();
    if rows.is_empty() {
        return;
    }
    page.push_str("\n| field | type | default | meaning |\n|---|---|---|---|\n");
    for (name, field) in rows {
        let default = match field.get("default") {
            None | Some(Value::Null) => "–".to_owned(),
            // Its own section says it field by field.
            Some(Value::Object(fields)) if !fields.is_empty() => "as there".to_owned(),
            Some(value) => format!("`{}`", shown(value)),
        };
        let meaning = text(field).replace('|', "\\|");
        let _ = writeln!(page, "| `{name}` | {} | {default} | {meaning} |", kind(field));
    }
}

/// The description of a schema, on one line.
fn text(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A type in a few words, with its bounds; types with a section of their own are links.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return match name.rsplit_once('/') {
            Some((_, name)) => format!("[{name}](#{})", name.to_lowercase()),
            None => "as the file".into(),
        };
    }
    if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
        let named = branches.iter().filter(|branch| branch["type"] != "null").map(kind);
        return named.collect::<Vec<_>>().join(" or ");
    }
    if schema["format"] == "duration" {
        return bounded("duration", schema);
    }
    if schema["writeOnly"] == true {
        return "secret text".into();
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        other => vec![other.as_str().unwrap_or("any")],
    };
    let words: Vec<String> = types
        .into_iter()
        .filter(|name| *name != "null")
        .map(|name| match name {
            "integer" => bounded("whole number", schema),
            "number" => bounded("number", schema),
            "string" => "text".into(),
            "boolean" => "`true` or `false`".into(),
            "array" => format!("list of {}", kind(&schema["items"])),
            "object" => match schema.get("additionalProperties") {
                Some(below) if below.is_object() => format!("{} by name", kind(below)),
                _ => "mapping".into(),
            },
            other => other.into(),
        })
        .collect();
    words.join(" or ")
}

/// A type with the bounds that its schema declares; those of durations are in seconds there.
fn bounded(word: &str, schema: &Value) -> String {
    let shown = |bound: &Value| match bound.as_f64().filter(|_| schema["format"] == "duration") {
        Some(days) if days > 86_400.0 && days % 86_400.0 == 0.0 => {
            format!("{} days", days / 86_400.0)
        }
        Some(seconds) if seconds > 0.0 => {
            humantime::format_duration(Duration::from_secs_f64(seconds)).to_string()
        }
        _ => bound.to_string(),
    };
    let bound = |closed, open, word| {
        let closed = schema.get(closed).map(shown);
        closed.or_else(|| schema.get(open).map(|bound| format!("{word} {}", shown(bound))))
    };
    let low = bound("minimum", "exclusiveMinimum", "over");
    let high = bound("maximum", "exclusiveMaximum", "under");
    match (low, high) {
        (Some(low), Some(high)) => format!("{word}, {low} to {high}"),
        (Some(low), None) if low.starts_with("over") => format!("{word}, {low}"),
        (Some(low), None) if low != "0" => format!("{word}, {low} or more"),
        (None, Some(high)) => format!("{word}, up to {high}"),
        _ => word.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_have_their_row() {
        let schema = json!({
            "description": "All\nof it.",
            "properties": {
                "rate": { "type": "integer", "minimum": 1, "maximum": 9, "default": 3, "description": "How | many." },
                "inner": { "$ref": "#/$defs/Inner", "description": "More." },
                "names": { "type": "array", "items": { "type": "string" } },
                "wait": { "type": ["string", "number", "null"], "format": "duration", "default": null },
                "pause": { "type": ["string", "number"], "format": "duration", "minimum": 0.1, "maximum": 2_592_000 },
                "limit": { "type": ["string", "number"], "format": "duration", "exclusiveMinimum": 0 },
                "share": { "type": "number", "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0 },
            },
            "$defs": {
                "Inner": { "description": "One of.", "oneOf": [
                    { "const": "a", "description": "The first." },
                    { "properties": { "type": { "const": "b" }, "x": { "type": "boolean" } } },
                ] },
            },
        });
        let page = reference(&schema);
        for line in [
            "## The file\nAll of it.\n",
            "| `rate` | whole number, 1 to 9 | `3` | How \\| many. |\n",
            "| `inner` | [Inner](#inner) | – | More. |\n",
            "| `names` | list of text | – |  |\n",
            "| `wait` | duration | – |  |\n",
            "| `pause` | duration, 100ms to 30 days | – |  |\n",
            "| `limit` | duration, over 0 | – |  |\n",
            "| `share` | number, over 0.0 to under 1.0 | – |  |\n",
            "- `a`: The first.\n",
            "### `type: b`\n",
            "| `x` | `true` or `false` | – |  |\n",
        ] {
            assert!(page.contains(line), "{line} is not in:\n{page}");
        }
    }
}
