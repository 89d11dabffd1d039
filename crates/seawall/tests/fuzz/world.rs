//! A few callers at once under one pipeline.

use crate::{
    caller::Caller,
    observed::{Observed, Sums},
    pipelines::{ms, policy},
};
use seawall::{
    Attributes, CallerFault, Class, Failure, Force, Instant, Key, Mode, Outcome, Pipeline, Policy,
    Priority, Random, Reason, Rejection, State,
};
use std::{sync::Arc, time::Duration};

const MOST_CALLERS: usize = 8;

pub(crate) struct World {
    random: Random,
    now: Instant,
    pipeline: Arc<Pipeline>,
    observed: Arc<Observed>,
    callers: Vec<Caller>,
    /// Whether there are only successes, refusals and callers who leave: then no circuit may open.
    is_healthy: bool,
    panics: u64,
    is_loud: bool,
}

impl World {
    pub(crate) fn new(seed: u64, is_loud: bool) -> Self {
        let mut random = Random::new(seed);
        let is_healthy = random.below(4) == 0;
        let mut policies: Vec<Policy> = Vec::new();
        while policies.len() < 6 && random.below(5) > 0 {
            let policy = policy(&mut random);
            // A timeout counts as a failure, and so does a slow call.
            let harmless = match &policy {
                Policy::Timeout(_) | Policy::Chaos(_) => false,
                Policy::CircuitBreaker(breaker) => breaker.config().slow_call_duration.is_none(),
                _ => true,
            };
            if harmless || !is_healthy {
                policies.push(policy);
            }
        }
        let observed = Arc::new(Observed::new(is_loud));
        let pipeline = Pipeline::new("fuzz", policies).with_observer(observed.clone());
        if is_loud {
            println!("{pipeline:#?}");
        }
        Self {
            random,
            now: Instant::from_millis(1_000_000),
            pipeline: Arc::new(pipeline),
            observed,
            callers: Vec::new(),
            is_healthy,
            panics: 0,
            is_loud,
        }
    }

    pub(crate) fn run(mut self) -> Sums {
        for _ in 0..60 + self.random.below(60) {
            self.step();
            self.wake_woken();
            self.check_bounds();
        }
        self.callers.clear();
        self.check_everything_is_back();
        let sums = self.observed.sums();
        assert_eq!(sums.started, sums.ended, "executions without an end");
        assert_eq!(sums.calls, sums.calls_ended, "calls without an end");
        let breakers = self.pipeline.policies().iter();
        let breakers = breakers.filter(|policy| matches!(policy, Policy::CircuitBreaker(_)));
        let most = breakers.count() as u64 * (sums.faults + self.panics);
        assert!(sums.opened <= most, "a circuit opened without a fault");
        sums
    }

    fn step(&mut self) {
        let caller = self.random.below(self.callers.len().max(1) as u64) as usize;
        let kind = self.random.below(22);
        if self.is_loud {
            println!("{:?}: step {kind} of {} callers", self.now, self.callers.len());
        }
        match kind {
            0..5 => self.arrive(),
            5..11 => self.finish_a_call(caller),
            11..14 => {
                let length = ms(&mut self.random, 60);
                self.pass(length);
            }
            14..16 => self.pass_to_a_deadline(),
            16 if caller < self.callers.len() => drop(self.callers.swap_remove(caller)),
            17 if caller < self.callers.len() => self.callers[caller].wake(self.now),
            18 => self.end_a_stream(caller),
            19 if !self.is_healthy && self.random.below(3) == 0 => self.panic(caller),
            20 => self.switch_a_mode(),
            21 => self.operate(),
            _ => {}
        }
    }

    fn switch_a_mode(&mut self) {
        let Some(count) = self.pipeline.policies().len().checked_sub(1) else { return };
        let which = self.random.below(count as u64 + 1) as usize;
        let mode = [Mode::Enforce, Mode::Shadow, Mode::Off][self.random.below(3) as usize];
        self.pipeline.set_mode(self.pipeline.policies()[which].label(), mode);
        self.pipeline.pause_repeats(self.random.below(4) == 0);
    }

    /// An operator forces or resets a circuit.
    fn operate(&mut self) {
        let Some(breaker) = self.pipeline.circuit_breaker().filter(|_| !self.is_healthy) else {
            return;
        };
        let length = ms(&mut self.random, 200);
        let until = (self.random.below(2) == 0).then(|| self.now + length);
        match self.random.below(5) {
            0 => _ = breaker.force(self.now, Force::Open, "fuzz", until),
            1 => _ = breaker.force(self.now, Force::Closed, "fuzz", until),
            2 => _ = breaker.force(self.now, Force::Disabled, "fuzz", until),
            _ => _ = breaker.reset(self.now),
        }
    }

    fn arrive(&mut self) {
        if self.callers.len() >= MOST_CALLERS {
            return;
        }
        let random = &mut self.random;
        let patience = ms(random, 500);
        let attributes = Attributes {
            key: Key::from_hash(random.below(5)),
            cost: 1 + random.below(3) as u32,
            tokens: random.below(4) as u32,
            used_tokens: None,
            repeatable: random.below(3) > 0,
            priority: [Priority::Background, Priority::Normal, Priority::Critical]
                [random.below(3) as usize],
            max_attempts: if random.below(3) == 0 { 1 + random.below(3) as u32 } else { u32::MAX },
            deadline: if random.below(3) == 0 && !self.is_healthy {
                self.now + patience
            } else {
                Instant::FAR_FUTURE
            },
            streamed: random.below(3) == 0,
            fallbacks: random.below(3) as u32,
            max_retry_after: Duration::MAX,
        };
        let seed = random.bits();
        let caller = Caller::start(self.pipeline.clone(), attributes, seed, self.now);
        if !caller.is_over() {
            self.callers.push(caller);
        }
    }

    fn outcome(&mut self) -> Outcome {
        let random = &mut self.random;
        let limit = Duration::from_millis(5);
        if self.is_healthy {
            let rejected = Outcome::Rejected(Rejection::new(Reason::Custom("inner"), None));
            return match random.below(5) {
                0 => rejected,
                1 => Outcome::failure(Class::Permanent),
                2 => Outcome::CallerFault(CallerFault::Request),
                _ => Outcome::Success,
            };
        }
        let class = [Class::Transient, Class::Permanent, Class::RateLimited, Class::Unknown];
        match random.below(9) {
            0..4 => Outcome::Success,
            4 => Outcome::TimedOut { limit },
            5 => Outcome::CallerFault(CallerFault::Request),
            _ => Outcome::Failure(Failure {
                retry_after: (random.below(4) == 0).then(|| ms(random, 200)),
                unsent: random.below(2) == 0,
                should_retry: [None, None, Some(true), Some(false)][random.below(4) as usize],
                ..Failure::new(class[random.below(4) as usize])
            }),
        }
    }

    fn finish_a_call(&mut self, caller: usize) {
        let outcome = self.outcome();
        let Some(found) = self.callers.get_mut(caller) else { return };
        if found.running() == 0 {
            return;
        }
        let which = self.random.below(found.running() as u64) as usize;
        found.finish(which, outcome, self.now);
        self.sweep();
    }

    fn pass(&mut self, length: Duration) {
        self.now = self.now + length;
        for caller in &mut self.callers {
            if caller.deadline().is_some_and(|due| due <= self.now) {
                caller.wake(self.now);
            }
        }
        self.sweep();
    }

    fn pass_to_a_deadline(&mut self) {
        let due = self.callers.iter().filter_map(Caller::deadline).min();
        if let Some(due) = due {
            self.pass(due.since(self.now));
        }
    }

    /// Wakes every caller that was woken or is due, as a driver would before it does anything else.
    fn wake_woken(&mut self) {
        let now = self.now;
        let due = |caller: &Caller| caller.deadline().is_some_and(|due| due <= now);
        while let Some(caller) =
            self.callers.iter_mut().find(|caller| caller.take_woken() || due(caller))
        {
            if !caller.is_answered() {
                caller.wake(now);
            }
        }
        self.sweep();
    }

    fn end_a_stream(&mut self, caller: usize) {
        let outcome = self.outcome();
        let Some(found) = self.callers.get_mut(caller) else { return };
        // Before the answer it means nothing.
        found.end_stream(outcome, self.now);
        self.sweep();
    }

    fn panic(&mut self, caller: usize) {
        if caller < self.callers.len() && self.callers[caller].running() > 0 {
            self.panics += 1;
            self.callers.swap_remove(caller).panic(self.now);
        }
    }

    fn sweep(&mut self) {
        self.callers.retain(|caller| !caller.is_over());
    }

    fn check_bounds(&self) {
        for policy in self.pipeline.policies() {
            match policy {
                Policy::Bulkhead(bulkhead) => {
                    let config = bulkhead.config();
                    assert!(bulkhead.in_use() <= config.max_concurrent);
                    assert!(bulkhead.queued() <= config.max_queued);
                    let free = bulkhead.in_use() < bulkhead.limit();
                    assert!(!free || bulkhead.queued() == 0, "callers wait beside a free place");
                }
                Policy::CircuitBreaker(breaker) if self.is_healthy => {
                    assert_eq!(breaker.state(), State::Closed, "opened without a fault");
                }
                _ => {}
            }
        }
    }

    fn check_everything_is_back(&self) {
        for policy in self.pipeline.policies() {
            match policy {
                Policy::Bulkhead(bulkhead) => {
                    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
                }
                Policy::CircuitBreaker(breaker) if breaker.state() == State::HalfOpen => {
                    assert!(breaker.try_acquire(self.now).is_ok(), "a probe's place is gone");
                }
                _ => {}
            }
        }
    }
}
