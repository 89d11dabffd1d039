//! Which values of its policies a profile decides on, to explain where a value comes from.

use crate::policies::PolicyConfig;

/// What decides on a value of a policy that a preset or another profile names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// The profile alone decides.
    Profile,
    /// The profile, and with a preset also this field of [`Override`](super::Override).
    Field(&'static str),
}

/// The policy, where the path of the value in it begins, and the field of a custom configuration that changes it.
const DECIDED: [(&str, &str, Option<&str>); 17] = [
    ("circuit_breaker", "failure_threshold", Some("circuit_breaker_threshold")),
    ("circuit_breaker", "recovery_timeout", Some("recovery_timeout")),
    ("circuit_breaker", "success_threshold", None),
    ("retry", "max_attempts", Some("retry_attempts")),
    ("retry", "backoff.base_delay", Some("exponential_multiplier")),
    ("retry", "backoff.min_delay", Some("exponential_min")),
    ("retry", "backoff.max_delay", Some("exponential_max")),
    ("retry", "backoff.jitter_max", Some("jitter_max")),
    ("retry", "backoff.jitter", Some("jitter_enabled")),
    ("retry", "max_total_delay", Some("max_delay_seconds")),
    ("bulkhead", "max_concurrent", None),
    ("bulkhead", "max_queued", None),
    ("bulkhead", "max_wait", None),
    ("timeout", "limit", None),
    ("rate_limiter", "rate", None),
    ("rate_limiter", "per", None),
    ("rate_limiter", "burst", None),
];

/// What decides on one value, by its path in the policy at this place of a profile's policies; none if the value is
/// the policy's own default.
pub fn decided_by(policies: &[PolicyConfig], place: usize, value: &str) -> Option<DecidedBy> {
    let policy = policies.get(place)?;
    let is_timeout = |policy: &PolicyConfig| matches!(policy, PolicyConfig::Timeout(_));
    let begins = |start: &str| {
        value.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let (.., field) =
        DECIDED.iter().find(|(of, start, _)| *of == policy.label() && begins(start))?;
    // The total is the time in which attempts may begin, and one attempt more.
    let is_total = is_timeout(policy) && policies[place + 1..].iter().any(is_timeout);
    let field = if is_total { Some("max_delay_seconds") } else { *field };
    Some(field.map_or(DecidedBy::Profile, DecidedBy::Field))
}
