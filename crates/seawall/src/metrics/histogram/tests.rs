//! Quantiles against sorted values.

use super::*;
use crate::Random;

#[test]
fn quantiles_are_within_a_sixteenth() {
    for (seed, top) in [(1, 1e4), (2, 1e7), (3, 1e9), (4, 3e12)] {
        let mut random = Random::new(seed);
        let histogram = Histogram::default();
        let mut values: Vec<u64> = (0..20_000)
            .map(|_| {
                (20_000.0 * (f64::ln(top / 20_000.0_f64.min(top)) * random.unit()).exp()) as u64
            })
            .collect();
        for value in &values {
            histogram.record(Duration::from_nanos(*value));
        }
        values.sort_unstable();
        let latencies = histogram.latencies();
        assert_eq!(latencies.count(), 20_000);
        for q in [0.001, 0.1, 0.5, 0.9, 0.99, 1.0] {
            let exact = values[((q * 20_000.0) as usize).max(1) - 1] as f64;
            let told = latencies.quantile(q).unwrap().as_nanos() as f64;
            assert!((told / exact - 1.0).abs() < 0.0625, "q {q}: {told} for {exact}");
        }
        let sum: u64 = values.iter().sum();
        assert_eq!(latencies.sum(), Duration::from_nanos(sum));
    }
}

#[test]
fn extremes_find_a_place() {
    let histogram = Histogram::default();
    for length in
        [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(86_400), Duration::MAX]
    {
        histogram.record(length);
    }
    let latencies = histogram.latencies();
    assert_eq!(latencies.count(), 4);
    assert!(latencies.quantile(0.25).unwrap() <= Duration::from_micros(1));
    // What is longer than the last bucket counts as the last bucket.
    assert!(latencies.quantile(1.0).unwrap() > Duration::from_secs(4_000));
    assert_eq!(Histogram::default().latencies().quantile(0.5), None);
}

#[test]
fn buckets_are_in_order_without_gaps() {
    let mut last = 0;
    let mut nanos = 0_u64;
    while nanos < 1 << 42 {
        let at = bucket(nanos);
        assert!(at == last || at == last + 1, "{nanos} ns");
        assert!(Duration::from_nanos(nanos) < upper_bound(at), "{nanos} ns");
        last = at;
        nanos += (nanos / 64).max(128);
    }
    assert_eq!(bucket(u64::MAX), BUCKETS - 1);
}

#[test]
fn counts_within_a_bound_and_since_an_earlier_state() {
    let histogram = Histogram::default();
    for ms in [1, 2, 3, 50, 900] {
        histogram.record(Duration::from_millis(ms));
    }
    let earlier = histogram.latencies();
    assert_eq!(earlier.count_within(Duration::from_millis(10)), 3);
    assert_eq!(earlier.count_within(Duration::ZERO), 0);
    assert_eq!(earlier.count_within(Duration::MAX), 5);
    histogram.record(Duration::from_secs(5));
    let newer = histogram.latencies().since(&earlier);
    assert_eq!((newer.count(), newer.sum()), (1, Duration::from_secs(5)));
    histogram.reset();
    histogram.record(Duration::from_millis(7));
    assert_eq!(histogram.latencies().since(&earlier).count(), 1, "all since the reset");
}
