//! The fields of a custom configuration, as the JSON Schema of [`Override`] has them, and what is wrong with their
//! values.

use seawall::{Catalog, Override, ProfileKind, profiles};
use seawall_config::{Mistake, check_value, excerpt, nearest};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The most problems that are reported of one field, and of unknown fields.
const MOST_PROBLEMS: usize = 20;

/// A problem, and what would be right.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) suggestion: String,
}

/// The schema of each field, under a catalog that says which strategies there are.
#[derive(Clone, Debug)]
pub(crate) struct Fields(Map<String, Value>);

/// The schemas before any strategy is known.
static OF_OVERRIDE: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let schema = seawall_config::schema::<Override>();
    let mut fields = schema["properties"].as_object().cloned().unwrap_or_default();
    for field in fields.values_mut() {
        // Rust says `null` for a field that is left out; a configuration leaves it out.
        let kind = field["type"].as_array().and_then(|kinds| kinds.iter().find(|it| *it != "null"));
        if let Some(kind) = kind.cloned() {
            field["type"] = kind;
        }
    }
    fields
});

impl Fields {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let strategies = json!(strategies(catalog));
        let mut fields = OF_OVERRIDE.clone();
        for field in fields.values_mut() {
            match type_of(field) {
                "string" => field["enum"] = strategies.clone(),
                "object" => field["additionalProperties"] = json!({ "enum": strategies }),
                _ => {}
            }
        }
        Self(fields)
    }

    /// The names of all fields.
    pub(crate) fn names() -> Vec<&'static str> {
        OF_OVERRIDE.keys().map(String::as_str).collect()
    }

    /// The JSON type of a field; none if there is no such field.
    pub(crate) fn type_of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(type_of)
    }

    /// The number that a keyword of a field's schema gives.
    pub(crate) fn bound(&self, name: &str, keyword: &str) -> Option<f64> {
        self.0.get(name)?.get(keyword)?.as_f64()
    }

    /// The constraints on a field's values beside their type, in the terms of JSON Schema.
    pub(crate) fn constraints(&self, name: &str) -> Option<Value> {
        const SHOWN: [&str; 5] =
            ["minimum", "maximum", "enum", "maxProperties", "additionalProperties"];
        let shown = |(keyword, _): &(&String, &Value)| SHOWN.contains(&keyword.as_str());
        let keywords = self.0.get(name)?.as_object()?.iter().filter(shown);
        let constraints: Map<_, _> = keywords.map(|(k, v)| (k.clone(), v.clone())).collect();
        (!constraints.is_empty()).then_some(Value::Object(constraints))
    }

    /// Everything that is wrong with one field, which may not exist.
    pub(crate) fn problems(&self, name: &str, value: &Value) -> Vec<Problem> {
        let Some(schema) = self.0.get(name) else { return vec![unknown(name)] };
        let value = whole(schema, value);
        let found = check_value(
            &json!({ "properties": { name: schema } }),
            &json!({ name: value.clone() }),
        );
        let nameless = value.get("").map(|_| Problem {
            message: format!("{name} must not have an operation without a name"),
            suggestion: format!("leave the entry without a name out of {name}"),
        });
        let found = found.into_iter().map(|mistake| problem(schema, &value, mistake));
        nameless.into_iter().chain(found).take(MOST_PROBLEMS).collect()
    }

    /// The fields that are right, as the library takes them, and everything that is wrong with the others.
    pub(crate) fn read(&self, given: &Map<String, Value>) -> (Override, Vec<Problem>) {
        let (mut right, mut problems) = (Map::new(), Vec::new());
        let (known, unknown): (Vec<_>, Vec<_>) =
            given.iter().partition(|(name, _)| self.0.contains_key(*name));
        for (name, value) in known {
            let found = self.problems(name, value);
            if found.is_empty() {
                right.insert(name.clone(), whole(&self.0[name], value));
            }
            problems.extend(found);
        }
        let named = unknown.iter().take(MOST_PROBLEMS);
        problems.extend(named.map(|(name, _)| self::unknown(name)));
        if let Some(more) = unknown.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
            let message = format!("{more} more fields are not known either");
            problems.push(Problem { message, suggestion: String::new() });
        }
        (serde_json::from_value(Value::Object(right)).unwrap_or_default(), problems)
    }
}

/// The names of all strategies: the built-in ones, then those that were added.
fn strategies(catalog: &Catalog) -> Vec<&str> {
    let built_in = profiles().iter().filter(|row| row.kind == ProfileKind::Strategy);
    let mut names: Vec<&str> = built_in.map(|row| row.name).collect();
    let added = catalog.added_strategies().keys().map(String::as_str);
    let added: Vec<&str> = added.filter(|name| !names.contains(name)).collect();
    names.extend(added);
    names
}

fn type_of(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or_default()
}

/// A value in which 3.0 is the whole number 3, where a whole number belongs: serde does not think so.
fn whole(schema: &Value, value: &Value) -> Value {
    let integer = (type_of(schema) == "integer").then(|| as_integer(value)).flatten();
    integer.map_or_else(|| value.clone(), Value::from)
}

/// A number without a fraction. One out of range becomes the nearest in it.
pub(crate) fn as_integer(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
    Some(number as i64)
}

/// Puts a mistake in words that name the field.
fn problem(schema: &Value, value: &Value, mistake: Mistake) -> Problem {
    let path = &mistake.path;
    let within = path.contains(['.', '[']);
    let choices = match within {
        true => &schema["additionalProperties"]["enum"],
        false => &schema["enum"],
    };
    let message = match choices.as_array() {
        Some(choices) => {
            let given = mistake.value.as_deref().unwrap_or("a list or an object");
            let choices = excerpt::listed(choices.iter().filter_map(Value::as_str));
            format!("{path} must be one of {choices}, not {given}")
        }
        None if value.is_i64() || type_of(schema) == "number" && value.is_number() => {
            let bound = |keyword: &str| schema[keyword].as_f64().unwrap_or_default();
            format!("{path} must be between {} and {}", bound("minimum"), bound("maximum"))
        }
        None => format!("{path}: {}", mistake.message),
    };
    let right = mistake.right.unwrap_or_default();
    Problem { message, suggestion: format!("{path}: {right}") }
}

fn unknown(name: &str) -> Problem {
    let (shown, known) = (excerpt::word(name), Fields::names());
    let message = format!("{shown} is not a known field; known: {}", excerpt::listed(&known));
    let suggestion = match nearest(name, known) {
        Some(near) => format!("{shown}: did you mean `{near}`?"),
        None => format!("{shown}: leave it out"),
    };
    Problem { message, suggestion }
}

/// The JSON type of a value, where a whole number is an integer.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
