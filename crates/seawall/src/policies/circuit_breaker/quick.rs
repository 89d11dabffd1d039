//! What most calls ask of a circuit's word: answered without unpacking it.

use super::{
    CircuitBreakerConfig,
    circuit::{MOST_FAILURES, Word},
    units::OpenEnd,
};
use crate::{time::Instant, window::GENERATIONS};
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
    pub(super) fn refuses(
        word: u64,
        now: Instant,
        config: &CircuitBreakerConfig,
    ) -> Option<Duration> {
        if word & 3 != 1 {
            return None;
        }
        let openings = (word >> 58) as u32;
        OpenEnd::from_bits(word >> 16).left(now, config.longest_open_time(openings))
    }

    /// Closed, and no failure is counted: a success changes nothing.
    #[inline(always)]
    pub(super) fn is_quiet(word: u64) -> bool {
        word & 3 == 0 && word >> 16 & u64::from(MOST_FAILURES) == 0
    }
}
