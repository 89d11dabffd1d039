//! From a tree to a document: checks it against the schema, fills in secrets, makes the types, and checks across fields.

use crate::{
    deserialize,
    findings::Findings,
    mistake::Mistakes,
    origin::{Named, Origins},
    placeholders::{self, Lookup},
    report::Report,
    schema::schema,
    tree::Node,
    walk,
};
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

/// A document that was loaded, with warnings about its file.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The typed document.
    pub document: T,
    /// Warnings about the file: works, and should be looked at. There are no errors among them.
    pub warnings: Mistakes,
    /// The origin of each value of the document.
    pub origins: Origins,
}

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

/// Checks across the fields that are right, so that all mistakes come at once. What the schema refused counts as left out,
/// and what the checks say about that is dropped.
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
