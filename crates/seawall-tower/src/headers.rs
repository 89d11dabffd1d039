//! The headers in which Seawall tells other hops what it does.

use http::{HeaderMap, HeaderValue};
use seawall::{Key, Mode, Operation, Policy, Quota, RateLimiterConfig, Timer};
use std::time::Duration;

/// The header that numbers the attempts of a request, from 1. Whoever finds it in a request that it passes on does
/// not repeat that request: two layers of retries would multiply.
pub const ATTEMPT_HEADER: &str = "x-seawall-attempt";

/// The value of `x-seawall-circuit` for calls of this key: the state of the operation's circuit, such as `open`.
/// One that does not act says so: `open;mode=shadow` would refuse calls and lets them pass, `closed;mode=off` is
/// not asked. `None` where the operation has no circuit breaker.
pub fn circuit_header<Tm: Timer + Clone>(
    operation: &Operation<Tm>,
    key: Key,
) -> Option<HeaderValue> {
    let (state, mode) = operation.pipeline().circuit_state(operation.now(), key)?;
    if mode == Mode::Enforce {
        return Some(HeaderValue::from_static(state.label()));
    }
    HeaderValue::try_from(format!("{};mode={}", state.label(), mode.label())).ok()
}

/// Says in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) what is left, for calls of
/// this key, of the operation's rate limit; of several, of the one that has least. Limiters that do not act say
/// nothing, and fields that are there already stay.
///
/// `RateLimit: "prices";r=7;t=30` is 7 calls left and 30 s until nothing is used up; `RateLimit-Policy:
/// "prices";q=10;w=60` is 10 calls in 60 s. Windows below a second are not named.
pub fn write_rate_limit<Tm: Timer + Clone>(
    headers: &mut HeaderMap,
    operation: &Operation<Tm>,
    key: Key,
) {
    let (pipeline, now) = (operation.pipeline(), operation.now());
    let acting = pipeline.policies().iter().enumerate().filter_map(|(i, policy)| match policy {
        Policy::RateLimiter(limiter) if pipeline.mode(i) == Mode::Enforce => Some(limiter),
        _ => None,
    });
    let quotas = acting.map(|limiter| (limiter.quota(now, key), limiter.config()));
    let Some((quota, config)) = quotas.min_by_key(|(quota, _)| quota.remaining) else { return };
    let name = quoted(pipeline.name());
    let Quota { limit, remaining, reset_after } = quota;
    let window = match window(config, limit).map(|window| window.as_secs()) {
        None | Some(0) => String::new(),
        Some(seconds) => format!(";w={seconds}"),
    };
    let reset = reset_after.as_secs() + u64::from(reset_after.subsec_nanos() > 0);
    for (field, value) in [
        ("ratelimit", format!("{name};r={remaining};t={reset}")),
        ("ratelimit-policy", format!("{name};q={limit}{window}")),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.entry(field).or_insert(value);
        }
    }
}

/// The period of the limit that allows so many calls.
fn window(config: &RateLimiterConfig, calls: u64) -> Option<Duration> {
    let first = (config.rate, config.burst, config.per);
    let all = [first].into_iter().chain(config.also.iter().map(|l| (l.rate, l.burst, l.per)));
    let mut fitting = all.filter(|(rate, burst, _)| u64::from(*rate) + u64::from(*burst) == calls);
    fitting.next().map(|(_, _, per)| per)
}

/// A name as a string of structured fields (RFC 9651, 3.3.3), which are ASCII.
fn quoted(name: &str) -> String {
    if !name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return "\"default\"".to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
