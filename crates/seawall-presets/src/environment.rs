//! The variables that choose a preset and change it, laid over a document that has the fields `preset`, `custom` and
//! `monitoring` at its top.

use crate::legacy;
use seawall_config::{Layers, strict_json};
use serde_json::Value;
use std::collections::BTreeMap;

const PRESET: &str = "RESILIENCE_PRESET";
const CUSTOM: &str = "RESILIENCE_CUSTOM_CONFIG";

/// Variables that are true or false, and the field of `monitoring` that each sets.
const SWITCHES: [(&str, &str); 2] =
    [("ENABLE_RESILIENCE_MONITORING", "enabled"), ("ENABLE_RESILIENCE_VALIDATION", "validation")];

/// Lays what the variables say over the document: first those of older systems, then the preset and the custom
/// configuration that are named for Seawall. What cannot be used is noted among the mistakes of the layers.
pub fn lay(variables: &BTreeMap<String, String>, layers: &mut Layers) {
    let preset = variables.get(PRESET);
    if legacy::is_legacy(variables) {
        lay_legacy(variables, preset.is_some() || layers.gives("preset"), layers);
    }
    if let Some(preset) = preset {
        layers.variable(PRESET, &["preset"], &Value::from(preset.as_str()).to_string());
    }
    if let Some(custom) = variables.get(CUSTOM).filter(|text| !text.trim().is_empty()) {
        match strict_json(custom) {
            Ok(_) => layers.variable(CUSTOM, &["custom"], custom),
            Err(wrong) => layers.refuse(CUSTOM, &wrong, "write an object in JSON"),
        }
    }
    for (name, field) in SWITCHES {
        let Some(value) = variables.get(name).map(|value| value.trim()).filter(|it| !it.is_empty())
        else {
            continue;
        };
        match legacy::truth(value) {
            Some(on) => layers.variable(name, &["monitoring", field], &on.to_string()),
            None => layers.refuse(name, &format!("{value:?} is neither"), "use true or false"),
        }
    }
}

/// Unless a preset is chosen already, older variables choose the nearest one, with what differs from it.
fn lay_legacy(variables: &BTreeMap<String, String>, chosen: bool, layers: &mut Layers) {
    let legacy = legacy::analyze(variables);
    let names = legacy.found.iter().filter(|found| found.target.is_some());
    let names: Vec<&str> = names.map(|found| found.variable.as_str()).collect();
    let older = names.join(", ");
    let custom = if chosen {
        legacy::overrides(variables)
    } else {
        let preset = &legacy.recommended_preset;
        layers.variable(&older, &["preset"], preset);
        let message = format!("these older variables choose the preset {preset}");
        layers.advise(&older, &message, "name one in RESILIENCE_PRESET, or see `seawall migrate`");
        legacy.custom_overrides
    };
    if let Ok(custom) = serde_json::to_string(&custom) {
        layers.variable(&older, &["custom"], &custom);
    }
    for problem in &legacy.problems {
        layers.advise(&older, problem, "");
    }
}
