//! What most calls ask of a circuit's word: answered without unpacking it.

use super::{
    circuit::{MOST_FAILURES, NEVER, Word},
    units::OPEN_SHIFT,
};
use crate::{Instant, window::GENERATIONS};
use std::time::Duration;

impl Word {
    /// The generation of a circuit that is closed for good: the question of most calls.
    #[inline(always)]
    pub(super) fn closed(word: u64) -> Option<u16> {
        let ramps = word >> 36 != 0;
        (word & 3 == 0 && !ramps).then_some((word >> 2) as u16 & GENERATIONS)
    }

    /// How long an open circuit still refuses: the question of most calls in an outage.
    #[inline(always)]
    pub(super) fn refuses(word: u64, now: Instant) -> Option<Duration> {
        let until = (word >> 16 & NEVER) << OPEN_SHIFT;
        let left = until.saturating_sub(now.as_nanos());
        (word & 3 == 1 && left > 0).then(|| Duration::from_nanos(left))
    }

    /// Closed, and no failure is counted: a success changes nothing.
    #[inline(always)]
    pub(super) fn is_quiet(word: u64) -> bool {
        word & 3 == 0 && word >> 16 & u64::from(MOST_FAILURES) == 0
    }
}
