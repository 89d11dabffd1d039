//! The report of a document's own checks: they name a path, and the line comes from the tree.

use crate::{
    findings::{Fault, Findings},
    tree::Node,
};
use std::fmt::Display;

/// Collects the mistakes of [`Document::check`](crate::Document::check).
///
/// A path is written as in messages: `upstreams.chat.endpoints[1]`, with `["…"]` for odd keys. What is
/// not in the file, being left to its default, is placed at the nearest thing above it that is.
#[derive(Debug)]
pub struct Report<'t> {
    tree: &'t Node,
    prefix: String,
    findings: Findings,
}

impl<'t> Report<'t> {
    pub(crate) fn new(tree: &'t Node, findings: Findings) -> Self {
        Self { tree, prefix: String::new(), findings }
    }

    pub(crate) fn into_findings(self) -> Findings {
        self.findings
    }

    /// Notes a mistake that refuses the file. `right` says what to write instead; empty if nothing.
    pub fn error(
        &mut self,
        path: impl Display,
        message: impl Into<String>,
        right: impl Into<String>,
    ) {
        self.add(path, Fault::error(message).right(right));
    }

    /// Notes something that works and should still be looked at.
    pub fn warning(
        &mut self,
        path: impl Display,
        message: impl Into<String>,
        right: impl Into<String>,
    ) {
        self.add(path, Fault::warning(message).right(right));
    }

    /// Checks inside a path: those that `check` notes are below it.
    pub fn within(&mut self, path: impl Display, check: impl FnOnce(&mut Self)) {
        let length = self.prefix.len();
        self.prefix = self.below(path);
        check(self);
        self.prefix.truncate(length);
    }

    fn add(&mut self, path: impl Display, fault: Fault) {
        let path = self.below(path);
        self.findings.add(self.tree.nearest_to(&path).position, path, fault);
    }

    fn below(&self, path: impl Display) -> String {
        let path = path.to_string();
        let joined = self.prefix.is_empty() || path.is_empty() || path.starts_with('[');
        format!("{}{}{path}", self.prefix, if joined { "" } else { "." })
    }
}
