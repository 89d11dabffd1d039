//! What names mean: the presets and strategies that are built in, and those of one's own beside them.

use super::{Preset, presets, profile};
use crate::policies::PolicyConfig;
use std::collections::{BTreeMap, BTreeSet};

/// Presets and strategies by name: the built-in ones, and those that were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    presets: Vec<Preset>,
    strategies: BTreeMap<String, Vec<PolicyConfig>>,
    operations: BTreeSet<String>,
}

impl Catalog {
    /// Adds a preset; one of the same name gives way to it.
    pub fn add_preset(&mut self, preset: Preset) {
        self.presets.retain(|known| known.name != preset.name);
        self.presets.push(preset);
    }

    /// Adds a strategy; one of the same name gives way to it.
    pub fn add_strategy(&mut self, name: impl Into<String>, policies: Vec<PolicyConfig>) {
        self.strategies.insert(name.into(), policies);
    }

    /// Adds the name of an operation that there is, so that a change of another one can be told from it.
    pub fn add_operation(&mut self, name: impl Into<String>) {
        self.operations.insert(name.into());
    }

    /// The names of operations that are known: those that were added, and those that a preset has a strategy for.
    pub fn operations(&self) -> BTreeSet<&str> {
        let of_presets =
            self.presets().into_iter().flat_map(|preset| preset.operation_overrides.keys());
        self.operations.iter().chain(of_presets).map(String::as_str).collect()
    }

    /// The preset of this name.
    pub fn preset(&self, name: &str) -> Option<&Preset> {
        let added = self.presets.iter().find(|preset| preset.name == name);
        added.or_else(|| super::preset(name))
    }

    /// All presets: first the built-in ones, then those that were added.
    pub fn presets(&self) -> Vec<&Preset> {
        let hidden = |preset: &&Preset| !self.presets.iter().any(|own| own.name == preset.name);
        presets().iter().filter(hidden).chain(&self.presets).collect()
    }

    /// The policies of a strategy, or of any other profile, outermost first.
    pub fn strategy(&self, name: &str) -> Option<Vec<PolicyConfig>> {
        let added = self.strategies.get(name).cloned();
        added.or_else(|| profile(name).map(super::Profile::policies))
    }

    /// The strategies that were added.
    pub fn added_strategies(&self) -> &BTreeMap<String, Vec<PolicyConfig>> {
        &self.strategies
    }
}
