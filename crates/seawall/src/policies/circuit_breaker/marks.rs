//! Instants in few bits: the ends of what a circuit's word waits for.

use super::CircuitBreakerConfig;
use crate::time::{Instant, READ_LATE, nanos};
use std::time::Duration;

/// The end of an open time: 42 bits of 2¹⁶ ns, 66 µs.
pub(super) type OpenEnd = Mark<42, 16>;
/// The end of a forced state: 46 bits of 66 µs.
pub(super) type ForceEnd = Mark<46, 16>;
/// The farthest that an instant may lie ahead, 36 years: a quarter of what the bits can tell apart.
pub(super) const LONGEST_FORCE: Duration = Duration::from_nanos(1 << 60);
/// The end of a lease: 30 bits of 2²⁶ ns, 67 ms.
pub(super) type LeaseEnd = Mark<30, 26>;
/// The end of a ramp: 28 bits of 67 ms.
pub(super) type RampEnd = Mark<28, 26>;

/// An instant as the low `BITS` bits of its count of units of 2^`SHIFT` ns; 0 for one that is over.
///
/// The high bits need not be kept: the reader knows how far ahead it was set at most, so the few bits suffice to
/// compute what is left at any age of the clock, be it that of the process or of the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark<const BITS: u32, const SHIFT: u32>(u64);

impl<const BITS: u32, const SHIFT: u32> Mark<BITS, SHIFT> {
    pub(super) const OVER: Self = Self(0);
    pub(super) const MASK: u64 = (1 << BITS) - 1;

    /// Rounded up, so that nothing happens early.
    #[inline]
    pub(super) fn at(instant: Instant) -> Self {
        Self((instant.as_nanos().div_ceil(1 << SHIFT) & Self::MASK).max(1))
    }

    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits & Self::MASK)
    }

    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// The time left until the instant, which was set at most `longest` ahead. If more than that seems left, the
    /// instant is long over or the clock was set back: then it is over, too.
    #[inline]
    pub(super) fn left(self, now: Instant, longest: Duration) -> Option<Duration> {
        let range = Self::MASK << SHIFT | ((1 << SHIFT) - 1);
        let left = (self.0 << SHIFT).wrapping_sub(now.as_nanos()) & range;
        // Two units for the rounding, and what the clock may have been read late.
        let most = nanos(longest).saturating_add((2 << SHIFT) + READ_LATE);
        (self != Self::OVER && left > 0 && left <= most).then(|| Duration::from_nanos(left))
    }
}

/// The end of a ramp, the time after an outage in which callers come back a few at a time; over where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ramp(pub(super) RampEnd);

impl Ramp {
    pub(super) const NONE: Self = Self(RampEnd::OVER);

    pub(super) fn new(now: Instant, config: &CircuitBreakerConfig) -> Self {
        config.ramp_up.map_or(Self::NONE, |length| Self(RampEnd::at(now + length)))
    }

    /// How much of the ramp is left; none if it is over.
    pub(super) fn left(self, now: Instant, config: &CircuitBreakerConfig) -> Option<Duration> {
        let length = config.ramp_up?;
        self.0.left(now, length).map(|left| left.min(length))
    }
}
