//! The values of a file, with the policies that follow from presets and strategies, and the origin of every value.

use super::path::{Step, Steps, below, join};
use crate::{failure::Failure, file};
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

/// A value with its place and its origin.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Set {
    pub(super) path: String,
    pub(super) value: Value,
    pub(super) origin: String,
}

/// A whole configuration.
pub(super) struct Effective {
    document: Value,
    origins: BTreeMap<String, String>,
    /// The section that was laid over the rest.
    environment: Option<String>,
}

impl Effective {
    pub(super) fn load(file: &Path, environment: Option<&str>) -> Result<Self, Failure> {
        let loaded = file::load(file, environment)?;
        let config = &loaded.document;
        let mut document = json!(config);
        let leaves = loaded.origins.leaves(&document).into_iter();
        let mut origins: BTreeMap<String, String> =
            leaves.map(|leaf| (leaf.path, leaf.origin.to_string())).collect();
        let named = config.upstreams.keys().map(|name| ("upstreams", name));
        for (section, name) in
            named.chain(config.operations.keys().map(|name| ("operations", name)))
        {
            document[section][name]["policies"] = json!(config.effective_policies(name));
            let at = seawall_config::path_of(&[section, name, "policies"]);
            for policy in config.explained_policies(name, &loaded.origins) {
                for leaf in policy.values {
                    let path = below(&format!("{at}[{}]", policy.position), &leaf.path);
                    origins.insert(path, leaf.origin.to_string());
                }
            }
        }
        Ok(Self { document, origins, environment: environment.map(str::to_owned) })
    }

    /// The values at every place that these steps lead to.
    pub(super) fn values(&self, steps: &Steps) -> Vec<Set> {
        let in_section = |step: &Step| match (step, &self.environment) {
            (Step::Key(name), Some(environment)) => name == environment,
            _ => false,
        };
        let steps = if steps.first().is_some_and(in_section) { &steps[1..] } else { &steps[..] };
        let mut places = vec![(String::new(), &self.document)];
        for step in steps {
            places = places.into_iter().flat_map(|place| go(place, step)).collect();
        }
        places.into_iter().flat_map(|(path, value)| self.set(&path, value)).collect()
    }

    fn set(&self, path: &str, value: &Value) -> Vec<Set> {
        let leaves = seawall_config::leaves(value).into_iter();
        let set = leaves.map(|(rest, value)| {
            let path = below(path, &rest);
            let origin = self.origins.get(&path).map_or("default", String::as_str).to_owned();
            Set { path, value, origin }
        });
        set.collect()
    }
}

/// Follows the path by one step.
fn go<'v>((path, value): (String, &'v Value), step: &Step) -> Vec<(String, &'v Value)> {
    let element = |(index, item)| (format!("{path}[{index}]"), item);
    match step {
        Step::Key(name) => {
            value.get(name).map(|field| (join(&path, name), field)).into_iter().collect()
        }
        Step::AnyKey => {
            let fields = value.as_object().into_iter().flatten();
            fields.map(|(name, field)| (join(&path, name), field)).collect()
        }
        Step::Index(index) => {
            value.get(index).map(|item| element((*index, item))).into_iter().collect()
        }
        Step::Each => value.as_array().into_iter().flatten().enumerate().map(element).collect(),
        Step::Variant(kind) if value["type"] == *kind => vec![(path, value)],
        Step::Variant(_) => Vec::new(),
    }
}
