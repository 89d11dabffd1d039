//! The JSON Schema of a root type, and how to read one: references, parts that add up, kinds, secrets.
//!
//! What the reader understands is what `schemars` writes for Rust types (draft 2020-12), not all of JSON
//! Schema: a keyword it does not know is not checked, and serde has the last word.

mod kinds;
#[cfg(test)]
mod tests;

pub(crate) use kinds::Kinds;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

/// The JSON Schema (draft 2020-12) that files of this root type are checked against.
pub fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The keywords of one schema object.
pub(crate) type Keywords = Map<String, Value>;

/// A schema taken apart: what holds in any case, and what is to be chosen.
#[derive(Debug, Default)]
pub(crate) struct Parts<'s> {
    /// The schema's own keywords and those of everything it refers to or adds up.
    pub(crate) layers: Vec<&'s Keywords>,
    /// The branches of each `oneOf` and `anyOf`.
    pub(crate) choices: Vec<&'s [Value]>,
    /// Whether the schema is `false`: no value may stand here.
    pub(crate) refused: bool,
}

/// A schema with its definitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schemas<'s> {
    root: &'s Value,
}

impl<'s> Schemas<'s> {
    pub(crate) fn new(root: &'s Value) -> Self {
        Self { root }
    }

    /// Takes a schema apart.
    pub(crate) fn parts(self, schema: &'s Value) -> Parts<'s> {
        let mut parts = Parts::default();
        let mut pending = vec![schema];
        while let Some(next) = pending.pop() {
            let Value::Object(keywords) = next else {
                parts.refused |= *next == Value::Bool(false);
                continue;
            };
            // A schema may refer to itself.
            if parts.layers.iter().any(|layer| std::ptr::eq(*layer, keywords)) {
                continue;
            }
            parts.layers.push(keywords);
            pending.extend(self.target(keywords));
            pending.extend(list(keywords, "allOf"));
            for name in ["oneOf", "anyOf"] {
                let branches = list(keywords, name);
                if !branches.is_empty() {
                    parts.choices.push(branches);
                }
            }
        }
        parts
    }

    /// The branches, where one that only chooses again gives its own branches.
    pub(crate) fn alternatives(self, branches: &'s [Value]) -> Vec<&'s Value> {
        let mut found = Vec::new();
        let mut pending: Vec<&Value> = branches.iter().rev().collect();
        let mut opened: Vec<*const Value> = Vec::new();
        while let Some(branch) = pending.pop() {
            let parts = self.parts(branch);
            let only_chooses = parts.choices.len() == 1 && !constrains(&parts.layers);
            if !only_chooses {
                found.push(branch);
            } else if !opened.contains(&parts.choices[0].as_ptr()) {
                // A choice that leads back to itself offers nothing more the second time.
                opened.push(parts.choices[0].as_ptr());
                pending.extend(parts.choices[0].iter().rev());
            }
        }
        found
    }

    /// Whether the schema allows every value, as `{}` and `true` do.
    pub(crate) fn allows_all(self, schema: &'s Value) -> bool {
        let parts = self.parts(schema);
        !parts.refused && parts.choices.is_empty() && !constrains(&parts.layers)
    }

    /// The only values it allows, if it lists them.
    pub(crate) fn constants(self, schema: &'s Value) -> Option<&'s [Value]> {
        self.parts(schema).layers.into_iter().find_map(constants)
    }

    /// The fields it names, with what each must be.
    pub(crate) fn properties(self, schema: &'s Value) -> Vec<(&'s str, &'s Value)> {
        let layers = self.parts(schema).layers;
        layers.into_iter().flat_map(|layer| object(layer, "properties")).collect()
    }

    /// The fields that the schema requires.
    pub(crate) fn required(self, schema: &'s Value) -> Vec<&'s str> {
        self.parts(schema).layers.into_iter().flat_map(required).collect()
    }

    /// Whether a value of the schema could be a secret, or contain one.
    pub(crate) fn holds_secret(self, schema: &'s Value) -> bool {
        let mut seen: Vec<*const Keywords> = Vec::new();
        let mut pending = vec![schema];
        while let Some(next) = pending.pop() {
            let Value::Object(keywords) = next else { continue };
            if seen.contains(&std::ptr::from_ref(keywords)) {
                continue;
            }
            seen.push(keywords);
            if is_secret(keywords) {
                return true;
            }
            pending.extend(self.target(keywords));
            for name in ["allOf", "oneOf", "anyOf", "prefixItems"] {
                pending.extend(list(keywords, name));
            }
            for name in ["properties", "patternProperties"] {
                pending.extend(object(keywords, name).map(|(_, below)| below));
            }
            pending
                .extend(["items", "additionalProperties"].iter().filter_map(|n| keywords.get(*n)));
        }
        false
    }

    fn target(self, keywords: &Keywords) -> Option<&'s Value> {
        let reference = keywords.get("$ref")?.as_str()?;
        self.root.pointer(&percent_decoded(reference.strip_prefix('#')?))
    }
}

/// The schemas listed under a keyword.
pub(crate) fn list<'s>(keywords: &'s Keywords, name: &str) -> &'s [Value] {
    keywords.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The named schemas under a keyword.
pub(crate) fn object<'s>(
    keywords: &'s Keywords,
    name: &str,
) -> impl Iterator<Item = (&'s str, &'s Value)> {
    let named = keywords.get(name).and_then(Value::as_object);
    named.into_iter().flatten().map(|(key, schema)| (key.as_str(), schema))
}

/// The fields that one layer insists on.
pub(crate) fn required(keywords: &Keywords) -> impl Iterator<Item = &str> {
    list(keywords, "required").iter().filter_map(Value::as_str)
}

/// The only values that one layer allows.
pub(crate) fn constants(keywords: &Keywords) -> Option<&[Value]> {
    match (keywords.get("const"), keywords.get("enum")) {
        (Some(only), _) => Some(std::slice::from_ref(only)),
        (None, Some(Value::Array(values))) => Some(values),
        _ => None,
    }
}

/// Whether a value must never be printed.
pub(crate) fn is_secret(keywords: &Keywords) -> bool {
    keywords.get("writeOnly") == Some(&Value::Bool(true))
        || keywords.get("format").and_then(Value::as_str) == Some("password")
}

/// Whether the layers restrict a value; notes, defaults and definitions do not.
fn constrains(layers: &[&Keywords]) -> bool {
    const SILENT: [&str; 12] = [
        "$schema",
        "$id",
        "$defs",
        "$ref",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
    ];
    const PARTS: [&str; 3] = ["allOf", "oneOf", "anyOf"];
    layers.iter().flat_map(|layer| layer.keys()).any(|keyword| {
        !SILENT.contains(&keyword.as_str())
            && !PARTS.contains(&keyword.as_str())
            && !keyword.starts_with("x-")
    })
}

/// References are URIs: names with odd characters come percent-encoded.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
