//! What all configuration structs share: problems named by path, and durations as people write them.

use std::{fmt, time::Duration};

/// One thing wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a path: `policies[2].failure_ratio`.
    pub path: String,
    /// The value found there.
    pub value: String,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is not {}", self.path, self.value, self.right)
    }
}

/// All that is wrong in a configuration; an invalid policy cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects problems under a path.
#[derive(Debug, Default)]
pub struct Problems {
    path: String,
    found: Vec<Problem>,
}

impl Problems {
    /// Checks inside `segment`: a field name, or `[index]`.
    pub fn within(&mut self, segment: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !segment.starts_with('[') && length > 0 {
            self.path.push('.');
        }
        self.path.push_str(segment);
        check(self);
        self.path.truncate(length);
    }

    /// Notes a problem with `field` unless `good`.
    pub fn require(&mut self, good: bool, field: &str, value: impl fmt::Debug, right: &str) {
        if good {
            return;
        }
        let dot = if self.path.is_empty() || field.is_empty() { "" } else { "." };
        self.found.push(Problem {
            path: format!("{}{dot}{field}", self.path),
            value: format!("{value:?}"),
            right: right.to_owned(),
        });
    }

    /// A length of zero would mean "at once" in one place and "never" in another, so none allows it.
    pub fn require_positive(&mut self, field: &str, length: Duration) {
        self.require(!length.is_zero(), field, length, "more than 0");
    }

    /// All problems, in the order found.
    pub fn into_result(self) -> Result<(), ConfigError> {
        if self.found.is_empty() { Ok(()) } else { Err(ConfigError { problems: self.found }) }
    }
}

/// The longest wait that a configuration may ask for: longer ones are mistakes, and would overflow in sums.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs one struct's checks alone.
pub(crate) fn validated(check: impl FnOnce(&mut Problems)) -> Result<(), ConfigError> {
    let mut problems = Problems::default();
    check(&mut problems);
    problems.into_result()
}

/// Durations in files: `250ms`, `20s`, `1h 30m`, or a plain number of seconds. For
/// `#[serde(with = "seawall::config::duration")]`.
#[cfg(feature = "serde")]
pub mod duration {
    use serde::{Deserializer, Serializer, de};
    use std::{fmt, time::Duration};

    const RIGHT: &str = "a duration such as 250ms, 20s or 5m, or a number of seconds";

    /// Writes the shortest exact form.
    pub fn serialize<S: Serializer>(length: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*length))
    }

    /// Reads text with units, or a number of seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_any(Written)
    }

    struct Written;

    impl de::Visitor<'_> for Written {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(RIGHT)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            humantime::parse_duration(text)
                .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }
        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            let positive = u64::try_from(seconds)
                .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))?;
            self.visit_u64(positive)
        }
        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
        }
    }

    /// The JSON Schema of a duration.
    #[cfg(feature = "schema")]
    pub fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number"], "format": "duration", "minimum": 0 })
    }

    /// The same for a field that may be left out.
    pub mod option {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};
        use std::time::Duration;

        #[derive(Serialize, Deserialize)]
        struct Wrapped(#[serde(with = "super")] Duration);

        /// Writes the duration, or nothing.
        pub fn serialize<S: Serializer>(
            length: &Option<Duration>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            length.map(Wrapped).serialize(to)
        }

        /// Reads a duration, or null.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<Wrapped>::deserialize(from)?.map(|wrapped| wrapped.0))
        }

        /// The JSON Schema of a duration that may be null.
        #[cfg(feature = "schema")]
        pub fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::json_schema!({
                "type": ["string", "number", "null"], "format": "duration", "minimum": 0
            })
        }
    }
}

/// Declares a configuration struct: each field with its meaning and its default in one place.
macro_rules! config {
    ($(#[$doc:meta])* pub struct $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self { Self { $($field: $default,)* } }
        }
    };
}
pub(crate) use config;

#[cfg(test)]
mod tests;
