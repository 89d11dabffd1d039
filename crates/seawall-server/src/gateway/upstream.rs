//! A named destination: its endpoints, its connections, and one call to it.

use super::{
    headers::is_plainly_coded,
    request::{InboundRequest, OutgoingBody, RequestError},
    response_start::{Reading, ResponseTimeouts, StartedResponse},
    upstream_body::no_content_within,
};
use crate::{
    config::{Endpoint, Protocol, Repeatable, UpstreamConfig},
    runtime::Operation,
};
use http::{HeaderValue, Request, Response, StatusCode, header, uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use seawall::{Attempt, CallerFault, Class, Failure, Key, Mode, Outcome, Policy, State};
use seawall_tower::ATTEMPT_HEADER;
use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long an idle connection is kept. Upstreams commonly close theirs after 60 to 75 seconds.
const POOL_IDLE: Duration = Duration::from_secs(55);

/// A named destination, with its operation and its connections.
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) protocol: Protocol,
    pub(super) operation: Operation,
    timeouts: ResponseTimeouts,
    repeatable: Repeatable,
    preserve_host: bool,
    endpoints: Vec<Endpoint>,
    next: AtomicUsize,
    client: Client<HttpsConnector<HttpConnector>, OutgoingBody>,
}

/// The reason why a call gave no answer at all.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) kind: CallErrorKind,
    detail: String,
}

/// The kinds of failed calls that policies and clients distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallErrorKind {
    /// No endpoint took a connection, so the request never left.
    NotSent,
    /// The connection or the answer broke off before the answer had begun.
    Broken,
    /// Nothing of an answer came within this time.
    Late(Duration),
    /// The client spoiled its own request.
    ClientFault,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for CallError {}

impl CallError {
    fn new(kind: CallErrorKind, detail: String) -> Self {
        Self { kind, detail }
    }

    /// The connection or the answer broke off.
    pub(super) fn broken(detail: String) -> Self {
        Self::new(CallErrorKind::Broken, detail)
    }

    /// An error for a call of which nothing came within `limit`.
    pub(super) fn late(limit: Duration, detail: String) -> Self {
        Self::new(CallErrorKind::Late(limit), detail)
    }

    /// The outcome that policies see.
    pub(super) fn outcome(&self) -> Outcome {
        match self.kind {
            CallErrorKind::ClientFault => CLIENT_FAULT,
            CallErrorKind::Late(limit) => Outcome::TimedOut { limit },
            CallErrorKind::NotSent | CallErrorKind::Broken => Outcome::Failure(Failure {
                unsent: self.kind == CallErrorKind::NotSent,
                ..Failure::new(Class::Transient)
            }),
        }
    }
}

/// The outcome where the client spoiled its own request: that says nothing about the upstream, and no other upstream
/// would fare better.
pub(super) const CLIENT_FAULT: Outcome = Outcome::CallerFault(CallerFault::Request);

/// The text of the innermost cause: it says what happened, the outer ones only that something did.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl Upstream {
    /// `None` when an endpoint is not one; the file was checked before.
    pub(super) fn new(name: &str, config: &UpstreamConfig, operation: Operation) -> Option<Self> {
        let endpoints: Option<Vec<_>> =
            config.endpoints.iter().map(|text| Endpoint::parse(text)).collect();
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(config.connect_timeout));
        tcp.set_happy_eyeballs_timeout(Some(Duration::from_millis(300)));
        tcp.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        // In HTTP/2 the endpoint's name would stand beside the client's, and servers refuse such requests.
        let connector = if config.preserve_host {
            connector.wrap_connector(tcp)
        } else {
            connector.enable_http2().wrap_connector(tcp)
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(connector);
        Some(Self {
            name: name.to_owned(),
            protocol: config.protocol,
            operation,
            timeouts: ResponseTimeouts {
                first_byte: config.first_byte_timeout,
                idle: config.stream_idle_timeout,
                hold: config.hold_headers,
            },
            repeatable: config.repeatable,
            preserve_host: config.preserve_host,
            endpoints: endpoints.filter(|endpoints| !endpoints.is_empty())?,
            next: AtomicUsize::new(0),
            client,
        })
    }

    /// Whether a request may be sent to this upstream again after it may have arrived.
    pub(super) fn may_repeat(&self, request: &InboundRequest) -> bool {
        request.is_replayable()
            && match self.repeatable {
                Repeatable::Always => true,
                Repeatable::Never => false,
                Repeatable::Auto => {
                    self.protocol.repeats(&request.method)
                        || request.headers.contains_key("idempotency-key")
                }
            }
    }

    /// Whether the circuit of this upstream lets calls pass.
    pub(super) fn is_healthy(&self) -> bool {
        let pipeline = self.operation.pipeline();
        let acts = |at: usize| pipeline.mode(at) == Mode::Enforce;
        let mut policies = pipeline.policies().iter().enumerate();
        !policies.any(|(at, policy)| match policy {
            Policy::CircuitBreaker(breaker) => {
                acts(at) && matches!(breaker.state(), State::Open | State::ForcedOpen)
            }
            _ => false,
        })
    }

    /// Whether the circuit of this upstream is open, and the time for a probe has not come.
    pub(super) fn is_cut_off(&self) -> bool {
        let now = self.operation.now();
        self.operation.pipeline().circuit(now).is_some_and(|view| {
            let open = matches!(view.state, State::Open | State::ForcedOpen);
            view.mode == Mode::Enforce && open && view.next_probe_at.is_none_or(|at| at > now)
        })
    }

    /// The state of the upstream's circuit; none without a breaker.
    pub(super) fn circuit(&self) -> Option<State> {
        let state = self.operation.pipeline().circuit_state(self.operation.now(), Key::NONE);
        state.map(|(state, _)| state)
    }

    /// The endpoint that the next request begins with.
    pub(super) fn first_endpoint(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes one attempt, until the answer has begun.
    pub(super) async fn call(
        &self,
        request: &InboundRequest,
        first_endpoint: usize,
        attempt: Attempt,
    ) -> Result<StartedResponse, CallError> {
        let (began, waited) = (Instant::now(), request.waited());
        let started = async {
            let asking = self.ask(request, first_endpoint, attempt);
            let response = self.within_first_byte(request, began, asking).await?;
            let api = self.protocol.api(request.uri.path());
            let began = began + request.waited().saturating_sub(waited);
            let reading = Reading { api, counts_tokens: request.estimate.is_some(), began };
            StartedResponse::read(response, reading, self.timeouts, request.upload()).await
        };
        started.await.map_err(|error| match request.fault() {
            Some(_) => CallError { kind: CallErrorKind::ClientFault, ..error },
            None => error,
        })
    }

    /// Bounds the wait for an answer by `first_byte_timeout`. It stands while the client is waited for.
    async fn within_first_byte<T>(
        &self,
        request: &InboundRequest,
        began: Instant,
        asking: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let Some(limit) = self.timeouts.first_byte else { return asking.await };
        let mut asking = pin!(asking);
        let waited = request.waited();
        let due = || began + limit + request.waited().saturating_sub(waited);
        loop {
            match timeout_at(due(), &mut asking).await {
                Ok(answered) => return answered,
                Err(_) if Instant::now() < due() => {}
                Err(_) => return Err(CallError::late(limit, no_content_within(limit))),
            }
        }
    }

    /// Asks the endpoints in turn until one answers. Further attempts begin at the next endpoint; an endpoint that
    /// refuses the connection hands over to the next at once, since the request has not left.
    async fn ask(
        &self,
        inbound: &InboundRequest,
        first_endpoint: usize,
        attempt: Attempt,
    ) -> Result<Response<Incoming>, CallError> {
        let turns = self.endpoints.len();
        let offset = first_endpoint.wrapping_add(attempt.number as usize - 1);
        let gone = "the request's body is gone";
        let mut last = CallError::new(CallErrorKind::ClientFault, gone.into());
        for turn in 0..turns {
            let endpoint = &self.endpoints[offset.wrapping_add(turn) % turns];
            let Some(body) = inbound.body().await else { break };
            let request = self.outgoing(inbound, endpoint, body, attempt)?;
            match self.client.request(request).await {
                Ok(response) => return accept(response, endpoint),
                Err(error) => {
                    let unsent = error.is_connect();
                    let kind = if unsent { CallErrorKind::NotSent } else { CallErrorKind::Broken };
                    let detail = format!("{}: {}", endpoint.authority, innermost(&error));
                    last = CallError::new(kind, detail);
                    if !unsent {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// The request as this endpoint gets it.
    fn outgoing(
        &self,
        inbound: &InboundRequest,
        endpoint: &Endpoint,
        body: OutgoingBody,
        attempt: Attempt,
    ) -> Result<Request<OutgoingBody>, CallError> {
        let uri = endpoint.uri(&inbound.uri).ok_or_else(|| {
            inbound.blame(RequestError::PathTooLong);
            let detail = "the path does not make an address".into();
            CallError::new(CallErrorKind::ClientFault, detail)
        })?;
        let mut request = Request::new(body);
        *request.method_mut() = inbound.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.clone_from(&inbound.headers);
        let host = inbound.host.as_ref().filter(|_| self.preserve_host);
        headers.insert(header::HOST, host.unwrap_or(&endpoint.host).clone());
        headers.insert(ATTEMPT_HEADER, HeaderValue::from(attempt.number));
        let over_tcp = endpoint.scheme == uri::Scheme::HTTP;
        inbound.add_connection_headers(headers, over_tcp);
        inbound.relay_interim(&mut request);
        Ok(request)
    }
}

/// Refuses an answer that cannot be passed on.
fn accept(
    response: Response<Incoming>,
    endpoint: &Endpoint,
) -> Result<Response<Incoming>, CallError> {
    let broken = |what| Err(CallError::broken(format!("{}: {what}", endpoint.authority)));
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // No client asked for another protocol, and there is no way to pass one on.
        broken("it switched protocols unasked")
    } else if !is_plainly_coded(response.headers()) {
        // hyper takes off `chunked` only; what is coded below it cannot be passed on unnamed.
        broken("it used an unknown transfer coding")
    } else {
        Ok(response)
    }
}
