//! Lists: each item, how many, and that none is there twice.

use super::{
    Site, Walker,
    text::{at_least, at_most},
};
use crate::{
    findings::Fault,
    path::Segment,
    schema::{self, Keywords},
    tree::Node,
};
use std::collections::HashMap;

impl<'s, 't> Walker<'s, 't> {
    pub(super) fn list(&mut self, site: Site<'s, 't>, items: &'t [Node], layers: &[&'s Keywords]) {
        for layer in layers {
            self.count(site, items.len() as u64, layer);
            if layer.get("uniqueItems") == Some(&true.into()) {
                self.repeated(site, items);
            }
            let first = schema::list(layer, "prefixItems");
            let rest = std::iter::repeat(layer.get("items"));
            let schemas = first.iter().map(Some).chain(rest);
            for (index, (node, schema)) in items.iter().zip(schemas).enumerate() {
                let Some(schema) = schema else { continue };
                self.path.push(Segment::Index(index));
                self.walk(Site { schema, node, ..site });
                self.path.pop();
            }
        }
    }

    fn count(&mut self, site: Site<'s, 't>, count: u64, layer: &Keywords) {
        let bound = |name| layer.get(name).and_then(|bound| bound.as_u64());
        if let Some(least) = bound("minItems").filter(|least| count < *least) {
            let message = match count {
                0 => "the list is empty".to_owned(),
                _ => format!("the list is too short with {count}"),
            };
            let right = format!("write {}", at_least(least, "item"));
            self.note(site, Fault::error(message).right(right));
        }
        if let Some(most) = bound("maxItems").filter(|most| count > *most) {
            let right = format!("write {}", at_most(most, "item"));
            self.note(
                site,
                Fault::error(format!("the list is too long with {count}")).right(right),
            );
        }
    }

    fn repeated(&mut self, site: Site<'s, 't>, items: &'t [Node]) {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (index, node) in items.iter().enumerate() {
            let first = *seen.entry(node.to_json().to_string()).or_insert(index);
            if first == index {
                continue;
            }
            let site = Site { node, ..site };
            self.path.push(Segment::Index(index));
            let fault = Fault::of_value(self.shown(site), "is in the list twice")
                .right(format!("it is there as `[{first}]`; keep one"));
            self.note(site, fault);
            self.path.pop();
        }
    }
}
