//! Around a client: what it calls may fail.

use crate::{
    HeldBody, TokioTimer,
    attempts::{Answered, Attempts, Copy, Judge, NoAnswer, SPENT},
    classify_status,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use seawall::{Attributes, Error, Operation, Outcome, Timer};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Puts an HTTP client under an operation's policies.
///
/// State lives in the operation, never in the layer: two layers of one operation share its circuit.
/// Requests that do no harm twice (`GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE`, or with an
/// `idempotency-key`) are sent again as the policies say; each attempt carries `x-seawall-attempt`. The
/// answer's body holds the permits to its end.
#[derive(Clone)]
pub struct ClientLayer<Tm = TokioTimer> {
    operation: Operation<Tm>,
    judge: Judge,
}

impl<Tm: Timer + Clone> ClientLayer<Tm> {
    /// Under this operation, with answers classified by [`classify_status`].
    pub fn new(operation: Operation<Tm>) -> Self {
        Self { operation, judge: Arc::new(classify_status) }
    }

    /// Classifies answers in another way.
    #[must_use]
    pub fn classify(
        self,
        judge: impl Fn(StatusCode, &HeaderMap) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self { judge: Arc::new(judge), ..self }
    }
}

impl<S, Tm: Timer + Clone> Layer<S> for ClientLayer<Tm> {
    type Service = Client<S, Tm>;
    fn layer(&self, service: S) -> Self::Service {
        Client { service, layer: self.clone() }
    }
}

/// A client under an operation's policies; see [`ClientLayer`].
#[derive(Clone)]
pub struct Client<S, Tm = TokioTimer> {
    service: S,
    layer: ClientLayer<Tm>,
}

/// What a call of a [`Client`] comes to.
type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, Error<E>>> + Send>>;

impl<S, B, R, Tm> Service<Request<B>> for Client<S, Tm>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Clone + Send + 'static,
    R: Body + Send + 'static,
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    type Response = Response<HeldBody<R, Tm>>;
    type Error = Error<S::Error>;
    type Future = Answering<Self::Response, S::Error>;

    /// Always ready: each attempt waits for the inner service itself, within its timeout. Bounds on what
    /// is in progress are the bulkhead's work.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ClientLayer { operation, judge } = self.layer.clone();
        let service = self.service.clone();
        let may_repeat =
            request.method().is_idempotent() || request.headers().contains_key("idempotency-key");
        // A caller that numbers its attempts retries by itself: two layers of retries would multiply.
        let is_attempt = request.headers().contains_key("x-seawall-attempt");
        let repeatable = may_repeat && request.method() != Method::CONNECT && !is_attempt;
        let attributes = Attributes { repeatable, streamed: true, ..Attributes::default() };
        Box::pin(async move {
            let again: Copy<B> = Clone::clone;
            let work = Attempts {
                service,
                request: Some(request),
                again: repeatable.then_some(again),
                is_numbered: !is_attempt,
            };
            let classify = Answered { judge: &judge, may_repeat: repeatable };
            match operation.drive(attributes, &classify, work).await {
                Ok((answer, permits)) => Ok(answer.map(|body| HeldBody::new(body, permits))),
                Err(error) => Err(own(error)),
            }
        })
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
