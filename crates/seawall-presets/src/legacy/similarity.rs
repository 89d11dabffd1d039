//! Compares a custom configuration with each preset.

use crate::rounded;
use seawall::{Override, Preset};
use std::collections::BTreeMap;

/// The weight of each field in the score.
const ATTEMPTS: f64 = 0.30;
const THRESHOLD: f64 = 0.25;
const RECOVERY: f64 = 0.20;
const STRATEGY: f64 = 0.15;
const OPERATIONS: f64 = 0.10;

/// The score where nothing is set that presets differ in.
const UNDECIDED: f64 = 0.5;

/// Numbers nearer than this differ by rounding only.
const SAME: f64 = 1e-9;

/// Whether any field is set in which presets differ.
pub(super) fn comparable(change: &Override) -> bool {
    change.retry_attempts.is_some()
        || change.circuit_breaker_threshold.is_some()
        || change.recovery_timeout.is_some()
        || change.default_strategy.is_some()
        || !change.operation_overrides.is_empty()
}

/// The nearest preset (of equal ones the first), its score, and the score of each preset.
pub(super) fn nearest(change: &Override) -> (&'static Preset, f64, BTreeMap<String, f64>) {
    let presets = seawall::presets();
    let (mut best, mut highest) = (&presets[0], f64::MIN);
    let mut all = BTreeMap::new();
    for preset in presets {
        let score = similarity(change, preset);
        all.insert(preset.name.clone(), rounded(score));
        if score > highest + SAME {
            (best, highest) = (preset, score);
        }
    }
    (best, highest, all)
}

/// The score of one preset: the weighted mean over the fields that are set.
fn similarity(change: &Override, preset: &Preset) -> f64 {
    let effective = preset.settings(&Override::default());
    let operations = &change.operation_overrides;
    let equal = operations.iter().filter(|(name, own)| effective.strategy_of(name) == *own).count();
    let share = (!operations.is_empty()).then(|| equal as f64 / operations.len() as f64);
    let strategy = change.default_strategy.as_ref();
    let strategy = strategy.map(|own| if *own == preset.default_strategy { 1.0 } else { 0.0 });
    let terms = [
        (ATTEMPTS, change.retry_attempts.map(|a| near(a, preset.retry_attempts))),
        (
            THRESHOLD,
            change.circuit_breaker_threshold.map(|a| near(a, preset.circuit_breaker_threshold)),
        ),
        (RECOVERY, change.recovery_timeout.map(|a| near(a, preset.recovery_timeout))),
        (STRATEGY, strategy),
        (OPERATIONS, share),
    ];
    let given = terms.iter().filter_map(|(weight, score)| Some((weight, (*score)?)));
    let (sum, weights) =
        given.fold((0.0, 0.0), |(sum, all), (weight, s)| (sum + weight * s, all + weight));
    if weights > 0.0 { sum / weights } else { UNDECIDED }
}

fn near(a: u32, b: u32) -> f64 {
    1.0 - f64::from(a.abs_diff(b)) / f64::from(a.max(b).max(1))
}
