//! Latencies in an HDR histogram: microseconds from 1 µs to 5 minutes; what lies outside counts as the bound.

use super::report::Percentiles;
use hdrhistogram::{Counter, Histogram};
use std::time::Duration;

const LOWEST_US: u64 = 1;
const HIGHEST_US: u64 = 5 * 60 * 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct Latencies<C: Counter>(Histogram<C>);

impl<C: Counter> Latencies<C> {
    /// Precise to 3 significant digits: 20,000 counters.
    pub(super) fn precise() -> Self {
        Self::with_digits(3)
    }

    /// Precise to 2 significant digits: 3,000 counters, cheap to add up for a display.
    pub(super) fn coarse() -> Self {
        Self::with_digits(2)
    }

    fn with_digits(digits: u8) -> Self {
        let histogram = Histogram::new_with_bounds(LOWEST_US, HIGHEST_US, digits);
        Self(histogram.expect("constant bounds, and valid: both precisions are tested"))
    }

    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(HIGHEST_US);
        self.0.saturating_record(micros.clamp(LOWEST_US, HIGHEST_US));
    }

    /// Adds the counts of another histogram of the same precision.
    pub(super) fn add(&mut self, other: &Self) {
        // It fails only for values out of bounds, and both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    pub(super) fn clear(&mut self) {
        self.0.reset();
    }

    /// The value that a share `q` of all stayed within, in milliseconds; 0 where nothing was recorded.
    pub(super) fn quantile_ms(&self, q: f64) -> f64 {
        // A bucket's upper end may lie above the highest value.
        self.0.value_at_quantile(q).min(HIGHEST_US) as f64 / 1e3
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50_ms: self.quantile_ms(0.5),
            p90_ms: self.quantile_ms(0.9),
            p99_ms: self.quantile_ms(0.99),
            max_ms: self.quantile_ms(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// The naive model: sort all, take the one at the rank.
    fn naive_ms(sorted: &[u64], q: f64) -> f64 {
        let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted[rank - 1] as f64 / 1e3
    }

    #[test]
    fn percentiles_agree_with_a_sorted_vector() {
        for (seed, n) in [(1, 1), (2, 2), (3, 99), (4, 1_000), (5, 50_000)] {
            let mut random = Random::new(seed);
            let mut all: Vec<u64> =
                (0..n).map(|_| (2_000.0 * (2.0 * random.normal()).exp()) as u64 + 1).collect();
            let (mut precise, mut coarse) =
                (Latencies::<u32>::precise(), Latencies::<u32>::coarse());
            for micros in &all {
                precise.record(Duration::from_micros(*micros));
                coarse.record(Duration::from_micros(*micros));
            }
            all.sort_unstable();
            for q in [0.5, 0.9, 0.99, 1.0] {
                let expected = naive_ms(&all, q);
                let off =
                    |latencies: &Latencies<u32>| (latencies.quantile_ms(q) / expected - 1.0).abs();
                assert!(
                    off(&precise) < 1e-3,
                    "{n} at {q}: {} for {expected}",
                    precise.quantile_ms(q)
                );
                assert!(
                    off(&coarse) < 1e-2,
                    "{n} at {q}: {} for {expected}",
                    coarse.quantile_ms(q)
                );
            }
        }
    }

    #[test]
    fn values_out_of_bounds_count_as_the_bound() {
        let mut latencies = Latencies::<u64>::precise();
        assert_eq!(latencies.percentiles(), Percentiles::default());
        latencies.record(Duration::ZERO);
        assert_eq!(latencies.quantile_ms(0.5), 0.001);
        latencies.record(Duration::MAX);
        assert_eq!(latencies.percentiles().max_ms, 300_000.0);
    }
}
