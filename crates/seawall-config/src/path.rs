//! Paths to values of a document, written as in `upstreams.chat.endpoints[1]`.
//!
//! Keys that would be misread after a dot are written `routes["/v1/*"]`, so that a path is never
//! ambiguous to a reader.

use crate::excerpt;
use std::fmt::{self, Write};

/// One step down from a value to one that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment<'t> {
    /// The value below this key of a mapping.
    Key(&'t str),
    /// The element of a list, counted from 0.
    Index(usize),
}

/// The steps from the root of a document to a value; prints as messages write it.
#[derive(Clone, Debug, Default)]
pub struct Path<'t>(Vec<Segment<'t>>);

impl<'t> Path<'t> {
    /// Appends one segment.
    pub fn push(&mut self, segment: Segment<'t>) {
        self.0.push(segment);
    }

    /// Goes one step back up; at the root it does nothing.
    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// The path of a key below this one, as text.
    pub fn key(&self, key: &str) -> String {
        let mut text = self.to_string();
        write_key(&mut text, key);
        text
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for segment in &self.0 {
            match segment {
                Segment::Key(key) => write_key(&mut text, key),
                Segment::Index(index) => write!(text, "[{index}]")?,
            }
        }
        f.write_str(&text)
    }
}

/// The path of keys below one another, as messages and origins have it.
pub fn path_of(keys: &[&str]) -> String {
    let mut path = String::new();
    keys.iter().for_each(|key| write_key(&mut path, key));
    path
}

/// Appends a key to a path.
pub(crate) fn write_key(path: &mut String, key: &str) {
    const LONGEST: usize = 60;
    let plain = (1..=LONGEST).contains(&key.len())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if !plain {
        path.push_str(&bracketed(key));
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// A key in brackets, where it would be misread after a dot.
pub(crate) fn bracketed(key: &str) -> String {
    format!("[{}]", excerpt::quoted(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_people_write_them() {
        let mut path = Path::default();
        assert_eq!(path.to_string(), "");
        path.push(Segment::Key("upstreams"));
        path.push(Segment::Key("gpt-4.1"));
        path.push(Segment::Key("endpoints"));
        path.push(Segment::Index(1));
        assert_eq!(path.to_string(), r#"upstreams["gpt-4.1"].endpoints[1]"#);
        assert_eq!(path.key("url"), r#"upstreams["gpt-4.1"].endpoints[1].url"#);
        path.pop();
        assert_eq!(path.key("a\nb"), r#"upstreams["gpt-4.1"].endpoints["a\nb"]"#);
    }
}
