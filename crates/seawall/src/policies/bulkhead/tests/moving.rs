//! Adaptive limits before a dependency of workers with a queue: how much of it they use, how soon they follow
//! its capacity, and that they never run away.

use super::*;
use std::{cmp::Reverse, collections::BinaryHeap};

/// What was measured in one stretch of a run.
#[derive(Debug, Default)]
struct Seen {
    limits: Vec<f64>,
    served: u64,
    times: Vec<f64>,
}

impl Seen {
    fn limit(&self) -> f64 {
        self.limits.iter().sum::<f64>() / self.limits.len() as f64
    }

    fn p99(&mut self) -> f64 {
        self.times.sort_by(f64::total_cmp);
        self.times[self.times.len() * 99 / 100]
    }
}

/// Poisson arrivals at `rate` a second, workers that take 20 ms on average, `workers` as of each second; what was
/// seen in each of the `stretches`, in seconds.
fn load<const N: usize>(
    adaptive: Adaptive,
    rate: f64,
    workers: impl Fn(f64) -> usize,
    stretches: [(f64, f64); N],
    seed: u64,
) -> [Seen; N] {
    let config =
        BulkheadConfig { max_concurrent: 200, adaptive: Some(adaptive), ..Default::default() };
    let bulkhead = Bulkhead::new(config).unwrap();
    let mut random = Random::new(seed);
    let mut exponential = |mean: f64| -(1.0 - random.unit()).ln() * mean;
    let nanos = |seconds: f64| (seconds * 1e9) as u64;
    let at = |nanos: u64| Instant::from_nanos(1_000_000_000_000 + nanos);
    let mut seen: [Seen; N] = std::array::from_fn(|_| Seen::default());
    // When workers are free, and who is in progress: (end, beginning).
    let mut free: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    let mut running: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let (mut now, mut sampled) = (0.0, 0.0);
    let end = stretches.iter().map(|(_, to)| *to).fold(0.0, f64::max);
    while now < end {
        now += exponential(1.0 / rate);
        while let Some(Reverse((ends, began))) =
            running.peek().copied().filter(|Reverse((ends, _))| *ends <= nanos(now))
        {
            running.pop();
            let took = Duration::from_nanos(ends - began);
            bulkhead.record(at(ends), took, &Outcome::Success);
            Bulkhead::release(&bulkhead);
            for (seen, (from, to)) in seen.iter_mut().zip(stretches) {
                if nanos(from) <= ends && ends < nanos(to) {
                    seen.served += 1;
                    seen.times.push(took.as_secs_f64());
                }
            }
        }
        while sampled < now {
            sampled += 0.01;
            for (seen, (from, to)) in seen.iter_mut().zip(stretches) {
                if from <= sampled && sampled < to {
                    seen.limits.push(f64::from(bulkhead.limit()));
                }
            }
        }
        if bulkhead.take(1.0) {
            let count = workers(now);
            while free.len() > count {
                free.pop();
            }
            while free.len() < count {
                free.push(Reverse(nanos(now)));
            }
            let Reverse(worker) = free.pop().unwrap();
            let ends = worker.max(nanos(now)) + nanos(exponential(0.02));
            free.push(Reverse(ends));
            running.push(Reverse((ends, nanos(now))));
        }
    }
    seen
}

fn aimd() -> Adaptive {
    let max_latency = Duration::from_millis(100);
    Adaptive::Aimd(Aimd { max_latency, ..Aimd::default() })
}

fn gradient() -> Adaptive {
    Adaptive::Gradient(Gradient::default())
}

const SEEDS: u64 = 5;

/// The published model: ten workers, twice the load they can take; five of them from the 80th second on. By
/// Little's law about 50 and 25 are done within `max_latency`.
#[test]
fn additive_increase_settles_at_what_its_latency_allows() {
    let (mut full, mut half) = (0.0, 0.0);
    for seed in 0..SEEDS {
        let workers = |now: f64| if now < 80.0 { 10 } else { 5 };
        let stretches = [(40.0, 80.0), (120.0, 160.0)];
        let [before, after] = load(aimd(), 1_000.0, workers, stretches, seed);
        full += before.limit() / SEEDS as f64;
        half += after.limit() / SEEDS as f64;
    }
    assert!((35.0..60.0).contains(&full), "{full}");
    assert!((15.0..30.0).contains(&half), "{half}");
}

#[test]
fn in_overload_the_dependency_is_used_and_nobody_waits_long() {
    for (name, adaptive) in [("aimd", aimd()), ("gradient", gradient())] {
        for seed in 0..SEEDS {
            for (load_factor, least) in [(0.9, 0.85), (2.0, 0.8)] {
                let [mut seen] =
                    load(adaptive.clone(), 500.0 * load_factor, |_| 10, [(20.0, 80.0)], seed);
                let used = seen.served as f64 / 60.0 / 500.0;
                let p99 = seen.p99();
                assert!(used >= least, "{name} {seed}: {used} of the capacity at {load_factor}");
                assert!(p99 < 0.25, "{name} {seed}: p99 {p99} s at {load_factor}");
            }
        }
    }
}

#[test]
fn two_seconds_after_a_change_the_limit_is_near_the_new_one() {
    for (name, adaptive) in [("aimd", aimd()), ("gradient", gradient())] {
        for (before, after) in [(10, 5), (10, 20)] {
            let (mut soon, mut settled) = (0.0, 0.0);
            for seed in 0..SEEDS {
                let workers = |now: f64| if now < 60.0 { before } else { after };
                let stretches = [(62.0, 64.0), (64.0, 84.0)];
                let [first, then] = load(adaptive.clone(), 2_000.0, workers, stretches, seed);
                soon += first.limit();
                settled += then.limit();
            }
            let off = soon / settled - 1.0;
            assert!(off.abs() < 0.2, "{name}, {before} to {after} workers: {off} off");
        }
    }
}

#[test]
fn lasting_overload_makes_no_limit_run_away() {
    for (name, adaptive) in [("aimd", aimd()), ("gradient", gradient())] {
        for seed in 0..2 {
            let stretches = [(60.0, 120.0), (1_740.0, 1_800.0)];
            let [early, late] = load(adaptive.clone(), 1_000.0, |_| 10, stretches, seed);
            let grown = late.limit() / early.limit();
            assert!((0.7..1.3).contains(&grown), "{name} {seed}: {grown} times after half an hour");
            assert!(late.limit() < 80.0, "{name} {seed}: {}", late.limit());
        }
    }
}

/// Calls that are cut off or refused early are no quick calls: the quiet latency does not follow them down, so the
/// limit recovers as soon as calls end by themselves again.
#[test]
fn calls_that_are_cut_off_do_not_teach_what_is_quick() {
    let limited = Outcome::failure(Class::RateLimited);
    let cut_off = Outcome::TimedOut { limit: Duration::from_millis(1) };
    for outcome in [limited, cut_off] {
        let adaptive = Some(Adaptive::Gradient(Gradient::default()));
        let config = BulkheadConfig { max_concurrent: 200, adaptive, ..Default::default() };
        let bulkhead = Bulkhead::new(config).unwrap();
        let mut now = Instant::from_millis(1_000_000);
        let mut windows = |count: u32, took: u64, outcome: Outcome| {
            for _ in 0..count * 20 {
                now = now + Duration::from_millis(6);
                let places: Vec<_> = (0..200).map_while(|_| bulkhead.try_acquire().ok()).collect();
                bulkhead.record(now, Duration::from_millis(took), &outcome);
                drop(places);
            }
            bulkhead.limit()
        };
        let before = windows(50, 50, Outcome::Success);
        assert!(before >= 20, "{before}");
        let during = windows(400, 1, outcome);
        assert!(during < before, "{during}");
        let after = windows(60, 50, Outcome::Success);
        assert!(after >= 20, "{after} after {before} and {during}");
    }
}
