//! A document as a tree that knows its lines. Every format is read into it.

use crate::{excerpt, path};
use serde_json::{Map, Number};

/// A place in a source: line and column, both counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The source, by its place among all sources.
    pub(crate) source: usize,
    /// 0 where the source has no lines, as a variable has none.
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    pub(crate) const START: Self = Self::at(1, 1);

    /// A position in the first source.
    pub(crate) const fn at(line: usize, column: usize) -> Self {
        Self { source: 0, line, column }
    }
}

/// A value and where a reader looks for it: at its text, or at its key if it fills the lines below.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) position: Position,
}

/// A value in a file. Floats are finite; integers keep every digit that any field type can hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    String(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key with its value. Keys of one mapping differ.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) position: Position,
    pub(crate) node: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl Node {
    /// Says of a whole tree which source it comes from.
    pub(crate) fn set_source(&mut self, source: usize) {
        self.position.source = source;
        match &mut self.value {
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.set_source(source)),
            Value::Mapping(entries) => {
                for entry in entries {
                    entry.position.source = source;
                    entry.node.set_source(source);
                }
            }
            _ => {}
        }
    }

    /// Lays another tree over this one: mappings are joined, null takes away, all else replaces.
    pub(crate) fn lay_over(&mut self, over: Self) {
        let (Value::Mapping(below), Value::Mapping(_)) = (&mut self.value, &over.value) else {
            *self = over;
            return;
        };
        let Value::Mapping(above) = over.value else { return };
        for entry in above {
            let found = below.iter().position(|known| known.key == entry.key);
            match (found, &entry.node.value) {
                (Some(at), Value::Null) => {
                    below.remove(at);
                }
                (None, Value::Null) => {}
                (Some(at), _) => below[at].node.lay_over(entry.node),
                (None, _) => below.push(entry),
            }
        }
    }

    /// Takes an entry out of a mapping.
    pub(crate) fn take_entry(&mut self, key: &str) -> Option<Entry> {
        let Value::Mapping(entries) = &mut self.value else { return None };
        let at = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(at))
    }

    /// The value below a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The element at an index.
    pub(crate) fn element(&self, index: usize) -> Option<&Self> {
        match &self.value {
            Value::Sequence(items) => items.get(index),
            _ => None,
        }
    }

    /// A scalar as a message shows it; none for a list or a mapping.
    pub(crate) fn excerpt(&self) -> Option<String> {
        match &self.value {
            Value::Null => Some("null".to_owned()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(excerpt::word(&format!("{value:?}"))),
            Value::String(text) => Some(excerpt::quoted(text)),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// The deepest node that exists on a path written by a person.
    pub(crate) fn nearest_to(&self, path: &str) -> &Self {
        let mut node = self;
        let mut rest = path;
        while let Some((below, remaining)) = node.step(rest) {
            node = below;
            rest = remaining;
        }
        node
    }

    /// Removes what stands at a path and says what is gone: an element of a list takes the whole list along,
    /// because the others would move up. None if there is nothing.
    pub(crate) fn prune(&mut self, path: &str) -> Option<String> {
        match self.prune_below(path, 0)? {
            Pruned::Gone(length) => Some(path[..length].to_owned()),
            Pruned::WithParent => None,
        }
    }

    /// `at` is where this node's own path ends.
    fn prune_below(&mut self, path: &str, at: usize) -> Option<Pruned> {
        let rest = &path[at..];
        if rest.is_empty() {
            return Some(Pruned::WithParent);
        }
        match &mut self.value {
            Value::Mapping(entries) => {
                let rest = rest.strip_prefix('.').unwrap_or(rest);
                let fits = entries
                    .iter()
                    .enumerate()
                    .filter_map(|(index, entry)| Some((index, after_key(rest, &entry.key)?.len())));
                let (index, remaining) = fits.min_by_key(|(_, remaining)| *remaining)?;
                let end = path.len() - remaining;
                match entries[index].node.prune_below(path, end)? {
                    Pruned::WithParent => {
                        entries.remove(index);
                        Some(Pruned::Gone(end))
                    }
                    gone => Some(gone),
                }
            }
            Value::Sequence(items) => {
                let (index, remaining) = rest.strip_prefix('[')?.split_once(']')?;
                let item = items.get_mut(index.parse::<usize>().ok()?)?;
                item.prune_below(path, path.len() - remaining.len())
            }
            _ => None,
        }
    }

    /// One step along a path. Of several keys that fit, as `gpt` and `gpt-4.1`, the longest is meant.
    fn step<'p>(&self, path: &'p str) -> Option<(&Self, &'p str)> {
        let rest = path.strip_prefix('.').unwrap_or(path);
        match &self.value {
            Value::Mapping(entries) => entries
                .iter()
                .filter_map(|entry| Some((&entry.node, after_key(rest, &entry.key)?)))
                .min_by_key(|(_, remaining)| remaining.len()),
            Value::Sequence(items) => {
                let (index, remaining) = rest.strip_prefix('[')?.split_once(']')?;
                Some((items.get(index.parse::<usize>().ok()?)?, remaining))
            }
            _ => None,
        }
    }

    /// A tree of values without lines, all at one place.
    pub(crate) fn of_json(json: &serde_json::Value, at: Position) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Value::Int(value.into()),
                (None, Some(value)) => Value::Int(value.into()),
                (None, None) => Value::Float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Value::String(text.clone()),
            Json::Array(items) => {
                Value::Sequence(items.iter().map(|item| Self::of_json(item, at)).collect())
            }
            Json::Object(fields) => Value::Mapping(
                fields
                    .iter()
                    .map(|(key, field)| Entry {
                        key: key.clone(),
                        position: at,
                        node: Self::of_json(field, at),
                    })
                    .collect(),
            ),
        };
        Self { value, position: at }
    }

    /// The tree as a JSON value.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => integer(*value),
            Value::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
            Value::String(text) => Json::String(text.clone()),
            Value::Sequence(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Mapping(entries) => Json::Object(
                entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }
}

/// The result of pruning.
enum Pruned {
    /// The value at this much of the path was removed.
    Gone(usize),
    /// The value cannot be removed without its parent.
    WithParent,
}

/// The part of a path after the key at its head, in either way of writing a key.
fn after_key<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    if let Some(rest) = path.strip_prefix(&path::bracketed(key)) {
        return Some(rest);
    }
    let rest = path.strip_prefix(key)?;
    let ends = !key.is_empty() && (rest.is_empty() || rest.starts_with(['.', '[']));
    ends.then_some(rest)
}

/// JSON numbers are 64 bits wide; what is wider was meant for a float.
fn integer(value: i128) -> serde_json::Value {
    if let Ok(small) = i64::try_from(value) {
        return small.into();
    }
    match u64::try_from(value) {
        Ok(large) => large.into(),
        Err(_) => Number::from_f64(value as f64).into(),
    }
}
