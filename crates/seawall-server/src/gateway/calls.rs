//! The calls of one upstream, as its operation drives them.

use super::{opening::Opened, request::Exchange, upstream::CallError};
use seawall::{Attempt, Classify, Outcome, Work, WorkResult};
use std::{
    future::{Future, Ready},
    sync::Arc,
    time::Duration,
};

/// The calls of one upstream. They wait for the client where its body is passed on as it comes.
pub(super) struct Calls<F> {
    pub(super) call: F,
    pub(super) exchange: Arc<Exchange>,
    /// How long the client had been waited for before.
    pub(super) waited: Duration,
}

impl<F, Fut> Work for Calls<F>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<Opened, CallError>>,
{
    type Value = Opened;
    type Error = CallError;
    type Call = Fut;
    type Alternative = Ready<Result<Opened, CallError>>;

    fn alternatives(&self) -> u32 {
        0
    }

    fn call(&mut self, attempt: Attempt) -> Fut {
        (self.call)(attempt)
    }

    fn fallback(
        &mut self,
        _: u32,
        failed: WorkResult<Self>,
    ) -> Result<Self::Alternative, WorkResult<Self>> {
        Err(failed)
    }

    fn caller_wait(&self) -> Duration {
        self.exchange.waited().saturating_sub(self.waited)
    }
}

/// Classifies an upstream's answer by its opening; a transport error by whether it was sent.
pub(super) struct ByOpening;

impl Classify<Opened, CallError> for ByOpening {
    fn classify(&self, result: &Result<Opened, CallError>) -> Outcome {
        match result {
            Ok(opened) => opened.outcome(),
            Err(error) => error.outcome(),
        }
    }
}
