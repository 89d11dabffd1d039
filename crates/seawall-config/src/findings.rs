//! Mistakes while they are being found: bounded, and put in the order of the file at the end.

use crate::{
    mistake::{Mistake, Mistakes, Severity},
    tree::Position,
};

/// As many as are kept. A file with more is not mended by reading the rest.
const MOST: usize = 1000;

/// A mistake before its place is known.
#[derive(Debug)]
pub(crate) struct Fault {
    message: String,
    value: Option<String>,
    right: Option<String>,
    severity: Severity,
}

impl Fault {
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { message: message.into(), value: None, right: None, severity: Severity::Error }
    }

    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// An error about a value: `"x" is not …`, or without the value if it must not be shown.
    pub(crate) fn of_value(value: Option<String>, what: &str) -> Self {
        let shown = value.as_deref().unwrap_or("the value");
        Self { value: value.clone(), ..Self::error(format!("{shown} {what}")) }
    }

    pub(crate) fn value(self, value: Option<String>) -> Self {
        Self { value, ..self }
    }

    /// What would be right; nothing if empty.
    pub(crate) fn right(self, right: impl Into<String>) -> Self {
        let right = right.into();
        Self { right: (!right.is_empty()).then_some(right), ..self }
    }
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<Mistake>,
    beyond: usize,
    errors: usize,
}

impl Findings {
    pub(crate) fn add(&mut self, at: Position, path: String, fault: Fault) {
        self.errors += usize::from(fault.severity == Severity::Error);
        if self.found.len() >= MOST {
            self.beyond += 1;
            return;
        }
        let Fault { message, value, right, severity } = fault;
        let Position { line, column } = at;
        let file = String::new();
        self.found.push(Mistake { file, line, column, path, value, message, right, severity });
    }

    /// How many of them refuse the file.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// The paths of those that refuse the file.
    pub(crate) fn error_paths(&self) -> Vec<String> {
        let errors = self.found.iter().filter(|found| found.severity == Severity::Error);
        errors.map(|found| found.path.clone()).collect()
    }

    /// Takes over those of `others` whose path is accepted.
    pub(crate) fn extend(&mut self, others: Self, accept: impl Fn(&str) -> bool) {
        for found in others.found.into_iter().filter(|found| accept(&found.path)) {
            let at = Position { line: found.line, column: found.column };
            let Mistake { path, value, message, right, severity, .. } = found;
            self.add(at, path, Fault { message, value, right, severity });
        }
    }

    /// All of them, by line; what two rules found alike appears once.
    pub(crate) fn into_mistakes(self, file: &str) -> Mistakes {
        let mut found = self.found;
        found.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
        found.dedup();
        if self.beyond > 0
            && let Some(last) = found.last()
        {
            found.push(Mistake {
                path: String::new(),
                value: None,
                message: format!("{} more mistakes are not listed", self.beyond),
                right: None,
                severity: Severity::Error,
                ..last.clone()
            });
        }
        for mistake in &mut found {
            file.clone_into(&mut mistake.file);
        }
        Mistakes::new(found)
    }
}
