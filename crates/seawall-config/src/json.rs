//! Strict JSON for untrusted text: no key twice, and bounds for depth and length.

use crate::excerpt;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The longest text that is read: 64 KiB.
const MAX_BYTES: usize = 64 * 1024;

/// How deep lists and objects may be nested.
const MAX_DEPTH: usize = 32;

/// Reads JSON of at most 64 KiB and 32 levels in which no object has a key twice.
///
/// # Errors
/// What is wrong, with its line and column.
pub fn strict_json(text: &str) -> Result<Value, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("the text has {} bytes; at most {MAX_BYTES} are read", text.len()));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| format!("the text is not the JSON that is read here: {error}"))
}

/// Reads one value, as deep as it is.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn below<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            let message = format!("lists and objects are nested deeper than {MAX_DEPTH}");
            return Err(E::custom(message));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(below)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                let key = excerpt::word(&key);
                return Err(A::Error::custom(format!("the key `{key}` is given twice")));
            }
            let value = entries.next_value_seed(below)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_as_they_are() {
        for (text, expected) in [
            ("null", json!(null)),
            (" true ", json!(true)),
            ("-3", json!(-3)),
            ("18446744073709551615", json!(u64::MAX)),
            ("3.0", json!(3.0)),
            (r#""a\nb""#, json!("a\nb")),
            (r#"[1, "x", {"a": {"a": []}}]"#, json!([1, "x", {"a": {"a": []}}])),
        ] {
            assert_eq!(strict_json(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn duplicate_keys_bad_syntax_and_deep_nesting_are_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (text, expected) in [
            (r#"{"a": 1, "b": {"qa": 1, "qa": 2}}"#, "the key `qa` is given twice at line 1"),
            (r#"{"a": 1, "\u0061": 2}"#, "the key `a` is given twice"),
            ("{\n\"a\": }", "expected value at line 2 column 6"),
            ("{} {}", "trailing characters"),
            ("", "EOF while parsing"),
            ("NaN", "expected value"),
            ("1e999", "number out of range"),
            (r#""\ud800""#, "hex escape"),
            (nested(33).as_str(), "nested deeper than 32"),
            ("[".repeat(60_000).as_str(), "nested deeper than 32"),
            (" ".repeat(MAX_BYTES + 1).as_str(), "has 65537 bytes; at most 65536"),
        ] {
            let error = strict_json(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(strict_json(&nested(32)).is_ok());
    }
}
