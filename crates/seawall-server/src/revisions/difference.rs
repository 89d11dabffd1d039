//! The differences of two configurations, value by value.

use seawall_config::{Origin, Origins, leaves};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One value of the configuration that a change made differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The path of the value, such as `upstreams.chat.endpoints[1]`.
    pub path: String,
    /// The value before; left out if there was none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The value after; left out if there is none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// The source of the new value: a file and line, a variable, `API`, or `default`.
    pub origin: String,
}

/// Reads a value that is present, also if it is `null`, which is not the same as absent.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// All differences of two documents, by path.
pub(crate) fn differences(old: &Value, new: &Value, origins: &Origins) -> Vec<Difference> {
    // A value may be null, and a path may be missing: the two are distinguished.
    let old: BTreeMap<String, Value> = leaves(old).into_iter().collect();
    let new: BTreeMap<String, Value> = leaves(new).into_iter().collect();
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| old.get(*path) != new.get(*path))
        .filter(|path| !is_hollow(old.get(*path), new.get(*path)))
        .map(|path| Difference {
            path: path.clone(),
            old: old.get(path).cloned(),
            new: new.get(path).cloned(),
            origin: origins.of(path).unwrap_or(&Origin::Default).to_string(),
        })
        .collect()
}

/// Whether an empty mapping or list comes or goes: the values in it are differences of their own.
fn is_hollow(old: Option<&Value>, new: Option<&Value>) -> bool {
    let empty = |value: &Value| match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    match (old, new) {
        (Some(one), None) | (None, Some(one)) => empty(one),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_listed() {
        let old = json!({ "a": 1, "b": { "c": [1, 2] }, "d": {}, "e": null });
        let new = json!({ "a": 1, "b": { "c": [1, 3, 4] }, "d": { "x": true }, "e": null });
        let found = differences(&old, &new, &Origins::default());
        let message: Vec<_> =
            found.iter().map(|d| (d.path.as_str(), d.old.clone(), d.new.clone())).collect();
        assert_eq!(
            message,
            [
                ("b.c[1]", Some(json!(2)), Some(json!(3))),
                ("b.c[2]", None, Some(json!(4))),
                ("d.x", None, Some(json!(true))),
            ]
        );
        assert_eq!(found[0].origin, "default");
    }
}
