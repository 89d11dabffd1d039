//! `include`: other files come before the file that includes them, so that this one wins.

use super::Layers;
use crate::{
    findings::{Fault, Findings},
    origin::Named,
    source::{LoadError, Source},
    tree::{Entry, Node, Value},
};
use std::path::{Path, PathBuf};

/// The most files that one document may be made of.
const MOST_FILES: usize = 32;

/// Adds a source after what it includes; `open` are the files that include it.
pub(super) fn add(
    layers: &mut Layers,
    source: &Source,
    folder: Option<&Path>,
    open: &mut Vec<PathBuf>,
) {
    let number = layers.add_source(Named::file(source.name()));
    let mut findings = Findings::default();
    let tree = source.tree(&mut findings);
    layers.findings.adopt(findings, number);
    let Some(mut tree) = tree else {
        layers.broken = true;
        return;
    };
    tree.set_source(number);
    if let Some(Entry { node, .. }) = tree.take_entry("include") {
        match folder {
            Some(folder) => all(layers, &node, folder, open),
            None => {
                let fault = Fault::error("a text that is no file includes nothing");
                layers.fault(node.position, "include", fault.right("leave it out"));
            }
        }
    }
    layers.take_sections(&mut tree, source.name());
    layers.tree.position = tree.position;
    layers.tree.lay_over(tree);
}

fn all(layers: &mut Layers, node: &Node, folder: &Path, open: &mut Vec<PathBuf>) {
    let single = std::slice::from_ref(node);
    let names = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => single,
    };
    for (index, name) in names.iter().enumerate() {
        let path = if names.len() == 1 { "include".into() } else { format!("include[{index}]") };
        if let Err(fault) = one(layers, name, folder, open) {
            layers.fault(name.position, &path, fault);
        }
    }
}

fn one(
    layers: &mut Layers,
    name: &Node,
    folder: &Path,
    open: &mut Vec<PathBuf>,
) -> Result<(), Fault> {
    let Value::String(name) = &name.value else {
        return Err(Fault::error("not the name of a file").right("write a path, such as base.yaml"));
    };
    let path = folder.join(name);
    if open.contains(&path) || layers.files.first() == Some(&path) {
        let fault = Fault::error(format!("{} includes itself", path.display()));
        return Err(fault.right("take one of the two includes out"));
    }
    if layers.files.len() >= MOST_FILES {
        return Err(Fault::error(format!("more than {MOST_FILES} files are included")));
    }
    let source = Source::read(&path).map_err(|error| match error {
        LoadError::Io { path, error } => {
            Fault::error(format!("cannot read {}: {error}", path.display()))
                .right("paths begin at the folder of the file that includes")
        }
        LoadError::Mistakes(mistakes) => Fault::error(mistakes.to_string()),
    })?;
    layers.files.push(path.clone());
    open.push(path.clone());
    add(layers, &source, path.parent(), open);
    open.pop();
    Ok(())
}
