//! The time after an outage in which callers come back a few at a time.

use super::{
    CircuitBreakerConfig,
    units::{LEASE_SHIFT, units},
};
use crate::Instant;
use std::time::Duration;

/// The end of a ramp, in units of 2²⁶ ns modulo 2²⁸ (208 days); 0 for no ramp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ramp(pub(super) u32);

impl Ramp {
    pub(super) const NONE: Self = Self(0);
    pub(super) const BITS: u32 = 28;

    pub(super) fn new(now: Instant, config: &CircuitBreakerConfig) -> Self {
        let Some(length) = config.ramp_up else { return Self::NONE };
        let end = units(now + length, LEASE_SHIFT, 38) as u32 & ((1 << Self::BITS) - 1);
        Self(end.max(1))
    }

    /// What is left of it. After its end the count would begin anew in 208 days: then it is over, too.
    pub(super) fn left(self, now: Instant, config: &CircuitBreakerConfig) -> Option<Duration> {
        let length = config.ramp_up.filter(|_| self != Self::NONE)?;
        let now = (now.as_nanos() >> LEASE_SHIFT) as u32;
        let left = self.0.wrapping_sub(now) & ((1 << Self::BITS) - 1);
        let left = Duration::from_nanos(u64::from(left) << LEASE_SHIFT);
        // Rounded up by one unit, and the lower end is one unit wide.
        (left > Duration::ZERO && left <= length + Duration::from_nanos(2 << LEASE_SHIFT))
            .then(|| left.min(length))
    }
}
