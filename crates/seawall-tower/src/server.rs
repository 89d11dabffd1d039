//! Around a server: what it does itself may fail, and too many may ask.

use crate::{
    Deadline, HeldBody, Problem, TokioTimer,
    circuit::circuit_header,
    deadline,
    once::{Answered, Judge, Once, own},
    operation::Running,
    rejection_problem,
    sending::Sending,
    timeout_problem,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, request::Parts,
};
use http_body::Body;
use http_body_util::{Either, Full};
use seawall::{Attributes, Class, Error, Instant, Operation, Outcome, Timer};
use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a server, such as an axum router, under an operation's policies.
///
/// Refusals and timeouts are answered with problem documents (429, 503, 504, with `Retry-After` and
/// `x-seawall-circuit`); the service's own answers and errors pass through untouched. 5xx count as failures,
/// 4xx do not, and a handler that panics counts as one that failed. Requests are never handled twice. A caller
/// who says how long it waits (`grpc-timeout`, `x-envoy-expected-rq-timeout-ms`) is not worked for any longer, and
/// the handler finds a [`Deadline`] in the request's extensions.
#[derive(Clone)]
pub struct ServerLayer<Tm = TokioTimer> {
    operation: Operation<Tm>,
    judge: Judge,
    excluded: Arc<[String]>,
    key: Option<Key>,
    deadline: Option<HeaderName>,
}

/// Who is asking, as a hash.
type Key = Arc<dyn Fn(&Parts) -> u64 + Send + Sync>;

impl<Tm: Timer + Clone> ServerLayer<Tm> {
    /// Under this operation: every 5xx is a failure, and nothing else.
    pub fn new(operation: Operation<Tm>) -> Self {
        Self {
            operation,
            judge: Arc::new(by_fault),
            excluded: Arc::default(),
            key: None,
            deadline: None,
        }
    }

    /// Says by status and headers which answers are failures.
    #[must_use]
    pub fn classify(
        self,
        judge: impl Fn(StatusCode, &HeaderMap) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self { judge: Arc::new(judge), ..self }
    }

    /// Lets these paths and all below them pass untouched. They match by whole segments: `/health` is also
    /// `/health/live`, and not `/healthz`. `/` is the root alone: it would take in everything.
    #[must_use]
    pub fn exclude<P: Into<String>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        let trimmed = |path: P| path.into().trim_end_matches('/').to_owned();
        Self { excluded: paths.into_iter().map(trimmed).collect(), ..self }
    }

    /// Who is asking, for keyed rate limits: a header, or the peer's address, which axum puts into the
    /// extensions: `|parts| parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())`.
    /// All for whom the key is the same share a limit.
    #[must_use]
    pub fn key<K: Hash>(self, key: impl Fn(&Parts) -> K + Send + Sync + 'static) -> Self {
        // A secret of its own, so that nobody can choose keys that collide.
        let secret = RandomState::new();
        Self { key: Some(Arc::new(move |parts| secret.hash_one(key(parts)))), ..self }
    }

    /// Reads from this header, too, how many milliseconds the caller waits.
    #[must_use]
    pub fn deadline_header(self, header: HeaderName) -> Self {
        Self { deadline: Some(header), ..self }
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

impl<S, Tm: Timer + Clone> Layer<S> for ServerLayer<Tm> {
    type Service = Server<S, Tm>;
    fn layer(&self, service: S) -> Self::Service {
        Server { service, layer: self.clone() }
    }
}

/// A server under an operation's policies; see [`ServerLayer`].
#[derive(Clone)]
pub struct Server<S, Tm = TokioTimer> {
    service: S,
    layer: ServerLayer<Tm>,
}

/// A problem; or the service's own body, under permits or of an excluded path.
type ServerBody<R, Tm> = Either<Full<Bytes>, Either<HeldBody<R, Tm>, R>>;

impl<S, B, R, Tm> Service<Request<B>> for Server<S, Tm>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    type Response = Response<ServerBody<R, Tm>>;
    type Error = S::Error;
    type Future = Running<Self::Response, S::Error>;

    /// Always ready: a refusal must not wait for the service.
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
        let ServerLayer { operation, judge, key, deadline: header, .. } = self.layer.clone();
        let (mut parts, body) = request.into_parts();
        let key = key.map_or(0, |key| key(&parts));
        let waits = deadline::read(&parts.headers, header.as_ref());
        let deadline = waits.map_or(Instant::FAR_FUTURE, |wait| operation.now() + wait);
        if waits.is_some() {
            parts.extensions.insert(Deadline(deadline));
        }
        let attributes = Attributes {
            key,
            repeatable: false,
            streamed: true,
            deadline,
            ..Attributes::default()
        };
        let mut request = Some(Request::from_parts(parts, body));
        Box::pin(async move {
            let handle = move |_| Once::new(service.clone(), request.take());
            let refusal = match operation.call_held(attributes, &Answered(&judge), handle).await {
                Ok((answer, permits)) => {
                    let held = |body| Either::Right(Either::Left(HeldBody::new(body, permits)));
                    return Ok(answer.map(held));
                }
                Err(error) => match own(error) {
                    Error::Inner(error) => return Err(error),
                    Error::TimedOut(elapsed) => timeout_problem(&elapsed),
                    Error::Rejected(rejection) => rejection_problem(&operation.name(), &rejection),
                },
            };
            let mut answer = answer(&refusal);
            if let Some(circuit) = circuit_header(&operation, key) {
                answer.headers_mut().insert("x-seawall-circuit", circuit);
            }
            Ok(answer)
        })
    }
}

/// Whose fault an answer of our own is: a client that was too slow (408) or too frequent (429) says nothing
/// about the handler, and a 501 does.
fn by_fault(status: StatusCode, _: &HeaderMap) -> Outcome {
    if status.is_server_error() { Outcome::failure(Class::Transient) } else { Outcome::Success }
}

fn answer<B>(problem: &Problem) -> Response<Either<Full<Bytes>, B>> {
    let mut response = Response::new(Either::Left(Full::from(problem.body())));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Some(seconds) = problem.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
