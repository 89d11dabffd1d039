//! Quantiles compared with those of sorted values.

use super::*;
use crate::random::Random;

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

#[test]
fn censored_samples_count_as_longer_than_their_limit() {
    let seconds = Duration::from_secs;
    let of = |all: &[(u64, u32)]| {
        let histogram = Histogram::default();
        for (took, count) in all {
            (0..*count).for_each(|_| histogram.record(seconds(*took)));
        }
        histogram.latencies()
    };
    for (ended, cut_off, q, expected) in [
        (&[(1, 99), (10, 1)][..], &[][..], 0.99, Some(1)),
        (&[(1, 98), (10, 2)], &[], 0.99, Some(10)),
        (&[(1, 99)], &[(2, 1)], 0.99, Some(1)),
        (&[(1, 98)], &[(2, 2)], 0.99, None),
        // Those cut off after 2 s would have taken as long as the one that took longer.
        (&[(1, 98), (10, 1)], &[(2, 2)], 0.99, Some(10)),
        // Of 100 half are left after 1 s; of 25 not cut off by then a fifth ends at 4 s: 0.4 are left.
        (&[(1, 50), (4, 5), (9, 20)], &[(2, 25)], 0.6, Some(4)),
        (&[(1, 50), (4, 5), (9, 20)], &[(2, 25)], 0.61, Some(9)),
        (&[], &[(2, 25)], 0.5, None),
        (&[], &[], 0.5, None),
    ] {
        let found = of(ended).quantile_beside(&of(cut_off), q);
        let within = |found: Duration, expected: u64| {
            found >= seconds(expected) && found.as_secs_f64() < 1.07 * expected as f64
        };
        let good = match (found, expected) {
            (Some(found), Some(expected)) => within(found, expected),
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(good, "{ended:?} {cut_off:?} {q}: {found:?}, not {expected:?}");
    }
}
