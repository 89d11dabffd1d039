//! A schema in words, and what to say of a path that means nothing.

use super::{path::Part, schema::Schema};
use crate::output::plain;
use serde_json::Value;

/// The nearest of the known words, if it is near enough that naming it helps.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const LONGEST: usize = 64; // The distance costs the product of both lengths.
    const SHORTEST_START: usize = 3;
    let letters = word.chars().count();
    if letters > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let near = |candidate: &'k str| {
        let other = candidate.to_lowercase();
        let distance = strsim::osa_distance(&word, &other);
        let slip = distance <= (letters / 3).max(1) && distance < other.chars().count();
        let start = letters >= SHORTEST_START && other.starts_with(&word);
        (slip || start).then_some((distance, candidate))
    };
    known.into_iter().filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, near)| near)
}

/// The description of the field.
pub(super) fn description<'s>(schema: Schema<'s>, at: &'s Value) -> Option<String> {
    text(schema, at, "description").or_else(|| {
        schema.branches(at).into_iter().find_map(|branch| text(schema, branch, "description"))
    })
}

fn text<'s>(schema: Schema<'s>, at: &'s Value, keyword: &str) -> Option<String> {
    let found = schema.layers(at).into_iter().find_map(|layer| layer.get(keyword)?.as_str());
    found.map(str::to_owned)
}

/// The default of the field.
pub(super) fn default<'s>(schema: Schema<'s>, at: &'s Value) -> Option<&'s Value> {
    schema.layers(at).into_iter().find_map(|layer| layer.get("default"))
}

/// The words it may be, each with what it means.
pub(super) fn choices<'s>(schema: Schema<'s>, at: &'s Value) -> Vec<(&'s Value, String)> {
    let mut found = Vec::new();
    for layer in schema.layers(at) {
        if let Some(values) = layer.get("enum").and_then(Value::as_array) {
            found.extend(
                values.iter().filter(|value| !value.is_null()).map(|value| (value, String::new())),
            );
        }
        found.extend(layer.get("const").map(|value| (value, String::new())));
    }
    for branch in schema.branches(at) {
        let meaning = description(schema, branch).unwrap_or_default();
        for (value, own) in choices(schema, branch) {
            found.push((value, if own.is_empty() { meaning.clone() } else { own }));
        }
    }
    found
}

/// The values that can stand there, with their bounds.
pub(super) fn kind<'s>(schema: Schema<'s>, at: &'s Value) -> String {
    let mut words = one_kind(schema, at);
    let nothing = schema.layers(at).iter().any(|layer| {
        let listed = |name: &str| {
            let branches = layer.get(name).and_then(Value::as_array).into_iter().flatten();
            branches.into_iter().any(|branch| branch["type"] == "null")
        };
        let types = layer.get("type").and_then(Value::as_array).into_iter().flatten();
        types.into_iter().any(|one| one == "null") || listed("anyOf") || listed("oneOf")
    });
    if nothing {
        words += ", or null";
    }
    words
}

fn one_kind<'s>(schema: Schema<'s>, at: &'s Value) -> String {
    let keyword = |name: &str| {
        schema.layers(at).into_iter().find_map(|layer| layer.get(name)).filter(|v| !v.is_null())
    };
    let branches = schema.branches(at);
    let tags: Vec<&str> = branches.iter().filter_map(|branch| schema.tag(branch)).collect();
    if !tags.is_empty() {
        return format!("one of these by `type`: {}", tags.join(", "));
    }
    if !choices(schema, at).is_empty() {
        return "one of these words".into();
    }
    if !branches.is_empty() {
        let kinds: Vec<String> = branches.iter().map(|branch| kind(schema, branch)).collect();
        return kinds.join(", or ");
    }
    if keyword("writeOnly") == Some(&Value::Bool(true)) {
        return "secret text, never shown; best as ${NAME} of an environment variable".into();
    }
    if keyword("format").is_some_and(|format| format == "duration") {
        let bounds = Some(range(&keyword)).filter(|bounds| bounds != " of at least 0");
        let bounds = bounds.unwrap_or_default();
        return format!("length of time such as 250ms, 20s or 5m, or a number of seconds{bounds}");
    }
    let bounds = bounds(&keyword);
    match first_type(keyword("type")) {
        "integer" => format!("whole number{bounds}"),
        "number" => format!("number{bounds}"),
        "boolean" => "true or false".into(),
        "array" => {
            let items = keyword("items").map(|items| kind(schema, items));
            format!("list{}, each: {}", bounds, items.unwrap_or_else(|| "anything".into()))
        }
        "object" => match keyword("additionalProperties").filter(|below| below.is_object()) {
            Some(below) => format!("names{bounds}, each with: {}", kind(schema, below)),
            None => "section with the fields below".into(),
        },
        "string" => format!("text{bounds}"),
        _ => "anything".into(),
    }
}

fn first_type(types: Option<&Value>) -> &str {
    match types {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).find(|one| *one != "null").unwrap_or("")
        }
        _ => "",
    }
}

fn bounds<'s>(keyword: &impl Fn(&str) -> Option<&'s Value>) -> String {
    let mut text = range(keyword);
    for (least, most, unit) in [
        ("minLength", "maxLength", "characters"),
        ("minItems", "maxItems", "elements"),
        ("minProperties", "maxProperties", "entries"),
    ] {
        text += &match (keyword(least), keyword(most)) {
            (Some(least), Some(most)) => format!(" from {least} to {most} {unit}"),
            (Some(least), None) => format!(" of at least {least} {unit}"),
            (None, Some(most)) => format!(" of at most {most} {unit}"),
            (None, None) => String::new(),
        };
    }
    text
}

/// The bounds of a number.
fn range<'s>(keyword: &impl Fn(&str) -> Option<&'s Value>) -> String {
    let low = keyword("minimum").map(|low| (low, "from", "of at least"));
    let low = low.or_else(|| Some((keyword("exclusiveMinimum")?, "above", "above")));
    let high = keyword("maximum").map(|high| (high, "to", "of at most"));
    let high = high.or_else(|| Some((keyword("exclusiveMaximum")?, "to below", "below")));
    match (low, high) {
        (Some((low, from, _)), Some((high, to, _))) => format!(" {from} {low} {to} {high}"),
        (Some((bound, _, alone)), None) | (None, Some((bound, _, alone))) => {
            format!(" {alone} {bound}")
        }
        (None, None) => String::new(),
    }
}

/// The message for an unknown path: its first part that is unknown, and the names that would be known in its place.
pub(super) fn unknown(schema: Schema<'_>, path: &[Part]) -> String {
    let found = (0..path.len()).rev().map(|length| (length, schema.find(&path[..length])));
    let (length, spots) =
        found.into_iter().find(|(_, spots)| !spots.is_empty()).unwrap_or_default();
    let word = match &path[length] {
        Part::Name(name) => plain(&name.chars().take(60).collect::<String>()),
        Part::Index(index) => index.to_string(),
        Part::Any => "*".into(),
    };
    let mut names: Vec<&str> = spots.iter().flat_map(|spot| schema.names(spot.schema)).collect();
    names.sort_unstable();
    names.dedup();
    let parts = path[..length].iter().map(|part| match part {
        Part::Name(name) => seawall_config::path_of(&[name]),
        Part::Index(index) => format!("[{index}]"),
        Part::Any => "[]".into(),
    });
    let above = parts.fold(String::new(), |above, part| super::path::below(&above, &part));
    let place = if above.is_empty() { String::new() } else { format!(" in `{}`", plain(&above)) };
    // Who left the beginning out may have meant a field anywhere.
    let candidates = schema.candidates(if length == 0 { &[] } else { &spots });
    let near = nearest(&word, candidates)
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    let known = match &names[..] {
        [] => "it has no fields".to_owned(),
        names => format!("known: {}", names.join(", ")),
    };
    let separator = if near.is_empty() { "; " } else { " " };
    format!("there is no field `{word}`{place}{near}{separator}{known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["timeout", "max_attempts", "rate"];
        assert_eq!(nearest("timeot", known), Some("timeout"));
        assert_eq!(nearest("max_atempts", known), Some("max_attempts"));
        assert_eq!(nearest("time", known), Some("timeout"));
        assert_eq!(nearest("endpoint", known), None);
        assert_eq!(nearest(&"x".repeat(1000), known), None);
    }
}
