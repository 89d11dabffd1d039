//! The foundation of all configuration structs: how their fields are declared and checked, and how durations are
//! written.
//!
//! A field is stated once, in [`configuration!`]: its meaning, name, type, default and bounds. The setter, the check,
//! and the attributes for serde and JSON Schema are made from that. Problems are named by path, and all are reported
//! at once.

use std::{fmt, ops::RangeBounds};

mod declare;
#[cfg(feature = "serde")]
pub mod duration;
mod range;

pub(crate) use declare::config;
pub use declare::configuration;
#[cfg(feature = "schema")]
pub use range::schema;
pub use range::{Bounded, days, hours, millis, secs};

/// A value in a configuration that is out of its bounds, or does not go with another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the field, such as `policies[2].failure_ratio`.
    pub path: String,
    /// The value that the field has, as `Debug` prints it.
    pub value: String,
    /// What the value should be, such as `a whole number from 1 to 100`. It completes "the value is not …".
    pub right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is not {}", self.path, self.value, self.right)
    }
}

/// All problems of one configuration. A policy whose configuration has any cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems in the order found, at least one.
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

/// Collects the problems of a configuration while it is checked, each under the path of its field.
#[derive(Debug, Default)]
pub struct Problems {
    path: String,
    found: Vec<Problem>,
}

impl Problems {
    /// Runs `check` one level deeper: what it notes is below `segment`, a field's name or `[index]`.
    pub fn within(&mut self, segment: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !segment.starts_with('[') && length > 0 {
            self.path.push('.');
        }
        self.path.push_str(segment);
        check(self);
        self.path.truncate(length);
    }

    /// Notes a problem with `field` unless `good` holds: its `value` is not `right`.
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

    /// Notes a problem with `field` where its value is out of `range`; a field that is left out is never wrong. The
    /// text says `right`, or the range in words.
    pub fn hold<T: Bounded>(
        &mut self,
        field: &str,
        value: impl Into<Option<T>>,
        range: impl RangeBounds<T>,
        right: Option<&str>,
    ) {
        if let Some(value) = value.into().filter(|value| !range.contains(value)) {
            let words = || value.right(range.start_bound().cloned(), range.end_bound().cloned());
            self.require(false, field, value, &right.map_or_else(words, str::to_owned));
        }
    }

    /// Ends the check.
    ///
    /// # Errors
    /// All problems that were noted, in the order found.
    pub fn into_result(self) -> Result<(), ConfigError> {
        if self.found.is_empty() { Ok(()) } else { Err(ConfigError { problems: self.found }) }
    }
}

/// A configuration that can be checked.
pub trait Check {
    /// Notes every field that is out of its bounds or does not go with another one.
    fn check(&self, problems: &mut Problems);

    /// Checks this configuration alone.
    ///
    /// # Errors
    /// All problems, in the order of the fields.
    fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        self.check(&mut problems);
        problems.into_result()
    }
}

impl<T: Check> Check for Option<T> {
    fn check(&self, problems: &mut Problems) {
        if let Some(config) = self {
            config.check(problems);
        }
    }
}

impl<T: Check> Check for Vec<T> {
    fn check(&self, problems: &mut Problems) {
        for (i, config) in self.iter().enumerate() {
            problems.within(&format!("[{i}]"), |problems| config.check(problems));
        }
    }
}

#[cfg(test)]
mod tests;
