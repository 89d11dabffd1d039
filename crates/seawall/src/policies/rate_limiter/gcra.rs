//! The token bucket, kept as the generic cell rate algorithm.

use crate::time::{Instant, is_due, nanos};
use std::time::Duration;

/// The largest debt of a bucket, in whole buckets: an absurd report must not keep a limit shut for good.
const LARGEST_DEBT: u64 = 10;

/// The two numbers of the generic cell rate algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// Time that one call uses up, in nanoseconds.
    pub(super) interval: u64,
    /// Time that may be used up ahead, in nanoseconds: `interval · (rate + burst)`.
    pub(super) tolerance: u64,
}

impl Gcra {
    /// Makes the numbers of a limit, rounded so that never more than `rate` in `per` pass.
    pub fn new(rate: u32, per: Duration, burst: u32) -> Self {
        let interval = nanos(per).div_ceil(u64::from(rate.max(1))).max(1);
        let capacity = u64::from(rate) + u64::from(burst);
        Self { interval, tolerance: interval.saturating_mul(capacity) }
    }

    /// Decides whether a call of this cost passes at `now`, given that the bucket is full again at `tat`: returns the
    /// new `tat`, or how long to wait. A cost beyond the whole bucket never passes.
    #[inline]
    pub fn decide(
        &self,
        tat: Instant,
        now: Instant,
        cost: u32,
    ) -> Result<Instant, Option<Duration>> {
        let (next, wait) = self.reserve(tat, now, cost).ok_or(None)?;
        if wait.is_zero() { Ok(next) } else { Err(Some(wait)) }
    }

    /// The new `tat` where a call of this cost passes at once.
    #[inline(always)]
    pub(super) fn take(&self, tat: Instant, now: Instant, cost: u32) -> Option<Instant> {
        let uses = self.interval.saturating_mul(u64::from(cost.max(1)));
        let next = tat.max(now).as_nanos().saturating_add(uses);
        (next - now.as_nanos() <= self.tolerance).then_some(Instant::from_nanos(next))
    }

    /// Takes a call of this cost from the bucket that is full again at `word`, in nanoseconds; otherwise the answer is how
    /// long to wait. `waits` is how far ahead turns were given, in nanoseconds; only a refusal needs to know.
    #[inline]
    pub(super) fn take_or_wait(
        &self,
        word: &mut u64,
        now: Instant,
        cost: u32,
        waits: impl FnOnce() -> u64,
    ) -> Result<(), Option<Duration>> {
        let mut tat = Instant::from_nanos(*word);
        if let Some(next) = self.take(tat, now, cost) {
            *word = next.as_nanos();
            return Ok(());
        }
        tat = self.settled(tat, now, waits());
        *word = tat.as_nanos();
        Err(self.reserve(tat, now, cost).map(|(_, wait)| wait))
    }

    /// The place of a call that waits for its turn: the new `tat`, and how long it waits. `None` where the
    /// cost is beyond the whole bucket.
    #[inline]
    pub fn reserve(&self, tat: Instant, now: Instant, cost: u32) -> Option<(Instant, Duration)> {
        let uses = self.interval.saturating_mul(u64::from(cost.max(1)));
        if uses > self.tolerance {
            return None;
        }
        let next = tat.max(now).as_nanos().saturating_add(uses);
        let wait = (next - now.as_nanos()).saturating_sub(self.tolerance);
        Some((Instant::from_nanos(next), Duration::from_nanos(wait)))
    }

    /// `tat` where the clock was set back since: the bucket is empty then, and fills from now on. `waits` is how far
    /// ahead turns were given, in nanoseconds.
    #[inline]
    pub(super) fn settled(&self, tat: Instant, now: Instant, waits: u64) -> Instant {
        if is_due(now, tat.as_nanos(), self.tolerance.saturating_add(waits)) {
            tat.min(now + Duration::from_nanos(self.tolerance))
        } else {
            tat
        }
    }

    /// The `tat` after a call took `cost` and used `used`: what it left goes back; what it used beyond that is a debt, of at
    /// most ten whole buckets, which later calls wait for.
    pub fn settle(&self, tat: Instant, now: Instant, cost: u32, used: u32) -> Instant {
        let time = |calls: u32| self.interval.saturating_mul(u64::from(calls));
        if used <= cost {
            return tat - Duration::from_nanos(time(cost - used));
        }
        let most = self.tolerance.saturating_mul(1 + LARGEST_DEBT);
        let full_at = tat.max(now).as_nanos().saturating_add(time(used - cost));
        let bound = now.as_nanos().saturating_add(most);
        tat.max(Instant::from_nanos(full_at.min(bound)))
    }

    /// How far beyond an empty bucket `tat` is, in nanoseconds.
    pub(super) fn debt(&self, tat: Instant, now: Instant) -> u64 {
        let used = tat.as_nanos().saturating_sub(now.as_nanos());
        used.saturating_sub(self.tolerance)
    }

    /// The number of calls that would pass at `now`.
    pub fn remaining(&self, tat: Instant, now: Instant) -> u64 {
        let used = tat.as_nanos().saturating_sub(now.as_nanos());
        self.tolerance.saturating_sub(used) / self.interval
    }
}
