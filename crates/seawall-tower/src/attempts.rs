//! The calls of one request: how it is sent, and sent again.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use seawall::{Attempt, Class, Classify, Failed, Failure, Outcome, Reason, Rejection, Work};
use std::{
    future::{Future, Ready, poll_fn},
    pin::Pin,
    sync::Arc,
};
use tower_service::Service;

/// Why a call gave no answer.
pub(crate) enum NoAnswer<E> {
    /// The service's own error.
    Own(E),
    /// Only a user-written policy asks again for what must not be sent again.
    Spent,
}

/// What a call for which no request is left comes to.
pub(crate) const SPENT: Rejection = Rejection::new(Reason::Custom("request spent"), None);

type Sending<T, E> = Pin<Box<dyn Future<Output = Result<T, NoAnswer<E>>> + Send>>;

/// Makes the request that is sent again.
pub(crate) type Copy<B> = fn(&Request<B>) -> Request<B>;

/// A request for a service, as work under a pipeline.
pub(crate) struct Attempts<S, B> {
    pub(crate) service: S,
    pub(crate) request: Option<Request<B>>,
    /// How the request is sent again; `None` where it must not be.
    pub(crate) again: Option<Copy<B>>,
    /// Tell the other side which attempt it is.
    pub(crate) is_numbered: bool,
}

impl<S, B, R> Work for Attempts<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: Send + 'static,
    B: Send + 'static,
{
    type Value = Response<R>;
    type Error = NoAnswer<S::Error>;
    type Call = Sending<Response<R>, S::Error>;
    type Alternative = Ready<Result<Response<R>, NoAnswer<S::Error>>>;

    fn call(&mut self, attempt: Attempt) -> Self::Call {
        let copy = self.again.and_then(|again| self.request.as_ref().map(again));
        let Some(mut request) = copy.or_else(|| self.request.take()) else {
            return Box::pin(std::future::ready(Err(NoAnswer::Spent)));
        };
        if self.is_numbered {
            request.headers_mut().insert("x-seawall-attempt", HeaderValue::from(attempt.number));
        }
        let mut service = self.service.clone();
        Box::pin(async move {
            // A clone is ready when it says so itself, whatever the original said.
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(NoAnswer::Own)?;
            service.call(request).await.map_err(NoAnswer::Own)
        })
    }

    fn fallback(
        &mut self,
        _: u32,
        failed: Failed<Self>,
    ) -> Result<Self::Alternative, Failed<Self>> {
        Err(failed)
    }
}

/// Says what an answer is, by its status and headers.
pub(crate) type Judge = Arc<dyn Fn(StatusCode, &HeaderMap) -> Outcome + Send + Sync>;

/// Classifies what a service answered. Every error of the service itself is transient.
pub(crate) struct Answered<'j> {
    pub(crate) judge: &'j Judge,
    pub(crate) may_repeat: bool,
}

impl<R, E> Classify<Response<R>, NoAnswer<E>> for Answered<'_> {
    fn classify(&self, result: &Result<Response<R>, NoAnswer<E>>) -> Outcome {
        let outcome = match result {
            Ok(answer) => (self.judge)(answer.status(), answer.headers()),
            Err(NoAnswer::Own(_)) => Outcome::failure(Class::Transient),
            Err(NoAnswer::Spent) => Outcome::Rejected(SPENT),
        };
        match outcome {
            // There is no second copy, even of what never left.
            Outcome::Failure(failure) if !self.may_repeat => {
                Outcome::Failure(Failure { unsent: false, ..failure })
            }
            outcome => outcome,
        }
    }
}
