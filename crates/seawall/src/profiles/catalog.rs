//! The names of presets, strategies and operations that a configuration may use, and what they stand for.

use super::{Preset, Profile, presets, profile};
use crate::policies::PolicyConfig;
use std::collections::{BTreeMap, BTreeSet};

/// Presets and strategies by name: the built-in ones, and those that a configuration adds to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    presets: Vec<Preset>,
    strategies: BTreeMap<String, Vec<PolicyConfig>>,
    operations: BTreeSet<String>,
}

impl Catalog {
    /// Adds a preset. It takes the place of another of the same name, a built-in one included.
    pub fn add_preset(&mut self, preset: Preset) {
        self.presets.retain(|known| known.name != preset.name);
        self.presets.push(preset);
    }

    /// Adds a strategy, its policies outermost first. It takes the place of another of the same name, a built-in profile
    /// included.
    pub fn add_strategy(&mut self, name: impl Into<String>, policies: Vec<PolicyConfig>) {
        self.strategies.insert(name.into(), policies);
    }

    /// Adds the name of an operation that exists, so that checks can warn of changes to operations that do not.
    pub fn add_operation(&mut self, name: impl Into<String>) {
        self.operations.insert(name.into());
    }

    /// The names of all operations that were added, and of those that a preset names a strategy for.
    pub fn operations(&self) -> BTreeSet<&str> {
        let of_presets =
            self.presets().into_iter().flat_map(|preset| preset.operation_overrides.keys());
        self.operations.iter().chain(of_presets).map(String::as_str).collect()
    }

    /// The preset of this name, if there is one.
    pub fn preset(&self, name: &str) -> Option<&Preset> {
        let added = self.presets.iter().find(|preset| preset.name == name);
        added.or_else(|| super::preset(name))
    }

    /// All presets: first the built-in ones that no other took the place of, then those that were added.
    pub fn presets(&self) -> Vec<&Preset> {
        let hidden = |preset: &&Preset| !self.presets.iter().any(|own| own.name == preset.name);
        presets().iter().filter(hidden).chain(&self.presets).collect()
    }

    /// The policies of the strategy of this name, or of any other profile, outermost first; none if there is no such name.
    pub fn strategy(&self, name: &str) -> Option<Vec<PolicyConfig>> {
        let added = self.strategies.get(name).cloned();
        added.or_else(|| profile(name).map(Profile::policies))
    }

    /// The strategies that were added, by name.
    pub fn added_strategies(&self) -> &BTreeMap<String, Vec<PolicyConfig>> {
        &self.strategies
    }
}
