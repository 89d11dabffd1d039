//! Walks a value from its root to its leaves and checks sizes, depth, keys and texts.

use super::{
    MAX_ARRAY_ITEMS, MAX_NESTING_DEPTH, MAX_OBJECT_PROPERTIES, MAX_REPEATED_CHARS,
    MAX_STRING_LENGTH, patterns, unicode,
};
use crate::custom::Verdict;
use seawall_config::path::{Path, Segment};
use serde_json::Value;

/// Checks sizes, depth, keys and texts.
pub(super) fn check(value: &Value, verdict: &mut Verdict) {
    Walk { path: Path::default(), verdict }.visit(value, 0);
}

struct Walk<'v, 'o> {
    path: Path<'v>,
    verdict: &'o mut Verdict,
}

impl<'v> Walk<'v, '_> {
    fn visit(&mut self, value: &'v Value, depth: usize) {
        if depth > MAX_NESTING_DEPTH {
            let allowed = format!("at most {MAX_NESTING_DEPTH} levels are allowed");
            self.error(&format!("is nested too deep; {allowed}"), "write it flatter");
            return;
        }
        match value {
            Value::String(text) => self.text("", text),
            Value::Array(items) => {
                self.size(items.len(), MAX_ARRAY_ITEMS, "items");
                for (index, item) in items.iter().enumerate() {
                    self.step(Segment::Index(index), item, depth);
                }
            }
            Value::Object(entries) => {
                self.size(entries.len(), MAX_OBJECT_PROPERTIES, "properties");
                for (key, value) in entries {
                    self.path.push(Segment::Key(key));
                    self.text("has a key that ", key);
                    self.path.pop();
                    self.step(Segment::Key(key), value, depth);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn step(&mut self, segment: Segment<'v>, value: &'v Value, depth: usize) {
        self.path.push(segment);
        self.visit(value, depth + 1);
        self.path.pop();
    }

    fn size(&mut self, given: usize, most: usize, of: &str) {
        if given > most {
            let message = format!("has {given} {of}; at most {most} are allowed");
            self.error(&message, &format!("keep {most} {of} or fewer"));
        }
    }

    /// Checks a text, or the key that led here.
    fn text(&mut self, prefix: &str, text: &str) {
        let length = text.chars().count();
        if length > MAX_STRING_LENGTH {
            let allowed = format!("at most {MAX_STRING_LENGTH} are allowed");
            self.error(&format!("{prefix}has {length} characters; {allowed}"), "shorten it");
        }
        for what in patterns::content(text) {
            let message = format!("{prefix}holds {what}, which is not allowed");
            self.error(&message, "write a plain name");
        }
        let mut faults: Vec<&str> = text.chars().filter_map(unicode::fault).collect();
        faults.sort_unstable();
        faults.dedup();
        for what in faults {
            let message = format!("{prefix}holds {what}, which is not allowed");
            self.error(&message, "write visible characters only");
        }
        if longest_run(text) > MAX_REPEATED_CHARS {
            let message =
                format!("{prefix}has more than {MAX_REPEATED_CHARS} equal characters in a row");
            self.error(&message, "write a plain name");
        }
    }

    fn error(&mut self, message: &str, suggestion: &str) {
        let path = self.path.to_string();
        let path = if path.is_empty() { "the configuration".into() } else { path };
        self.verdict.error(format!("{path} {message}"), format!("{path}: {suggestion}"));
    }
}

fn longest_run(text: &str) -> usize {
    let (mut longest, mut run, mut last) = (0, 0, None);
    for c in text.chars() {
        run = if last == Some(c) { run + 1 } else { 1 };
        last = Some(c);
        longest = longest.max(run);
    }
    longest
}
