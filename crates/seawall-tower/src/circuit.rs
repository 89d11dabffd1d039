//! How a circuit stands, as the value of a header.

use http::HeaderValue;
use seawall::{Mode, Operation, Timer};

/// The value of `x-seawall-circuit` for calls of this key: the state of the operation's circuit, such as `open`.
/// One that does not act says so: `open;mode=shadow` would refuse calls and lets them pass, `closed;mode=off` is
/// not asked. `None` where the operation has no circuit breaker.
pub fn circuit_header<Tm: Timer + Clone>(
    operation: &Operation<Tm>,
    key: u64,
) -> Option<HeaderValue> {
    let (state, mode) = operation.pipeline().circuit_state(operation.now(), key)?;
    if mode == Mode::Enforce {
        return Some(HeaderValue::from_static(state.label()));
    }
    HeaderValue::try_from(format!("{};mode={}", state.label(), mode.label())).ok()
}
