//! The data path: a request's life in named phases.
//!
//! match a route → read the body as far as it is kept → the route's own policies (rate limit, fallback) → for
//! each upstream asked: its policies → a call → the answer, streamed, with the permits held to its end.

use crate::{
    config::{GatewayConfig, KeySource},
    runtime::{HeldPermits, Operation, Registry},
};
use arc_swap::ArcSwap;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header,
    request::Parts,
};
use hyper::body::Incoming;
use seawall::{Attributes, Key};
use seawall_tower::circuit_header;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

mod buffered_body;
pub(crate) mod client_body;
mod event_json;
mod forward;
pub(crate) mod headers;
pub(crate) mod in_flight;
pub(crate) mod interim;
pub(crate) mod problem_response;
mod protocol;
mod refusal;
mod request;
pub(crate) mod response_body;
mod response_start;
mod route;
mod routing_table;
mod sse;
mod sse_monitor;
mod upload;
mod upstream;
mod upstream_body;
mod work;

use forward::Pseudonym;
use in_flight::InFlight;
use interim::{InterimRelay, InterimSender};
use problem_response::problem_response;
use protocol::Api;
use request::{InboundRequest, RequestError};
use response_body::{AnswerPermits, ResponseBody, StreamedBody};
use response_start::StartedResponse;
use route::{Match, Route};
pub(crate) use routing_table::Plan;
use routing_table::RoutingTable;
use upstream::Upstream;
use work::{RouteWork, UpstreamAnswer, classify_answer};

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// The data path: its routing table, and what lasts from one table to the next.
pub(crate) struct Gateway {
    table: ArcSwap<RoutingTable>,
    pseudonym: Arc<Pseudonym>,
    pub(crate) in_flight: InFlight,
}

/// The client of one request.
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    /// The sender of interim responses, if the client can take some.
    pub(crate) interim: Option<InterimSender>,
}

/// The facts about one request that its log line and its answer need, whatever becomes of it.
struct RequestTrace {
    correlation: HeaderValue,
    /// The operation of the route that the request comes under, once there is one.
    operation: Option<Operation>,
    /// The key of the route's rate limit.
    key: Key,
    /// Calls of all upstreams; the permits of an answer know only those of the upstream that gave it.
    calls: AtomicU32,
    /// The number of upstreams of the route that were asked.
    asked: AtomicUsize,
}

impl RequestTrace {
    fn note_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// The upstream at this position of the route is asked.
    fn note_upstream(&self, position: usize) {
        self.asked.store(position + 1, Ordering::Relaxed);
    }

    /// The upstream that was asked last.
    fn last_asked<'r>(&self, route: &'r Route) -> Option<&'r Upstream> {
        let position = self.asked.load(Ordering::Relaxed).checked_sub(1)?;
        route.upstreams.get(position).map(Arc::as_ref)
    }
}

impl Gateway {
    /// Makes the data path of a configuration: an operation for each upstream and each route is registered.
    ///
    /// # Errors
    /// When the configuration does not make a routing table, or the registry has no room.
    pub(crate) fn new(config: &GatewayConfig, registry: &Registry) -> Result<Self, String> {
        let table = RoutingTable::default().plan(config, registry)?.commit()?;
        Ok(Self {
            table: ArcSwap::from_pointee(table),
            pseudonym: Arc::new(Pseudonym::new()),
            in_flight: InFlight::default(),
        })
    }

    /// What the rate limits of this operation count by; `None` if it is no route's.
    pub(crate) fn key_source(&self, operation: &str) -> Option<KeySource> {
        let table = self.table.load();
        let route = table.routes.iter().find(|route| route.has_operation(operation))?;
        Some(route.key_source().clone())
    }

    /// Makes everything that another configuration needs, and touches nothing that is in force.
    ///
    /// # Errors
    /// When the configuration does not make a routing table, or the registry has no room.
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
    ) -> Response<ResponseBody> {
        let mut trace = RequestTrace {
            correlation: correlation_id(request.headers()),
            operation: None,
            key: Key::NONE,
            calls: AtomicU32::new(0),
            asked: AtomicUsize::new(0),
        };
        let table = self.table.load_full();
        let mut response = match route::find(&table.routes, request.method(), request.uri().path())
        {
            Match::Route(route) => self.route(route, &table, request, client, &mut trace).await,
            Match::Methods(allowed) => refusal::method_not_allowed(&request, &allowed),
            Match::Nothing => refusal::not_found(&request),
        };
        let headers = response.headers_mut();
        headers.insert("x-seawall-attempts", HeaderValue::from(trace.calls.into_inner()));
        headers.insert(CORRELATION, trace.correlation);
        response
    }

    /// Answers a request along its route.
    async fn route(
        &self,
        route: &Route,
        table: &RoutingTable,
        request: Request<Incoming>,
        client: Client,
        trace: &mut RequestTrace,
    ) -> Response<ResponseBody> {
        let (parts, body) = request.into_parts();
        let protocol = route.upstreams[0].protocol;
        let api = protocol.api(parts.uri.path()).or_else(|| Api::of(&parts.headers));
        if self.pseudonym.is_in(&parts.headers) {
            return self.looped(&parts, api);
        }
        let address = table.forwarding.client(&parts.headers, client.peer.ip());
        trace.key = route.key(&parts.headers, address);
        let operation = route.operation(&parts.headers, table.forwarding.trusts(client.peer.ip()));
        trace.operation = Some(operation.clone());
        let request = match self.receive(parts, body, table, client, trace).await {
            Ok(request) => request,
            Err(error) => return problem_response(&error.problem(), api),
        };
        let attributes = Attributes { key: trace.key, ..Attributes::default() };
        let work = RouteWork { request: &request, upstreams: &route.upstreams, trace };
        let run = operation.drive(work).attributes(attributes).classify(classify_answer);
        match run.held().await {
            Ok((answer, permits)) => self.respond(answer, permits, table.limits.write_timeout),
            Err(error) => match request.fault() {
                Some(fault) => problem_response(&fault.problem(), api),
                None => refusal::refuse(route, error, api, trace),
            },
        }
    }

    /// Reads a request, and makes its headers those that upstreams get.
    async fn receive(
        &self,
        parts: Parts,
        body: Incoming,
        table: &RoutingTable,
        client: Client,
        trace: &RequestTrace,
    ) -> Result<InboundRequest, RequestError> {
        let version = parts.version;
        let mut request = InboundRequest::read(parts, body, &table.limits).await?;
        request.interim =
            client.interim.map(|sender| InterimRelay { sender, pseudonym: self.pseudonym.clone() });
        table.forwarding.write(&mut request.headers, client.peer.ip());
        self.pseudonym.add_to(&mut request.headers, version);
        request.headers.insert(CORRELATION, trace.correlation.clone());
        headers::join_cookies(&mut request.headers);
        Ok(request)
    }

    /// Makes the response from an upstream's answer.
    fn respond(
        &self,
        answer: UpstreamAnswer<'_>,
        route_permits: HeldPermits,
        write_timeout: Duration,
    ) -> Response<ResponseBody> {
        let UpstreamAnswer { upstream, started, permits } = answer;
        let StartedResponse { mut parts, body, .. } = started;
        self.pseudonym.add_to(&mut parts.headers, parts.version);
        // The version is of one connection, as those headers are.
        parts.version = Version::HTTP_11;
        headers::remove_connection_headers(&mut parts.headers);
        // A 204 promises nothing (RFC 9110, 8.6); the length of a stream is unknown, as an error event may come in
        // place of its end.
        if parts.status == StatusCode::NO_CONTENT || body.monitor.is_some() {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        describe_upstream(&mut parts.headers, upstream);
        let permits = AnswerPermits { upstream: permits, route: route_permits };
        Response::from_parts(parts, StreamedBody::response(body, permits, write_timeout))
    }
}

/// Says in an answer whose it is, and how the circuit of that upstream stands.
fn describe_upstream(headers: &mut HeaderMap, upstream: &Upstream) {
    if let Ok(name) = HeaderValue::from_str(&upstream.name) {
        headers.insert("x-seawall-upstream", name);
    }
    // Calls of an upstream carry no key.
    let circuit = circuit_header(&upstream.operation, Key::NONE);
    let circuit = circuit.unwrap_or_else(|| HeaderValue::from_static("none"));
    headers.insert("x-seawall-circuit", circuit);
}

/// The correlation id of a request: the client's own where it sent a sound one, else a new one.
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
