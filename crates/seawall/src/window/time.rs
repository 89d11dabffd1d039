//! The calls within a length of time: a ring of slices, three counters each.

use super::{NOBODY, Sample, Tally, is_newer};
use crate::{
    sync::{AtomicU64, Mutex, Ordering, lock, update},
    time::{Instant, READ_LATE, nanos},
};
use std::time::Duration;

/// Slices in a ring: a window forgets a thirty-second of its length at a time.
pub(super) const SLICES: u64 = 32;

/// A slice's place in the ring follows from its number, so a counter holds only the *lap*, the times that the ring
/// went round since the epoch: `generation << 50 | lap << 36 | count`. A counter of another generation or lap counts
/// as empty.
///
/// The lap is counted modulo 2¹⁴. That is enough, since no counter is older than one lap: the thread that begins a
/// slice empties the places of all slices between the last one and this.
#[derive(Debug)]
pub(crate) struct TimeRing {
    slice_nanos: u64,
    /// The newest slice that was begun, counted since the epoch; `NONE` before the first.
    newest: AtomicU64,
    /// Held by who begins a slice, 32 times in a window.
    begins: Mutex<()>,
    pub(super) calls: Counters,
    pub(super) failures: Counters,
    slow: Counters,
}

#[derive(Debug)]
pub(super) struct Counters(pub(super) [AtomicU64; SLICES as usize]);

const NONE: u64 = u64::MAX;
/// Counts up to 68 billion calls in one slice, which is more than can come.
pub(super) const COUNT_BITS: u32 = 36;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const LAP_BITS: u32 = 14;
const LAP_MASK: u64 = (1 << LAP_BITS) - 1;
const EMPTY: u64 = (NOBODY as u64) << (COUNT_BITS + LAP_BITS);

impl TimeRing {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            slice_nanos: (nanos(length) / SLICES).max(1),
            newest: AtomicU64::new(NONE),
            begins: Mutex::new(()),
            calls: Counters::new(),
            failures: Counters::new(),
            slow: Counters::new(),
        }
    }

    /// Adds a call; `None` when it is too late to count.
    #[inline]
    pub(crate) fn record(&self, generation: u16, now: Instant, sample: Sample) -> Option<()> {
        let slice = self.slice(now);
        if self.newest.load(Ordering::Acquire) != slice {
            self.begin(slice)?;
        }
        self.calls.add(generation, slice)?;
        if sample.failure {
            self.failures.add(generation, slice)?;
        }
        if sample.slow {
            self.slow.add(generation, slice)?;
        }
        Some(())
    }

    pub(crate) fn tally(&self, generation: u16, now: Instant) -> Tally {
        let (slice, newest) = (self.slice(now), self.newest.load(Ordering::Acquire));
        if newest == NONE {
            return Tally::default();
        }
        let slices = slice.saturating_sub(SLICES - 1)..=slice.min(newest);
        let sums = [&self.calls, &self.failures, &self.slow]
            .map(|counters| counters.sum(generation, slices.clone(), newest));
        // Where a sum is more than a tally can say, all are made smaller alike: the ratios stay.
        let most = sums.into_iter().max().unwrap_or(0);
        let beyond = (u64::BITS - most.leading_zeros()).saturating_sub(u32::BITS);
        let [calls, failures, slow] = sums.map(|sum| (sum >> beyond) as u32);
        Tally { calls, failures, slow }
    }

    fn slice(&self, now: Instant) -> u64 {
        now.as_nanos() / self.slice_nanos
    }

    /// Makes a place for this slice, where it is not the newest; `None` where its place is another's already.
    #[cold]
    fn begin(&self, slice: u64) -> Option<()> {
        let _turn = lock(&self.begins);
        let newest = self.newest.load(Ordering::Acquire);
        let first = if newest == NONE {
            slice
        } else if slice > newest {
            (newest + 1).max(slice.saturating_sub(SLICES - 1))
        } else {
            let behind = newest - slice;
            if behind < SLICES {
                return Some(());
            }
            if behind.saturating_mul(self.slice_nanos) <= READ_LATE {
                return None;
            }
            // The clock was set back: what was counted lies ahead of it, and says nothing any more.
            slice.saturating_sub(SLICES - 1)
        };
        for place in first..=slice {
            for counters in [&self.calls, &self.failures, &self.slow] {
                counters.0[(place % SLICES) as usize].store(EMPTY, Ordering::Release);
            }
        }
        self.newest.store(slice, Ordering::Release);
        Some(())
    }
}

impl Counters {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(EMPTY)))
    }

    #[inline]
    fn add(&self, generation: u16, slice: u64) -> Option<()> {
        let tag = tag(generation, slice);
        update(&self.0[(slice % SLICES) as usize], |counter| {
            let current = counter >> COUNT_BITS;
            if current == tag {
                let count = (counter & COUNT_MASK).min(COUNT_MASK - 1) + 1;
                return (tag << COUNT_BITS | count, Some(()));
            }
            if is_later(current, tag) {
                return (counter, None);
            }
            (tag << COUNT_BITS | 1, Some(()))
        })
    }

    /// The sum of these slices, none of which is newer than the newest.
    fn sum(&self, generation: u16, slices: std::ops::RangeInclusive<u64>, newest: u64) -> u64 {
        let has_place = |slice: &u64| newest - slice < SLICES;
        let count = |slice: u64| {
            let counter = self.0[(slice % SLICES) as usize].load(Ordering::Acquire);
            let is_its = counter >> COUNT_BITS == tag(generation, slice);
            if is_its { counter & COUNT_MASK } else { 0 }
        };
        slices.filter(has_place).map(count).sum()
    }
}

fn tag(generation: u16, slice: u64) -> u64 {
    u64::from(generation) << LAP_BITS | ((slice / SLICES) & LAP_MASK)
}

/// Whether tag `a` belongs to a later lap or generation than `b`: a thread that was held up between reading the clock
/// and here finds no place.
fn is_later(a: u64, b: u64) -> bool {
    let (ga, gb) = ((a >> LAP_BITS) as u16, (b >> LAP_BITS) as u16);
    if ga == gb {
        let ahead = a.wrapping_sub(b) & LAP_MASK;
        return ahead < LAP_MASK / 2;
    }
    ga != NOBODY && is_newer(ga, gb)
}
