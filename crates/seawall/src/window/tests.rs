//! Both rings against naive models that keep every call.

use super::{
    Bounds,
    time::{COUNT_BITS, SLICES},
    *,
};
use crate::{random::Random, time::READ_LATE};
use std::{collections::VecDeque, time::Duration};

fn sample(random: &mut Random) -> Sample {
    Sample { failure: random.below(3) == 0, slow: random.below(4) == 0 }
}

fn tally(samples: impl IntoIterator<Item = Sample>) -> Tally {
    samples.into_iter().fold(Tally::default(), |sum, sample| Tally {
        calls: sum.calls + 1,
        failures: sum.failures + u32::from(sample.failure),
        slow: sum.slow + u32::from(sample.slow),
    })
}

#[test]
fn a_window_of_calls_holds_exactly_the_last_ones() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let length = 1 + random.below(40) as u32;
        let ring = CountRing::new(length);
        let mut generation = random.below(u64::from(GENERATIONS)) as u16;
        let mut model = VecDeque::new();
        for step in 0..500 {
            if random.below(60) == 0 {
                generation = (generation + 1) % GENERATIONS;
                model.clear();
            }
            let sample = sample(&mut random);
            ring.record(generation, sample).expect("no newer generation");
            model.push_back(sample);
            if model.len() > length as usize {
                model.pop_front();
            }
            let expected = tally(model.iter().copied());
            assert_eq!(ring.tally(generation), expected, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn a_window_of_time_holds_exactly_its_slices() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let length = Duration::from_millis(32 * (1 + random.below(100)));
        let slice = length / SLICES as u32;
        let ring = TimeRing::new(length);
        let mut generation = random.below(u64::from(GENERATIONS)) as u16;
        let mut now = Instant::from_millis(1_000_000 + random.below(1_000_000));
        let mut model: Vec<(u64, Sample)> = Vec::new();
        let number = |at: Instant| at.as_nanos() / slice.as_nanos() as u64;
        for step in 0..500 {
            if random.below(60) == 0 {
                generation = (generation + 1) % GENERATIONS;
                model.clear();
            }
            // Mostly small steps; now and then a silence longer than the window.
            let ahead = if random.below(50) == 0 { 3 * length } else { slice / 3 };
            now = now + ahead.mul_f64(random.unit());
            // Some results come late, up to twice the window, or to where it counts as a clock set back.
            let most = (2 * length).min(Duration::from_nanos(READ_LATE) - slice);
            let late = if random.below(10) == 0 { most } else { Duration::ZERO };
            let at = now - late.mul_f64(random.unit());
            let sample = sample(&mut random);
            ring.record(generation, at, sample);
            model.push((number(at), sample));
            let inside = |(slice, _): &&(u64, Sample)| number(now) - slice < SLICES;
            let expected = tally(model.iter().filter(inside).map(|(_, sample)| *sample));
            assert_eq!(ring.tally(generation, now), expected, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn an_older_generation_finds_no_place() {
    let good = Sample { failure: false, slow: false };
    let bad = Sample { failure: true, slow: true };
    let now = Instant::from_millis(50_000);
    for (old, new) in [(0, 1), (7, 8), (GENERATIONS - 1, 0)] {
        let count = CountRing::new(3);
        let time = TimeRing::new(Duration::from_secs(1));
        assert!(count.record(old, bad).is_some() && time.record(old, now, bad).is_some());
        assert!(count.record(new, good).is_some() && time.record(new, now, good).is_some());
        assert!(count.record(old, bad).is_none() && time.record(old, now, bad).is_none());
        let expected = Tally { calls: 1, failures: 0, slow: 0 };
        assert_eq!(count.tally(new), expected);
        assert_eq!(time.tally(new, now), expected);
        assert_eq!(count.tally(old), Tally::default());
        assert_eq!(time.tally(old, now).calls, 0);
    }
}

#[test]
fn a_late_result_leaves_no_trace_in_a_newer_generation() {
    let (good, bad) = ([false, true]).map(|failure| Sample { failure, slow: false }).into();
    let ring = CountRing::new(2);
    ring.record(1, bad);
    ring.record(1, good);
    assert!(ring.record(0, bad).is_none());
    ring.record(1, good);
    ring.record(1, good);
    assert_eq!(ring.tally(1), Tally { calls: 2, failures: 0, slow: 0 });
}

#[test]
fn threads_lose_no_call() {
    let bad = Sample { failure: true, slow: false };
    let ring = CountRing::new(10_000);
    let time = TimeRing::new(Duration::from_secs(60));
    let now = Instant::from_millis(70_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    ring.record(5, bad);
                    time.record(5, now, bad);
                }
            });
        }
    });
    let expected = Tally { calls: 8_000, failures: 8_000, slow: 0 };
    assert_eq!(ring.tally(5), expected);
    assert_eq!(time.tally(5, now), expected);
}

#[test]
fn ratios_are_judged_at_their_bounds() {
    let bounds = Bounds { failure_ratio: 0.5, slow_call_ratio: 0.25, minimum_calls: 10 };
    let failure = |failures, calls| Some(Why::FailureRatio { failures, calls, bound: 0.5 });
    let slow = |slow, calls| Some(Why::SlowCallRatio { slow, calls, bound: 0.25 });
    for (calls, failures, slow_calls, expected) in [
        (0, 0, 0, None),
        (10, 0, 0, None),
        (10, 4, 2, None),
        (10, 5, 0, failure(5, 10)),
        (10, 0, 3, slow(3, 10)),
        (4, 1, 1, slow(1, 4)),
        (4, 2, 1, failure(2, 4)),
    ] {
        let tally = Tally { calls, failures, slow: slow_calls };
        assert_eq!(bounds.exceeded(&tally), expected, "{tally:?}");
    }
}

/// Steady good traffic, and a minute of failures now and then: at any age of the clock a ring holds its window and
/// nothing else.
#[test]
fn a_window_of_time_sees_the_same_at_any_age_of_the_clock() {
    let (good, bad) = ([false, true]).map(|failure| Sample { failure, slow: failure }).into();
    for length in [Duration::from_millis(1), Duration::from_millis(100), Duration::from_secs(10)] {
        let slice = length.as_nanos() as u64 / SLICES;
        for bits in 0..63 {
            for off in [0, 1, 31, 32, 33] {
                let Some(ahead) = (1_u64 << bits).checked_mul(slice) else { continue };
                let start = Instant::from_nanos(7 * slice * SLICES);
                let ring = TimeRing::new(length);
                for n in 0..SLICES {
                    ring.record(3, start + Duration::from_nanos(n * slice), bad);
                }
                let expected = Tally { calls: 32, failures: 32, slow: 32 };
                let end = start + Duration::from_nanos((SLICES - 1) * slice);
                assert_eq!(ring.tally(3, end), expected);
                // Far ahead nothing of that is left, whether or not anything is counted there.
                let later = end + Duration::from_nanos(ahead) + Duration::from_nanos(off * slice);
                let left = (SLICES.saturating_sub((1 << bits) + off)) as u32;
                assert_eq!(ring.tally(3, later).failures, left, "{length:?} {bits} {off}");
                assert_eq!(ring.record(3, later, good), Some(()), "{length:?} {bits} {off}");
                assert_eq!(ring.tally(3, later).failures, left, "{length:?} {bits} {off}");
                assert_eq!(ring.record(3, later, bad), Some(()));
                let expected = Tally { calls: left + 2, failures: left + 1, slow: left + 1 };
                assert_eq!(ring.tally(3, later), expected, "{length:?} {bits} {off}");
            }
        }
    }
}

#[test]
fn a_window_of_time_restarts_where_the_clock_is_set_back() {
    let bad = Sample { failure: true, slow: false };
    for (length, back) in [(10_000, 10_001), (10_000, 3_600_000), (100, 1_100), (60_000, 90_000)] {
        let ring = TimeRing::new(Duration::from_millis(length));
        let ms = |n: u64| Instant::from_millis(100_000_000 + n);
        for n in 0..100 {
            assert_eq!(ring.record(0, ms(n), bad), Some(()));
        }
        for n in 1..=50 {
            let now = ms(99) - Duration::from_millis(back);
            assert_eq!(ring.record(0, now, bad), Some(()), "{length} ms, {back} ms back");
            assert_eq!(ring.tally(0, now).failures, n, "{length} ms, {back} ms back");
        }
    }
}

#[test]
fn counters_do_not_saturate_and_tallies_keep_the_ratio() {
    let ring = TimeRing::new(Duration::from_secs(30 * 86_400));
    let now = Instant::from_millis(1_000);
    let mixed = Sample { failure: true, slow: true };
    ring.record(0, now, mixed);
    for (calls, failures) in [(1 << 24, 1 << 22), (1 << 30, 3 << 27), (1 << 35, 3 << 32)] {
        for (counters, count) in [(&ring.calls, calls), (&ring.failures, failures)] {
            let counter = &counters.0[0];
            let tag = counter.load(Ordering::Relaxed) >> COUNT_BITS;
            counter.store(tag << COUNT_BITS | count, Ordering::Relaxed);
        }
        let before = ring.tally(0, now);
        ring.record(0, now, Sample { failure: false, slow: false });
        let after = ring.tally(0, now);
        let share = f64::from(after.failures) / f64::from(after.calls);
        assert!((share - failures as f64 / calls as f64).abs() < 1e-6, "{after:?}");
        assert!(after.calls > before.calls || calls > 1 << 32, "{after:?} after {before:?}");
    }
}
