//! A handle on a registered operation, and the ways to call it.

use super::Registered;
use crate::{
    attributes::Key,
    config::ConfigError,
    error::Error,
    event::{Event, Kind, State, Transition},
    metrics::{Counts, Metrics},
    name::Name,
    pipeline::Pipeline,
    policies::{
        PolicyConfig,
        circuit_breaker::{CircuitSnapshot, CircuitView, Force},
    },
    policy::Mode,
    run::{Answer, Attempt, NoFallback, Run, Work},
    sync::lock,
    time::{Instant, Timer},
    timer::DefaultTimer,
};
use std::{fmt, future::Future, sync::Arc, time::Duration};

/// A handle on a registered operation: cheap to clone, and to call.
#[derive(Clone)]
pub struct Operation<Tm = DefaultTimer> {
    pub(super) registered: Arc<Registered>,
    pub(super) timer: Tm,
}

impl<Tm: Timer + Clone> Operation<Tm> {
    /// Its name.
    pub fn name(&self) -> Name {
        self.registered.pipeline.load().name().clone()
    }

    /// The time on the clock that its policies see.
    pub fn now(&self) -> Instant {
        self.timer.now()
    }

    /// The pipeline that calls pass through now.
    pub fn pipeline(&self) -> Arc<Pipeline> {
        self.registered.pipeline.load_full()
    }

    /// The configuration in force, outermost first, with the modes as they are now; policies written by the
    /// user have none.
    pub fn policies(&self) -> Vec<PolicyConfig> {
        self.pipeline().configs()
    }

    /// Puts these policies in place of those it has, at once. A policy that did not change (but for its mode)
    /// keeps its state; executions in progress end under the policies they began with.
    ///
    /// # Errors
    /// Every field out of its bounds; then nothing changes.
    pub fn reconfigure(&self, policies: &[PolicyConfig]) -> Result<(), ConfigError> {
        let _one = lock(&self.registered.changing);
        let next = self.pipeline().rebuild(policies)?;
        self.put(next);
        Ok(())
    }

    /// Puts a pipeline in force in place of the present one; who calls holds `changing`.
    pub(super) fn put(&self, next: Pipeline) {
        let (former, next, now) = (self.pipeline(), Arc::new(next), self.timer.now());
        self.registered.pipeline.store(next.clone());
        if let Some(change) = next.forget_switched_off(&former, now) {
            self.tell(change);
        }
        let state = next.circuit(now).map_or(State::Closed, |circuit| circuit.state);
        self.registered.metrics.circuit_is(now, state);
    }

    /// Lets every policy of this type (`"retry"`, `"circuit_breaker"` …) act, only speak, or rest, for calls
    /// that reach it from now on. Says how many there are. A circuit breaker that is switched off forgets its
    /// state, so that it begins closed when it is switched on.
    pub fn set_mode(&self, policy: &str, mode: Mode) -> usize {
        let _one = lock(&self.registered.changing);
        let (count, change) = self.pipeline().switch(policy, mode, Some(self.timer.now()));
        if let Some(change) = change {
            self.tell(change);
        }
        count
    }

    /// Its circuit as the next call would meet it, with the mode it is in; `None` where it has no circuit
    /// breaker.
    pub fn circuit(&self) -> Option<CircuitView> {
        self.pipeline().circuit(self.timer.now())
    }

    /// Lets no retry and no hedge begin any more, or lets them begin again.
    pub fn pause_repeats(&self, paused: bool) {
        let _one = lock(&self.registered.changing);
        self.pipeline().pause_repeats(paused);
    }

    /// Forces the state of its circuit, for `reason`, until an instant or a reset; `None` where it has no
    /// circuit breaker.
    pub fn force_circuit(
        &self,
        force: Force,
        reason: &str,
        until: Option<Instant>,
    ) -> Option<Transition> {
        let pipeline = self.pipeline();
        let change = pipeline.circuit_breaker()?.force(self.timer.now(), force, reason, until)?;
        self.tell(change);
        Some(change)
    }

    /// Its counters.
    pub fn metrics(&self) -> &Metrics {
        &self.registered.metrics
    }

    /// Its counters as one value.
    pub fn counts(&self) -> Counts {
        self.registered.metrics.counts()
    }

    /// Calls `operation` under this operation's policies; every `Err` is a failure. Short for
    /// `self.run(|_attempt| operation()).await`; [`run`](Self::run) can be told more about the call.
    ///
    /// # Errors
    /// The last real error, a timeout, or a refusal.
    #[inline]
    pub fn call<F, Fut, T, E>(
        &self,
        mut operation: F,
    ) -> impl Future<Output = Result<T, Error<E>>> + use<F, Fut, T, E, Tm>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.run(move |_| operation()).into_future()
    }

    /// Begins a call of `operation` under this operation's policies: [`Run`] says how to tell more about it, and how it is
    /// made. The function is called once for each attempt, and answers a `Result` or a future of one.
    #[inline]
    pub fn run<F, R, M>(&self, operation: F) -> Run<Arc<Pipeline>, Tm, NoFallback<F, M>>
    where
        F: FnMut(Attempt) -> R,
        R: Answer<M>,
    {
        Run::new(self.pipeline(), self.timer.clone(), NoFallback::new(operation))
    }

    /// Begins a run of `work` under this operation's policies: for work that has more to say than a function does, such as
    /// several alternatives, or time that it waits for its own caller.
    pub fn drive<W: Work>(&self, work: W) -> Run<Arc<Pipeline>, Tm, W> {
        Run::new(self.pipeline(), self.timer.clone(), work)
    }

    /// Closes its circuit and forgets what it counted; `None` where it has no circuit breaker.
    pub fn reset_circuit(&self) -> Option<(State, State)> {
        let pipeline = self.pipeline();
        let breaker = pipeline.circuit_breaker()?;
        let change = breaker.reset(self.timer.now());
        if let Some(change) = change {
            self.tell(change);
        }
        Some((change.map_or(State::Closed, |change| change.from), State::Closed))
    }

    /// Its circuits that are not closed, as plain data; none where it has no circuit breaker. Of several breakers, those of
    /// the outermost.
    pub fn circuit_snapshot(&self) -> Vec<CircuitSnapshot> {
        let pipeline = self.pipeline();
        pipeline.circuit_breaker().map(|one| one.snapshot(self.timer.now())).unwrap_or_default()
    }

    /// Takes up the states of a snapshot that was taken `age` ago, as [`CircuitBreaker::restore`] does; a breaker whose mode
    /// is off takes up only what an operator forced. Returns whether it has a circuit breaker.
    ///
    /// [`CircuitBreaker::restore`]: crate::CircuitBreaker::restore
    pub fn restore_circuit(&self, snapshot: &[CircuitSnapshot], age: Duration) -> bool {
        let _one = lock(&self.registered.changing);
        let (pipeline, now) = (self.pipeline(), self.timer.now());
        let Some(breaker) = pipeline.circuit_breaker() else { return false };
        let is_off = pipeline.circuit_state(now, Key::NONE).is_some_and(|it| it.1 == Mode::Off);
        let counts = |saved: &&CircuitSnapshot| !is_off || saved.state.is_forced();
        let taken: Vec<_> = snapshot.iter().filter(counts).cloned().collect();
        if let Some(change) = breaker.restore(now, &taken, age) {
            self.tell(change);
        }
        true
    }

    /// A circuit that does not act changes in shadow, whoever changes it.
    fn tell(&self, change: Transition) {
        let operation = &self.name();
        let mode = self.pipeline().circuit_state(change.at, Key::NONE).map(|(_, mode)| mode);
        let kind = Kind::CircuitChanged(change);
        self.registered.observer.observe(&Event {
            at: change.at,
            operation,
            execution: 0,
            shadow: mode.is_some_and(|mode| mode != Mode::Enforce),
            kind,
        });
    }
}

impl<Tm> fmt::Debug for Operation<Tm> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Operation").field(&self.registered.pipeline.load()).finish()
    }
}
