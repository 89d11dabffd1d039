//! The fields of the custom configuration, as the JSON Schema of [`Override`] has them, and what is wrong with a
//! value of one.

use seawall::{Catalog, Override, PROFILES, ProfileKind};
use seawall_config::{excerpt, nearest, path_of};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Integer,
    Number,
    Boolean,
    /// The name of a strategy.
    Strategy,
    /// Operations, each with the name of a strategy.
    Strategies,
}

/// A field with its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The most entries.
    pub(crate) most: usize,
}

/// What is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) suggestion: String,
}

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let schema = seawall_config::schema::<Override>();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.filter_map(|(name, keywords)| Field::new(name, keywords)).collect()
});

/// The field of this name.
pub(crate) fn named(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// The names of all fields.
pub(crate) fn names() -> Vec<&'static str> {
    FIELDS.iter().map(|field| field.name.as_str()).collect()
}

/// The names of all strategies: the built-in ones, then those that were added.
pub(crate) fn strategies(catalog: &Catalog) -> Vec<&str> {
    let built_in = PROFILES.iter().filter(|row| row.kind == ProfileKind::Strategy);
    let mut names: Vec<&str> = built_in.map(|row| row.name).collect();
    let added = catalog.added_strategies().keys().map(String::as_str);
    let added: Vec<&str> = added.filter(|name| !names.contains(name)).collect();
    names.extend(added);
    names
}

/// What to say of a field that does not exist.
pub(crate) fn unknown(name: &str) -> Problem {
    let shown = excerpt::word(name);
    let message = format!("{shown} is not a known field; known: {}", excerpt::listed(names()));
    let suggestion = match nearest(name, names()) {
        Some(near) => format!("{shown}: did you mean `{near}`?"),
        None => format!("{shown}: leave it out"),
    };
    Problem { message, suggestion }
}

/// What a value is, in JSON's words.
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

/// 3.0 is the whole number 3; serde does not think so. One out of range becomes the nearest in it.
pub(crate) fn as_integer(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
    Some(number as i64)
}

impl Field {
    fn new(name: &str, schema: &Value) -> Option<Self> {
        let kind = match schema.get("type")? {
            Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null")?.as_str()?,
            kind => kind.as_str()?,
        };
        let number = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        Some(Self {
            name: name.to_owned(),
            kind: match kind {
                "integer" => Kind::Integer,
                "number" => Kind::Number,
                "boolean" => Kind::Boolean,
                "string" => Kind::Strategy,
                _ => Kind::Strategies,
            },
            min: number("minimum").unwrap_or(f64::MIN),
            max: number("maximum").unwrap_or(f64::MAX),
            most: schema.get("maxProperties").and_then(Value::as_u64).unwrap_or(u64::MAX) as usize,
        })
    }

    /// Its type, in JSON's words.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Strategy => "string",
            Kind::Strategies => "object",
        }
    }

    /// What holds of its values, beside their type.
    pub(crate) fn constraints(&self, catalog: &Catalog) -> Option<Value> {
        let bound = |number: f64| match self.kind {
            Kind::Integer => json!(number as i64),
            _ => json!(number),
        };
        match self.kind {
            Kind::Integer | Kind::Number => {
                Some(json!({ "minimum": bound(self.min), "maximum": bound(self.max) }))
            }
            Kind::Boolean => None,
            Kind::Strategy => Some(json!({ "enum": strategies(catalog) })),
            Kind::Strategies => Some(json!({
                "maxProperties": self.most,
                "additionalProperties": { "enum": strategies(catalog) },
            })),
        }
    }

    /// What is wrong with a value.
    pub(crate) fn problems(&self, value: &Value, strategies: &[&str]) -> Vec<Problem> {
        match self.kind {
            Kind::Integer | Kind::Number => self.number(value).into_iter().collect(),
            Kind::Boolean => self.boolean(value).into_iter().collect(),
            Kind::Strategy => strategy(&self.name, value, strategies).into_iter().collect(),
            Kind::Strategies => self.operations(value, strategies),
        }
    }

    fn number(&self, value: &Value) -> Option<Problem> {
        let Self { name, min, max, .. } = self;
        let whole = self.kind == Kind::Integer;
        let Some(given) = value.as_f64().filter(|given| !whole || given.fract() == 0.0) else {
            let wanted = if whole { "a whole number" } else { "a number" };
            let given = shown_type(value);
            return Some(Problem {
                message: format!("{name} must be {wanted} between {min} and {max}, not {given}"),
                suggestion: format!("write {name} as {wanted}, without quotes"),
            });
        };
        (given < *min || given > *max).then(|| Problem {
            message: format!("{name} must be between {min} and {max}"),
            suggestion: format!("set {name} to {}", given.clamp(*min, *max)),
        })
    }

    fn boolean(&self, value: &Value) -> Option<Problem> {
        let name = &self.name;
        (!value.is_boolean()).then(|| Problem {
            message: format!("{name} must be true or false, not {}", shown_type(value)),
            suggestion: format!("write {name} as true or false, without quotes"),
        })
    }

    fn operations(&self, value: &Value, strategies: &[&str]) -> Vec<Problem> {
        let Self { name, most, .. } = self;
        let Some(operations) = value.as_object() else {
            return vec![Problem {
                message: format!(
                    "{name} must be an object of operations and strategies, not {}",
                    shown_type(value)
                ),
                suggestion: format!("write {name} as {{\"qa\": \"critical\"}}"),
            }];
        };
        let mut problems = Vec::new();
        if operations.len() > *most {
            problems.push(Problem {
                message: format!("{name} must have at most {most} entries"),
                suggestion: format!("keep in {name} what differs from default_strategy"),
            });
        }
        // Beyond the bound there is nothing to learn from more of the same.
        problems.extend(operations.iter().take(*most).filter_map(|(operation, value)| {
            if operation.is_empty() {
                return Some(nameless(name));
            }
            strategy(&path_of(&[name, operation]), value, strategies)
        }));
        problems
    }
}

fn nameless(name: &str) -> Problem {
    Problem {
        message: format!("{name} must not have an operation without a name"),
        suggestion: format!("leave the entry without a name out of {name}"),
    }
}

fn strategy(path: &str, value: &Value, strategies: &[&str]) -> Option<Problem> {
    let known = excerpt::listed(strategies);
    let Some(given) = value.as_str() else {
        return Some(Problem {
            message: format!("{path} must be one of {known}, not {}", shown_type(value)),
            suggestion: format!("write {path} as the name of a strategy"),
        });
    };
    if strategies.contains(&given) {
        return None;
    }
    let suggestion = match nearest(given, strategies.iter().copied()) {
        Some(near) => format!("{path}: did you mean `{near}`?"),
        None => format!("set {path} to balanced if in doubt"),
    };
    let message = format!("{path} must be one of {known}, not {}", excerpt::quoted(given));
    Some(Problem { message, suggestion })
}

fn shown_type(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "a boolean".into(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// The part of a configuration that is right.
pub(crate) fn right_part(given: &Map<String, Value>, strategies: &[&str]) -> Override {
    let right = given.iter().filter_map(|(name, value)| {
        let field = named(name)?;
        if !field.problems(value, strategies).is_empty() {
            return None;
        }
        let value = match field.kind {
            Kind::Integer => json!(as_integer(value)?),
            _ => value.clone(),
        };
        Some((name.clone(), value))
    });
    serde_json::from_value(Value::Object(right.collect())).unwrap_or_default()
}
