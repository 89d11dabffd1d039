//! A handle on a registered operation, and the ways to call it.

use super::Registered;
use crate::{
    AnyError, Attempt, Attributes, Classify, Counts, Error, Event, Kind, Metrics, Name, Pipeline,
    PolicyConfig, State, SystemTimer, Timer, Transition,
    run::{Either, Held, Plain, Work, drive, drive_blocking, drive_to_value},
};
use std::{fmt, future::Future, sync::Arc};

/// A handle on a registered operation: cheap to clone, and to call.
#[derive(Clone)]
pub struct Operation<Tm = SystemTimer> {
    pub(super) registered: Arc<Registered>,
    pub(super) timer: Tm,
}

impl<Tm: Timer + Clone> Operation<Tm> {
    /// Its name.
    pub fn name(&self) -> Name {
        self.registered.pipeline.load().name().clone()
    }

    /// The pipeline that calls pass through now.
    pub fn pipeline(&self) -> Arc<Pipeline> {
        self.registered.pipeline.load_full()
    }

    /// The policies it was configured with, outermost first; empty where it was made in code.
    pub fn policies(&self) -> &[PolicyConfig] {
        &self.registered.policies
    }

    /// Its counters.
    pub fn metrics(&self) -> &Metrics {
        &self.registered.metrics
    }

    /// Its counters as one value.
    pub fn counts(&self) -> Counts {
        self.registered.metrics.counts()
    }

    /// Calls `operation` under this operation's policies; every `Err` is a failure.
    ///
    /// # Errors
    /// The last real error, a timeout, or a rejection.
    pub async fn call<F, Fut, T, E>(&self, mut operation: F) -> Result<T, Error<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_with(Attributes::default(), &AnyError, |_| operation()).await
    }

    /// The same, with what the policies should know of the call and of its results.
    ///
    /// # Errors
    /// The last real error, a timeout, or a rejection.
    pub async fn call_with<F, Fut, T, E>(
        &self,
        attributes: Attributes,
        classify: &impl Classify<T, E>,
        operation: F,
    ) -> Result<T, Error<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let (pipeline, timer) = (self.pipeline(), self.timer.clone());
        drive_to_value(pipeline, timer, attributes, classify, Plain(operation)).await
    }

    /// The same for streams: the permits come along with the value.
    ///
    /// # Errors
    /// The last real error, a timeout, or a rejection.
    pub async fn call_held<F, Fut, T, E>(
        &self,
        attributes: Attributes,
        classify: &impl Classify<T, E>,
        operation: F,
    ) -> Result<(T, Held<Arc<Pipeline>, Tm>), Error<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.drive(attributes, classify, Plain(operation)).await
    }

    /// Calls `operation`, and `fallback` with the error where it gives no value.
    ///
    /// # Errors
    /// What `fallback` answers.
    pub async fn call_or<F, Fut, G, Alt, T, E>(
        &self,
        mut operation: F,
        fallback: G,
    ) -> Result<T, Error<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        G: FnOnce(Error<E>) -> Alt,
        Alt: Future<Output = Result<T, E>>,
    {
        let attributes = Attributes { fallbacks: 1, ..Attributes::default() };
        let work = Either(|_| operation(), Some(fallback));
        let (pipeline, timer) = (self.pipeline(), self.timer.clone());
        drive_to_value(pipeline, timer, attributes, &AnyError, work).await
    }

    /// Calls a plain function on this thread. A timeout cannot interrupt it, only refuse its answer.
    ///
    /// # Errors
    /// The last real error, a timeout, or a rejection.
    pub fn call_blocking<T, E>(
        &self,
        mut operation: impl FnMut() -> Result<T, E>,
    ) -> Result<T, Error<E>> {
        let pipeline = self.pipeline();
        let attributes = Attributes::default();
        drive_blocking(&pipeline, &self.timer, attributes, &AnyError, |_| operation())
    }

    /// Runs `work`; the permits come along with the value, for drivers of streams.
    ///
    /// # Errors
    /// The last real error, a timeout, or a rejection.
    pub async fn drive<C, W>(
        &self,
        attributes: Attributes,
        classify: &C,
        work: W,
    ) -> Result<(W::Value, Held<Arc<Pipeline>, Tm>), Error<W::Error>>
    where
        C: Classify<W::Value, W::Error>,
        W: Work,
    {
        drive(self.pipeline(), self.timer.clone(), attributes, classify, work).await
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

    fn tell(&self, change: Transition) {
        let operation = &self.name();
        let kind = Kind::CircuitChanged(change);
        self.registered.observer.observe(&Event { at: change.at, operation, execution: 0, kind });
    }
}

impl<Tm> fmt::Debug for Operation<Tm> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Operation").field(&self.registered.pipeline.load()).finish()
    }
}
