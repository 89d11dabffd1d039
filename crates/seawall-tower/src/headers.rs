//! The headers in which Seawall says to other hops what it does.

use http::{HeaderMap, HeaderValue};
use seawall::{Key, Mode, Operation, Quota, RateLimiterConfig, Timer};
use std::time::Duration;

/// The header that numbers the attempts of a request, from 1. A request that already has it is not repeated, since two
/// layers of retries would multiply.
pub const ATTEMPT_HEADER: &str = "x-seawall-attempt";

/// The value of `x-seawall-circuit` for calls with this key: the state of the operation's circuit, such as `open`. A
/// breaker that does not enforce names its mode: `open;mode=shadow` would refuse calls but lets them pass, and
/// `closed;mode=off` is switched off. `None` if the operation has no circuit breaker.
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

/// Writes `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): how many calls with this key
/// the operation's rate limiters allow now. Of several limits, it is the one with the fewest calls left. Limiters that
/// do not enforce are ignored, and fields that are there already are kept.
///
/// `RateLimit: "prices";r=7;t=30` means that 7 calls are left and that the whole limit is available again in 30 s;
/// `RateLimit-Policy: "prices";q=10;w=60` means 10 calls in 60 s. Windows shorter than a second are left out.
pub fn write_rate_limit<Tm: Timer + Clone>(
    headers: &mut HeaderMap,
    operation: &Operation<Tm>,
    key: Key,
) {
    let (pipeline, now) = (operation.pipeline(), operation.now());
    let acting = pipeline.rate_limiters().filter(|(_, mode)| *mode == Mode::Enforce);
    let quotas = acting.map(|(limiter, _)| (limiter.quota(now, key), limiter.config()));
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

/// The period of the limit with this number of calls.
fn window(config: &RateLimiterConfig, calls: u64) -> Option<Duration> {
    let first = (config.rate, config.burst, config.per);
    let all = [first].into_iter().chain(config.also.iter().map(|l| (l.rate, l.burst, l.per)));
    let mut fitting = all.filter(|(rate, burst, _)| u64::from(*rate) + u64::from(*burst) == calls);
    fitting.next().map(|(_, _, per)| per)
}

/// Writes a name as a string of structured fields (RFC 9651, 3.3.3), which are ASCII.
fn quoted(name: &str) -> String {
    if !name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return "\"default\"".to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
