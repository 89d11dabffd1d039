//! Configuration files of any type: parsed and checked, with every mistake reported by path and line.
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

pub use document::{Document, Loaded};
pub use json::strict_json;
pub use layers::{ENVIRONMENTS, Layers, file_schema, laid_over};
pub use mistake::{Mistake, Mistakes, Severity};
pub use nearest::nearest;
pub use origin::{Leaf, Origin, Origins, leaves};
pub use path::path_of;
pub use reference::reference;
pub use report::Report;
pub use schema::schema;
pub use source::{Format, LoadError, MAX_BYTES, Source, load_file, load_str};
pub use walk::check_value;
