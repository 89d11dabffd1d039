//! `${NAME}` in secret fields: the value of an environment variable, so that files hold no secrets.

use crate::{
    findings::{Fault, Findings},
    path::{Path, Segment},
    tree::{Node, Value},
    walk::Secrets,
};

/// Gives the value of an environment variable.
pub(crate) type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// Replaces placeholders in secret fields with their values. Placeholders elsewhere stay as they are, with a warning.
pub(crate) fn replace(
    tree: &mut Node,
    secrets: &mut Secrets,
    findings: &mut Findings,
    variables: Lookup<'_>,
) {
    let mut found = Vec::new();
    find(tree, &mut Vec::new(), &mut found);
    for steps in found {
        let mut path = Path::default();
        for step in &steps {
            path.push(match step {
                Step::Key(key) => Segment::Key(key),
                Step::Index(index) => Segment::Index(*index),
            });
        }
        let path = path.to_string();
        let Some(node) = follow(tree, &steps) else { continue };
        let Value::String(text) = &node.value else { continue };
        if !secrets.paths.iter().any(|secret| is_within(&path, secret)) {
            let fault = Fault::warning("`${` stays as it is written: this is not a secret field");
            let right = "set another field by its own variable, SEAWALL__SECTION__FIELD";
            findings.add(node.position, path, fault.right(right));
            continue;
        }
        match expand(text, variables) {
            Ok(value) => {
                secrets.values.push(value.clone());
                node.value = Value::String(value);
            }
            Err(fault) => findings.add(node.position, path, fault),
        }
    }
}

enum Step {
    Key(String),
    Index(usize),
}

fn find(node: &Node, path: &mut Vec<(Option<String>, usize)>, found: &mut Vec<Vec<Step>>) {
    match &node.value {
        Value::String(text) if text.contains("${") => {
            let steps = path.iter().map(|(key, index)| match key {
                Some(key) => Step::Key(key.clone()),
                None => Step::Index(*index),
            });
            found.push(steps.collect());
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push((None, index));
                find(item, path, found);
                path.pop();
            }
        }
        Value::Mapping(entries) => {
            for entry in entries {
                path.push((Some(entry.key.clone()), 0));
                find(&entry.node, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn follow<'t>(tree: &'t mut Node, steps: &[Step]) -> Option<&'t mut Node> {
    steps.iter().try_fold(tree, |node, step| match (&mut node.value, step) {
        (Value::Sequence(items), Step::Index(index)) => items.get_mut(*index),
        (Value::Mapping(entries), Step::Key(key)) => {
            entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.node)
        }
        _ => None,
    })
}

fn is_within(path: &str, secret: &str) -> bool {
    path.strip_prefix(secret).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Replaces the variables that a text names with their values.
fn expand(text: &str, variables: Lookup<'_>) -> Result<String, Fault> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            let fault = Fault::error("a `${` is not closed");
            return Err(fault.right("write ${NAME}, the name of an environment variable"));
        };
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(good) {
            let fault = Fault::error("`${…}` holds the name of an environment variable");
            return Err(fault.right("use letters, digits and _ in it"));
        }
        let Some(value) = variables(name) else {
            return Err(Fault::error(format!("the environment variable {name} is not set"))
                .right(format!("set {name}, or write the value another way")));
        };
        whole.push_str(before);
        whole.push_str(&value);
        rest = after;
    }
    Ok(whole + rest)
}
