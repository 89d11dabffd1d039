//! Checks of the fields of a custom configuration against one another.

use super::Verdict;
use crate::field::Fields;
use seawall::{Catalog, Override, Settings};
use seawall_config::{excerpt, nearest, path_of};

/// The operations that the documents of older systems name.
const DOCUMENTED: [&str; 5] = ["key_points", "qa", "questions", "sentiment", "summarize"];

/// Seconds of waiting after which callers have commonly given up.
const LONGEST_WAIT: f64 = 300.0;

/// The fewest failures in a row that are not likely to be chance.
const FEWEST_FAILURES: u32 = 3;

/// As many attempts as the most patient strategy, `critical`, makes.
const MOST_ATTEMPTS: u32 = 7;

/// Seconds that an attempt needs at least, with the wait before it.
const SECONDS_AN_ATTEMPT: u32 = 2;

/// As many attempts as the patient strategy `conservative` makes.
const MANY_ATTEMPTS: u32 = 5;

/// Checks fields against one another. Fields that are not given count as the preset `simple` has them.
pub(super) fn check(change: &Override, catalog: &Catalog, production: bool, to: &mut Verdict) {
    let Some(preset) = catalog.preset("simple") else { return };
    let settings = preset.settings(change);
    waits(change, &settings, to);
    attempts(change, to);
    extremes(change, to);
    operations(change, catalog, to);
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

/// The longest that all waits between attempts can take together, in seconds.
pub(super) fn worst_case_wait(settings: &Settings) -> f64 {
    const DOUBLINGS: u32 = 64; // By then a wait has reached its bound.
    let jitter = if settings.jitter_enabled { settings.jitter_max } else { 0.0 };
    let waits = settings.retry_attempts.saturating_sub(1);
    let (mut base, mut wait, mut total) = (settings.exponential_multiplier, 0.0, 0.0);
    for _ in 0..waits.min(DOUBLINGS) {
        wait = base.min(settings.exponential_max).max(settings.exponential_min) + jitter;
        total += wait;
        base *= 2.0;
    }
    total += wait * f64::from(waits.saturating_sub(DOUBLINGS));
    total.min(f64::from(settings.max_delay_seconds))
}

/// Suggests a shortest and a longest wait that the bounds of both fields allow.
fn apart(min: f64, max: f64) -> String {
    let fields = Fields::of(&Catalog::default());
    let bound = |name, keyword, without| fields.bound(name, keyword).unwrap_or(without);
    let lower = (max / 2.0).max(bound("exponential_min", "minimum", 0.0));
    let higher = (min * 2.0).max(bound("exponential_max", "minimum", 0.0)).min(bound(
        "exponential_max",
        "maximum",
        f64::MAX,
    ));
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

/// Warns of values that are within their bounds and hardly ever meant.
fn extremes(change: &Override, to: &mut Verdict) {
    if let (Some(attempts), Some(longest)) = (change.retry_attempts, change.max_delay_seconds) {
        let needed = attempts.saturating_mul(SECONDS_AN_ATTEMPT);
        if longest < needed {
            to.warning(
                format!(
                    "max_delay_seconds is {longest}, less than {SECONDS_AN_ATTEMPT} seconds for each of the {attempts} attempts of retry_attempts"
                ),
                format!("set max_delay_seconds to {needed} or more, or lower retry_attempts"),
            );
        }
    }
    if let Some(threshold) = change.circuit_breaker_threshold.filter(|it| *it < FEWEST_FAILURES) {
        to.warning(
            format!(
                "circuit_breaker_threshold is {threshold}: so few failures open a circuit by chance"
            ),
            format!("set circuit_breaker_threshold to {FEWEST_FAILURES} or more"),
        );
    }
    if let Some(attempts) = change.retry_attempts.filter(|it| *it > MOST_ATTEMPTS) {
        to.warning(
            format!("retry_attempts is {attempts}: so many attempts keep an overload up"),
            format!("set retry_attempts to {MOST_ATTEMPTS} or less, or use the preset production"),
        );
    }
}

/// Warns of operations that are not known by the names given.
fn operations(change: &Override, catalog: &Catalog, to: &mut Verdict) {
    let mut known = catalog.operations();
    known.extend(DOCUMENTED);
    for name in change.operation_overrides.keys().filter(|name| !known.contains(name.as_str())) {
        let field = path_of(&["operation_overrides", name]);
        let suggestion = match nearest(name, known.iter().copied()) {
            Some(near) => format!("{field}: did you mean `{near}`?"),
            None => {
                let known: Vec<&str> = known.iter().copied().collect();
                format!("{field}: the known operations are {}", excerpt::listed(&known))
            }
        };
        to.warning(format!("{field} is no operation that is known here"), suggestion);
    }
}
