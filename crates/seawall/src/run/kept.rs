//! A call whose payload is kept as a dead letter where it fails for good, as a
//! [`DeadLetter`](crate::policies::dead_letter::DeadLetter) among its policies decides.

use super::{
    Run, RunFuture, Work,
    blocking::{drive_blocking, park_until_ready},
    recorded::Recorded,
    work::BlockingWork,
};
use crate::{
    dead_letters::{
        DeadLetters, FailedCall, LetterAttempt, LetterDraft, LetterFate, Payload, Storing,
    },
    error::Error,
    event::{Event, Kind, LetterLoss, Observer},
    execution::LetterDue,
    name::Name,
    outcome::{Classify, Outcome},
    pipeline::Pipeline,
    time::{Clock, Instant, Timer},
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::{Future, IntoFuture},
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// A call with a payload, begun by [`Run::payload`]: made by `.await`, or by [`blocking`](Self::blocking).
///
/// Its error says what became of the payload. Where a policy asks for a dead letter the caller waits until that is stored,
/// at most the policy's `max_wait`; permits are back by then. A call that a fallback answers, and a value that is classified
/// as a failure, may make a letter too; then only events and counters tell.
#[must_use = "the call is made by `.await` or `blocking`"]
pub struct KeptRun<P, Tm, W, C, F> {
    run: Run<P, Tm, Recorded<W>, C>,
    payload: F,
}

impl<P, Tm, W, C> Run<P, Tm, W, C> {
    /// Sets the payload that becomes a dead letter where the call fails for good and a
    /// [`DeadLetter`](crate::DeadLetter) among the policies asks for it; the closure is called only then. It is said last.
    ///
    /// ```
    /// # use seawall::{Registry, prelude::*};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let registry = Registry::default();
    /// # let order = "order 7".to_owned();
    /// let orders = registry.register("orders", policies![dead_letter(), retry(2)])?;
    /// let failed = orders
    ///     .run(|_| async { Err::<(), _>("no connection") })
    ///     .payload(|| order.clone())
    ///     .await
    ///     .unwrap_err();
    /// // This registry was given no place for dead letters, and that is never silent.
    /// assert!(failed.to_string().starts_with("no connection; not kept as a dead letter: "));
    /// # assert_eq!(orders.counts().dead_letters_lost, 1);
    /// # Ok(()) }
    /// ```
    pub fn payload<F, L>(self, payload: F) -> KeptRun<P, Tm, W, C, F>
    where
        F: FnOnce() -> L,
        L: Into<Payload>,
    {
        let Self { pipeline, timer, attributes, classify, work } = self;
        let work = Recorded::new(work);
        KeptRun { run: Run { pipeline, timer, attributes, classify, work }, payload }
    }
}

/// A letter that is due: where it goes, and whom to tell what became of it.
struct Delivery {
    place: Option<Arc<dyn DeadLetters>>,
    observer: Option<Arc<dyn Observer>>,
    operation: Name,
    execution: u64,
    max_wait: Duration,
}

impl Delivery {
    fn of(pipeline: &Pipeline, due: &LetterDue) -> Self {
        Self {
            place: pipeline.dead_letters().cloned(),
            observer: pipeline.shared_observer().cloned(),
            operation: pipeline.name().clone(),
            execution: due.execution,
            max_wait: due.config.max_wait,
        }
    }

    /// Hands the letter to its place; none where there is no place.
    fn begin<T, E: fmt::Display>(
        &self,
        due: &LetterDue,
        result: &Result<T, Error<E>>,
        attempts: Vec<LetterAttempt>,
        payload: Payload,
    ) -> Option<Storing> {
        let last = || attempts.iter().rev().find_map(|attempt| attempt.error.clone());
        let error = match result {
            Err(error) => error.to_string(),
            Ok(_) => last().unwrap_or_else(|| due.outcome.label().replace('_', " ")),
        };
        let draft = LetterDraft {
            operation: self.operation.clone(),
            queue: due.config.queue.clone(),
            error_class: class(&due.outcome),
            error,
            attempts,
            payload,
        };
        Some(self.place.as_ref()?.keep(draft))
    }

    /// Tells what became of it.
    fn ended(&self, now: Instant, stored: Result<String, (LetterLoss, String)>) -> LetterFate {
        let (kind, fate) = match stored {
            Ok(id) => (Kind::LetterKept, LetterFate::Kept(id)),
            Err((why, text)) => (Kind::LetterLost { why }, LetterFate::Lost(why, text)),
        };
        if let Some(observer) = &self.observer {
            let (operation, execution) = (&self.operation, self.execution);
            observer.observe(&Event { at: now, operation, execution, shadow: false, kind });
        }
        fate
    }

    fn no_place(&self, now: Instant) -> LetterFate {
        let text = "the registry was given no place for dead letters".to_owned();
        self.ended(now, Err((LetterLoss::NoPlace, text)))
    }

    fn stored(&self, now: Instant, stored: Result<String, String>) -> LetterFate {
        self.ended(now, stored.map_err(|text| (LetterLoss::NotStored, text)))
    }

    fn too_slow(&self, now: Instant) -> LetterFate {
        let text = format!("it was not stored within {:?}; it may be yet", self.max_wait);
        self.ended(now, Err((LetterLoss::TooSlow, text)))
    }
}

/// The kind of a failure, in one word.
fn class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Failure(failure) => failure.class.label(),
        Outcome::Rejected(rejection) => rejection.reason.label(),
        other => other.label(),
    }
}

fn failed<T, E>(result: Result<T, Error<E>>, letter: LetterFate) -> Result<T, FailedCall<E>> {
    result.map_err(|error| FailedCall { error, letter })
}

impl<P, Tm, W, C, F, L> KeptRun<P, Tm, W, C, F>
where
    P: Deref<Target = Pipeline>,
    Tm: Clock + Clone,
    W: BlockingWork,
    W::Error: fmt::Display,
    C: Classify<W::Value, W::Error>,
    F: FnOnce() -> L,
    L: Into<Payload>,
{
    /// Makes the call on this thread, as [`Run::blocking`] does, and waits for its letter.
    ///
    /// # Errors
    /// The last real error, a timeout, or a refusal, with what became of the payload.
    pub fn blocking(self) -> Result<W::Value, FailedCall<W::Error>> {
        let Run { pipeline, timer, attributes, classify, mut work } = self.run;
        let clock = timer.clone();
        let result = drive_blocking(&pipeline, timer, attributes, &classify, &mut work);
        let Some(due) = work.due.take() else { return failed(result, LetterFate::NotDue) };
        let delivery = Delivery::of(&pipeline, &due);
        let attempts = work.attempts(clock.now());
        let Some(storing) = delivery.begin(&due, &result, attempts, (self.payload)().into()) else {
            return failed(result, delivery.no_place(clock.now()));
        };
        let letter = match park_until_ready(storing, delivery.max_wait) {
            Some(stored) => delivery.stored(clock.now(), stored),
            None => delivery.too_slow(clock.now()),
        };
        failed(result, letter)
    }
}

impl<P, Tm, W, C, F, L> IntoFuture for KeptRun<P, Tm, W, C, F>
where
    P: Deref<Target = Pipeline>,
    Tm: Timer + Clone,
    W: Work,
    W::Error: fmt::Display,
    C: Classify<W::Value, W::Error>,
    F: FnOnce() -> L,
    L: Into<Payload>,
{
    type Output = Result<W::Value, FailedCall<W::Error>>;
    type IntoFuture = KeptFuture<P, Tm, W, C, F>;

    fn into_future(self) -> Self::IntoFuture {
        let timer = self.run.timer.clone();
        KeptFuture {
            run: self.run.into_future(),
            timer,
            payload: Some(self.payload),
            storing: None,
            sleep: None,
        }
    }
}

/// A result that waits until its letter is stored. Dropped before that, it tells that nobody knows what became of it.
struct Waiting<T, E, C: Clock> {
    result: Option<Result<T, Error<E>>>,
    delivery: Delivery,
    storing: Storing,
    clock: C,
}

impl<T, E, C: Clock> Waiting<T, E, C> {
    fn end(
        &mut self,
        fate: impl FnOnce(&Delivery, Instant) -> LetterFate,
    ) -> Option<Result<T, FailedCall<E>>> {
        let result = self.result.take()?;
        Some(failed(result, fate(&self.delivery, self.clock.now())))
    }
}

impl<T, E, C: Clock> Drop for Waiting<T, E, C> {
    fn drop(&mut self) {
        if self.result.is_some() {
            let text = "its caller went away".to_owned();
            self.delivery.ended(self.clock.now(), Err((LetterLoss::CallerGone, text)));
        }
    }
}

pin_project! {
    /// The future of a [`KeptRun`].
    #[must_use = "futures do nothing unless they are polled"]
    pub struct KeptFuture<P, Tm, W, C, F>
    where
        P: Deref<Target = Pipeline>,
        Tm: Timer,
        W: Work,
        W::Error: fmt::Display,
    {
        #[pin]
        run: RunFuture<P, Tm, Recorded<W>, C>,
        timer: Tm,
        payload: Option<F>,
        storing: Option<Waiting<W::Value, W::Error, Tm>>,
        #[pin]
        sleep: Option<Tm::Sleep>,
    }
}

impl<P, Tm, W, C, F, L> Future for KeptFuture<P, Tm, W, C, F>
where
    P: Deref<Target = Pipeline>,
    Tm: Timer + Clone,
    W: Work,
    W::Error: fmt::Display,
    C: Classify<W::Value, W::Error>,
    F: FnOnce() -> L,
    L: Into<Payload>,
{
    type Output = Result<W::Value, FailedCall<W::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.storing.is_none() {
            let result = ready!(this.run.as_mut().poll_value(cx));
            // The permits go back now, not when the letter is stored.
            let Some(driver) = this.run.as_mut().take_driver() else {
                return Poll::Ready(failed(result, LetterFate::NotDue));
            };
            let (due, payload) = (driver.letter_due(), this.payload.take());
            let (Some(due), Some(payload)) = (due, payload) else {
                return Poll::Ready(failed(result, LetterFate::NotDue));
            };
            let now = this.timer.now();
            let delivery = Delivery::of(driver.pipeline(), &due);
            let attempts = driver.work().attempts(now);
            drop(driver);
            let Some(storing) = delivery.begin(&due, &result, attempts, payload().into()) else {
                return Poll::Ready(failed(result, delivery.no_place(now)));
            };
            this.sleep.set(Some(this.timer.sleep_until(now + delivery.max_wait)));
            let (result, clock) = (Some(result), this.timer.clone());
            *this.storing = Some(Waiting { result, delivery, storing, clock });
        }
        let Some(waiting) = this.storing else { return Poll::Pending };
        let ended = if let Poll::Ready(stored) = waiting.storing.as_mut().poll(cx) {
            waiting.end(|delivery, now| delivery.stored(now, stored))
        } else if this.sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            waiting.end(Delivery::too_slow)
        } else {
            return Poll::Pending;
        };
        match ended {
            Some(ended) => Poll::Ready(ended),
            None => panic!("a call was polled after it had ended"),
        }
    }
}
