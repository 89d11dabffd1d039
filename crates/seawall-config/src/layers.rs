//! Makes one document of several sources: files with what they include, the section of an environment, variables, and a
//! change through the API. Later sources win, value by value.

use crate::{
    document::{self, Document, Loaded},
    findings::{Fault, Findings},
    mistake::Mistakes,
    origin::{Named, SourceKind},
    schema::schema,
    source::{LoadError, Source},
    tree::{Entry, Node, Position, Value},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

mod include;
mod variables;

/// The sections of a file that count in one environment only.
pub const ENVIRONMENTS: [&str; 4] = ["development", "testing", "staging", "production"];

/// The sources of one document. Each that is added wins over those before it, value by value.
#[derive(Clone, Debug)]
pub struct Layers {
    tree: Node,
    sections: Vec<(String, Node)>,
    sources: Vec<Named>,
    findings: Findings,
    files: Vec<PathBuf>,
    known: BTreeMap<String, String>,
    broken: bool,
}

impl Default for Layers {
    fn default() -> Self {
        Self {
            tree: Node { value: Value::Mapping(Vec::new()), position: Position::START },
            sections: Vec::new(),
            sources: Vec::new(),
            findings: Findings::default(),
            files: Vec::new(),
            known: BTreeMap::new(),
            broken: false,
        }
    }
}

impl Layers {
    /// Adds a file and the files that it includes.
    ///
    /// # Errors
    /// [`LoadError::Io`] if the file itself cannot be read. Everything else that is wrong is an error of [`load`](Self::load).
    pub fn file(&mut self, path: &Path) -> Result<(), LoadError> {
        let source = Source::read(path)?;
        self.files.push(path.to_owned());
        self.source(&source, path.parent());
        Ok(())
    }

    /// Adds a text. Files that it includes are looked for in `folder`; without one, including is a mistake.
    pub fn source(&mut self, source: &Source, folder: Option<&Path>) {
        include::add(self, source, folder, &mut Vec::new());
    }

    /// Lays the section of an environment over what the files say in general.
    pub fn environment(&mut self, name: &str) {
        for (section, node) in std::mem::take(&mut self.sections) {
            if section == name {
                self.tree.lay_over(node.clone());
            }
            self.sections.push((section, node));
        }
    }

    /// The environments that the files have sections for.
    pub fn environments(&self) -> Vec<&str> {
        let has = |name: &&str| self.sections.iter().any(|(section, _)| section == name);
        ENVIRONMENTS.into_iter().filter(has).collect()
    }

    /// Lays one variable over what is there: `path` is `["limits", "max_body_bytes"]`, each part in any case,
    /// an element of a list by its number. The value is read as YAML.
    pub fn variable(&mut self, name: &str, path: &[&str], value: &str) {
        variables::lay(self, name, path, value);
    }

    /// Lays all variables `PREFIX__SECTION__FIELD` over what is there.
    pub fn variables<'v>(
        &mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("__"))
            else {
                continue;
            };
            self.variable(name, &path.split("__").collect::<Vec<_>>(), value);
        }
    }

    /// Sets the values that `${NAME}` stands for in secret fields.
    pub fn secrets(&mut self, known: BTreeMap<String, String>) {
        self.known = known;
    }

    /// Lays a change through the API over everything. With `alone` it takes the place of everything instead, but
    /// for the fields `kept` at the top.
    pub fn api(&mut self, name: &str, document: &serde_json::Value, alone: Option<&[&str]>) {
        let source = self.add_source(Named { name: name.to_owned(), kind: SourceKind::Api });
        let tree = Node::of_json(document, Position { source, line: 0, column: 0 });
        if let Some(kept) = alone
            && let Value::Mapping(entries) = &mut self.tree.value
        {
            entries.retain(|entry| kept.contains(&entry.key.as_str()));
        }
        self.tree.lay_over(tree);
    }

    /// Adds an error in a source that is not part of the document; `right` says what to write instead.
    pub fn refuse(&mut self, name: &str, told: &str, right: &str) {
        let source = self.add_source(Named { name: name.to_owned(), kind: SourceKind::Variable });
        let at = Position { source, line: 0, column: 0 };
        self.fault(at, "", Fault::error(told).right(right));
    }

    /// Adds a warning about a source that is not part of the document; `right` says what to write instead.
    pub fn advise(&mut self, name: &str, told: &str, right: &str) {
        let source = self.add_source(Named { name: name.to_owned(), kind: SourceKind::Variable });
        let at = Position { source, line: 0, column: 0 };
        self.fault(at, "", Fault::warning(told).right(right));
    }

    /// Whether some source sets this field at the top of the document.
    pub fn gives(&self, field: &str) -> bool {
        self.tree.entry(field).is_some()
    }

    /// The files that were read, included ones too: those to watch for changes.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Checks and deserialises what all sources together say.
    ///
    /// # Errors
    /// All mistakes, each with its source.
    pub fn load<T: Document>(&self) -> Result<Loaded<T>, Mistakes> {
        let tree = (!self.broken).then(|| self.tree.clone());
        let lookup = |name: &str| self.known.get(name).cloned();
        document::load(tree, self.sources.clone(), self.findings.clone(), &lookup)
    }

    /// The values that all sources together set, before they are checked.
    pub fn given(&self) -> serde_json::Value {
        self.tree.to_json()
    }

    fn add_source(&mut self, named: Named) -> usize {
        if let Some(at) = self.sources.iter().position(|known| *known == named) {
            return at;
        }
        self.sources.push(named);
        self.sources.len() - 1
    }

    fn fault(&mut self, at: Position, path: &str, fault: Fault) {
        self.findings.add(at, path.to_owned(), fault);
    }

    /// Takes the sections of environments out of a file's tree.
    fn take_sections(&mut self, tree: &mut Node, file: &str) {
        for name in ENVIRONMENTS {
            let Some(Entry { mut node, .. }) = tree.take_entry(name) else { continue };
            if !matches!(node.value, Value::Mapping(_)) {
                let fault =
                    Fault::error("the section of an environment holds fields, as the file does");
                self.fault(
                    node.position,
                    name,
                    fault.right("write fields below it, or leave it out"),
                );
                continue;
            }
            let kind = SourceKind::Environment(name.to_owned());
            node.set_source(self.add_source(Named { name: file.to_owned(), kind }));
            self.sections.push((name.to_owned(), node));
        }
    }
}

/// Lays one document over another as layers are: mappings are joined, null takes a value away, and all else replaces.
pub fn laid_over(below: &serde_json::Value, above: &serde_json::Value) -> serde_json::Value {
    let mut tree = Node::of_json(below, Position::START);
    tree.lay_over(Node::of_json(above, Position::START));
    tree.to_json()
}

/// The JSON Schema of files of this root type: with `include`, and a section for each environment.
pub fn file_schema<T: Document>() -> serde_json::Value {
    let mut schema = schema::<T>();
    let section = |name: &str| {
        serde_json::json!({
            "$ref": "#",
            "description": format!("What counts in the environment `{name}` only (SEAWALL_ENV)."),
        })
    };
    if let Some(properties) = schema.get_mut("properties").and_then(|fields| fields.as_object_mut())
    {
        properties.insert(
            "include".into(),
            serde_json::json!({
                "description": "Files whose content comes before this file's, by paths from this file's folder.",
                "type": ["string", "array"], "items": { "type": "string" },
            }),
        );
        for name in ENVIRONMENTS {
            properties.insert(name.into(), section(name));
        }
    }
    schema
}
