//! The names of operations.
//!
//! A name is part of every refusal. If it were reference-counted, threads that are refused at the same time, as in a storm,
//! would wait for one another's count; so names are kept, within a bound, for as long as the process lives.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::HashSet,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// The most names that are kept, and the bytes of the longest: together at most 4 MB.
const MOST_KEPT: usize = 16_384;
const LONGEST_KEPT: usize = 256;

/// The name of an operation: the same in metrics, events, errors and the API, and cheap to clone.
///
/// The first 16,384 different names of a process are kept until it ends, which makes their clones free; of further ones, and of those
/// longer than 256 bytes, clones share one allocation.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "String", into = "String"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct Name(Text);

#[derive(Clone)]
enum Text {
    Kept(&'static str),
    Counted(Arc<str>),
}

impl Name {
    fn new(name: &str) -> Self {
        // Not the mutex of `sync`: it is no part of what a model of threads looks at, and outlives each of its runs.
        static KEPT: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(name) {
            return Self(Text::Kept(known));
        }
        if kept.len() >= MOST_KEPT || name.len() > LONGEST_KEPT {
            return Self(Text::Counted(name.into()));
        }
        let name: &'static str = Box::leak(name.into());
        kept.insert(name);
        Self(Text::Kept(name))
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self::new(&name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        match &self.0 {
            Text::Kept(name) => name,
            Text::Counted(name) => name,
        }
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_text_are_equal_however_they_are_kept() {
        let (kept, counted) = (Name::from("orders"), Name(Text::Counted("orders".into())));
        assert_eq!(kept, counted);
        assert_eq!(HashSet::from([kept.clone(), counted.clone()]).len(), 1);
        assert!(Name::from("a") < counted && HashSet::from([kept]).contains("orders"));
    }

    #[test]
    fn what_is_kept_of_names_is_bounded() {
        let is_kept = |name: &Name| matches!(name.0, Text::Kept(_));
        let name = |text: &str| Name::from(text);
        assert!(is_kept(&name("orders")) && is_kept(&name(&"x".repeat(LONGEST_KEPT))));
        let long = name(&"x".repeat(LONGEST_KEPT + 1));
        assert!(!is_kept(&long) && long.len() == LONGEST_KEPT + 1);
    }
}
