//! From a tree to a document: schema, secrets, types, and the checks across fields.

use crate::{
    Document, Loaded, Mistakes, Origins, Report, deserialize,
    findings::Findings,
    origin::Named,
    placeholders::{self, Lookup},
    schema::schema,
    tree::Node,
    walk,
};

/// Checks and deserialises a tree whose values come from `sources`.
pub(crate) fn load<T: Document>(
    tree: Option<Node>,
    sources: Vec<Named>,
    mut findings: Findings,
    variables: Lookup<'_>,
) -> Result<Loaded<T>, Mistakes> {
    let mut origins = Origins::default();
    let document = tree.and_then(|tree| {
        origins = Origins::new(&tree, &sources);
        read(tree, &mut findings, variables)
    });
    let refused = findings.errors() > 0;
    let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    let mistakes = findings.into_mistakes(&names);
    match document {
        Some(document) if !refused => Ok(Loaded { document, warnings: mistakes, origins }),
        _ => Err(mistakes),
    }
}

fn read<T: Document>(mut tree: Node, findings: &mut Findings, variables: Lookup<'_>) -> Option<T> {
    let schema = schema::<T>();
    let mut secrets = walk::check(&schema, &tree, findings);
    placeholders::replace(&mut tree, &mut secrets, findings, variables);
    if findings.errors() > 0 {
        check_the_rest::<T>(&tree, &secrets.values, findings);
        return None;
    }
    let document: T = deserialize::read(&tree, &secrets.values, findings)?;
    let mut report = Report::new(&tree, std::mem::take(findings));
    document.check(&mut report);
    *findings = report.into_findings();
    Some(document)
}

/// Looks across the fields that are right, so that all mistakes come at once. What the schema refused
/// counts as left out; a word of the checks on that would only be an echo.
fn check_the_rest<T: Document>(tree: &Node, secrets: &[String], findings: &mut Findings) {
    let mut right = tree.clone();
    let refused = findings.error_paths();
    let gone: Vec<String> =
        refused.iter().map(|path| right.prune(path).unwrap_or_else(|| path.clone())).collect();
    let Some(document) = deserialize::read::<T>(&right, secrets, &mut Findings::default()) else {
        return;
    };
    let mut report = Report::new(tree, Findings::default());
    document.check(&mut report);
    let echoes = |path: &str| {
        let below = |gone: &String| {
            path.strip_prefix(gone.as_str())
                .is_some_and(|r| r.is_empty() || r.starts_with(['.', '[']))
        };
        gone.iter().any(below)
    };
    findings.extend(report.into_findings(), |path| !echoes(path));
}
