//! The kinds of value that a schema accepts, as a set.

use super::{Keywords, Schemas, constants};
use crate::tree;
use serde_json::Value;

/// A set of kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOL: Self = Self(2);
    pub(crate) const INTEGER: Self = Self(4);
    /// A number with a fraction.
    pub(crate) const FLOAT: Self = Self(8);
    pub(crate) const STRING: Self = Self(16);
    pub(crate) const LIST: Self = Self(32);
    pub(crate) const MAPPING: Self = Self(64);
    /// Any number.
    pub(crate) const NUMBER: Self = Self(4 | 8);
    pub(crate) const ALL: Self = Self(127);
    const NONE: Self = Self(0);

    /// The kind of a value in the file. A whole float is no integer: serde would refuse it.
    pub(crate) fn of(value: &tree::Value) -> Self {
        match value {
            tree::Value::Null => Self::NULL,
            tree::Value::Bool(_) => Self::BOOL,
            tree::Value::Int(_) => Self::INTEGER,
            tree::Value::Float(_) => Self::FLOAT,
            tree::Value::String(_) => Self::STRING,
            tree::Value::Sequence(_) => Self::LIST,
            tree::Value::Mapping(_) => Self::MAPPING,
        }
    }

    /// The kinds that one layer accepts by its `type`.
    pub(crate) fn of_type(keywords: &Keywords) -> Self {
        match keywords.get("type") {
            Some(Value::String(name)) => Self::named(name),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).map(Self::named).fold(Self::NONE, Self::or)
            }
            _ => Self::ALL,
        }
    }

    /// The kinds that one layer accepts, by its `type` and by the values it lists.
    fn of_layer(keywords: &Keywords) -> Self {
        let listed = constants(keywords).map_or(Self::ALL, |values| {
            values.iter().map(Self::of_json).fold(Self::NONE, Self::or)
        });
        Self::of_type(keywords).and(listed)
    }

    /// Whether all kinds of `other` are in this set.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some kinds of `other` are in this set.
    pub(crate) fn touches(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOL,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::LIST,
            "object" => Self::MAPPING,
            _ => Self::ALL,
        }
    }

    fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOL,
            Value::Number(number) if number.is_f64() => Self::FLOAT,
            Value::Number(_) => Self::INTEGER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::LIST,
            Value::Object(_) => Self::MAPPING,
        }
    }
}

impl<'s> Schemas<'s> {
    /// The kinds that a schema accepts, its choices included.
    pub(crate) fn kinds(self, schema: &'s Value) -> Kinds {
        self.kinds_within(schema, 8)
    }

    /// A schema may choose itself again; after a few rounds that says nothing more.
    fn kinds_within(self, schema: &'s Value, rounds: usize) -> Kinds {
        let parts = self.parts(schema);
        if parts.refused {
            return Kinds::NONE;
        }
        let fixed = parts.layers.iter().map(|layer| Kinds::of_layer(layer));
        let chosen = parts.choices.iter().map(|branches| match rounds {
            0 => Kinds::ALL,
            _ => branches
                .iter()
                .map(|branch| self.kinds_within(branch, rounds - 1))
                .fold(Kinds::NONE, Kinds::or),
        });
        fixed.chain(chosen).fold(Kinds::ALL, Kinds::and)
    }
}
