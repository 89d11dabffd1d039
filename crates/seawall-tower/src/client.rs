//! The layer around an HTTP client.

use crate::{
    Alternative, Deadline, DeadlineHeader, Describe, HeldBody, HttpClassify, HttpDescribe,
    NoFallback, Permits, TokioTimer, headers::ATTEMPT_HEADER, operation::Running,
    work::ServiceWork,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use seawall::{Attempt, Attributes, Classify, Error, Instant, Operation, Timer};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts an HTTP client under an operation's policies.
///
/// The state lives in the operation, never in the layer: two layers of one operation share its circuit. A request that
/// may be sent again is sent again as the policies say. Each attempt carries `x-seawall-attempt`, and a request that
/// already has this header is sent once, since two layers of retries would multiply. The body of the response holds the
/// permits until its end. A [`Deadline`] bounds the call: that of [`until`](Self::until), or the one in the extensions of
/// an `http::Request`.
///
/// The client is any `Clone + Send + 'static` service from a [`ClientRequest`] to a [`ClientResponse`], such as
/// hyper-util's client, or a `reqwest::Client` with the feature `reqwest`.
#[derive(Clone, Debug)]
pub struct ClientLayer<C = HttpClassify, D = HttpDescribe, A = NoFallback, Tm = TokioTimer> {
    operation: Operation<Tm>,
    classify: C,
    describe: D,
    fallback: Option<A>,
    send_deadline: Option<DeadlineHeader>,
    deadline: Instant,
}

/// A request that a [`ClientLayer`] can send: an `http::Request` whose body is `Clone`, or a `reqwest::Request`.
#[diagnostic::on_unimplemented(
    message = "a `ClientLayer` cannot send a `{Self}`",
    label = "not a request of an HTTP client",
    note = "it sends `http::Request<B>`, where `B: Clone + Send + 'static`: collect a streamed body first, or wrap it",
    note = "the feature `reqwest` adds `reqwest::Request`; `OperationLayer` takes requests of every other kind"
)]
pub trait ClientRequest: Sized + Send + 'static {
    /// The headers of the request.
    fn headers(&self) -> &HeaderMap;

    /// The headers of the request, to add some.
    fn headers_mut(&mut self) -> &mut HeaderMap;

    /// The deadline that the request itself carries.
    fn deadline(&self) -> Option<Deadline> {
        None
    }

    /// A copy of the request for another attempt; `None` if its body can be read only once.
    fn copy(&self) -> Option<Self>;
}

impl<B: Clone + Send + 'static> ClientRequest for Request<B> {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
    fn deadline(&self) -> Option<Deadline> {
        self.extensions().get().copied()
    }
    fn copy(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// A response whose body can hold the permits of its call until its end.
#[diagnostic::on_unimplemented(
    message = "a `ClientLayer` cannot hold its permits in a `{Self}`",
    label = "not a response of an HTTP client",
    note = "it takes `http::Response<B>`, where `B: http_body::Body`",
    note = "the feature `reqwest` adds `reqwest::Response`; `OperationLayer` takes responses of every other kind"
)]
pub trait ClientResponse<Tm: Timer>: Sized {
    /// The response with its permits.
    type Held;

    /// Puts the permits into the body, which releases them at its end.
    fn hold(self, permits: Permits<Tm>) -> Self::Held;
}

impl<R: Body, Tm: Timer> ClientResponse<Tm> for Response<R> {
    type Held = Response<HeldBody<R, Tm>>;

    fn hold(self, permits: Permits<Tm>) -> Self::Held {
        self.map(|body| HeldBody::new(body, permits))
    }
}

impl<Tm: Timer + Clone> ClientLayer<HttpClassify, HttpDescribe, NoFallback, Tm> {
    /// Makes a layer of this operation. [`HttpClassify`] says which responses are failures, [`HttpDescribe`] which
    /// requests may be sent again.
    pub fn new(operation: Operation<Tm>) -> Self {
        Self {
            operation,
            classify: HttpClassify,
            describe: HttpDescribe,
            fallback: None,
            send_deadline: None,
            deadline: Instant::FAR_FUTURE,
        }
    }
}

impl<C, D, A, Tm> ClientLayer<C, D, A, Tm> {
    /// Sets what says which responses and errors are failures.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> ClientLayer<C2, D, A, Tm> {
        let Self { operation, describe, fallback, send_deadline, deadline, .. } = self;
        ClientLayer { operation, classify, describe, fallback, send_deadline, deadline }
    }

    /// Sets what says which requests may be sent again, and who makes them.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> ClientLayer<C, D2, A, Tm> {
        let Self { operation, classify, fallback, send_deadline, deadline, .. } = self;
        ClientLayer { operation, classify, describe, fallback, send_deadline, deadline }
    }

    /// Sets what answers in the client's place, see [`Alternative`]. A `fallback` among the operation's policies decides
    /// when it is called; without one, it is called after every failure, timeout and refusal. A layer that was given
    /// none has nothing to call, so that a `fallback` policy does nothing. It is not called for a request whose body can
    /// be read only once.
    #[must_use]
    pub fn fallback<A2>(self, fallback: A2) -> ClientLayer<C, D, A2, Tm> {
        let Self { operation, classify, describe, send_deadline, deadline, .. } = self;
        let fallback = Some(fallback);
        ClientLayer { operation, classify, describe, fallback, send_deadline, deadline }
    }

    /// Sets the header that says to the next hop how long an attempt may take, if a timeout or a deadline bounds it.
    #[must_use]
    pub fn send_deadline(self, header: DeadlineHeader) -> Self {
        Self { send_deadline: Some(header), ..self }
    }

    /// Bounds every call by this deadline, such as that of the request being served, which
    /// [`ServerLayer`](crate::ServerLayer) puts into its extensions.
    #[must_use]
    pub fn until(self, deadline: Deadline) -> Self {
        Self { deadline: self.deadline.min(deadline.0), ..self }
    }
}

impl<S, C: Clone, D: Clone, A: Clone, Tm: Clone> Layer<S> for ClientLayer<C, D, A, Tm> {
    type Service = Client<S, C, D, A, Tm>;
    fn layer(&self, service: S) -> Self::Service {
        Client { service, layer: self.clone() }
    }
}

/// A client under an operation's policies; see [`ClientLayer`].
#[derive(Clone, Debug)]
pub struct Client<S, C = HttpClassify, D = HttpDescribe, A = NoFallback, Tm = TokioTimer> {
    service: S,
    layer: ClientLayer<C, D, A, Tm>,
}

impl<S, C, D, A, Tm> Client<S, C, D, A, Tm> {
    /// Sends a request, as [`Service::call`] does, without a `&mut`: this service is always ready.
    ///
    /// # Errors
    /// [`Error::Inner`] with the client's own error, the last one if there were several attempts; a timeout of the
    /// operation; or a refusal, for which nothing was sent.
    pub fn send<Q>(&self, request: Q) -> <Self as Service<Q>>::Future
    where
        Self: Service<Q> + Clone,
    {
        self.clone().call(request)
    }

    /// The client inside. Calls made with it do not pass through the policies.
    pub fn get_ref(&self) -> &S {
        &self.service
    }

    /// Takes the client out of the layer.
    pub fn into_inner(self) -> S {
        self.service
    }
}

impl<S, Q, C, D, A, Tm> Service<Q> for Client<S, C, D, A, Tm>
where
    S: Service<Q> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    S::Response: ClientResponse<Tm> + Send,
    Q: ClientRequest,
    C: Classify<S::Response, S::Error> + Clone + Send + Sync + 'static,
    D: Describe<Q>,
    A: Alternative<Q, S::Response, S::Error> + Clone + Send + 'static,
    A::Answer: Send,
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    type Response = <S::Response as ClientResponse<Tm>>::Held;
    type Error = Error<S::Error>;
    type Future = Running<Self::Response, Self::Error>;

    /// Is always ready: each attempt waits for a clone of the service, within its timeout. To bound the calls in
    /// progress, use a bulkhead.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let described = self.layer.describe.describe(&request);
        let is_attempt = request.headers().contains_key(ATTEMPT_HEADER);
        let own = request.deadline().map_or(Instant::FAR_FUTURE, |deadline| deadline.0);
        let attributes = Attributes {
            repeatable: described.repeatable && !is_attempt,
            deadline: described.deadline.min(self.layer.deadline).min(own),
            ..described
        };
        let (operation, classify) = (self.layer.operation.clone(), self.layer.classify.clone());
        let (clock, send_deadline) = (operation.clone(), self.layer.send_deadline.clone());
        let spare = request.copy();
        let repeats = spare.is_some();
        let fallback = self.layer.fallback.clone();
        let fallback = fallback.and_then(|fallback| Some((fallback, spare.as_ref()?.copy()?)));
        let mut first = Some(request);
        let next = move |attempt: Attempt| {
            let mut request = first.take().or_else(|| spare.as_ref()?.copy())?;
            if !is_attempt {
                request.headers_mut().insert(ATTEMPT_HEADER, HeaderValue::from(attempt.number));
            }
            if let (Some(header), true) = (&send_deadline, attempt.deadline < Instant::FAR_FUTURE) {
                header.write(request.headers_mut(), attempt.deadline.since(clock.now()));
            }
            Some(request)
        };
        let service = self.service.clone();
        Box::pin(async move {
            let work = ServiceWork {
                operation: operation.name(),
                service,
                next,
                repeats,
                classify,
                fallback,
            };
            let (answer, permits) = work.run_held(&operation, attributes).await?;
            Ok(answer.hold(permits))
        })
    }
}
