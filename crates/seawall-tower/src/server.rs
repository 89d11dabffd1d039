//! The layer around an HTTP server.

use crate::{
    Alternative, Deadline, HeldBody, NoFallback, Problem, TokioTimer, deadline,
    headers::{circuit_header, write_rate_limit},
    operation::Running,
    rejection_problem,
    sending::Sending,
    timeout_problem,
    work::ServiceWork,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, request::Parts,
};
use http_body::Body;
use http_body_util::{Either, Full};
use seawall::{
    Attempt, Attributes, Class, Classify, Error, Instant, Key, Operation, Outcome, Timer,
};
use std::{
    hash::Hash,
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a server, such as an axum router, under an operation's policies.
///
/// Refusals and timeouts are answered with problem documents (429, 503, 504, with `Retry-After` and
/// `x-seawall-circuit`); the service's own responses and errors pass through. 5xx count as failures, 4xx do not, and a
/// handler that panics has failed. A request is never handled twice. When the caller says how long it waits
/// (`grpc-timeout`, `x-envoy-expected-rq-timeout-ms`), the handler is dropped at that time, and it finds a
/// [`Deadline`] in the request's extensions.
///
/// If the operation has a rate limiter that enforces its limit, every response says how much of the limit is left for
/// this caller, in the fields `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-10. Fields that
/// the service sets itself are kept.
///
/// The server is a `Clone + Send + 'static` service from `http::Request<B>` to `http::Response<R>`, where `R` is an
/// `http_body::Body<Data = Bytes>`; an axum router, a tonic server or hyper's services are.
#[derive(Clone)]
pub struct ServerLayer<A = NoFallback, Tm = TokioTimer> {
    operation: Operation<Tm>,
    classify: ByHeaders,
    excluded: Arc<[String]>,
    key: Option<KeyOf>,
    deadline: Option<HeaderName>,
    fallback: Option<A>,
}

/// The function that says who makes a request.
type KeyOf = Arc<dyn Fn(&Parts) -> Key + Send + Sync>;

/// Classifies a response by its status and headers, and every error of the service itself as transient.
#[derive(Clone)]
struct ByHeaders(Arc<Judge>);

type Judge = dyn Fn(StatusCode, &HeaderMap) -> Outcome + Send + Sync;

impl<R, E> Classify<Response<R>, E> for ByHeaders {
    fn classify(&self, result: &Result<Response<R>, E>) -> Outcome {
        match result {
            Ok(answer) => (self.0)(answer.status(), answer.headers()),
            Err(_) => Outcome::failure(Class::Transient),
        }
    }
}

impl<Tm: Timer + Clone> ServerLayer<NoFallback, Tm> {
    /// Makes a layer of this operation. Every 5xx is a failure, and nothing else is.
    pub fn new(operation: Operation<Tm>) -> Self {
        Self {
            operation,
            classify: ByHeaders(Arc::new(by_fault)),
            excluded: Arc::default(),
            key: None,
            deadline: None,
            fallback: None,
        }
    }
}

impl<A, Tm: Timer + Clone> ServerLayer<A, Tm> {
    /// Sets what answers in the service's place, see [`Alternative`]. It gets the `http::request::Parts`, since the
    /// service has the body. A `fallback` among the operation's policies decides when it is called; without one, it is
    /// called after every failure, timeout and refusal. A layer that was given none has nothing to call, so that a
    /// `fallback` policy does nothing.
    #[must_use]
    pub fn fallback<A2>(self, fallback: A2) -> ServerLayer<A2, Tm> {
        let Self { operation, classify, excluded, key, deadline, .. } = self;
        ServerLayer { operation, classify, excluded, key, deadline, fallback: Some(fallback) }
    }

    /// Sets the function that says by status and headers which responses are failures.
    #[must_use]
    pub fn classify(
        self,
        classify: impl Fn(StatusCode, &HeaderMap) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self { classify: ByHeaders(Arc::new(classify)), ..self }
    }

    /// Exempts these paths, and all below them, from every policy. They match by whole segments: `/health` exempts
    /// `/health/live`, but not `/healthz`. `/` exempts the root alone.
    #[must_use]
    pub fn exclude<P: Into<String>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        let trimmed = |path: P| path.into().trim_end_matches('/').to_owned();
        Self { excluded: paths.into_iter().map(trimmed).collect(), ..self }
    }

    /// Sets the function that says who makes a request, for keyed rate limits. Requests with equal keys share a limit.
    /// The key can be a header, or the peer's address, which axum puts into the extensions:
    /// `|parts| parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())`.
    #[must_use]
    pub fn key<K: Hash>(self, key: impl Fn(&Parts) -> K + Send + Sync + 'static) -> Self {
        Self { key: Some(Arc::new(move |parts| Key::of(key(parts)))), ..self }
    }

    /// Names a further header that says how many milliseconds the caller waits.
    #[must_use]
    pub fn deadline_header(self, header: HeaderName) -> Self {
        Self { deadline: Some(header), ..self }
    }

    /// Describes a request to the policies, and puts its deadline into its extensions.
    fn attributes(&self, parts: &mut Parts) -> Attributes {
        let wait = deadline::read(&parts.headers, self.deadline.as_ref());
        let deadline = wait.map_or(Instant::FAR_FUTURE, |wait| self.operation.now() + wait);
        let key = self.key.as_ref().map_or(Key::NONE, |key| key(parts));
        if wait.is_some() {
            parts.extensions.insert(Deadline(deadline));
        }
        Attributes { key, repeatable: false, deadline, ..Attributes::default() }
    }

    fn excludes(&self, path: &str) -> bool {
        let below = |root: &String| match path.strip_prefix(root.as_str()) {
            Some("" | "/") => true,
            Some(rest) => !root.is_empty() && rest.starts_with('/'),
            None => false,
        };
        self.excluded.iter().any(below)
    }
}

impl<S, A: Clone, Tm: Timer + Clone> Layer<S> for ServerLayer<A, Tm> {
    type Service = Server<S, A, Tm>;
    fn layer(&self, service: S) -> Self::Service {
        Server { service, layer: self.clone() }
    }
}

/// A server under an operation's policies; see [`ServerLayer`].
#[derive(Clone)]
pub struct Server<S, A = NoFallback, Tm = TokioTimer> {
    service: S,
    layer: ServerLayer<A, Tm>,
}

impl<S, A, Tm> Server<S, A, Tm> {
    /// The service inside. Requests given to it do not pass through the policies.
    pub fn get_ref(&self) -> &S {
        &self.service
    }

    /// Takes the service out of the layer.
    pub fn into_inner(self) -> S {
        self.service
    }
}

/// The body of a problem document, or the service's own: with permits, or of an exempt path without.
type ServerBody<R, Tm> = Either<Full<Bytes>, Either<HeldBody<R, Tm>, R>>;

impl<S, B, R, A, Tm> Service<Request<B>> for Server<S, A, Tm>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    A: Alternative<Parts, Response<R>, S::Error> + Clone + Send + 'static,
    A::Answer: Send,
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    type Response = Response<ServerBody<R, Tm>>;
    type Error = S::Error;
    type Future = Running<Self::Response, S::Error>;

    /// Is always ready, since a refusal must not wait for the service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.service.clone();
        if self.layer.excludes(request.uri().path()) {
            return Box::pin(async move {
                let answer = Sending::new(service, request).await?;
                Ok(answer.map(|body| Either::Right(Either::Right(body))))
            });
        }
        let ServerLayer { operation, classify, fallback, .. } = self.layer.clone();
        let (mut parts, body) = request.into_parts();
        let attributes = self.layer.attributes(&mut parts);
        let fallback = fallback.map(|fallback| (fallback, parts.clone()));
        let mut request = Some(Request::from_parts(parts, body));
        let next = move |_: Attempt| request.take();
        let work = ServiceWork {
            operation: operation.name(),
            service,
            next,
            repeats: false,
            classify,
            fallback,
        };
        Box::pin(async move {
            let mut answer = match work.run_held(&operation, attributes).await {
                Ok((answer, permits)) => {
                    answer.map(|body| Either::Right(Either::Left(HeldBody::new(body, permits))))
                }
                Err(Error::Inner(error)) => return Err(error),
                Err(Error::TimedOut(elapsed)) => {
                    refusal(&operation, attributes.key, &timeout_problem(&elapsed))
                }
                Err(Error::Rejected(rejected)) => {
                    refusal(&operation, attributes.key, &rejection_problem(&rejected))
                }
            };
            write_rate_limit(answer.headers_mut(), &operation, attributes.key);
            Ok(answer)
        })
    }
}

/// The default classification. It differs from a client's: a 408 or a 429 is about the caller here, and a 501 is about
/// the handler.
fn by_fault(status: StatusCode, _: &HeaderMap) -> Outcome {
    if status.is_server_error() { Outcome::failure(Class::Transient) } else { Outcome::Success }
}

/// Makes a response of a problem, with the state of the circuit.
fn refusal<B, Tm: Timer + Clone>(
    operation: &Operation<Tm>,
    key: Key,
    problem: &Problem,
) -> Response<Either<Full<Bytes>, B>> {
    let mut response = Response::new(Either::Left(Full::from(problem.body())));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Some(seconds) = problem.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(circuit) = circuit_header(operation, key) {
        headers.insert("x-seawall-circuit", circuit);
    }
    response
}
