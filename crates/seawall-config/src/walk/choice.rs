//! Decides which branch of a `oneOf` or `anyOf` was meant.
//!
//! It is decided by what distinguishes the branches: the kind of the value, a listed value, a tag field (as in `type:
//! …`), or a single key (as in `exponential: …`). Only if nothing does are branches tried out, and the mistakes of the
//! one with the fewest are reported. A trial is made once for each branch and node, so nested choices cost their
//! product, not their power.

use super::{Site, Walker, branches::Named, suggestion, word};
use crate::{
    excerpt,
    findings::Fault,
    schema::Kinds,
    tree::{Entry, Node, Value},
};
use serde_json::Value as Schema;

/// The result of choosing a branch.
pub(super) enum Choice<'s> {
    /// This branch was meant.
    Branch(&'s Schema),
    /// Several were given at once, which is noted; this one is checked.
    Among(&'s Schema),
    /// No branch was meant, which is noted; the other schemas of the value still hold.
    Unclear,
    /// The value is of a wrong kind altogether, which is noted.
    Wrong,
}

impl<'s, 't> Walker<'s, 't> {
    pub(super) fn choose(&mut self, site: Site<'s, 't>, branches: &'s [Schema]) -> Choice<'s> {
        let all = self.schemas.alternatives(branches);
        let kind = Kinds::of(&site.node.value);
        let fitting: Vec<&Schema> =
            all.iter().copied().filter(|b| self.schemas.kinds(b).contains(kind)).collect();
        match &site.node.value {
            Value::Mapping(entries) if !fitting.is_empty() => {
                self.choose_mapping(site, entries, &fitting)
            }
            Value::String(text) => self.choose_text(site, text, &all, &fitting),
            _ => self.choose_listed(site, &fitting).unwrap_or_else(|| {
                self.wrong_kind(site);
                Choice::Wrong
            }),
        }
    }

    /// The branch that lists this value, else the one that takes any of its kind.
    fn choose_listed(&mut self, site: Site<'s, 't>, fitting: &[&'s Schema]) -> Option<Choice<'s>> {
        let value = site.node.to_json();
        let lists = |branch: &&&'s Schema| {
            self.schemas.constants(branch).is_some_and(|values| values.contains(&value))
        };
        if let Some(branch) = fitting.iter().find(lists) {
            return Some(Choice::Branch(branch));
        }
        let free: Vec<&Schema> =
            fitting.iter().copied().filter(|b| self.schemas.constants(b).is_none()).collect();
        match free.as_slice() {
            // What lists only other values says so itself.
            [] => fitting.first().map(|branch| Choice::Branch(branch)),
            [only] => Some(Choice::Branch(only)),
            _ => Some(Choice::Branch(self.try_out(site, &free))),
        }
    }

    /// Chooses as for other scalars, but offers all names that could stand here, also those of keys.
    fn choose_text(
        &mut self,
        site: Site<'s, 't>,
        text: &str,
        all: &[&'s Schema],
        fitting: &[&'s Schema],
    ) -> Choice<'s> {
        let free = fitting.iter().any(|branch| self.schemas.constants(branch).is_none());
        let listed = fitting.iter().filter_map(|branch| self.schemas.constants(branch)).flatten();
        let mut known: Vec<&str> = listed.filter_map(word).collect();
        if free || known.contains(&text) {
            return self.choose_listed(site, fitting).unwrap_or(Choice::Unclear);
        }
        let keyed: Named<'s> =
            all.iter().filter_map(|b| Some((self.schemas.only_key(b)?, *b))).collect();
        if keyed.iter().any(|(key, _)| *key == text) {
            let right = format!("write `{text}:` and its fields below");
            let fault = Fault::of_value(self.shown(site), "needs fields").right(right);
            self.note(site, fault);
        } else if known.is_empty() {
            self.wrong_kind(site);
        } else {
            known.extend(keyed.iter().map(|(key, _)| *key));
            self.unknown_value(site, known);
        }
        Choice::Wrong
    }

    fn choose_mapping(
        &mut self,
        site: Site<'s, 't>,
        entries: &'t [Entry],
        fitting: &[&'s Schema],
    ) -> Choice<'s> {
        // An optional enum that is flattened offers "anything" as its absence.
        let (open, shaped): (Vec<&Schema>, Vec<&Schema>) =
            fitting.iter().partition(|branch| self.schemas.allows_all(branch));
        let absent = open.first().copied();
        if let Some((tag, named)) = self.schemas.tagged(&shaped) {
            return self.choose_tagged(site, tag, &named, absent);
        }
        if let Some(named) = self.schemas.keyed(&shaped) {
            return self.choose_keyed(site, entries, &named, absent);
        }
        match (shaped.as_slice(), absent) {
            ([only], None) => Choice::Branch(only),
            (_, Some(absent)) if !self.names_any(entries, &shaped) => Choice::Branch(absent),
            _ => Choice::Branch(self.try_out(site, &shaped)),
        }
    }

    fn choose_tagged(
        &mut self,
        site: Site<'s, 't>,
        tag: &'s str,
        named: &Named<'s>,
        absent: Option<&'s Schema>,
    ) -> Choice<'s> {
        let words: Vec<&str> = named.iter().map(|(word, _)| *word).collect();
        let Some(entry) = site.node.entry(tag) else {
            return absent.map_or_else(
                || {
                    let fault = Fault::error(format!("missing field `{tag}`"))
                        .right(format!("write one of {}", excerpt::listed(&words)));
                    self.findings.add(site.node.position, self.path.key(tag), fault);
                    Choice::Unclear
                },
                Choice::Branch,
            );
        };
        let meant: Vec<&Schema> = named
            .iter()
            .filter(|(word, _)| matches!(&entry.node.value, Value::String(text) if text == word))
            .map(|(_, branch)| *branch)
            .collect();
        match meant.as_slice() {
            [] => {
                self.unknown_tag(site, entry, &words);
                Choice::Unclear
            }
            [only] => Choice::Branch(only),
            _ => Choice::Branch(self.try_out(site, &meant)),
        }
    }

    fn unknown_tag(&mut self, site: Site<'s, 't>, entry: &Entry, words: &[&str]) {
        let written = match &entry.node.value {
            Value::String(text) => text.as_str(),
            _ => "",
        };
        let shown = if site.secret { None } else { entry.node.excerpt() };
        let fault = Fault::of_value(shown, "is not one of the known values")
            .right(suggestion(written, words));
        self.findings.add(entry.node.position, self.path.key(&entry.key), fault);
    }

    fn choose_keyed(
        &mut self,
        site: Site<'s, 't>,
        entries: &'t [Entry],
        named: &Named<'s>,
        absent: Option<&'s Schema>,
    ) -> Choice<'s> {
        let branch_of = |entry: &&Entry| named.iter().find(|(key, _)| *key == entry.key);
        let given: Vec<&Entry> =
            entries.iter().filter(|entry| branch_of(entry).is_some()).collect();
        let first = given.first().and_then(branch_of).map(|(_, branch)| *branch);
        match (first, given.get(1), absent) {
            (Some(branch), None, _) => Choice::Branch(branch),
            (Some(branch), Some(second), _) => {
                let (one, two) = (&given[0].key, &second.key);
                let fault = Fault::error(format!("`{two}` cannot stand beside `{one}`"))
                    .right("keep one of them");
                self.findings.add(second.position, self.path.key(two), fault);
                Choice::Among(branch)
            }
            (None, _, Some(absent)) => Choice::Branch(absent),
            (None, _, None) => {
                self.no_variant(site, entries, named);
                Choice::Unclear
            }
        }
    }

    /// None of the keys is there. Where no others may be, the one that is was meant as one of them.
    fn no_variant(&mut self, site: Site<'s, 't>, entries: &'t [Entry], named: &Named<'s>) {
        let keys: Vec<&str> = named.iter().map(|(key, _)| *key).collect();
        let closed = named.iter().any(|(_, branch)| {
            let layers = self.schemas.parts(branch).layers;
            layers.iter().any(|layer| layer.get("additionalProperties") == Some(&false.into()))
        });
        match entries.first() {
            Some(entry) if closed => {
                let fault = Fault::error(format!("unknown field `{}`", excerpt::word(&entry.key)))
                    .value(None)
                    .right(suggestion(&entry.key, &keys));
                self.findings.add(entry.position, self.path.key(&entry.key), fault);
            }
            _ => {
                let right = format!("write one of {}", excerpt::listed(&keys));
                self.note(site, Fault::error("a field that says which is missing").right(right));
            }
        }
    }

    fn names_any(&self, entries: &[Entry], branches: &[&'s Schema]) -> bool {
        branches
            .iter()
            .flat_map(|branch| self.schemas.properties(branch))
            .any(|(name, _)| entries.iter().any(|entry| entry.key == name))
    }

    /// The branch with the fewest mistakes. There is at least one.
    fn try_out(&mut self, site: Site<'s, 't>, branches: &[&'s Schema]) -> &'s Schema {
        let first = branches[0];
        let node: *const Node = site.node;
        let key = (std::ptr::from_ref(first), branches.len(), node);
        if let Some(decided) = self.trials.get(&key) {
            return decided;
        }
        // A branch that leads back here finds this instead of trying forever.
        self.trials.insert(key, first);
        let mut best = (usize::MAX, first);
        for branch in branches {
            let found = std::mem::take(&mut self.findings);
            self.walk(Site { schema: branch, ..site });
            let errors = std::mem::replace(&mut self.findings, found).errors();
            if errors < best.0 {
                best = (errors, branch);
            }
            if errors == 0 {
                break;
            }
        }
        self.trials.insert(key, best.1);
        best.1
    }
}
