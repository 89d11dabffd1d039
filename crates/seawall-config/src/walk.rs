//! Checks the tree against the schema in one pass, and finds every mistake with its path and line.
//!
//! A schema is a set of layers that all hold (itself, what it refers to, `allOf`) and of choices
//! (`oneOf`, `anyOf`). Each choice is decided first, by what distinguishes its branches, so that only the
//! branch that was meant speaks; then the layers are checked together, as serde would read them.

mod branches;
mod choice;
mod list;
mod mapping;
mod number;
mod text;
mod wanted;

#[cfg(test)]
mod tests;

use crate::{
    excerpt,
    findings::{Fault, Findings},
    mistake::Mistakes,
    nearest::nearest,
    path::Path,
    schema::{self, Keywords, Kinds, Schemas},
    tree::{Node, Position, Value},
};
use choice::Choice;
use regex_lite::Regex;
use std::collections::HashMap;

/// Secret values, which must not be printed, and their paths.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    pub(crate) values: Vec<String>,
    pub(crate) paths: Vec<String>,
}

/// Adds all mistakes of the tree, and returns the secrets in it, which no later message may quote.
pub(crate) fn check(schema: &serde_json::Value, tree: &Node, findings: &mut Findings) -> Secrets {
    let mut walker = Walker {
        schemas: Schemas::new(schema),
        findings: std::mem::take(findings),
        path: Path::default(),
        trials: HashMap::new(),
        patterns: HashMap::new(),
        secrets: Secrets::default(),
    };
    walker.walk(Site { schema, node: tree, secret: false });
    *findings = walker.findings;
    walker.secrets
}

/// Checks one value against a JSON Schema, as the values of a file are checked. The mistakes have paths and no lines.
pub fn check_value(schema: &serde_json::Value, value: &serde_json::Value) -> Mistakes {
    let mut findings = Findings::default();
    let nowhere = Position { source: 0, line: 0, column: 0 };
    check(schema, &Node::of_json(value, nowhere), &mut findings);
    findings.into_mistakes(&[])
}

/// A value and the schema it must meet.
#[derive(Clone, Copy)]
struct Site<'s, 't> {
    schema: &'s serde_json::Value,
    node: &'t Node,
    /// Whether the value, or something it is in, must not be printed.
    secret: bool,
}

/// The first of the branches, how many there are, and the value.
type Trial = (*const serde_json::Value, usize, *const Node);

struct Walker<'s, 't> {
    schemas: Schemas<'s>,
    findings: Findings,
    path: Path<'t>,
    /// Choices already decided by trial; see [`choice`].
    trials: HashMap<Trial, &'s serde_json::Value>,
    patterns: HashMap<&'s str, Option<Regex>>,
    secrets: Secrets,
}

impl<'s, 't> Walker<'s, 't> {
    fn walk(&mut self, mut site: Site<'s, 't>) {
        let mut layers: Vec<&'s Keywords> = Vec::new();
        let mut whole = true;
        let mut pending = vec![site.schema];
        while let Some(schema) = pending.pop() {
            let parts = self.schemas.parts(schema);
            // Reached again, it can only say the same.
            if parts.layers.first().is_some_and(|p| layers.iter().any(|l| std::ptr::eq(*l, *p))) {
                continue;
            }
            site.secret |= parts.layers.iter().any(|layer| schema::is_secret(layer));
            let kind = Kinds::of(&site.node.value);
            let fits = parts.layers.iter().all(|layer| Kinds::of_type(layer).contains(kind));
            if parts.refused || !fits {
                self.wrong_kind(site);
                return;
            }
            layers.extend(parts.layers);
            for branches in parts.choices {
                match self.choose(site, branches) {
                    Choice::Branch(branch) => pending.push(branch),
                    Choice::Among(branch) => {
                        whole = false;
                        pending.push(branch);
                    }
                    Choice::Unclear => whole = false,
                    Choice::Wrong => return,
                }
            }
        }
        self.meet(site, &layers, whole);
    }

    /// Checks the layers of a value whose choices are made; `whole` if all of them could be.
    fn meet(&mut self, site: Site<'s, 't>, layers: &[&'s Keywords], whole: bool) {
        if layers.iter().any(|layer| layer.get("deprecated") == Some(&true.into())) {
            self.note(site, Fault::warning("this field is deprecated"));
        }
        if site.secret {
            self.keep_secret(site.node);
            self.secrets.paths.push(self.path.to_string());
        }
        let listed: Vec<_> = layers.iter().filter_map(|layer| schema::constants(layer)).collect();
        if listed.iter().any(|values| !values.iter().any(|value| site.node.to_json() == *value)) {
            let known = listed.into_iter().flatten().filter_map(word).collect();
            self.unknown_value(site, known);
            return;
        }
        match &site.node.value {
            Value::Null | Value::Bool(_) => {}
            Value::Int(_) | Value::Float(_) => self.number(site, layers),
            Value::String(text) => self.text(site, text, layers),
            Value::Sequence(items) => self.list(site, items, layers),
            Value::Mapping(entries) => self.mapping(site, entries, layers, whole),
        }
    }

    fn note(&mut self, site: Site<'s, 't>, fault: Fault) {
        self.findings.add(site.node.position, self.path.to_string(), fault);
    }

    /// The value as a message may show it.
    fn shown(&self, site: Site<'s, 't>) -> Option<String> {
        let hidden = site.secret || self.schemas.holds_secret(site.schema);
        if hidden { None } else { site.node.excerpt() }
    }

    fn wrong_kind(&mut self, site: Site<'s, 't>) {
        let wanted = self.schemas.wanted(site.schema);
        let fault = match &site.node.value {
            Value::Null => Fault::error("no value is given").right(wanted.write()),
            Value::Sequence(_) => {
                Fault::error(format!("a list stands where {} belongs", wanted.noun()))
                    .right(wanted.write())
            }
            Value::Mapping(_) => {
                Fault::error(format!("a mapping stands where {} belongs", wanted.noun()))
                    .right(wanted.write())
            }
            value => Fault::of_value(self.shown(site), &format!("is not {}", wanted.noun()))
                .right(wanted.write_instead_of(value)),
        };
        self.note(site, fault);
    }

    /// The value is not among those that its schema lists.
    fn unknown_value(&mut self, site: Site<'s, 't>, known: Vec<&'s str>) {
        let written = match &site.node.value {
            Value::String(text) => text.as_str(),
            _ => "",
        };
        let fault = Fault::of_value(self.shown(site), "is not one of the known values")
            .right(suggestion(written, &known));
        self.note(site, fault);
    }

    fn keep_secret(&mut self, node: &Node) {
        match &node.value {
            Value::Null => {}
            Value::String(text) => self.secrets.values.push(text.clone()),
            Value::Sequence(items) => items.iter().for_each(|item| self.keep_secret(item)),
            Value::Mapping(entries) => entries.iter().for_each(|e| self.keep_secret(&e.node)),
            _ => self.secrets.values.extend(node.excerpt()),
        }
    }
}

/// `did you mean …? known: …`.
fn suggestion(written: &str, known: &[&str]) -> String {
    let meant = nearest(written, known.iter().copied());
    let meant = meant.map_or(String::new(), |near| format!("did you mean `{near}`? "));
    if known.is_empty() {
        return "none are known here".to_owned();
    }
    format!("{meant}known: {}", excerpt::listed(known))
}

/// A listed value that can be named.
fn word(value: &serde_json::Value) -> Option<&str> {
    value.as_str()
}
