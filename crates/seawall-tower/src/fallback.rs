//! Fallbacks of layers: what answers in a service's place.

use seawall::Error;
use std::future::{Future, Ready};

/// Answers in a service's place when the policies fall back. Closures `|request, failed| async { … }` do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in for this service",
    label = "not a fallback of this service",
    note = "a fallback is a closure `|request, failed| async {{ … }}` that answers what the service answers: its \
            `Response`, or its `Error`",
    note = "`failed` is a `Result<Response, seawall::Error<Error>>`; under a `ServerLayer`, `request` is an \
            `http::request::Parts`"
)]
pub trait Alternative<Q, T, E> {
    /// The future of the answer.
    type Answer: Future<Output = Result<T, E>>;

    /// Answers `request`. `failed` is its result so far: the last error, a timeout or a refusal, or a response that was
    /// classified as a failure, such as an HTTP 503.
    fn answer(&self, request: Q, failed: Result<T, Error<E>>) -> Self::Answer;
}

impl<F, Fut, Q, T, E> Alternative<Q, T, E> for F
where
    F: Fn(Q, Result<T, Error<E>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Answer = Fut;

    fn answer(&self, request: Q, failed: Result<T, Error<E>>) -> Fut {
        self(request, failed)
    }
}

/// The type of the fallback of a layer that was given none. It has no values.
#[derive(Clone, Copy, Debug)]
pub enum NoFallback {}

impl<Q, T, E> Alternative<Q, T, E> for NoFallback {
    type Answer = Ready<Result<T, E>>;

    fn answer(&self, _: Q, _: Result<T, Error<E>>) -> Self::Answer {
        match *self {}
    }
}
