//! A named destination: its endpoints, its connections, and one call to it.

use super::{
    opening::{Opened, Patience},
    request::{self, Exchange, Outgoing, Refused},
};
use crate::{
    Operation,
    config::{Endpoint, Protocol, Repeatable, UpstreamConfig},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use seawall::{Attempt, CallerFault, Class, Failure, Mode, Outcome, Policy, State};
use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// Idle connections are closed after this; upstreams commonly close theirs after 60 to 75 seconds.
const POOL_IDLE: Duration = Duration::from_secs(55);

/// A named destination.
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) operation: Operation,
    patience: Patience,
    repeatable: Repeatable,
    preserve_host: bool,
    endpoints: Vec<Endpoint>,
    next: AtomicUsize,
    client: Client<HttpsConnector<HttpConnector>, Outgoing>,
}

/// Why a call gave no answer at all.
#[derive(Debug)]
pub(crate) struct CallError {
    /// The request never reached the upstream.
    pub(crate) unsent: bool,
    /// The client's own request broke off.
    by_client: bool,
    /// It took longer than this.
    pub(crate) limit: Option<Duration>,
    text: String,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CallError {}

impl CallError {
    pub(crate) fn outcome(&self) -> Outcome {
        if self.by_client {
            return client_fault();
        }
        if let Some(limit) = self.limit {
            return Outcome::TimedOut { limit };
        }
        Outcome::Failure(Failure { unsent: self.unsent, ..Failure::new(Class::Transient) })
    }

    /// The request's body is gone, so nothing was sent.
    fn spent() -> Self {
        Self { by_client: true, ..Self::broken("the request's body is spent".into()) }
    }

    /// It was answered, but not to the end of the answer's opening.
    pub(super) fn broken(text: String) -> Self {
        Self { unsent: false, by_client: false, limit: None, text }
    }

    /// Nothing of an answer came within `limit`.
    pub(super) fn late(limit: Duration, text: String) -> Self {
        Self { limit: Some(limit), ..Self::broken(text) }
    }
}

/// The client spoiled its own request: that says nothing about the upstream, and no other would fare better.
pub(super) const fn client_fault() -> Outcome {
    Outcome::CallerFault(CallerFault::Request)
}

/// The innermost cause says what happened; the outer ones only that something did.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl Upstream {
    /// `None` when an endpoint is not one; the file was checked before.
    pub(crate) fn new(name: &str, config: &UpstreamConfig, operation: Operation) -> Option<Self> {
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
            patience: Patience {
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

    /// Whether a request may be sent here again after it may have arrived.
    pub(crate) fn may_repeat(&self, method: &Method, headers: &HeaderMap) -> bool {
        match self.repeatable {
            Repeatable::Always => true,
            Repeatable::Never => false,
            Repeatable::Auto => {
                self.protocol.repeats(method) || headers.contains_key("idempotency-key")
            }
        }
    }

    /// Whether its circuit lets calls pass.
    pub(crate) fn is_healthy(&self) -> bool {
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

    /// The endpoint that the next request begins with.
    pub(crate) fn first_endpoint(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// One attempt, until the answer has begun.
    pub(crate) async fn call(
        &self,
        exchange: &Exchange,
        first_endpoint: usize,
        attempt: Attempt,
    ) -> Result<Opened, CallError> {
        let began = Instant::now();
        let waited = exchange.waited();
        let asking = self.ask(exchange, first_endpoint, attempt);
        let opened = async {
            let response = self.within_first_byte(exchange, began, asking).await?;
            let api = self.protocol.api(exchange.uri.path());
            let began = began + exchange.waited().saturating_sub(waited);
            Opened::read(response, api, self.patience, began, exchange.uploads()).await
        };
        opened.await.map_err(|error| {
            let by_client = exchange.fault().is_some() || error.by_client;
            CallError { by_client, ..error }
        })
    }

    /// Bounds the wait for an answer by `first_byte_timeout`. It stands while the client is waited for.
    async fn within_first_byte<T>(
        &self,
        exchange: &Exchange,
        began: Instant,
        asking: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let Some(limit) = self.patience.first_byte else { return asking.await };
        let mut asking = pin!(asking);
        let waited = exchange.waited();
        let due = || began + limit + exchange.waited().saturating_sub(waited);
        loop {
            match timeout_at(due(), &mut asking).await {
                Ok(answered) => return answered,
                Err(_) if Instant::now() < due() => {}
                Err(_) => {
                    return Err(CallError::late(
                        limit,
                        format!("no content came within {limit:?}"),
                    ));
                }
            }
        }
    }

    /// Asks until an endpoint answers. Further attempts begin at the next endpoint; an endpoint that refuses the connection
    /// hands over to the next at once, since the request has not left.
    async fn ask(
        &self,
        exchange: &Exchange,
        first_endpoint: usize,
        attempt: Attempt,
    ) -> Result<Response<Incoming>, CallError> {
        let turns = self.endpoints.len();
        let offset = first_endpoint.wrapping_add(attempt.number as usize - 1);
        let mut last = CallError::spent();
        for turn in 0..turns {
            let endpoint = &self.endpoints[offset.wrapping_add(turn) % turns];
            let Some(body) = exchange.body().await else { return Err(last) };
            let mut request = prepare(exchange, endpoint, body, attempt)?;
            if let Some(host) = exchange.host.as_ref().filter(|_| self.preserve_host) {
                request.headers_mut().insert(header::HOST, host.clone());
            }
            match self.client.request(request).await {
                // Nobody asked for another protocol, and there is no way to pass one on.
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let text = format!("{}: it switched protocols unasked", endpoint.authority);
                    return Err(CallError::broken(text));
                }
                // hyper takes off `chunked` only; what is coded below it cannot be passed on unnamed.
                Ok(response) if !request::is_plainly_coded(response.headers()) => {
                    let text =
                        format!("{}: it used an unknown transfer coding", endpoint.authority);
                    return Err(CallError::broken(text));
                }
                Ok(response) => return Ok(response),
                Err(error) => {
                    let unsent = error.is_connect();
                    let text = format!("{}: {}", endpoint.authority, innermost(&error));
                    last = CallError { unsent, ..CallError::broken(text) };
                    if !unsent {
                        return Err(last);
                    }
                }
            }
        }
        Err(last)
    }
}

fn prepare(
    exchange: &Exchange,
    endpoint: &Endpoint,
    body: Outgoing,
    attempt: Attempt,
) -> Result<Request<Outgoing>, CallError> {
    let uri = endpoint.uri(&exchange.uri).ok_or_else(|| {
        exchange.blame(Refused::TooLong);
        let text = "the path does not make an address".into();
        CallError { unsent: true, by_client: true, ..CallError::broken(text) }
    })?;
    let mut request = Request::new(body);
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.clone_from(&exchange.headers);
    headers.insert(header::HOST, endpoint.host.clone());
    headers.insert(seawall_tower::ATTEMPT_HEADER, HeaderValue::from(attempt.number));
    let over_tcp = endpoint.scheme == uri::Scheme::HTTP;
    exchange.frame(headers, over_tcp);
    exchange.take_interim(&mut request);
    Ok(request)
}
