//! Puts into words what a schema asks for: `a whole number`, and `write a whole number from 1 to 100`.

use super::{
    number::Range,
    text::{DURATION, URL},
};
use crate::{
    excerpt::listed,
    schema::{self, Keywords, Kinds, Schemas},
    tree,
};
use serde_json::Value;

/// The words for one schema; several where it lets one choose.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    nouns: Vec<String>,
    writes: Vec<String>,
    kinds: Option<Kinds>,
}

impl Wanted {
    /// Text such as `a duration or a mapping`.
    pub(super) fn noun(&self) -> String {
        match self.nouns.as_slice() {
            [] => "anything known here".to_owned(),
            nouns => nouns.join(" or "),
        }
    }

    /// Text such as `write …`; empty if any value is allowed.
    pub(super) fn write(&self) -> String {
        match self.writes.as_slice() {
            [] => String::new(),
            writes => format!("write {}", writes.join(", or ")),
        }
    }

    /// What to write instead of a scalar of the wrong kind, if only its notation may be wrong.
    pub(super) fn write_instead_of(&self, value: &tree::Value) -> String {
        let takes = |kinds| self.kinds.is_some_and(|all| all.contains(kinds));
        match value {
            tree::Value::String(text) if takes(Kinds::BOOL) => {
                match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" | "true" => "write true".to_owned(),
                    "no" | "off" | "n" | "false" => "write false".to_owned(),
                    _ => self.write(),
                }
            }
            tree::Value::String(_) => self.write(),
            _ if self.nouns.iter().any(|noun| noun == "text") => "put it in quotes".to_owned(),
            _ => self.write(),
        }
    }

    fn add(&mut self, noun: impl Into<String>, write: impl Into<String>) {
        let (noun, write) = (noun.into(), write.into());
        if !self.nouns.contains(&noun) {
            self.nouns.push(noun);
        }
        if !self.writes.contains(&write) {
            self.writes.push(write);
        }
    }
}

impl<'s> Schemas<'s> {
    /// Puts into words what a schema wants.
    pub(super) fn wanted(self, schema: &'s Value) -> Wanted {
        let mut wanted = Wanted { kinds: Some(self.kinds(schema)), ..Wanted::default() };
        let mut constants: Vec<&str> = Vec::new();
        let mut mappings: Vec<&Value> = Vec::new();
        for alternative in self.alternatives(std::slice::from_ref(schema)) {
            match self.constants(alternative) {
                Some(values) => constants.extend(values.iter().filter_map(Value::as_str)),
                None if self.kinds(alternative) == Kinds::MAPPING => mappings.push(alternative),
                None => self.describe(alternative, &mut wanted),
            }
        }
        self.describe_mappings(&mappings, &mut wanted);
        if !constants.is_empty() {
            let list = listed(&constants);
            let noun = if constants.len() == 1 { "the word" } else { "one of" };
            wanted.add(format!("{noun} {list}"), format!("{noun} {list}"));
        }
        wanted
    }

    fn describe(self, schema: &'s Value, wanted: &mut Wanted) {
        let kinds = self.kinds(schema);
        let layers = self.parts(schema).layers;
        if kinds == Kinds::ALL {
            return;
        }
        if kinds.contains(Kinds::STRING) {
            describe_text(&layers, kinds, wanted);
        } else if kinds.touches(Kinds::NUMBER) {
            let noun = if kinds.contains(Kinds::FLOAT) { "a number" } else { "a whole number" };
            let range = Range::declared(&layers);
            let space = if range.is_unbounded() { "" } else { " " };
            wanted.add(noun, format!("{noun}{space}{range}"));
        }
        if kinds.contains(Kinds::BOOL) {
            wanted.add("true or false", "true or false");
        }
        if kinds.contains(Kinds::LIST) {
            wanted.add("a list", "a list such as `[…]`");
        }
        if kinds.contains(Kinds::MAPPING) {
            wanted.add("a mapping", self.fields_to_write(schema));
        }
    }

    /// Names the branches by the word that distinguishes them; there may be many.
    fn describe_mappings(self, mappings: &[&'s Value], wanted: &mut Wanted) {
        if mappings.len() > 1
            && let Some((tag, named)) = self.tagged(mappings)
        {
            let words = listed(named.iter().map(|(word, _)| word));
            wanted.add("a mapping", format!("a mapping with `{tag}:` one of {words}"));
        } else if let Some(named) = self.keyed(mappings) {
            let keys = listed(named.iter().map(|(key, _)| key));
            wanted.add("a mapping", format!("a mapping with one of {keys}"));
        } else {
            for mapping in mappings {
                wanted.add("a mapping", self.fields_to_write(mapping));
            }
        }
    }

    fn fields_to_write(self, schema: &'s Value) -> String {
        let mut names: Vec<&str> = self.properties(schema).iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        match names.as_slice() {
            [] => "a mapping of `name: value` lines".to_owned(),
            [only] => format!("a mapping with `{only}: …`"),
            names => format!("a mapping with the fields {}", listed(names)),
        }
    }
}

fn describe_text(layers: &[&Keywords], kinds: Kinds, wanted: &mut Wanted) {
    let format = layers.iter().find_map(|layer| layer.get("format").and_then(Value::as_str));
    let number = kinds.touches(Kinds::NUMBER);
    match format {
        Some("duration") if number => {
            wanted.add("a duration", format!("{DURATION}, or a number of seconds"));
        }
        Some("duration") => wanted.add("a duration", DURATION),
        Some("uri") => wanted.add("a URL", URL),
        _ if number => wanted.add("text or a number", "text or a number"),
        _ if layers.iter().any(|layer| schema::is_secret(layer)) => {
            wanted.add("text", "the secret")
        }
        _ => wanted.add("text", "text"),
    }
}
