//! What can be said only of several fields together.

use super::{Verdict, worst_case_wait};
use seawall::{Catalog, Override, Settings};

/// Seconds. Whoever waits longer has given up.
const LONGEST_WAIT: f64 = 300.0;

/// As many attempts as the patient strategy `conservative` makes.
const MANY_ATTEMPTS: u32 = 5;

/// Checks fields against one another; those that are not given are the ones of the default preset.
pub(super) fn check(change: &Override, catalog: &Catalog, production: bool, to: &mut Verdict) {
    let Some(preset) = catalog.preset("simple") else { return };
    let settings = preset.settings(change);
    waits(change, &settings, to);
    attempts(change, to);
    if production && change.jitter_enabled == Some(false) {
        to.warning(
            "jitter_enabled is false in production: callers that failed together try again together",
            "set jitter_enabled to true",
        );
    }
}

fn waits(change: &Override, settings: &Settings, to: &mut Verdict) {
    let Settings { exponential_min: min, exponential_max: max, jitter_max: jitter, .. } = settings;
    let strategy = &settings.default_strategy;
    match (change.exponential_min, change.exponential_max) {
        (Some(_), Some(_)) if min >= max => to.error(
            format!("exponential_min must be below exponential_max, but {min} is not below {max}"),
            apart(*min, *max),
        ),
        (Some(_), None) if min >= max => to.warning(
            format!("exponential_min is {min}, not below exponential_max, which is {max} with {strategy}"),
            format!("set exponential_max above {min}, or lower exponential_min"),
        ),
        _ => {}
    }
    if (change.jitter_max.is_some() || change.exponential_max.is_some())
        && settings.jitter_enabled
        && jitter > max
    {
        to.warning(
            format!("jitter_max is {jitter}, over exponential_max, which is {max}: waits are mostly chance"),
            format!("set jitter_max to {max} or less"),
        );
    }
    let longest = worst_case_wait(settings);
    if longest > LONGEST_WAIT {
        let message = format!(
            "max_delay_seconds allows waits that add up to {longest:.0} seconds, over 5 minutes"
        );
        to.warning(message, "set max_delay_seconds to 300, or lower retry_attempts");
    }
}

/// A pair of waits that both bounds allow.
fn apart(min: f64, max: f64) -> String {
    let (of_min, of_max) =
        (super::field::named("exponential_min"), super::field::named("exponential_max"));
    let lower = of_min.map_or(max / 2.0, |field| (max / 2.0).max(field.min));
    let higher = of_max.map_or(min * 2.0, |field| (min * 2.0).clamp(field.min, field.max));
    format!("set exponential_min to {lower}, or exponential_max to {higher}")
}

fn attempts(change: &Override, to: &mut Verdict) {
    let Some(attempts) = change.retry_attempts else { return };
    if change.default_strategy.as_deref() == Some("aggressive") && attempts > MANY_ATTEMPTS {
        to.warning(
            format!(
                "retry_attempts is {attempts}, many for aggressive, which is meant to fail fast"
            ),
            "set retry_attempts to 2, or default_strategy to conservative",
        );
    }
    match change.circuit_breaker_threshold {
        Some(threshold) if threshold < attempts => to.warning(
            format!("circuit_breaker_threshold is {threshold}, lower than retry_attempts, which is {attempts}"),
            format!("set circuit_breaker_threshold to {attempts} or more"),
        ),
        _ => {}
    }
}
