//! A call that is put together piece by piece, and the future that makes it.

use super::{
    HeldPermits, Work, WorkResult,
    blocking::drive_blocking,
    driver::{Driver, Places},
    function::{Answer, NoFallback, WithFallback},
    work::{Attempt, BlockingWork},
};
use crate::{
    attributes::Attributes,
    error::Error,
    outcome::{AnyError, Classify, Settled},
    pipeline::Pipeline,
    time::{Clock, Timer},
};
use pin_project_lite::pin_project;
use std::{
    future::{Future, IntoFuture, poll_fn},
    ops::Deref,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

/// A call that is about to be made under an operation's policies.
///
/// [`Operation::run`](crate::Operation::run) begins one; the methods here say more about it, in any order. It is made by
/// `.await` where the function answers a future, by [`held`](Self::held) where its value is a stream, and by
/// [`blocking`](Self::blocking) where it answers a `Result`.
///
/// The answer is the operation's value, or the last real error, a timeout or a refusal, as an [`Error`]. Dropping the future
/// cancels its calls and gives everything back.
///
/// ```
/// # use seawall::{Attributes, Class, Outcome, Registry};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn price(_: u32) -> Result<f64, std::io::Error> { Ok(10.5) }
/// # let registry = Registry::default();
/// let price = registry
///     .operation("prices")?
///     .run(|attempt| price(attempt.number))
///     .attributes(Attributes::of_key("tenant-7"))
///     .fallback(|_error| async { Ok(9.99) })
///     .await?;
/// # assert_eq!(price, 10.5);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "the call is made by `.await`, `held` or `blocking`"]
pub struct Run<P, Tm, W, C = AnyError> {
    pub(super) pipeline: P,
    pub(super) timer: Tm,
    pub(super) attributes: Attributes,
    pub(super) classify: C,
    pub(super) work: W,
}

impl<P, Tm, W> Run<P, Tm, W> {
    #[inline]
    pub(crate) fn new(pipeline: P, timer: Tm, work: W) -> Self {
        Self { pipeline, timer, attributes: Attributes::default(), classify: AnyError, work }
    }
}

impl<P, Tm, W, C> Run<P, Tm, W, C> {
    /// Sets what the policies know of the call: its key, cost, priority, deadline, and whether it may be repeated. How many
    /// alternatives there are, and whether the value is a stream, follows from the call itself.
    pub fn attributes(self, attributes: Attributes) -> Self {
        Self { attributes, ..self }
    }

    /// Sets what says which results are failures, and of which class: a closure from `&Result<T, E>` to
    /// [`Outcome`](crate::Outcome), or a type that implements [`Classify`]. Without it, every `Err` is a failure.
    pub fn classify<C2>(self, classify: C2) -> Run<P, Tm, W, C2> {
        let Self { pipeline, timer, attributes, work, .. } = self;
        Run { pipeline, timer, attributes, classify, work }
    }
}

impl<P, Tm, F, M, C> Run<P, Tm, NoFallback<F, M>, C> {
    /// Settles rate limits of tokens with what each call has used: `used_tokens` reads it from the call's result. Before the
    /// call they took [`Attributes::tokens`], an estimate; what it used beyond that is a debt that later calls wait for, what
    /// it left goes back. `None` leaves a success with the estimate, and gives a failure everything back; so does a call
    /// without `settle`. It goes behind [`classify`](Self::classify), which would
    /// replace it, and before [`fallback`](Self::fallback).
    ///
    /// ```
    /// # use seawall::{Attributes, Registry, Unit, prelude::*};
    /// # struct Answer { total_tokens: u32 }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # async fn ask() -> Result<Answer, std::io::Error> { Ok(Answer { total_tokens: 150 }) }
    /// # let registry = Registry::default();
    /// let limit = rate_limit(1_000, std::time::Duration::from_secs(60)).unit(Unit::Tokens);
    /// let model = registry.register("model", policies![limit])?;
    /// model
    ///     .run(|_| ask())
    ///     .attributes(Attributes::default().tokens(400))
    ///     .settle(|answer| answer.as_ref().ok().map(|answer| answer.total_tokens))
    ///     .await?;
    /// # let pipeline = model.pipeline();
    /// # let (limiter, _) = pipeline.rate_limiters().next().unwrap();
    /// # assert_eq!(limiter.quota(model.now(), seawall::Key::NONE).remaining / 10, 85);
    /// # Ok(()) }
    /// ```
    pub fn settle<R, U>(self, used_tokens: U) -> Run<P, Tm, NoFallback<F, M>, Settled<C, U>>
    where
        F: FnMut(Attempt) -> R,
        R: Answer<M>,
        U: Fn(&Result<R::Value, R::Error>) -> Option<u32>,
    {
        let Self { pipeline, timer, attributes, classify, work } = self;
        let classify = Settled { classify, used_tokens };
        Run { pipeline, timer, attributes, classify, work }
    }

    /// Sets what is called with the error where the operation gives no value: after a failure, a timeout or a refusal. Its
    /// own answer, value or error, is the answer then.
    ///
    /// A [`Fallback`](crate::Fallback) among the policies decides by its own configuration when it is called; without one,
    /// it is called whatever the error is. Nothing begins after the caller's own deadline.
    pub fn fallback<R, G, Alt>(self, fallback: G) -> Run<P, Tm, WithFallback<F, G, M>, C>
    where
        F: FnMut(Attempt) -> R,
        R: Answer<M>,
        G: FnOnce(Error<R::Error>) -> Alt,
        Alt: Answer<M, Value = R::Value, Error = R::Error>,
    {
        let Self { pipeline, timer, attributes, classify, work } = self;
        Run { pipeline, timer, attributes, classify, work: work.with_fallback(fallback) }
    }
}

impl<P, Tm, W, C> Run<P, Tm, W, C>
where
    P: Deref<Target = Pipeline>,
    Tm: Timer,
    W: Work,
    C: Classify<W::Value, W::Error>,
{
    /// Makes the call of a stream: the permits come along with the value, and are held until [`HeldPermits::end`] says how
    /// the stream ended, or until they are dropped.
    ///
    /// # Errors
    /// The last real error, a timeout, or a refusal.
    pub async fn held(self) -> Result<(W::Value, HeldPermits<P, Tm>), Error<W::Error>> {
        let mut run = pin!(self.future(true));
        let value = poll_fn(|cx| run.as_mut().poll_value(cx)).await?;
        match run.project().driver.take() {
            Some(driver) => Ok((value, HeldPermits(driver.running))),
            None => unreachable!("a value comes from a driver, which stays until it is taken"),
        }
    }

    #[inline]
    fn future(self, streamed: bool) -> RunFuture<P, Tm, W, C> {
        let Self { pipeline, timer, attributes, classify, work } = self;
        RunFuture {
            driver: Some(Driver::new(pipeline, timer, Attributes { streamed, ..attributes }, work)),
            classify,
            call: None,
            alternative: None,
            sleep: None,
        }
    }
}

impl<P, Tm, W, C> Run<P, Tm, W, C>
where
    P: Deref<Target = Pipeline>,
    Tm: Clock,
    W: BlockingWork,
    C: Classify<W::Value, W::Error>,
{
    /// Makes the call on this thread, with its pauses and its queueing. A timeout cannot interrupt plain code: it refuses an
    /// answer that comes too late, and lets no further attempt begin. Nothing is hedged.
    ///
    /// # Errors
    /// The last real error, a timeout, or a refusal.
    pub fn blocking(self) -> Result<W::Value, Error<W::Error>> {
        let Self { pipeline, timer, attributes, classify, mut work } = self;
        drive_blocking(&pipeline, timer, attributes, &classify, &mut work)
    }
}

impl<P, Tm, W, C> IntoFuture for Run<P, Tm, W, C>
where
    P: Deref<Target = Pipeline>,
    Tm: Timer,
    W: Work,
    C: Classify<W::Value, W::Error>,
{
    type Output = WorkResult<W>;
    type IntoFuture = RunFuture<P, Tm, W, C>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        self.future(false)
    }
}

pin_project! {
    /// The future of a [`Run`].
    #[must_use = "futures do nothing unless they are polled"]
    pub struct RunFuture<P, Tm, W, C>
    where
        P: Deref<Target = Pipeline>,
        Tm: Timer,
        W: Work,
    {
        classify: C,
        // Before its futures, so that it is dropped before them: it knows then that they were cut off.
        driver: Option<Driver<P, Tm, W>>,
        #[pin]
        call: Option<W::Call>,
        #[pin]
        alternative: Option<W::Alternative>,
        #[pin]
        sleep: Option<Tm::Sleep>,
    }
}

impl<P, Tm, W, C> RunFuture<P, Tm, W, C>
where
    P: Deref<Target = Pipeline>,
    Tm: Timer,
    W: Work,
    C: Classify<W::Value, W::Error>,
{
    /// Takes the driver out of a run that has ended.
    pub(super) fn take_driver(self: Pin<&mut Self>) -> Option<Driver<P, Tm, W>> {
        self.project().driver.take()
    }

    /// Polls the run and leaves its driver where it is, with its permits.
    #[inline]
    pub(super) fn poll_value(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<WorkResult<W>> {
        let this = self.project();
        let Some(driver) = this.driver else { panic!("a run was polled after it had ended") };
        let places = Places { call: this.call, alternative: this.alternative, sleep: this.sleep };
        driver.poll(places, this.classify, cx)
    }
}

impl<P, Tm, W, C> Future for RunFuture<P, Tm, W, C>
where
    P: Deref<Target = Pipeline>,
    Tm: Timer,
    W: Work,
    C: Classify<W::Value, W::Error>,
{
    type Output = WorkResult<W>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.as_mut().poll_value(cx));
        // The permits go back now, not when the future is dropped.
        *self.project().driver = None;
        Poll::Ready(result)
    }
}
