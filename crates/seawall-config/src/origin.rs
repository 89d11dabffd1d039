//! The origin of each value of a document.

use crate::{
    path::{Path, Segment},
    tree::{Node, Value},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The origin of a value; later kinds win over earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "layer")]
pub enum Origin {
    /// The default of the type, since no source sets the value.
    Default,
    /// The value follows from a preset or another profile.
    Preset {
        /// The name of the profile.
        name: String,
    },
    /// The value is set in a file.
    File {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The section of an environment, if it is in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<String>,
    },
    /// The value is set by an environment variable.
    Variable {
        /// The name of the variable.
        name: String,
    },
    /// The value was set through the API.
    Api,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset { name } => write!(f, "preset {name}"),
            Self::File { file, line, environment: None } => write!(f, "{file}:{line}"),
            Self::File { file, line, environment: Some(name) } => {
                write!(f, "{file}:{line} ({name})")
            }
            Self::Variable { name } => write!(f, "variable {name}"),
            Self::Api => f.write_str("API"),
        }
    }
}

/// The kind of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    File,
    Environment(String),
    Variable,
    Api,
}

/// A source with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) kind: SourceKind,
}

impl Named {
    pub(crate) fn file(name: &str) -> Self {
        Self { name: name.to_owned(), kind: SourceKind::File }
    }

    fn origin(&self, line: usize) -> Origin {
        let file = self.name.clone();
        match &self.kind {
            SourceKind::File => Origin::File { file, line, environment: None },
            SourceKind::Environment(name) => {
                Origin::File { file, line, environment: Some(name.clone()) }
            }
            SourceKind::Variable => Origin::Variable { name: file },
            SourceKind::Api => Origin::Api,
        }
    }
}

/// The origins of a document's values, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    given: BTreeMap<String, Origin>,
}

/// One value of a document: no mapping, and no list unless it is empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leaf {
    /// The path of the value, such as `upstreams.chat.endpoints[1]`.
    pub path: String,
    /// The value itself.
    pub value: serde_json::Value,
    /// The origin of the value.
    pub origin: Origin,
}

impl Origins {
    pub(crate) fn new(tree: &Node, sources: &[Named]) -> Self {
        let mut origins = Self::default();
        origins.gather(tree, &mut Path::default(), sources);
        origins
    }

    fn gather<'t>(&mut self, node: &'t Node, path: &mut Path<'t>, sources: &[Named]) {
        if let Some(source) = sources.get(node.position.source) {
            self.given.insert(path.to_string(), source.origin(node.position.line));
        }
        match &node.value {
            Value::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Segment::Index(index));
                    self.gather(item, path, sources);
                    path.pop();
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    path.push(Segment::Key(&entry.key));
                    self.gather(&entry.node, path, sources);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// The origin of the value at a path; none if no source sets it.
    pub fn of(&self, path: &str) -> Option<&Origin> {
        self.given.get(path)
    }

    /// Every value of a document with its origin. A value that no source sets is a default.
    pub fn leaves(&self, document: &serde_json::Value) -> Vec<Leaf> {
        leaves(document)
            .into_iter()
            .map(|(path, value)| {
                let origin = self.of(&path).cloned().unwrap_or(Origin::Default);
                Leaf { path, value, origin }
            })
            .collect()
    }
}

/// Every value of a document with its path: no mapping and no list, unless it is empty.
pub fn leaves(document: &serde_json::Value) -> Vec<(String, serde_json::Value)> {
    let mut found = Vec::new();
    descend(document, &mut Path::default(), &mut found);
    found
}

fn descend<'v>(
    value: &'v serde_json::Value,
    path: &mut Path<'v>,
    found: &mut Vec<(String, serde_json::Value)>,
) {
    use serde_json::Value as Json;
    match value {
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                path.push(Segment::Index(index));
                descend(item, path, found);
                path.pop();
            }
        }
        Json::Object(fields) if !fields.is_empty() => {
            for (key, field) in fields {
                path.push(Segment::Key(key));
                descend(field, path, found);
                path.pop();
            }
        }
        leaf => found.push((path.to_string(), leaf.clone())),
    }
}
