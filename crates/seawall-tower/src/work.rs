//! The work of a layer: its service, called once for each attempt, and its fallback.

use crate::{Alternative, Permits, sending::Sending};
use pin_project_lite::pin_project;
use seawall::{
    Attempt, Attributes, Classify, Error, Failure, Name, Operation, Outcome, Reason, Rejected,
    Rejection, Timer, Work, WorkResult,
};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_service::Service;

/// The refusal of a second attempt of a request without a copy. Only a policy written by the user asks for one.
const SPENT: Rejection = Rejection::new(Reason::NotCalled, None);

/// The calls of one request.
pub(crate) struct ServiceWork<S, N, C, A, K> {
    /// The operation that the calls are made under.
    pub(crate) operation: Name,
    pub(crate) service: S,
    /// Makes the request of an attempt; `None` if it was sent before and has no copy.
    pub(crate) next: N,
    /// Whether there is a copy of the request for every attempt.
    pub(crate) repeats: bool,
    pub(crate) classify: C,
    /// The fallback, and the request that it gets.
    pub(crate) fallback: Option<(A, K)>,
}

/// The result of a call with its outcome, which a user's classification reads from the whole result.
pub(crate) struct Judged<T> {
    result: T,
    outcome: Outcome,
}

/// The response to a request with the permits of its call, or the error.
pub(crate) type Answered<T, E, Tm> = Result<(T, Permits<Tm>), Error<E>>;

impl<S, N, C, A, K> ServiceWork<S, N, C, A, K> {
    /// Makes the calls under the operation's policies; the response is whole when it comes.
    pub(crate) async fn run<Q, Tm>(
        self,
        operation: &Operation<Tm>,
        attributes: Attributes,
    ) -> Result<S::Response, Error<S::Error>>
    where
        S: Service<Q> + Clone,
        N: FnMut(Attempt) -> Option<Q>,
        C: Classify<S::Response, S::Error> + Clone,
        A: Alternative<K, S::Response, S::Error>,
        Tm: Timer + Clone,
    {
        let name = self.operation.clone();
        let answer = operation.drive(self).attributes(attributes).classify(AsJudged).await;
        answer.map(|answer| answer.result).map_err(|error| own(error, name))
    }

    /// Makes the calls under the operation's policies; the response's body is a stream, which holds the permits.
    pub(crate) async fn run_held<Q, Tm>(
        self,
        operation: &Operation<Tm>,
        attributes: Attributes,
    ) -> Answered<S::Response, S::Error, Tm>
    where
        S: Service<Q> + Clone,
        N: FnMut(Attempt) -> Option<Q>,
        C: Classify<S::Response, S::Error> + Clone,
        A: Alternative<K, S::Response, S::Error>,
        Tm: Timer + Clone,
    {
        let name = self.operation.clone();
        let run = operation.drive(self).attributes(attributes).classify(AsJudged);
        match run.held().await {
            Ok((answer, permits)) => Ok((answer.result, permits)),
            Err(error) => Err(own(error, name)),
        }
    }
}

impl<S, Q, N, C, A, K> Work for ServiceWork<S, N, C, A, K>
where
    S: Service<Q> + Clone,
    N: FnMut(Attempt) -> Option<Q>,
    C: Classify<S::Response, S::Error> + Clone,
    A: Alternative<K, S::Response, S::Error>,
{
    type Value = Judged<S::Response>;
    type Error = Judged<Option<S::Error>>;
    type Call = Judging<Sending<S, Q>, C>;
    type Alternative = Judging<A::Answer, C>;

    fn alternatives(&self) -> u32 {
        u32::from(self.fallback.is_some())
    }

    fn call(&mut self, attempt: Attempt) -> Self::Call {
        let sending =
            (self.next)(attempt).map(|request| Sending::new(self.service.clone(), request));
        Judging { call: sending, classify: self.classify.clone(), repeats: self.repeats }
    }

    fn fallback(
        &mut self,
        _: u32,
        failed: WorkResult<Self>,
    ) -> Result<Self::Alternative, WorkResult<Self>> {
        let Some((fallback, request)) = self.fallback.take() else { return Err(failed) };
        let failed =
            failed.map(|answer| answer.result).map_err(|error| own(error, self.operation.clone()));
        let call = Some(fallback.answer(request, failed));
        Ok(Judging { call, classify: self.classify.clone(), repeats: false })
    }
}

/// Converts the error of the work into the error of the service.
fn own<E>(error: Error<Judged<Option<E>>>, operation: Name) -> Error<E> {
    match error {
        Error::Inner(Judged { result: Some(error), .. }) => Error::Inner(error),
        Error::Inner(Judged { result: None, .. }) => {
            Error::Rejected(Rejected::new(operation, SPENT))
        }
        Error::TimedOut(elapsed) => Error::TimedOut(elapsed),
        Error::Rejected(rejection) => Error::Rejected(rejection),
    }
}

/// Reads the outcome that a call came with.
struct AsJudged;

impl<T, E> Classify<Judged<T>, Judged<E>> for AsJudged {
    fn classify(&self, result: &Result<Judged<T>, Judged<E>>) -> Outcome {
        match result {
            Ok(answer) => answer.outcome,
            Err(error) => error.outcome,
        }
    }
}

pin_project! {
    /// A call that is classified as soon as it is done; `None` for a second call of a request without a copy.
    pub(crate) struct Judging<F, C> {
        #[pin]
        call: Option<F>,
        classify: C,
        repeats: bool,
    }
}

impl<F, C, T, E> Future for Judging<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<Judged<T>, Judged<Option<E>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(call) = this.call.as_pin_mut() else {
            return Poll::Ready(Err(Judged { result: None, outcome: Outcome::Rejected(SPENT) }));
        };
        let result = ready!(call.poll(cx));
        let outcome = match this.classify.classify(&result) {
            // Without a copy nothing can be sent again, also if the first attempt never left.
            Outcome::Failure(failure) if !*this.repeats => {
                Outcome::Failure(Failure { unsent: false, ..failure })
            }
            outcome => outcome,
        };
        Poll::Ready(match result {
            Ok(answer) => Ok(Judged { result: answer, outcome }),
            Err(error) => Err(Judged { result: Some(error), outcome }),
        })
    }
}
