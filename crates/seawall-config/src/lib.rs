//! The configuration file: parsed, checked, with every mistake named by path and line.
//!
//! Text becomes a tree that knows its lines; the tree is checked against the JSON Schema of the root
//! type; it is deserialised without what the schema refused, and then the root type's own
//! [`Document::check`] looks across fields. All mistakes come at once. The crate is generic over the root
//! type, so layers, overrides and the origin of values can be added between the tree and the schema.

mod deserialize;
mod document;
pub mod excerpt;
mod findings;
mod json;
mod layers;
mod mistake;
mod nearest;
mod origin;
pub mod path;
mod placeholders;
mod reference;
mod report;
mod schema;
mod source;
mod toml;
mod tree;
mod walk;
mod yaml;

pub use json::strict_json;
pub use layers::{ENVIRONMENTS, Layers, file_schema, laid_over};
pub use mistake::{Mistake, Mistakes, Severity};
pub use nearest::nearest;
pub use origin::{Leaf, Origin, Origins, leaves};
pub use path::path_of;
pub use reference::reference;
pub use report::Report;
pub use schema::schema;
pub use source::{Format, LoadError, Loaded, MAX_BYTES, Source, load_file, load_str};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// The root type of a configuration file.
///
/// The schema carries what can be said of one field (type, bounds, choices); [`check`](Self::check)
/// carries what needs several. Write `deny_unknown_fields` on every struct: without it an unknown
/// field is a warning only. The schema does not know `serde(alias)`, so an alias counts as unknown.
/// A value is secret, and never printed, if its schema says `"writeOnly": true` or
/// `"format": "password"`.
///
/// ```
/// use seawall_config::{Document, Format, Report, load_str};
///
/// #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Limits {
///     #[schemars(range(min = 1, max = 100))]
///     low: u32,
///     high: u32,
/// }
///
/// impl Document for Limits {
///     fn check(&self, report: &mut Report<'_>) {
///         if self.low > self.high {
///             report.error("low", "`low` is above `high`", "lower it, or raise `high`");
///         }
///     }
/// }
///
/// let limits: Limits = load_str("limits.yaml", "low: 1\nhigh: 2\n", Format::Yaml).unwrap();
/// assert_eq!((limits.low, limits.high), (1, 2));
///
/// let mistakes = load_str::<Limits>("limits.yaml", "low: 0\nhihg: 2\n", Format::Yaml).unwrap_err();
/// assert_eq!(
///     mistakes.to_string(),
///     "limits.yaml:1:1: high: missing field `high`; write a whole number of 0 or more\n\
///      limits.yaml:1:6: low: 0 is too small; write a whole number from 1 to 100\n\
///      limits.yaml:2:1: hihg: unknown field `hihg`; did you mean `high`? known: high, low"
/// );
///
/// let mistakes = load_str::<Limits>("limits.yaml", "low: 3\nhigh: 2\n", Format::Yaml).unwrap_err();
/// assert_eq!(
///     mistakes.to_string(),
///     "limits.yaml:1:6: low: `low` is above `high`; lower it, or raise `high`"
/// );
/// ```
pub trait Document: DeserializeOwned + JsonSchema {
    /// Adds what the schema cannot say: checks across fields.
    ///
    /// In a file with other mistakes it sees the refused fields as left out, if they may be (give fields
    /// that the schema requires a `serde(default)`, and the struct a `schemars(extend("required" = …))`); what it says of those is not
    /// repeated.
    fn check(&self, report: &mut Report<'_>) {
        let _ = report;
    }
}
