//! Functions as work: async ones and plain ones, alone and with a fallback.

use super::work::{Attempt, BlockingWork, Work, WorkResult};
use crate::error::Error;
use std::{
    future::{Future, Ready},
    marker::PhantomData,
};

/// What an operation's function answers: a `Result`, or a future of one. `Kind` is [`Blocking`] or [`Asynchronous`], which
/// the compiler finds out.
#[diagnostic::on_unimplemented(
    message = "an operation cannot answer `{Self}`",
    label = "neither a `Result` nor a future of one",
    note = "the function given to `run` answers a `Result`, and is run by `.blocking()`, or a future of a `Result`, and is run by `.await`"
)]
pub trait Answer<Kind> {
    /// The value of the operation.
    type Value;
    /// The operation's own error.
    type Error;
}

/// The kind of a function that answers a `Result`.
#[derive(Clone, Copy, Debug)]
pub enum Blocking {}

/// The kind of a function that answers a future.
#[derive(Clone, Copy, Debug)]
pub enum Asynchronous {}

impl<T, E> Answer<Blocking> for Result<T, E> {
    type Value = T;
    type Error = E;
}

impl<Fut: Future<Output = Result<T, E>>, T, E> Answer<Asynchronous> for Fut {
    type Value = T;
    type Error = E;
}

/// A function without an alternative.
#[derive(Clone, Debug)]
pub struct NoFallback<F, Kind> {
    function: F,
    kind: PhantomData<fn() -> Kind>,
}

impl<F, Kind> NoFallback<F, Kind> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, kind: PhantomData }
    }

    pub(super) fn with_fallback<G>(self, fallback: G) -> WithFallback<F, G, Kind> {
        WithFallback { function: self.function, fallback: Some(fallback), kind: self.kind }
    }
}

/// A function with one alternative.
#[derive(Clone, Debug)]
pub struct WithFallback<F, G, Kind> {
    function: F,
    fallback: Option<G>,
    kind: PhantomData<fn() -> Kind>,
}

impl<F, Fut, T, E> Work for NoFallback<F, Asynchronous>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Value = T;
    type Error = E;
    type Call = Fut;
    type Alternative = Ready<Result<T, E>>;

    fn alternatives(&self) -> u32 {
        0
    }
    fn call(&mut self, attempt: Attempt) -> Fut {
        (self.function)(attempt)
    }
    fn fallback(
        &mut self,
        _: u32,
        failed: WorkResult<Self>,
    ) -> Result<Self::Alternative, WorkResult<Self>> {
        Err(failed)
    }
}

impl<F, Fut, G, Alt, T, E> Work for WithFallback<F, G, Asynchronous>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    G: FnOnce(Error<E>) -> Alt,
    Alt: Future<Output = Result<T, E>>,
{
    type Value = T;
    type Error = E;
    type Call = Fut;
    type Alternative = Alt;

    fn call(&mut self, attempt: Attempt) -> Fut {
        (self.function)(attempt)
    }
    fn fallback(&mut self, _: u32, failed: WorkResult<Self>) -> Result<Alt, WorkResult<Self>> {
        match (self.fallback.take(), failed) {
            (Some(alternative), Err(error)) => Ok(alternative(error)),
            (_, failed) => Err(failed),
        }
    }
}

impl<F, T, E> BlockingWork for NoFallback<F, Blocking>
where
    F: FnMut(Attempt) -> Result<T, E>,
{
    type Value = T;
    type Error = E;

    fn alternatives(&self) -> u32 {
        0
    }
    fn call(&mut self, attempt: Attempt) -> Result<T, E> {
        (self.function)(attempt)
    }
    fn fallback(&mut self, failed: Error<E>) -> Result<Result<T, E>, Error<E>> {
        Err(failed)
    }
}

impl<F, G, T, E> BlockingWork for WithFallback<F, G, Blocking>
where
    F: FnMut(Attempt) -> Result<T, E>,
    G: FnOnce(Error<E>) -> Result<T, E>,
{
    type Value = T;
    type Error = E;

    fn alternatives(&self) -> u32 {
        1
    }
    fn call(&mut self, attempt: Attempt) -> Result<T, E> {
        (self.function)(attempt)
    }
    fn fallback(&mut self, failed: Error<E>) -> Result<Result<T, E>, Error<E>> {
        match self.fallback.take() {
            Some(alternative) => Ok(alternative(failed)),
            None => Err(failed),
        }
    }
}
