//! What names mean: the presets and strategies that are built in, and those of one's own beside them.

use super::{Preset, presets, profile};
use crate::PolicyConfig;
use std::collections::BTreeMap;

/// Presets and strategies by name: the built-in ones, and those that were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    presets: Vec<Preset>,
    strategies: BTreeMap<String, Vec<PolicyConfig>>,
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
