//! Makes the typed document from the tree; what serde still refuses is reported with its path and line.
//!
//! The schema has passed by then, so this is rare: a rule that lives only in a `Deserialize`
//! implementation. Its message may quote the file, so secrets are taken out of it.

use crate::{
    findings::{Fault, Findings},
    path::{Path, Segment},
    tree::{Node, Position},
};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment as Step;

/// Reads the tree; none if a mistake was added.
pub(crate) fn read<T: DeserializeOwned>(
    tree: &Node,
    secrets: &[String],
    findings: &mut Findings,
) -> Option<T> {
    match serde_path_to_error::deserialize(tree.to_json()) {
        Ok(document) => Some(document),
        Err(error) => {
            let (position, path) = place(tree, error.path());
            let message = redacted(error.inner().to_string(), secrets);
            findings.add(position, path, Fault::error(message));
            None
        }
    }
}

/// Follows serde's path as far as the tree goes. Variants are steps only where they are keys.
fn place<'t>(tree: &'t Node, steps: &'t serde_path_to_error::Path) -> (Position, String) {
    let mut node = tree;
    let mut path = Path::default();
    for step in steps {
        let (below, segment) = match step {
            Step::Seq { index } => (node.element(*index), Segment::Index(*index)),
            Step::Map { key } | Step::Enum { variant: key } => {
                (node.entry(key).map(|entry| &entry.node), Segment::Key(key))
            }
            Step::Unknown => continue,
        };
        if let Some(below) = below {
            node = below;
            path.push(segment);
        }
    }
    (node.position, path.to_string())
}

/// The message without any secret, plain or as Rust would quote it.
fn redacted(message: String, secrets: &[String]) -> String {
    secrets.iter().filter(|secret| !secret.is_empty()).fold(message, |message, secret| {
        message.replace(secret, "***").replace(&*secret.escape_debug().to_string(), "***")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out() {
        let secrets = ["".to_owned(), "hun\"ter2".to_owned()];
        let message = r#"invalid value: string "hun\"ter2" (hun"ter2)"#.to_owned();
        assert_eq!(redacted(message, &secrets), r#"invalid value: string "***" (***)"#);
    }
}
