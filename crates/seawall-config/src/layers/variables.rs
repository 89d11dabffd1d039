//! Environment variables that stand for single values of the document.

use super::Layers;
use crate::{
    findings::{Fault, Findings},
    origin::{Named, SourceKind},
    source::{Format, Source},
    tree::{Entry, Node, Position, Value},
};

/// Lays the value over the tree.
pub(super) fn lay(layers: &mut Layers, name: &str, path: &[&str], value: &str) {
    let source = layers.add_source(Named { name: name.to_owned(), kind: SourceKind::Variable });
    let at = Position { source, line: 0, column: 0 };
    let mut node = parsed(value, at);
    place(&mut node, at);
    if let Err(fault) = set(&mut layers.tree, path, node, at) {
        layers.fault(at, "", fault);
    }
}

/// A value as a file would have it: a number, a list … What is not YAML is a text.
fn parsed(value: &str, at: Position) -> Node {
    let mut findings = Findings::default();
    let tree = Source::new("", value, Format::Yaml).tree(&mut findings);
    match tree {
        Some(tree) if findings.errors() == 0 => tree,
        _ => Node { value: Value::String(value.to_owned()), position: at },
    }
}

/// Gives a node and all below it one position, since a variable has no lines.
fn place(node: &mut Node, at: Position) {
    node.position = at;
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| place(item, at)),
        Value::Mapping(entries) => {
            for entry in entries {
                entry.position = at;
                place(&mut entry.node, at);
            }
        }
        _ => {}
    }
}

fn set(tree: &mut Node, path: &[&str], value: Node, at: Position) -> Result<(), Fault> {
    let Some((step, rest)) = path.split_first() else {
        tree.lay_over(value);
        return Ok(());
    };
    if step.is_empty() {
        let fault = Fault::error("a part of the variable's name is empty");
        return Err(fault.right("write two underscores between the names of fields"));
    }
    match &mut tree.value {
        Value::Sequence(items) => {
            let count = items.len();
            let item = step.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            let Some(item) = item else {
                let fault = Fault::error(format!("{step} is not an element of the list there"));
                return Err(fault.right(format!("it has {count}, counted from 0")));
            };
            set(item, rest, value, at)
        }
        Value::Mapping(entries) => {
            let alike = |key: &str| {
                key.len() == step.len()
                    && key
                        .bytes()
                        .zip(step.bytes())
                        .all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a == b'-' && b == b'_'))
            };
            if let Some(found) = entries.iter().position(|entry| alike(&entry.key)) {
                if rest.is_empty() && value.value == Value::Null {
                    entries.remove(found);
                    return Ok(());
                }
                return set(&mut entries[found].node, rest, value, at);
            }
            let mut node = Node { value: Value::Mapping(Vec::new()), position: at };
            set(&mut node, rest, value, at)?;
            entries.push(Entry { key: step.to_ascii_lowercase(), position: at, node });
            Ok(())
        }
        _ => {
            tree.value = Value::Mapping(Vec::new());
            tree.position = at;
            set(tree, path, value, at)
        }
    }
}
