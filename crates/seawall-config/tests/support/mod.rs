//! Shared parts of the tests of constructs: a table row, and roots for types.

use schemars::JsonSchema;
use seawall_config::{Document, Format, load_str};
use serde::Deserialize;

/// The mistakes of a text, as `line:column: path: message`.
#[track_caller]
pub(crate) fn check<T: Document>(text: &str, expected: &[&str]) {
    let found = match load_str::<T>("f", text, Format::Yaml) {
        Ok(_) => String::new(),
        Err(mistakes) => mistakes.to_string(),
    };
    let found: Vec<&str> = found.lines().map(|line| &line[2..]).collect();
    assert_eq!(found, expected, "{text}");
}

/// A struct with a field that must be there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it loads matters")]
pub(crate) struct Inner {
    x: u8,
    #[serde(default)]
    y: Option<String>,
}

/// Gives each type a root of its own: `{ v: … }`.
macro_rules! root {
    ($root:ident, $type:ty) => {
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only whether it loads matters")]
        struct $root {
            v: $type,
        }
        impl Document for $root {}
    };
}
pub(crate) use root;
