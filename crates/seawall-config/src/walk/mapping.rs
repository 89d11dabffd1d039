//! Mappings: the fields of all layers taken together, as a flattened struct has them.

use super::{
    Site, Walker, suggestion,
    text::{at_least, at_most},
};
use crate::{
    excerpt::word,
    findings::Fault,
    path::Segment,
    schema::{self, Keywords},
    tree::Entry,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The rules of the layers for the fields of a mapping.
#[derive(Default)]
struct Fields<'s> {
    named: BTreeMap<&'s str, Vec<&'s Value>>,
    patterns: Vec<(&'s str, &'s Value)>,
    /// The schema of fields not named; `true` if the type takes whatever is left.
    others: Option<&'s Value>,
    /// Whether unknown fields are refused.
    closed: bool,
    required: Vec<&'s str>,
}

impl<'s> Fields<'s> {
    fn of(layers: &[&'s Keywords]) -> Self {
        let mut fields = Self::default();
        for layer in layers {
            for (name, schema) in schema::object(layer, "properties") {
                fields.named.entry(name).or_default().push(schema);
            }
            fields.patterns.extend(schema::object(layer, "patternProperties"));
            for name in ["additionalProperties", "unevaluatedProperties"] {
                match layer.get(name) {
                    Some(Value::Bool(false)) => fields.closed = true,
                    Some(others) => fields.others = Some(others),
                    None => {}
                }
            }
            fields.required.extend(schema::required(layer));
        }
        fields
    }
}

impl<'s, 't> Walker<'s, 't> {
    /// Checks the fields. Unless `whole`, some of them may belong to a choice that could not be made.
    pub(super) fn mapping(
        &mut self,
        site: Site<'s, 't>,
        entries: &'t [Entry],
        layers: &[&'s Keywords],
        whole: bool,
    ) {
        let fields = Fields::of(layers);
        for entry in entries {
            let schemas = self.schemas_for(&fields, &entry.key);
            self.path.push(Segment::Key(&entry.key));
            for schema in &schemas {
                self.walk(Site { schema, node: &entry.node, secret: site.secret });
            }
            if schemas.is_empty() && whole {
                self.unknown_field(&fields, entry);
            }
            self.path.pop();
        }
        for name in &fields.required {
            if !entries.iter().any(|entry| entry.key == *name) {
                self.missing_field(site, name, fields.named.get(name).and_then(|all| all.first()));
            }
        }
        for layer in layers {
            self.size(site, entries.len() as u64, layer);
        }
    }

    fn schemas_for(&mut self, fields: &Fields<'s>, key: &str) -> Vec<&'s Value> {
        let mut schemas = fields.named.get(key).cloned().unwrap_or_default();
        for (pattern, schema) in &fields.patterns {
            if self.matches(pattern, key) {
                schemas.push(schema);
            }
        }
        if schemas.is_empty() {
            schemas.extend(fields.others);
        }
        schemas
    }

    /// Notes a field that nothing names. Where it is not refused, it is at least worth a look.
    fn unknown_field(&mut self, fields: &Fields<'s>, entry: &Entry) {
        let known: Vec<&str> = fields.named.keys().copied().collect();
        let right = match fields.patterns.first() {
            Some((pattern, _)) if known.is_empty() => format!("keys here match `{pattern}`"),
            _ => suggestion(&entry.key, &known),
        };
        let message = format!("unknown field `{}`", word(&entry.key));
        let fault = match fields.closed {
            true => Fault::error(message),
            // A schema that says nothing of fields is not about them.
            false if known.is_empty() => return,
            false => Fault::warning(message),
        };
        self.findings.add(entry.position, self.path.to_string(), fault.right(right));
    }

    fn missing_field(&mut self, site: Site<'s, 't>, name: &str, schema: Option<&&'s Value>) {
        let right = schema.map_or(String::new(), |schema| self.schemas.wanted(schema).write());
        let fault = Fault::error(format!("missing field `{}`", word(name))).right(right);
        self.findings.add(site.node.position, self.path.key(name), fault);
    }

    fn size(&mut self, site: Site<'s, 't>, count: u64, layer: &Keywords) {
        let bound = |name| layer.get(name).and_then(|bound| bound.as_u64());
        if let Some(least) = bound("minProperties").filter(|least| count < *least) {
            let right = format!("write {}", at_least(least, "field"));
            self.note(site, Fault::error(format!("too few fields: {count}")).right(right));
        }
        if let Some(most) = bound("maxProperties").filter(|most| count > *most) {
            let right = format!("write {}", at_most(most, "field"));
            self.note(site, Fault::error(format!("too many fields: {count}")).right(right));
        }
    }
}
