//! The calls of the last so long: a ring of slices, three counters each.

use super::{NOBODY, Sample, Tally, is_newer};
use crate::{
    Instant,
    sync::{AtomicU64, Ordering, update},
    time::nanos,
};
use std::time::Duration;

/// Slices in a ring: a window forgets a thirty-second of its length at a time.
pub(super) const SLICES: u64 = 32;

/// A counter is `generation << 50 | slice << 24 | count`, the slice counted since the epoch (modulo
/// 2²⁶); of another generation or slice it is empty.
#[derive(Debug)]
pub(crate) struct TimeRing {
    slice_nanos: u64,
    calls: Counters,
    failures: Counters,
    slow: Counters,
}

#[derive(Debug)]
struct Counters([AtomicU64; SLICES as usize]);

const COUNT_BITS: u32 = 24;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const SLICE_MASK: u64 = (1 << 26) - 1;

impl TimeRing {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            slice_nanos: (nanos(length) / SLICES).max(1),
            calls: Counters::new(),
            failures: Counters::new(),
            slow: Counters::new(),
        }
    }

    /// Adds a call; `None` when it is too late to count.
    #[inline]
    pub(crate) fn record(&self, generation: u16, now: Instant, sample: Sample) -> Option<()> {
        let slice = self.slice(now);
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
        let slice = self.slice(now);
        Tally {
            calls: self.calls.sum(generation, slice),
            failures: self.failures.sum(generation, slice),
            slow: self.slow.sum(generation, slice),
        }
    }

    fn slice(&self, now: Instant) -> u64 {
        now.as_nanos() / self.slice_nanos
    }
}

impl Counters {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(u64::from(NOBODY) << 50)))
    }

    #[inline]
    fn add(&self, generation: u16, slice: u64) -> Option<()> {
        let tag = tag(generation, slice);
        update(&self.0[(slice % SLICES) as usize], |counter| {
            let current = counter >> COUNT_BITS;
            if current == tag {
                let count = (counter & COUNT_MAX).min(COUNT_MAX - 1) + 1;
                return (tag << COUNT_BITS | count, Some(()));
            }
            if is_later(current, tag) {
                return (counter, None);
            }
            (tag << COUNT_BITS | 1, Some(()))
        })
    }

    fn sum(&self, generation: u16, slice: u64) -> u32 {
        let valid = |counter: u64| {
            let current = counter >> COUNT_BITS;
            let age = (slice & SLICE_MASK).wrapping_sub(current) & SLICE_MASK;
            (current >> 26 == u64::from(generation) && age < SLICES).then_some(counter & COUNT_MAX)
        };
        let counters = self.0.iter().map(|counter| counter.load(Ordering::Acquire));
        u32::try_from(counters.filter_map(valid).sum::<u64>()).unwrap_or(u32::MAX)
    }
}

fn tag(generation: u16, slice: u64) -> u64 {
    u64::from(generation) << 26 | slice & SLICE_MASK
}

/// Whether tag `a` belongs to a later slice or generation than `b`: a late result finds no place.
fn is_later(a: u64, b: u64) -> bool {
    let (ga, gb) = ((a >> 26) as u16, (b >> 26) as u16);
    if ga == gb {
        let ahead = a.wrapping_sub(b) & SLICE_MASK;
        return ahead < SLICE_MASK / 2;
    }
    ga != NOBODY && is_newer(ga, gb)
}
