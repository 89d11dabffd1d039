//! A dependency that behaves as its phase says.

use crate::scenario::Phase;
use seawall::{Failure, Instant, Outcome, Random};
use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// The fate of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// The call ends like this after that long.
    Ends(Outcome, Duration),
    /// The caller's code panics after that long.
    Panics(Duration),
    /// The call never ends.
    Hangs,
}

pub(crate) struct Dependency {
    phases: Vec<(Instant, Phase)>,
    in_progress: u32,
    /// When each worker is free, if the number of workers is bounded.
    workers: BinaryHeap<Reverse<Instant>>,
}

impl Dependency {
    pub(crate) fn new(phases: &[Phase], start: Instant) -> Self {
        let phases = phases.iter().map(|phase| (start + phase.at, phase.clone())).collect();
        Self { phases, in_progress: 0, workers: BinaryHeap::new() }
    }

    pub(crate) fn is_there(&self) -> bool {
        !self.phases.is_empty()
    }

    /// A call begins. It is in progress until [`leave`](Self::leave).
    pub(crate) fn enter(&mut self, now: Instant, random: &mut Random) -> Fate {
        let next = self.phases.partition_point(|(from, _)| *from <= now);
        let now_in = next.saturating_sub(1);
        let phase = self.phases[now_in].1.clone();
        self.in_progress += 1;
        let full = phase.capacity.is_some_and(|capacity| self.in_progress > capacity);
        let failure =
            Failure { retry_after: phase.retry_after, ..Failure::new(phase.kind.class()) };
        if full {
            return Fate::Ends(Outcome::Failure(failure), Duration::ZERO);
        }
        let served = if phase.exponential {
            phase.latency.mul_f64(-(1.0 - random.unit()).ln())
        } else {
            phase.latency.mul_f64(stretch(phase.spread, random))
        };
        let took = self.waits(now_in, now, served) + served;
        let draw = random.unit();
        if draw < phase.failures {
            Fate::Ends(Outcome::Failure(failure), took)
        } else if draw < phase.failures + phase.hangs {
            Fate::Hangs
        } else if draw < phase.failures + phase.hangs + phase.panics {
            Fate::Panics(took)
        } else {
            Fate::Ends(Outcome::Success, took)
        }
    }

    /// How long a call waits for a worker, which then is busy for as long as the call is `served`.
    fn waits(&mut self, phase: usize, now: Instant, served: Duration) -> Duration {
        let Some(workers) = self.phases[phase].1.workers else { return Duration::ZERO };
        // While nothing is served, workers are those of the next phase, from its beginning on.
        let resting = workers == 0;
        let (from, workers) = match self.phases.get(phase + 1) {
            Some((from, next)) if resting => (*from, next.workers.unwrap_or(1)),
            _ => (now, workers),
        };
        while self.workers.len() > workers as usize {
            self.workers.pop();
        }
        while self.workers.len() < workers as usize {
            self.workers.push(Reverse(from));
        }
        let Some(Reverse(free)) = self.workers.pop() else { return Duration::ZERO };
        let begins = free.max(from);
        self.workers.push(Reverse(begins + served));
        begins.since(now)
    }

    pub(crate) fn leave(&mut self) {
        self.in_progress -= 1;
    }

    pub(crate) fn in_progress(&self) -> u32 {
        self.in_progress
    }
}

/// A log-normal factor with median 1 (Box and Muller, 1958, for the normal draw).
fn stretch(spread: f64, random: &mut Random) -> f64 {
    if spread == 0.0 {
        return 1.0;
    }
    let (u, v) = (1.0 - random.unit(), random.unit());
    let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    (spread * normal).exp().min(1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::FailureKind;
    use seawall::Class;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_phase_of_the_instant_holds() {
        let phases = [
            Phase { latency: ms(5), ..Phase::default() },
            Phase {
                at: ms(100),
                failures: 1.0,
                kind: FailureKind::RateLimited,
                ..Phase::default()
            },
            Phase { at: ms(200), hangs: 1.0, ..Phase::default() },
            Phase { at: ms(300), panics: 1.0, latency: ms(7), ..Phase::default() },
        ];
        let start = Instant::from_millis(1000);
        let mut dependency = Dependency::new(&phases, start);
        let mut random = Random::new(1);
        let mut fate = |at| dependency.enter(start + ms(at), &mut random);
        assert_eq!(fate(99), Fate::Ends(Outcome::Success, ms(5)));
        assert_eq!(fate(100), Fate::Ends(Outcome::failure(Class::RateLimited), ms(10)));
        assert_eq!(fate(250), Fate::Hangs);
        assert_eq!(fate(10_000), Fate::Panics(ms(7)));
    }

    #[test]
    fn beyond_its_capacity_it_fails_at_once() {
        let phases = [Phase { capacity: Some(1), ..Phase::default() }];
        let mut dependency = Dependency::new(&phases, Instant::EPOCH);
        let mut random = Random::new(1);
        let mut enter = |dependency: &mut Dependency| dependency.enter(Instant::EPOCH, &mut random);
        assert_eq!(enter(&mut dependency), Fate::Ends(Outcome::Success, ms(10)));
        let full = Fate::Ends(Outcome::failure(Class::Transient), Duration::ZERO);
        assert_eq!(enter(&mut dependency), full);
        dependency.leave();
        dependency.leave();
        assert_eq!(enter(&mut dependency), Fate::Ends(Outcome::Success, ms(10)));
    }

    #[test]
    fn calls_wait_for_a_worker_and_rest_while_there_is_none() {
        let phase = |at, workers| Phase { at: ms(at), workers: Some(workers), ..Phase::default() };
        let start = Instant::from_millis(1_000);
        let mut dependency = Dependency::new(&[phase(0, 2), phase(100, 0), phase(200, 1)], start);
        let mut random = Random::new(1);
        let mut took = |at| match dependency.enter(start + ms(at), &mut random) {
            Fate::Ends(Outcome::Success, took) => took.as_millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!([took(0), took(0), took(0), took(5), took(50)], [10, 10, 20, 15, 10]);
        // From 100 ms on nothing is served until 200.
        assert_eq!([took(100), took(150)], [110, 70], "10 ms each, by one worker");
        assert_eq!([took(205), took(300)], [25, 10]);
    }

    #[test]
    fn the_median_of_spread_latencies_is_the_latency() {
        let phases = [Phase { latency: ms(100), spread: 0.5, ..Phase::default() }];
        let mut dependency = Dependency::new(&phases, Instant::EPOCH);
        let mut random = Random::new(7);
        let mut times: Vec<Duration> = (0..10_001)
            .map(|_| match dependency.enter(Instant::EPOCH, &mut random) {
                Fate::Ends(_, took) => took,
                other => panic!("{other:?}"),
            })
            .collect();
        times.sort();
        let (median, high) = (times[5_000], times[8_413]);
        assert!(median > ms(97) && median < ms(103), "{median:?}");
        // One σ above: e^0.5.
        assert!(high > ms(158) && high < ms(172), "{high:?}");
    }
}
