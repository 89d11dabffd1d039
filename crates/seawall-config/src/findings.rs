//! Collects mistakes while a file is being checked, up to a bound, and puts them in the order of the file at the end.

use crate::{
    mistake::{Mistake, Mistakes, Severity},
    tree::Position,
};

/// The most mistakes that are kept. A file with more is not mended by reading the rest.
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

    /// Adds what would be right; empty text adds nothing.
    pub(crate) fn right(self, right: impl Into<String>) -> Self {
        let right = right.into();
        Self { right: (!right.is_empty()).then_some(right), ..self }
    }
}

/// The mistakes found so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// Each mistake with the number of the source that it is in.
    found: Vec<(usize, Mistake)>,
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
        let Position { source, line, column } = at;
        let file = String::new();
        let mistake = Mistake { file, line, column, path, value, message, right, severity };
        self.found.push((source, mistake));
    }

    /// The number of mistakes for which the file is refused.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// The paths of the mistakes for which the file is refused.
    pub(crate) fn error_paths(&self) -> Vec<String> {
        let errors = self.found.iter().filter(|(_, found)| found.severity == Severity::Error);
        errors.map(|(_, found)| found.path.clone()).collect()
    }

    /// Adds those of `others` whose path is accepted.
    pub(crate) fn extend(&mut self, others: Self, accept: impl Fn(&str) -> bool) {
        for (source, found) in others.found.into_iter().filter(|(_, found)| accept(&found.path)) {
            let at = Position { source, line: found.line, column: found.column };
            let Mistake { path, value, message, right, severity, .. } = found;
            self.add(at, path, Fault { message, value, right, severity });
        }
    }

    /// Adds all that was found in one source.
    pub(crate) fn adopt(&mut self, mut others: Self, source: usize) {
        others.found.iter_mut().for_each(|(of, _)| *of = source);
        self.extend(others, |_| true);
    }

    /// All mistakes by source and line. If two rules found the same one, it appears once.
    pub(crate) fn into_mistakes(self, sources: &[String]) -> Mistakes {
        let mut found = self.found;
        found.sort_by(|(s, a), (t, b)| {
            (s, a.line, a.column, &a.path).cmp(&(t, b.line, b.column, &b.path))
        });
        found.dedup();
        if self.beyond > 0
            && let Some((source, last)) = found.last()
        {
            let more = Mistake {
                path: String::new(),
                value: None,
                message: format!("{} more mistakes are not listed", self.beyond),
                right: None,
                severity: Severity::Error,
                ..last.clone()
            };
            let source = *source;
            found.push((source, more));
        }
        let named = found.into_iter().map(|(source, mut mistake)| {
            mistake.file = sources.get(source).cloned().unwrap_or_default();
            mistake
        });
        Mistakes::new(named.collect())
    }
}
