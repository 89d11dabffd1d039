//! A histogram of durations: fixed size, lock-free, 16 buckets for each power of two.
//!
//! The layout is that of HdrHistogram with one significant hexadecimal digit: from 1 µs to 73 minutes, each
//! bucket at most a sixteenth of its value wide, so a quantile read from its middle is within about 3 %.

use crate::{
    sync::{AtomicU64, Ordering::Relaxed},
    time::nanos,
};
use std::time::Duration;

const SUB_BITS: u32 = 4;
const SUB: usize = 1 << SUB_BITS;
/// Values are counted in units of 2¹⁰ ns, up to 2³² units.
const UNIT_SHIFT: u32 = 10;
const TOP_BITS: u32 = 32;
const BUCKETS: usize = SUB * (TOP_BITS - SUB_BITS + 1) as usize;

/// Counts durations in buckets of bounded relative width, shared by threads without a lock.
pub struct Histogram {
    buckets: Box<[AtomicU64; BUCKETS]>,
    sum_nanos: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: Box::new(std::array::from_fn(|_| AtomicU64::new(0))),
            sum_nanos: AtomicU64::new(0),
        }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.latencies().fmt(f)
    }
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&self, took: Duration) {
        let nanos = nanos(took);
        self.buckets[bucket(nanos)].fetch_add(1, Relaxed);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }

    /// A snapshot of the counts.
    pub fn latencies(&self) -> Latencies {
        Latencies {
            counts: self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect(),
            sum: Duration::from_nanos(self.sum_nanos.load(Relaxed)),
        }
    }

    pub(crate) fn reset(&self) {
        for bucket in self.buckets.iter() {
            bucket.store(0, Relaxed);
        }
        self.sum_nanos.store(0, Relaxed);
    }
}

#[inline]
fn bucket(nanos: u64) -> usize {
    let units = (nanos >> UNIT_SHIFT).min((1 << TOP_BITS) - 1);
    if units < SUB as u64 {
        return units as usize;
    }
    let exponent = u64::BITS - 1 - units.leading_zeros();
    let sub = (units >> (exponent - SUB_BITS)) as usize & (SUB - 1);
    SUB * (exponent - SUB_BITS + 1) as usize + sub
}

/// The first duration that belongs to a later bucket.
fn upper_bound(bucket: usize) -> Duration {
    let (row, sub) = (bucket / SUB, (bucket % SUB) as u64);
    let units = if row == 0 { sub + 1 } else { (SUB as u64 + sub + 1) << (row - 1) };
    Duration::from_nanos(units << UNIT_SHIFT)
}

/// Counted durations: quantiles, mean, and the counts up to a bound.
#[derive(Clone, Default, PartialEq)]
pub struct Latencies {
    counts: Box<[u64]>,
    sum: Duration,
}

impl Latencies {
    /// The number of durations counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all durations counted.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The duration within which a share `q` (0 to 1) of all lie; `None` if nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|bucket| {
            seen += bucket;
            seen >= rank
        })?;
        let low = if at == 0 { Duration::ZERO } else { upper_bound(at - 1) };
        Some((low + upper_bound(at)) / 2)
    }

    /// The duration within which a share `q` (0 to 1) of all would have ended, where those of `cut_off` were ended
    /// before: of these it is known only that they would have taken longer. (Kaplan and Meier: *Nonparametric
    /// Estimation from Incomplete Observations*, 1958.) Rounded up to the end of a bucket; `None` if it lies beyond
    /// all samples.
    pub(crate) fn quantile_beside(&self, cut_off: &Self, q: f64) -> Option<Duration> {
        let enough = 1.0 - q.clamp(0.0, 1.0) + 1e-9;
        let mut running = self.count() + cut_off.count();
        let mut left = 1.0;
        for (at, (ended, cut)) in self.counts.iter().zip(&cut_off.counts).enumerate() {
            if *ended > 0 {
                left *= 1.0 - *ended as f64 / running as f64;
                if left <= enough {
                    return Some(upper_bound(at));
                }
            }
            running -= ended + cut;
        }
        None
    }

    /// The longest of all, rounded up to the end of a bucket.
    pub(crate) fn longest(&self) -> Duration {
        let last = self.counts.iter().rposition(|bucket| *bucket > 0);
        last.map_or(Duration::ZERO, upper_bound)
    }

    /// The number of durations of at most `bound`, to the width of a bucket.
    pub fn count_within(&self, bound: Duration) -> u64 {
        let within = |(at, _): &(usize, &u64)| upper_bound(*at) <= bound;
        self.counts.iter().enumerate().take_while(within).map(|(_, count)| count).sum()
    }

    /// The sum of these counts and of others.
    pub(crate) fn both(one: &Self, other: &Self) -> Self {
        let sums = one.counts.iter().zip(&other.counts).map(|(a, b)| a + b);
        Self { counts: sums.collect(), sum: one.sum + other.sum }
    }

    /// The durations counted since `earlier`, a former snapshot of the same histogram. After a reset in between, all
    /// that were counted since the reset.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let reset = earlier.count() > self.count();
        if reset || earlier.counts.is_empty() {
            return self.clone();
        }
        let newer = |(new, old): (&u64, &u64)| new.saturating_sub(*old);
        Self {
            counts: self.counts.iter().zip(&earlier.counts).map(newer).collect(),
            sum: self.sum.saturating_sub(earlier.sum),
        }
    }
}

impl std::fmt::Debug for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Latencies")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .finish()
    }
}

#[cfg(test)]
mod tests;
