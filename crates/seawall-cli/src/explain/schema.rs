//! The JSON Schema of the file, and the places in it that a path can mean.

use super::path::{Part, Step, Steps};
use serde_json::{Map, Value};

/// A place in the schema.
#[derive(Clone, Debug)]
pub(super) struct Spot<'s> {
    pub(super) steps: Steps,
    pub(super) schema: &'s Value,
}

/// The schema of the configuration file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema<'s> {
    pub(super) root: &'s Value,
}

type Keywords = Map<String, Value>;

impl<'s> Schema<'s> {
    pub(super) fn new(root: &'s Value) -> Self {
        Self { root }
    }

    /// Every place that a path can mean: from the root, or else from anywhere.
    pub(super) fn find(self, path: &[Part]) -> Vec<Spot<'s>> {
        let mut found = Vec::new();
        self.resolve(self.root, path, &Steps::new(), &mut found);
        if found.is_empty() {
            self.search(self.root, path, &Steps::new(), &mut Vec::new(), &mut found);
        }
        found
    }

    /// The keywords of a schema and of what it refers to; the schema's own first.
    pub(super) fn layers(self, schema: &'s Value) -> Vec<&'s Keywords> {
        let mut layers: Vec<&Keywords> = Vec::new();
        let mut pending = vec![schema];
        while let Some(Value::Object(keywords)) = pending.pop() {
            if layers.iter().any(|layer| std::ptr::eq(*layer, keywords)) {
                continue;
            }
            layers.push(keywords);
            pending.extend(keywords.get("allOf").and_then(Value::as_array).into_iter().flatten());
            let reference = keywords.get("$ref").and_then(Value::as_str);
            pending.extend(reference.and_then(|at| self.root.pointer(at.strip_prefix('#')?)));
        }
        layers
    }

    /// The kinds of value that may stand here; that it may be null is not among them.
    pub(super) fn branches(self, schema: &'s Value) -> Vec<&'s Value> {
        let layers = self.layers(schema).into_iter();
        let lists = layers.flat_map(|layer| ["oneOf", "anyOf"].map(|name| layer.get(name)));
        let branches = lists.flatten().filter_map(Value::as_array).flatten();
        branches.filter(|branch| branch["type"] != "null").collect()
    }

    /// The fields that the schema names.
    pub(super) fn fields(self, schema: &'s Value) -> Vec<(&'s str, &'s Value)> {
        let layers = self.layers(schema).into_iter();
        let objects = layers.filter_map(|layer| layer.get("properties")?.as_object());
        let mut fields: Vec<_> =
            objects.flatten().map(|(name, field)| (name.as_str(), field)).collect();
        // What may be left out is one branch of two, and has its fields there.
        if let [only] = self.branches(schema)[..] {
            fields.extend(self.fields(only));
        }
        fields
    }

    /// The word that distinguishes this kind from the others: the constant of `type`.
    pub(super) fn tag(self, schema: &'s Value) -> Option<&'s str> {
        let fields = self.layers(schema).into_iter().filter_map(|layer| layer.get("properties"));
        fields.filter_map(|fields| fields["type"]["const"].as_str()).next()
    }

    fn keyword(self, schema: &'s Value, name: &str) -> Option<&'s Value> {
        let found = self.layers(schema).into_iter().find_map(|layer| layer.get(name));
        found.filter(|value| value.is_object())
    }

    /// The places that a path means from here.
    fn resolve(self, at: &'s Value, path: &[Part], steps: &Steps, found: &mut Vec<Spot<'s>>) {
        let Some((first, rest)) = path.split_first() else {
            found.push(Spot { steps: steps.clone(), schema: at });
            return;
        };
        let before = found.len();
        if let Part::Name(name) = first {
            self.resolve_name(at, name, path, steps, found);
        }
        for branch in self.branches(at) {
            self.resolve(branch, path, &self.into_branch(steps, branch), found);
        }
        if found.len() > before {
            return;
        }
        if let Some(items) = self.keyword(at, "items") {
            match first {
                Part::Index(index) => {
                    self.resolve(items, rest, &with(steps, Step::Index(*index)), found)
                }
                Part::Any => self.resolve(items, rest, &with(steps, Step::Each), found),
                Part::Name(_) => self.resolve(items, path, &with(steps, Step::Each), found),
            }
        }
        if let Some(below) = self.keyword(at, "additionalProperties") {
            let any = with(steps, Step::AnyKey);
            match first {
                Part::Name(name) => {
                    self.resolve(below, rest, &with(steps, Step::Key(name.clone())), found)
                }
                Part::Index(index) => {
                    self.resolve(below, rest, &with(steps, Step::Key(index.to_string())), found);
                }
                Part::Any => self.resolve(below, rest, &any, found),
            }
            // The name may have been left out.
            if found.len() == before && matches!(first, Part::Name(_)) {
                self.resolve(below, path, &any, found);
            }
        }
    }

    /// A field of this name, or the kind of this name.
    fn resolve_name(
        self,
        at: &'s Value,
        name: &str,
        path: &[Part],
        steps: &Steps,
        found: &mut Vec<Spot<'s>>,
    ) {
        for layer in self.layers(at) {
            if let Some(field) = layer.get("properties").and_then(|fields| fields.get(name)) {
                self.resolve(field, &path[1..], &with(steps, Step::Key(name.to_owned())), found);
            }
        }
        // The kind was named, and the steps name it already.
        let chosen = matches!(steps.last(), Some(Step::Variant(kind)) if kind == name);
        if chosen && self.tag(at) == Some(name) {
            self.resolve(at, &path[1..], steps, found);
        }
    }

    fn into_branch(self, steps: &Steps, branch: &'s Value) -> Steps {
        match self.tag(branch) {
            Some(kind) => with(steps, Step::Variant(kind.to_owned())),
            None => steps.clone(),
        }
    }

    /// Looks everywhere for a place where the path begins.
    fn search(
        self,
        at: &'s Value,
        path: &[Part],
        steps: &Steps,
        above: &mut Vec<&'s Keywords>,
        found: &mut Vec<Spot<'s>>,
    ) {
        let layers = self.layers(at);
        // A section of an environment is the whole file again.
        if layers.iter().any(|layer| above.iter().any(|seen| std::ptr::eq(*seen, *layer))) {
            return;
        }
        if let Some(Part::Name(name)) = path.first() {
            self.resolve_name(at, name, path, steps, found);
        }
        let depth = above.len();
        above.extend(&layers);
        let fields = layers.iter().filter_map(|layer| layer.get("properties")?.as_object());
        for (name, field) in fields.flatten() {
            self.search(field, path, &with(steps, Step::Key(name.clone())), above, found);
        }
        for branch in self.branches(at) {
            self.search(branch, path, &self.into_branch(steps, branch), above, found);
        }
        for (name, step) in [("items", Step::Each), ("additionalProperties", Step::AnyKey)] {
            if let Some(below) = self.keyword(at, name) {
                self.search(below, path, &with(steps, step), above, found);
            }
        }
        above.truncate(depth);
    }

    /// The names that could follow a place: fields, and kinds.
    pub(super) fn names(self, at: &'s Value) -> Vec<&'s str> {
        let mut names: Vec<&str> = self.fields(at).into_iter().map(|(name, _)| name).collect();
        for schema in self.branches(at).into_iter().chain(self.below(at)) {
            match self.tag(schema) {
                Some(kind) => names.push(kind),
                None => names.extend(self.names(schema)),
            }
        }
        names
    }

    /// The schemas of the elements of a list, or of the values of a mapping.
    pub(super) fn below(self, at: &'s Value) -> impl Iterator<Item = &'s Value> {
        let both = ["items", "additionalProperties"];
        both.into_iter().filter_map(move |name| self.keyword(at, name))
    }

    /// The names that could have been meant at places, also where a kind was left out; without places, all there are.
    pub(super) fn candidates(self, spots: &[Spot<'s>]) -> Vec<&'s str> {
        let mut names = Vec::new();
        let mut pending: Vec<(&Value, bool)> =
            spots.iter().map(|spot| (spot.schema, false)).collect();
        if spots.is_empty() {
            pending.push((self.root, true));
        }
        let mut seen: Vec<*const Value> = Vec::new();
        while let Some((at, deep)) = pending.pop() {
            if seen.contains(&std::ptr::from_ref(at)) {
                continue;
            }
            seen.push(at);
            names.extend(self.tag(at));
            for layer in self.layers(at) {
                let fields =
                    layer.get("properties").and_then(Value::as_object).into_iter().flatten();
                for (name, field) in fields {
                    names.push(name.as_str());
                    if deep && !std::ptr::eq(field, self.root) {
                        pending.push((field, true));
                    }
                }
            }
            let inside = self.branches(at).into_iter().chain(self.below(at));
            pending.extend(inside.map(|below| (below, deep)));
        }
        names
    }
}

fn with(steps: &Steps, step: Step) -> Steps {
    let mut steps = steps.clone();
    steps.push(step);
    steps
}
