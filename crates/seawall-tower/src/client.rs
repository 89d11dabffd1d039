//! Around an HTTP client: what it calls may fail.

use crate::{
    Deadline, DeadlineHeader, Describe, HeldBody, HttpClassify, HttpDescribe, TokioTimer,
    operation::Running, sending::Sending,
};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use seawall::{Attempt, Attributes, Classify, Error, Instant, Operation, Timer};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

const ATTEMPT: &str = "x-seawall-attempt";

/// Puts an HTTP client under an operation's policies.
///
/// State lives in the operation, never in the layer: two layers of one operation share its circuit.
/// What may be sent again is sent again as the policies say; each attempt carries `x-seawall-attempt`, and a
/// request that comes with one is sent once: two layers of retries would multiply. The answer's body holds
/// the permits to its end. A [`Deadline`] in the request's extensions bounds the call.
#[derive(Clone, Debug)]
pub struct ClientLayer<C = HttpClassify, D = HttpDescribe, Tm = TokioTimer> {
    operation: Operation<Tm>,
    classify: C,
    describe: D,
    deadline: Option<DeadlineHeader>,
}

impl<Tm: Timer + Clone> ClientLayer<HttpClassify, HttpDescribe, Tm> {
    /// Under this operation: [`HttpClassify`] says which answers are failures, [`HttpDescribe`] which
    /// requests may be sent again.
    pub fn new(operation: Operation<Tm>) -> Self {
        Self { operation, classify: HttpClassify, describe: HttpDescribe, deadline: None }
    }
}

impl<C, D, Tm> ClientLayer<C, D, Tm> {
    /// Says which answers and errors are failures.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> ClientLayer<C2, D, Tm> {
        let Self { operation, describe, deadline, .. } = self;
        ClientLayer { operation, classify, describe, deadline }
    }

    /// Says which requests may be sent again, and who asks.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> ClientLayer<C, D2, Tm> {
        let Self { operation, classify, deadline, .. } = self;
        ClientLayer { operation, classify, describe, deadline }
    }

    /// Tells the next hop in this header how long an attempt may take, where a timeout or a deadline bounds it.
    #[must_use]
    pub fn send_deadline(self, header: DeadlineHeader) -> Self {
        Self { deadline: Some(header), ..self }
    }
}

impl<S, C: Clone, D: Clone, Tm: Clone> Layer<S> for ClientLayer<C, D, Tm> {
    type Service = Client<S, C, D, Tm>;
    fn layer(&self, service: S) -> Self::Service {
        Client { service, layer: self.clone() }
    }
}

/// A client under an operation's policies; see [`ClientLayer`].
#[derive(Clone, Debug)]
pub struct Client<S, C = HttpClassify, D = HttpDescribe, Tm = TokioTimer> {
    service: S,
    layer: ClientLayer<C, D, Tm>,
}

impl<S, B, R, C, D, Tm> Service<Request<B>> for Client<S, C, D, Tm>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Clone + Send + 'static,
    R: Body + Send + 'static,
    C: Classify<Response<R>, S::Error> + Clone + Send + Sync + 'static,
    D: Describe<Request<B>>,
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    type Response = Response<HeldBody<R, Tm>>;
    type Error = Error<S::Error>;
    type Future = Running<Self::Response, Self::Error>;

    /// Always ready: each attempt waits for a service of its own, within its timeout. Bounds on what is in
    /// progress are the bulkhead's work.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let described = self.layer.describe.describe(&request);
        let is_attempt = request.headers().contains_key(ATTEMPT);
        let repeatable = described.repeatable && !is_attempt;
        let outer = request.extensions().get::<Deadline>();
        let deadline = outer.map_or(described.deadline, |outer| outer.0.min(described.deadline));
        let attributes = Attributes { repeatable, streamed: true, deadline, ..described };
        let (operation, classify) = (self.layer.operation.clone(), self.layer.classify.clone());
        let (service, header) = (self.service.clone(), self.layer.deadline.clone());
        Box::pin(async move {
            let clock = operation.clone();
            let send = move |attempt: Attempt| {
                let mut request = request.clone();
                if !is_attempt {
                    request.headers_mut().insert(ATTEMPT, HeaderValue::from(attempt.number));
                }
                if let (Some(header), true) = (&header, attempt.deadline < Instant::FAR_FUTURE) {
                    header.write(request.headers_mut(), attempt.deadline.since(clock.now()));
                }
                Sending::new(service.clone(), request)
            };
            let (answer, permits) = operation.call_held(attributes, &classify, send).await?;
            Ok(answer.map(|body| HeldBody::new(body, permits)))
        })
    }
}
