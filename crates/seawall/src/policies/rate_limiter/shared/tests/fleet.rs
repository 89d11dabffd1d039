//! A thousand instances of one limit, with leases, before a store that is slow and sometimes lost.

use super::*;
use crate::{policies::rate_limiter::Algorithm, random::Random};
use std::{cmp::Reverse, collections::BinaryHeap};

const INSTANCES: usize = 1_000;
const RATE: u32 = 20_000;
const LEASE: u32 = 10;
const LENGTH: u64 = 4_000;
const TIMEOUT: Duration = Duration::from_millis(50);

/// What happens next; the payload is the number of the instance.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Arrival(usize),
    /// A batch reaches the store.
    Asked(usize, usize),
    /// Its answer reaches the instance.
    Answered(usize, usize),
    /// The connector gives up waiting for this answer.
    TimedOut(usize, usize),
    /// The connector looks whether the store is there.
    Probe(usize),
    /// A call may have waited long enough.
    Wake(usize),
}

struct World {
    instances: Vec<Instance>,
    waiting: Vec<Vec<Call>>,
    /// Each batch in flight with the answers to it; the index is its number.
    batches: Vec<(Vec<LimitAsk>, Option<Vec<LimitGrant>>)>,
    in_flight: Vec<Option<usize>>,
    queue: BinaryHeap<Reverse<(u64, u64, Happens)>>,
    count: u64,
    random: Random,
    /// The limiter that counts in the store.
    store: RateLimiter,
    lost: std::ops::Range<u64>,
    load: f64,
    accepted: Vec<u64>,
    /// The calls of each instance that passed.
    shares: Vec<usize>,
    degraded: Vec<u64>,
    longest_wait: Duration,
    trips: usize,
}

impl World {
    fn push(&mut self, at_micros: u64, happens: Happens) {
        self.count += 1;
        self.queue.push(Reverse((at_micros, self.count, happens)));
    }

    fn now(micros: u64) -> Instant {
        at(0) + Duration::from_micros(micros)
    }

    /// One question at the store, as the scripts decide it: the store counts as a limiter of one process does.
    fn decide(&mut self, now: Instant, ask: &LimitAsk) -> LimitGrant {
        let left = self.store.quota(now, Key::NONE).remaining as u32;
        let given = if left >= ask.first { ask.needed.min(left) } else { 0 };
        let all = given == ask.needed;
        let calls = given + if all { ask.ahead.min((left - given) / 2) } else { 0 };
        if calls > 0 {
            self.store.try_acquire(now, Key::NONE, calls).unwrap();
        }
        let refusal = || self.store.try_acquire(now, Key::NONE, ask.first.max(1)).unwrap_err();
        let wait = || refusal().retry_after.unwrap().max(Duration::from_micros(1));
        let retry_after = (!all).then(wait);
        LimitGrant { calls, retry_after, remaining: left - calls, reset_after: Duration::ZERO }
    }

    /// Looks at everybody who waits at this instance, and sends what there is to ask.
    fn look(&mut self, instance: usize, micros: u64) {
        let now = Self::now(micros);
        let calls = std::mem::take(&mut self.waiting[instance]);
        for mut call in calls {
            let before = self.instances[instance].degraded_decisions();
            let answer = call.look(now);
            if answer == Now::Waits {
                self.waiting[instance].push(call);
                continue;
            }
            self.longest_wait = self.longest_wait.max(now.since(call.began));
            self.note(instance, micros, before, &answer);
        }
        self.ask(instance, micros);
    }

    fn note(&mut self, instance: usize, micros: u64, degraded_before: usize, answer: &Now) {
        if *answer == Now::Passed {
            self.shares[instance] += 1;
            let degraded = self.instances[instance].degraded_decisions() > degraded_before;
            if degraded { &mut self.degraded } else { &mut self.accepted }.push(micros);
        }
    }

    fn ask(&mut self, instance: usize, micros: u64) {
        if self.in_flight[instance].is_some() {
            return;
        }
        let Some(asks) = self.instances[instance].asks(Self::now(micros)) else { return };
        if asks.is_empty() {
            return self.push(micros + 250_000, Happens::Probe(instance));
        }
        let number = self.batches.len();
        self.batches.push((asks, None));
        self.in_flight[instance] = Some(number);
        self.trips += 1;
        let there = micros + 200 + self.random.below(2_000);
        self.push(there, Happens::Asked(instance, number));
        self.push(micros + 50_000, Happens::TimedOut(instance, number));
    }

    fn happens(&mut self, micros: u64, what: Happens) {
        let now = Self::now(micros);
        let is_lost = self.lost.contains(&(micros / 1_000));
        match what {
            Happens::Arrival(instance) => {
                let before = self.instances[instance].degraded_decisions();
                let mut call = self.instances[instance].call(now, of_key(0, 1));
                match call.result(now) {
                    Now::Waits => {
                        self.waiting[instance].push(call);
                        self.push(micros + 50_000, Happens::Wake(instance));
                    }
                    answer => self.note(instance, micros, before, &answer),
                }
                self.ask(instance, micros);
                let mean = 1_000_000.0 * INSTANCES as f64 / (self.load * f64::from(RATE));
                let pause = self.random.below(2 * mean as u64);
                self.push(micros + 1 + pause, Happens::Arrival(instance));
            }
            Happens::Asked(instance, number) if !is_lost => {
                let asks = self.batches[number].0.clone();
                let grants = asks.iter().map(|ask| self.decide(now, ask)).collect();
                self.batches[number].1 = Some(grants);
                let back = micros + 200 + self.random.below(2_000);
                self.push(back, Happens::Answered(instance, number));
            }
            Happens::Asked(..) => {}
            Happens::Answered(instance, number) => {
                if self.in_flight[instance] == Some(number) {
                    self.in_flight[instance] = None;
                    let (asks, grants) = &self.batches[number];
                    for (ask, grant) in asks.iter().zip(grants.as_ref().unwrap()) {
                        self.instances[instance].limits.granted(now, ask, grant);
                    }
                    self.look(instance, micros);
                }
            }
            Happens::TimedOut(instance, number) => {
                if self.in_flight[instance] == Some(number) {
                    self.in_flight[instance] = None;
                    self.instances[instance].limits.lost(now);
                    self.look(instance, micros);
                    self.push(micros + 250_000, Happens::Probe(instance));
                }
            }
            Happens::Probe(instance) if is_lost => {
                self.push(micros + 250_000, Happens::Probe(instance));
            }
            Happens::Probe(instance) => {
                self.instances[instance].limits.connected(now, Some(INSTANCES as u32));
            }
            Happens::Wake(instance) => self.look(instance, micros),
        }
    }

    /// `load` is what the instances would like to call, as a part of the limit.
    fn run(algorithm: Algorithm, load: f64, lost: std::ops::Range<u64>) -> Self {
        let shared = SharedLimit::default().lease(LEASE).timeout(TIMEOUT);
        let limit = rate_limit(RATE, SECOND).algorithm(algorithm);
        let instance = |_| {
            let instance = Instance::new(limit.clone().shared(shared.clone()));
            instance.limits.connected(at(0), Some(INSTANCES as u32));
            instance
        };
        let mut world = Self {
            instances: (0..INSTANCES).map(instance).collect(),
            waiting: (0..INSTANCES).map(|_| Vec::new()).collect(),
            batches: Vec::new(),
            in_flight: vec![None; INSTANCES],
            queue: BinaryHeap::new(),
            count: 0,
            random: Random::new(7),
            store: RateLimiter::new(limit).unwrap(),
            lost,
            load,
            accepted: Vec::new(),
            shares: vec![0; INSTANCES],
            degraded: Vec::new(),
            longest_wait: Duration::ZERO,
            trips: 0,
        };
        for instance in 0..INSTANCES {
            let first = world.random.below(50_000);
            world.push(first, Happens::Arrival(instance));
        }
        while let Some(Reverse((micros, _, what))) = world.queue.pop() {
            if micros > LENGTH * 1_000 {
                break;
            }
            world.happens(micros, what);
        }
        world
    }
}

/// The most of these instants in any stretch of so many milliseconds.
fn most_within(instants: &[u64], millis: u64) -> usize {
    let (mut first, mut most) = (0, 0);
    for (last, at) in instants.iter().enumerate() {
        while at - instants[first] >= millis * 1_000 {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

/// What the documentation promises for any stretch of so many milliseconds: what the algorithm allows, and
/// `instances × lease`.
fn promised(algorithm: Algorithm, millis: u64) -> usize {
    let rate = RATE as usize;
    let allowed = match algorithm {
        Algorithm::TokenBucket => rate + rate * millis as usize / 1_000,
        // Each window has its own calls, and a stretch may touch one more than it is long.
        Algorithm::FixedWindow => rate * (millis.div_ceil(1_000) as usize + 1),
        // Twice the limit at most within one period, as around the turn of a window.
        Algorithm::SlidingWindow => rate * (millis.div_ceil(1_000) as usize + 1),
        Algorithm::SlidingLog => rate * millis.div_ceil(1_000) as usize,
    };
    allowed + INSTANCES * LEASE as usize
}

#[test]
fn a_thousand_instances_stay_within_the_limit_and_the_stated_slack() {
    for algorithm in [
        Algorithm::TokenBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingWindow,
        Algorithm::SlidingLog,
    ] {
        let world = World::run(algorithm, 2.0, 0..0);
        for millis in [100, 1_000, 3_000] {
            let (most, bound) = (most_within(&world.accepted, millis), promised(algorithm, millis));
            assert!(most <= bound, "{algorithm:?}: {most} in {millis} ms are more than {bound}");
        }
        let least = RATE as usize * LENGTH as usize / 1_000 * 9 / 10;
        assert!(world.accepted.len() > least, "{algorithm:?}: {} are few", world.accepted.len());
        assert_eq!(world.degraded.len(), 0);
        assert!(world.longest_wait < Duration::from_millis(10), "{:?}", world.longest_wait);
        let (fair, shares) = (world.accepted.len() / INSTANCES, &world.shares);
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(2 * least >= fair, "{algorithm:?}: {least} calls of an instance are not {fair}");
        println!("{algorithm:?}: {least} to {most} calls an instance, {fair} on average");
        println!(
            "{algorithm:?}: {} accepted, at most {} in a second (bound {}), {} round trips",
            world.accepted.len(),
            most_within(&world.accepted, 1_000),
            promised(algorithm, 1_000),
            world.trips
        );
        if algorithm == Algorithm::TokenBucket {
            assert!(world.accepted.len() > RATE as usize * LENGTH as usize / 1_000);
        }
    }
}

#[test]
fn below_the_limit_most_calls_of_a_thousand_instances_need_no_round_trip() {
    let world = World::run(Algorithm::TokenBucket, 0.5, 0..0);
    let calls = world.accepted.len();
    assert!(calls > RATE as usize * LENGTH as usize * 9 / 20_000, "{calls} are too few");
    assert!(3 * world.trips < calls, "{} round trips for {calls} calls", world.trips);
}

#[test]
fn a_thousand_instances_go_on_with_their_shares_while_the_store_is_lost() {
    let lost = 1_500..2_500;
    let world = World::run(Algorithm::TokenBucket, 2.0, lost.clone());
    assert!(world.longest_wait <= TIMEOUT, "{:?} is a long wait", world.longest_wait);
    let most = most_within(&world.accepted, 1_000);
    assert!(most <= promised(Algorithm::TokenBucket, 1_000), "{most} in a second");
    // Each counts by itself: its share for the time, and once what a full bucket has.
    let away = (lost.end - lost.start) + 600;
    let shares = RATE as usize + RATE as usize * away as usize / 1_000;
    assert!(world.degraded.len() <= shares, "{} are more than {shares}", world.degraded.len());
    assert!(world.degraded.len() > RATE as usize / 2, "{} are too few", world.degraded.len());
    // It comes back by itself.
    let end = (LENGTH - 1_000) * 1_000;
    assert!(world.degraded.iter().all(|at| *at < end));
    let last = world.accepted.iter().filter(|at| **at >= end).count();
    assert!(last > RATE as usize * 8 / 10, "{last} in the last second are too few");
}
