//! The data path: a request's life in named phases.
//!
//! match a route → read the body as far as it is kept → the route's own policies (rate limit, fallback) → for
//! each upstream asked: its policies → a call → the answer, streamed, with the permits held to its end.

use crate::{GatewayConfig, HeldPermits, Operation, Registry};
use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use seawall::{Attempt, Attributes, Classify, Error, Key, Outcome, Work, WorkResult};
use seawall_tower::{ATTEMPT_HEADER, Problem, circuit_header, rejection_problem, timeout_problem};
use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

pub(crate) mod body;
mod calls;
mod event;
pub(crate) mod forward;
pub(crate) mod interim;
mod kept;
mod members;
mod opening;
pub(crate) mod places;
pub(crate) mod protocol;
pub(crate) mod reply;
mod request;
pub(crate) mod route;
mod stream;
mod table;
mod trailers;
pub(crate) mod upload;
pub(crate) mod upstream;

use body::{AnswerBody, Passing};
use calls::{ByOpening, Calls};
use forward::Pseudonym;
use interim::{InterimRelay, InterimSender};
use opening::Opened;
use places::Places;
use protocol::Api;
pub(crate) use request::is_plainly_coded;
use request::{Exchange, Refused};
use route::{Match, Route};
pub(crate) use table::Plan;
use table::Table;
use upstream::{CallError, Upstream};

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");
/// The longest `Retry-After` that is waited for while a healthy fallback stands ready.
const WORTH_WAITING: Duration = Duration::from_secs(1);

/// Everything the data path needs.
pub(crate) struct Gateway {
    table: ArcSwap<Table>,
    pseudonym: Arc<Pseudonym>,
    pub(crate) places: Places,
}

/// Who asks.
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    /// Where interim responses go, if the client can take some.
    pub(crate) interim: Option<InterimSender>,
}

/// An answer, with what must live as long as its body.
struct Answer {
    opened: Opened,
    permits: HeldPermits,
    upstream: Arc<Upstream>,
}

/// What one request leaves for its response, whatever becomes of it.
struct Trail {
    correlation: HeaderValue,
    calls: AtomicU32,
}

impl Gateway {
    /// Registers an operation for each upstream and each route.
    pub(crate) fn new(config: &GatewayConfig, registry: &Registry) -> Result<Self, String> {
        let table = Table::default().plan(config, registry)?.commit()?;
        Ok(Self {
            table: ArcSwap::from_pointee(table),
            pseudonym: Arc::new(Pseudonym::new()),
            places: Places::default(),
        })
    }

    /// Makes everything that another configuration needs, and touches nothing that is in force.
    pub(crate) fn plan(&self, config: &GatewayConfig, registry: &Registry) -> Result<Plan, String> {
        self.table.load().plan(config, registry)
    }

    /// Puts a plan in force, at once. Requests in progress end under the configuration they began with.
    ///
    /// # Errors
    /// When the registry has no room for it any more; then nothing changes.
    pub(crate) fn commit(&self, plan: Plan) -> Result<(), String> {
        self.table.store(Arc::new(plan.commit()?));
        Ok(())
    }

    /// Answers one request. Dropping the future cancels the upstream's call.
    pub(crate) async fn handle(
        &self,
        request: Request<Incoming>,
        client: Client,
    ) -> Response<AnswerBody> {
        let correlation = correlation_id(request.headers());
        let trail = Arc::new(Trail { correlation, calls: AtomicU32::new(0) });
        let table = self.table.load_full();
        let mut response = match route::find(&table.routes, request.method(), request.uri().path())
        {
            Match::Route(route) => self.take(route, &table, request, client, &trail).await,
            Match::Methods(allowed) => method_not_allowed(&request, &allowed),
            Match::Nothing => not_found(&request),
        };
        let headers = response.headers_mut();
        headers.insert(CORRELATION, trail.correlation.clone());
        let calls = trail.calls.load(Ordering::Relaxed);
        headers.insert(HeaderName::from_static("x-seawall-attempts"), HeaderValue::from(calls));
        response
    }

    async fn take(
        &self,
        route: &Arc<Route>,
        table: &Table,
        request: Request<Incoming>,
        client: Client,
        trail: &Arc<Trail>,
    ) -> Response<AnswerBody> {
        let first = &route.upstreams[0];
        let (parts, body) = request.into_parts();
        let api = first.protocol.api(parts.uri.path()).or_else(|| Api::of(&parts.headers));
        if self.pseudonym.is_in(&parts.headers) {
            return self.looped(&parts, api);
        }
        let (peer, version) = (client.peer.ip(), parts.version);
        let address = table.forwarding.client(&parts.headers, peer);
        let key = route.key(&parts.headers, address);
        let mut exchange = match Exchange::read(parts, body, &table.limits).await {
            Ok(exchange) => exchange,
            Err(refused) => return reply::problem(&refused.problem(), api),
        };
        // Whoever marks its attempts retries by itself: two layers of retries would multiply.
        let retried_outside = exchange.headers.remove(ATTEMPT_HEADER).is_some();
        table.forwarding.write(&mut exchange.headers, peer);
        self.pseudonym.add_to(&mut exchange.headers, version);
        exchange.headers.insert(CORRELATION, trail.correlation.clone());
        exchange.interim =
            client.interim.map(|sender| InterimRelay { sender, pseudonym: self.pseudonym.clone() });
        request::join_cookies(&mut exchange.headers);
        let repeatable = exchange.is_kept() && !retried_outside;
        let attributes = Attributes {
            key,
            streamed: true,
            fallbacks: route.upstreams.len() as u32 - 1,
            ..Attributes::default()
        };
        let exchange = Arc::new(exchange);
        let asked = Asked {
            exchange: exchange.clone(),
            upstreams: route.upstreams.clone(),
            trail: trail.clone(),
            repeatable,
        };
        match route.operation.drive(attributes, &ByAnswer, asked).await {
            Ok((answer, permits)) => {
                respond(answer, permits, &self.pseudonym, table.limits.write_timeout)
            }
            Err(error) => match exchange.fault() {
                Some(refused) => reply::problem(&refused.problem(), api),
                None => refuse(&route.operation, first, api, error.flatten()),
            },
        }
    }
}

/// The work of a route: ask the first upstream, then its fallbacks.
struct Asked {
    exchange: Arc<Exchange>,
    upstreams: Vec<Arc<Upstream>>,
    trail: Arc<Trail>,
    repeatable: bool,
}

type Answering = Pin<Box<dyn Future<Output = Result<Answer, Error<CallError>>> + Send>>;

impl Work for Asked {
    type Value = Answer;
    type Error = Error<CallError>;
    type Call = Answering;
    type Alternative = Answering;

    fn alternatives(&self) -> u32 {
        self.upstreams.len().saturating_sub(1) as u32
    }

    fn call(&mut self, _: Attempt) -> Answering {
        self.ask(0)
    }

    fn fallback(
        &mut self,
        nth: u32,
        failed: WorkResult<Self>,
    ) -> Result<Answering, WorkResult<Self>> {
        if self.exchange.is_spent() { Err(failed) } else { Ok(self.ask(nth as usize)) }
    }

    fn caller_wait(&self) -> Duration {
        self.exchange.waited()
    }
}

impl Asked {
    fn ask(&self, which: usize) -> Answering {
        let upstream = self.upstreams[which].clone();
        let (exchange, trail) = (self.exchange.clone(), self.trail.clone());
        let may_repeat = upstream.may_repeat(&exchange.method, &exchange.headers);
        let repeatable = self.repeatable && may_repeat;
        let max_retry_after = if self.upstreams[which + 1..].iter().any(|next| next.is_healthy()) {
            WORTH_WAITING
        } else {
            Duration::MAX
        };
        Box::pin(async move {
            let attributes =
                Attributes { repeatable, streamed: true, max_retry_after, ..Attributes::default() };
            let first_endpoint = upstream.first_endpoint();
            let operation = upstream.operation.clone();
            let call = |attempt| {
                trail.calls.fetch_add(1, Ordering::Relaxed);
                let (upstream, exchange) = (upstream.clone(), exchange.clone());
                async move { upstream.call(&exchange, first_endpoint, attempt).await }
            };
            let waited = exchange.waited();
            let calls = Calls { call, exchange: exchange.clone(), waited };
            let (opened, permits) = operation.drive(attributes, &ByOpening, calls).await?;
            Ok(Answer { opened, permits, upstream })
        })
    }
}

/// Classifies what an upstream's whole pipeline gave.
struct ByAnswer;

impl Classify<Answer, Error<CallError>> for ByAnswer {
    fn classify(&self, result: &Result<Answer, Error<CallError>>) -> Outcome {
        match result {
            Ok(answer) => answer.opened.outcome(),
            Err(error) => error.outcome(CallError::outcome),
        }
    }
}

fn respond(
    answer: Answer,
    route_permits: HeldPermits,
    pseudonym: &Pseudonym,
    write_timeout: Duration,
) -> Response<AnswerBody> {
    let Answer { opened: Opened { mut parts, rest, .. }, permits, upstream } = answer;
    pseudonym.add_to(&mut parts.headers, parts.version);
    // The version is of one connection, as those headers are.
    parts.version = http::Version::HTTP_11;
    request::remove_connection_headers(&mut parts.headers);
    // A 204 promises nothing (RFC 9110, 8.6); of a stream nobody knows the length, as an error event may come in
    // place of its end.
    if parts.status == StatusCode::NO_CONTENT || rest.watch.is_some() {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    describe(&mut parts.headers, &upstream);
    let body = Passing::body(rest, [permits, route_permits], write_timeout);
    Response::from_parts(parts, body)
}

/// Who answered, and how its circuit stands.
fn describe(headers: &mut HeaderMap, upstream: &Upstream) {
    if let Ok(name) = HeaderValue::from_str(&upstream.name) {
        headers.insert(HeaderName::from_static("x-seawall-upstream"), name);
    }
    // Calls of an upstream carry no key.
    let circuit = circuit_header(&upstream.operation, Key::NONE);
    let circuit = circuit.unwrap_or_else(|| HeaderValue::from_static("none"));
    headers.insert(HeaderName::from_static("x-seawall-circuit"), circuit);
}

/// What a request that got no answer is told.
fn refuse(
    route: &Operation,
    first: &Upstream,
    api: Option<Api>,
    error: Error<CallError>,
) -> Response<AnswerBody> {
    let problem = match &error {
        Error::Rejected(rejection) if rejection.reason == seawall::Reason::RateLimited => {
            rejection_problem(&route.name(), rejection)
        }
        Error::Rejected(rejection) => rejection_problem(&first.name, rejection),
        Error::TimedOut(elapsed) => timeout_problem(elapsed),
        Error::Inner(error) if error.limit.is_some() => Problem {
            status: StatusCode::GATEWAY_TIMEOUT,
            title: "Timed out",
            detail: format!("{}: {error}", first.name),
            policy: "timeout",
            reason: "timed_out",
            retry_after: Some(Duration::from_secs(1)),
        },
        Error::Inner(error) => Problem {
            status: StatusCode::BAD_GATEWAY,
            title: "No answer from the upstream",
            detail: format!("{}: {error}", first.name),
            policy: "upstream",
            reason: if error.unsent { "connect" } else { "broken" },
            retry_after: None,
        },
    };
    let mut response = reply::problem(&problem, api);
    describe(response.headers_mut(), first);
    response
}

impl Refused {
    fn problem(&self) -> Problem {
        match self {
            Self::TooLarge(bound) => reply::plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Body too large",
                format!("the body is longer than limits.max_body_bytes, {bound}"),
            ),
            Self::TooSlow(bound) => reply::plain(
                StatusCode::REQUEST_TIMEOUT,
                "Request too slow",
                format!("nothing came for limits.client_timeout, {bound:?}"),
            ),
            Self::BelowRate(rate) => reply::plain(
                StatusCode::REQUEST_TIMEOUT,
                "Request too slow",
                format!("it came with fewer bytes a second than limits.min_upload_rate, {rate}"),
            ),
            Self::TooLong => reply::plain(
                StatusCode::URI_TOO_LONG,
                "Path too long",
                "behind the path of the upstream's endpoint it is longer than an address may be"
                    .into(),
            ),
            Self::Broken => reply::plain(
                StatusCode::BAD_REQUEST,
                "Broken request",
                "the body broke off before its end".into(),
            ),
        }
    }
}

fn method_not_allowed(
    request: &Request<Incoming>,
    allowed: &[http::Method],
) -> Response<AnswerBody> {
    let list = allowed.iter().map(http::Method::as_str).collect::<Vec<_>>().join(", ");
    let detail = format!("{} takes {list}, not {}", request.uri().path(), request.method());
    let (status, api) = (StatusCode::METHOD_NOT_ALLOWED, Api::of(request.headers()));
    let mut response = reply::problem(&reply::plain(status, "Method not allowed", detail), api);
    if let Ok(list) = HeaderValue::from_str(&list) {
        response.headers_mut().insert(header::ALLOW, list);
    }
    response
}

fn not_found(request: &Request<Incoming>) -> Response<AnswerBody> {
    let detail = format!("no route for {} {}", request.method(), request.uri().path());
    let problem = reply::plain(StatusCode::NOT_FOUND, "No route", detail);
    reply::problem(&problem, Api::of(request.headers()))
}

/// The client's own id where it sent a sound one, else a new one.
fn correlation_id(headers: &HeaderMap) -> HeaderValue {
    let sound = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=128).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    if let Some(own) = headers.get(CORRELATION).filter(sound) {
        return own.clone();
    }
    let id = format!("{:016x}", seawall::Random::new(seawall::fresh_seed()).bits());
    HeaderValue::try_from(id).expect("hexadecimal digits are visible ASCII")
}
