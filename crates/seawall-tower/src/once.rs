//! The call of a request of which there is no copy.

use crate::sending::Sending;
use http::{HeaderMap, Response, StatusCode};
use pin_project_lite::pin_project;
use seawall::{Class, Classify, Error, Failure, Outcome, Reason, Rejection};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// Why a call gave no answer.
pub(crate) enum NoAnswer<E> {
    /// The service's own error.
    Own(E),
    /// The request is gone. Only a user-written policy asks again for what is not repeatable.
    Spent,
}

const SPENT: Rejection = Rejection::new(Reason::NotCalled, None);

pin_project! {
    /// The one call, or `None` in place of a second.
    pub(crate) struct Once<S, Q>
    where
        S: Service<Q>,
    {
        #[pin]
        call: Option<Sending<S, Q>>,
    }
}

impl<S: Service<Q>, Q> Once<S, Q> {
    pub(crate) fn new(service: S, request: Option<Q>) -> Self {
        Self { call: request.map(|request| Sending::new(service, request)) }
    }
}

impl<S: Service<Q>, Q> Future for Once<S, Q> {
    type Output = Result<S::Response, NoAnswer<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().call.as_pin_mut() {
            Some(call) => call.poll(cx).map_err(NoAnswer::Own),
            None => Poll::Ready(Err(NoAnswer::Spent)),
        }
    }
}

/// Says what an answer is, by its status and headers.
pub(crate) type Judge = Arc<dyn Fn(StatusCode, &HeaderMap) -> Outcome + Send + Sync>;

/// Classifies what a service answered. Every error of the service itself is transient.
pub(crate) struct Answered<'j>(pub(crate) &'j Judge);

impl<R, E> Classify<Response<R>, NoAnswer<E>> for Answered<'_> {
    fn classify(&self, result: &Result<Response<R>, NoAnswer<E>>) -> Outcome {
        let outcome = match result {
            Ok(answer) => (self.0)(answer.status(), answer.headers()),
            Err(NoAnswer::Own(_)) => Outcome::failure(Class::Transient),
            Err(NoAnswer::Spent) => Outcome::Rejected(SPENT),
        };
        match outcome {
            // There is no second copy, whatever the judge says of the first.
            Outcome::Failure(failure) => Outcome::Failure(Failure { unsent: false, ..failure }),
            outcome => outcome,
        }
    }
}

/// The service's own error.
pub(crate) fn own<E>(error: Error<NoAnswer<E>>) -> Error<E> {
    match error {
        Error::Inner(NoAnswer::Own(error)) => Error::Inner(error),
        Error::Inner(NoAnswer::Spent) => Error::Rejected(SPENT),
        Error::TimedOut(elapsed) => Error::TimedOut(elapsed),
        Error::Rejected(rejection) => Error::Rejected(rejection),
    }
}
