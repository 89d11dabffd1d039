//! A mistake in a file, as one line for people and as one record for programs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether a file can be used in spite of a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// An error: the file is refused.
    Error,
    /// A warning: the file is used, and somebody should look at it.
    Warning,
}

/// One thing wrong in a file.
///
/// Prints as `seawall.yaml:12:7: upstreams.chat.timeout: "20 parsecs" is not a duration; write …`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mistake {
    /// The file, as the caller named it; or another source, such as a variable.
    pub file: String,
    /// Line, from 1; 0 in a source without lines.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The path in the document, such as `upstreams.chat.endpoints[1]`; empty for the whole document.
    pub path: String,
    /// The value found, shortened; none for lists and mappings, and never a secret.
    pub value: Option<String>,
    /// The problem, in a sentence that can be read alone.
    pub message: String,
    /// What would be right, if that is known.
    pub right: Option<String>,
    /// Whether the mistake makes the file unusable.
    pub severity: Severity,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: ", self.file)?,
            line => write!(f, "{}:{line}:{}: ", self.file, self.column)?,
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.right.as_ref().map_or(Ok(()), |right| write!(f, "; {right}"))
    }
}

impl std::error::Error for Mistake {}

/// All mistakes of a file, by line. Prints one line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(crate) fn new(sorted: Vec<Mistake>) -> Self {
        Self(sorted)
    }

    /// Adds the mistakes of another reading of the same sources, except those that are there already.
    pub fn join(&mut self, others: Self) {
        for other in others {
            if !self.0.contains(&other) {
                self.0.push(other);
            }
        }
    }

    /// The mistakes, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }

    /// The number of mistakes, warnings included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no mistakes and no warnings.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a mistake that makes the file unusable.
    pub fn any_error(&self) -> bool {
        self.iter().any(|mistake| mistake.severity == Severity::Error)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

impl IntoIterator for Mistakes {
    type Item = Mistake;
    type IntoIter = std::vec::IntoIter<Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'m> IntoIterator for &'m Mistakes {
    type Item = &'m Mistake;
    type IntoIter = std::slice::Iter<'m, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
