//! A whole policy written outside of the crate: a *concurrency ramp* lets few calls run at once after a start or after a
//! quiet time, and more of them the longer it is in use. It knows nothing but the public contract of user-written policies.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{
    Attributes, Cause, Command, CustomFrame, CustomPolicy, Cx, Execution, Instant, Kind, Mode,
    Outcome, Pipeline, Policy, Reason, Rejection, Step,
};
use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::Duration,
};

/// The shared policy.
#[derive(Clone, Debug)]
struct ConcurrencyRamp {
    /// Calls at once, at the beginning of the ramp and at its end.
    limits: RangeInclusive<u32>,
    /// How long the ramp takes.
    length: Duration,
    /// After so long without a call the ramp begins again.
    idle: Duration,
    state: Arc<Mutex<State>>,
}

/// The state of the ramp, and its transitions: pure, with the time as an argument.
#[derive(Debug, Default)]
struct State {
    in_use: u32,
    /// When the ramp began, and when the last call ended.
    times: Option<(Instant, Instant)>,
}

impl State {
    fn enter(&mut self, ramp: &ConcurrencyRamp, now: Instant) -> bool {
        let (began, _) = match self.times {
            Some((_, last)) if self.in_use == 0 && now >= last + ramp.idle => (now, now),
            Some(times) => times,
            None => (now, now),
        };
        let passed = now.since(began).as_secs_f64() / ramp.length.as_secs_f64();
        let more = f64::from(ramp.limits.end() - ramp.limits.start()) * passed.min(1.0);
        let admits = self.in_use < ramp.limits.start() + more as u32;
        self.in_use += u32::from(admits);
        self.times = Some((began, now));
        admits
    }

    fn leave(&mut self, now: Instant) {
        self.in_use -= 1;
        self.times = self.times.map(|(began, _)| (began, now));
    }
}

/// One call's passage.
struct Passage {
    ramp: ConcurrencyRamp,
    inside: bool,
}

impl CustomPolicy for ConcurrencyRamp {
    fn frame(&self) -> Box<dyn CustomFrame> {
        Box::new(Passage { ramp: self.clone(), inside: false })
    }
}

impl CustomFrame for Passage {
    fn start(&mut self, cx: &mut Cx<'_>) -> Step {
        let mut state = self.ramp.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.inside = state.enter(&self.ramp, cx.now);
        if self.inside {
            return Step::Call;
        }
        let rejection = Rejection::new(Reason::Custom("concurrency_ramp"), None);
        cx.emit(Kind::Rejected(rejection));
        Step::Finish(Outcome::Rejected(rejection))
    }

    fn release(&mut self, cx: &mut Cx<'_>, _: Cause) {
        if std::mem::replace(&mut self.inside, false) {
            self.ramp.state.lock().unwrap_or_else(PoisonError::into_inner).leave(cx.now);
        }
    }
}

/// A pipeline of the policy alone, in virtual time.
struct Site {
    pipeline: Arc<Pipeline>,
    now: Instant,
}

impl Site {
    fn new() -> Self {
        let ramp = ConcurrencyRamp {
            limits: 2..=10,
            length: Duration::from_secs(40),
            idle: Duration::from_secs(60),
            state: Arc::default(),
        };
        let pipeline = Pipeline::new("ramped", [Policy::Custom(Arc::new(ramp))]);
        Self { pipeline: Arc::new(pipeline), now: Instant::from_millis(1_000_000) }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Twenty callers at once: those of them that are admitted, with their calls under way.
    fn crowd(&self) -> Vec<Execution> {
        let start = |seed| {
            let (pipeline, attributes) = (self.pipeline.clone(), Attributes::default());
            let mut execution =
                Execution::start(pipeline, attributes, seed, self.now, Waker::noop());
            match execution.poll_command() {
                Some(Command::Call { .. }) => Some(execution),
                Some(Command::Done(done)) => {
                    let refused = Rejection::new(Reason::Custom("concurrency_ramp"), None);
                    assert_eq!(done.outcome, Outcome::Rejected(refused));
                    None
                }
                other => panic!("{other:?}"),
            }
        };
        (0..20).filter_map(start).collect()
    }

    /// A caller who makes one call and gets the answer at once.
    fn call(&self) {
        let attributes = Attributes::default();
        let mut execution =
            Execution::start(self.pipeline.clone(), attributes, 1, self.now, Waker::noop());
        let Some(Command::Call { id, .. }) = execution.poll_command() else { panic!("refused") };
        execution.handle_result(id, Outcome::Success, self.now, Waker::noop());
        assert!(matches!(execution.poll_command(), Some(Command::Done(_))));
    }
}

#[test]
fn concurrency_grows_after_a_start_and_after_a_quiet_time() {
    let mut site = Site::new();
    assert_eq!(site.crowd().len(), 2);
    site.pass(20);
    assert_eq!(site.crowd().len(), 6);
    site.pass(20);
    assert_eq!(site.crowd().len(), 10);
    // In use now and then, it stays open.
    for _ in 0..10 {
        site.pass(30);
        site.call();
    }
    assert_eq!(site.crowd().len(), 10);
    site.pass(60);
    assert_eq!(site.crowd().len(), 2, "the ramp begins again");
}

#[test]
fn a_place_comes_back_however_its_caller_ends() {
    let mut site = Site::new();
    let mut inside = site.crowd();
    assert_eq!((inside.len(), site.crowd().len()), (2, 0));
    inside[0].abandon(site.now, Cause::Panicked);
    assert_eq!(site.crowd().len(), 1);
    drop(inside);
    assert_eq!(site.crowd().len(), 2);
    site.call();
    site.pass(1_000);
    assert_eq!(site.crowd().len(), 2);
}

#[test]
fn in_shadow_mode_it_refuses_nobody() {
    let site = Site::new();
    site.pipeline.set_mode("custom", Mode::Shadow);
    assert_eq!(site.crowd().len(), 20);
    site.pipeline.set_mode("custom", Mode::Enforce);
    assert_eq!(site.crowd().len(), 2, "nothing is left behind");
}
