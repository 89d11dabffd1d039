//! The time after an outage in which callers come back a few at a time.

use super::{CircuitBreakerConfig, units::RampEnd};
use crate::time::Instant;
use std::time::Duration;

/// The end of a ramp; over where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ramp(pub(super) RampEnd);

impl Ramp {
    pub(super) const NONE: Self = Self(RampEnd::OVER);

    pub(super) fn new(now: Instant, config: &CircuitBreakerConfig) -> Self {
        config.ramp_up.map_or(Self::NONE, |length| Self(RampEnd::at(now + length)))
    }

    /// What is left of it.
    pub(super) fn left(self, now: Instant, config: &CircuitBreakerConfig) -> Option<Duration> {
        let length = config.ramp_up?;
        self.0.left(now, length).map(|left| left.min(length))
    }
}
