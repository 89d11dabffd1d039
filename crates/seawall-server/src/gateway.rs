//! The data path: a request's life in named phases.
//!
//! match a route → read the body as far as it is kept → the route's own policies (rate limit, fallback) → for
//! each upstream asked: its policies → a call → the answer, streamed, with the permits held to its end.

use crate::{
    config::{GatewayConfig, KeySource},
    dead_letters::DeadLetters,
    runtime::{HeldPermits, Operation, Registry},
    tenants::{TenantCall, Tenants},
};
use arc_swap::ArcSwap;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header,
    request::Parts,
};
use hyper::body::Incoming;
use seawall::{Attributes, Class, Error, Key, Outcome, Verdict};
use seawall_tower::circuit_header;
use std::{net::SocketAddr, sync::Arc, time::Duration};

mod buffered_body;
pub(crate) mod client_body;
mod dead_letter;
mod event_json;
mod forward;
pub(crate) mod headers;
pub(crate) mod in_flight;
pub(crate) mod interim;
pub(crate) mod problem_response;
mod protocol;
mod refusal;
mod replay;
mod request;
pub(crate) mod response_body;
mod response_start;
mod route;
mod routing_table;
mod sse;
mod sse_monitor;
mod tenant;
mod trace;
mod upload;
mod upstream;
mod upstream_body;
mod usage;
mod work;

use dead_letter::{Draft, FinalFailure, describe_letter};
use forward::Pseudonym;
use in_flight::InFlight;
use interim::{InterimRelay, InterimSender};
use problem_response::problem_response;
use protocol::Api;
pub(crate) use replay::Replayed;
use request::{InboundRequest, RequestError};
use response_body::{AnswerPermits, ResponseBody, StreamedBody};
use response_start::StartedResponse;
use route::{Match, Route};
pub(crate) use routing_table::Plan;
use routing_table::RoutingTable;
use trace::RequestTrace;
use upstream::Upstream;
use work::{RouteWork, UpstreamAnswer, UpstreamError, classify_answer};

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// The data path: its routing table, and what lasts from one table to the next.
pub(crate) struct Gateway {
    table: ArcSwap<RoutingTable>,
    pseudonym: Arc<Pseudonym>,
    letters: Arc<DeadLetters>,
    tenants: Arc<Tenants>,
    pub(crate) in_flight: InFlight,
}

/// The client of one request.
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    /// The sender of interim responses, if the client can take some.
    pub(crate) interim: Option<InterimSender>,
}

impl Gateway {
    /// Makes the data path of a configuration: an operation for each upstream and each route is registered.
    ///
    /// # Errors
    /// When the configuration does not make a routing table, or the registry has no room.
    pub(crate) fn new(
        config: &GatewayConfig,
        registry: &Registry,
        letters: Arc<DeadLetters>,
        tenants: Arc<Tenants>,
    ) -> Result<Self, String> {
        let table = RoutingTable::default().plan(config, registry)?.commit()?;
        Ok(Self {
            table: ArcSwap::from_pointee(table),
            pseudonym: Arc::new(Pseudonym::new()),
            letters,
            tenants,
            in_flight: InFlight::default(),
        })
    }

    /// What the rate limits of this operation count by; `None` if it is no route's.
    pub(crate) fn key_source(&self, operation: &str) -> Option<KeySource> {
        let table = self.table.load();
        let route = table.routes.iter().find(|route| route.has_operation(operation))?;
        Some(route.key_source().clone())
    }

    /// The operation with the rate limits of this tenant, and the key by which they count; `None` if it has none.
    pub(crate) fn tenant_limits(&self, name: &str) -> Option<(Operation, Key)> {
        let table = self.table.load();
        table.tenants.of(name).map(|(operation, key)| (operation.clone(), key))
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
        let mut trace = RequestTrace::new(correlation_id(request.headers()));
        let table = self.table.load_full();
        let mut response = match route::find(&table.routes, request.method(), request.uri().path())
        {
            Match::Route(route) => self.route(route, &table, request, client, &mut trace).await,
            Match::Methods(allowed) => refusal::method_not_allowed(&request, &allowed),
            Match::Nothing => refusal::not_found(&request),
        };
        let headers = response.headers_mut();
        headers.insert("x-seawall-attempts", HeaderValue::from(trace.calls()));
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
        let trusted = table.forwarding.trusts(client.peer.ip().to_canonical());
        let operation = route.operation(&parts.headers, trusted);
        trace.operation = Some(operation.clone());
        let tenant = self.tenants.identify(&parts.headers, trusted);
        let redaction = self.letters.redaction();
        let draft = Draft::of(route, &parts, client.peer, &redaction, tenant.as_deref());
        if draft.is_some() {
            trace.note_attempts();
        }
        let mut request = match self.receive(parts, body, table, client, trace).await {
            Ok(request) => request,
            Err(error) => return problem_response(&error.problem(), api),
        };
        if protocol.has_tokens() && (route.counts_tokens || tenant.is_some()) {
            request.count_tokens();
        }
        let tenant = match &tenant {
            Some(name) => match self.admit_tenant(name, &request, table).await {
                Ok(call) => Some(call),
                Err(problem) => return problem.answer(api),
            },
            None => None,
        };
        let admitted = Admitted { operation, request, tenant, draft, api };
        self.answer(route, table, admitted, trace).await
    }

    /// Asks the upstreams of a route, and answers.
    async fn answer(
        &self,
        route: &Route,
        table: &RoutingTable,
        admitted: Admitted<'_>,
        trace: &RequestTrace,
    ) -> Response<ResponseBody> {
        let Admitted { operation, request, tenant, draft, api } = admitted;
        let error = match drive(operation, route, &request, trace).await {
            Ok((answer, permits)) => {
                let failure = final_failure(&answer);
                let permits = RoutePermits { route: permits, tenant, request: &request };
                let mut response = self.respond(answer, permits, table.limits.write_timeout);
                if let Some((draft, failure)) = draft.zip(failure) {
                    let kept = draft.keep(&self.letters, request.kept_body(), failure, trace).await;
                    describe_letter(response.headers_mut(), &kept);
                }
                return response;
            }
            Err(error) => error,
        };
        end_failed(tenant);
        if let Some(fault) = request.fault() {
            return problem_response(&fault.problem(), api);
        }
        let refusal = refusal::of(route, error, trace);
        let kept = match draft.zip(refusal.final_failure()) {
            Some((draft, failure)) => {
                Some(draft.keep(&self.letters, request.kept_body(), failure, trace).await)
            }
            None => None,
        };
        refusal.answer(api, trace, kept.as_ref())
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
        self.complete_headers(&mut request, version, table, client.peer, trace);
        Ok(request)
    }

    /// Makes the headers of a request those that upstreams get.
    fn complete_headers(
        &self,
        request: &mut InboundRequest,
        version: Version,
        table: &RoutingTable,
        peer: SocketAddr,
        trace: &RequestTrace,
    ) {
        table.forwarding.write(&mut request.headers, peer.ip());
        self.pseudonym.add_to(&mut request.headers, version);
        request.headers.insert(CORRELATION, trace.correlation.clone());
        headers::join_cookies(&mut request.headers);
    }

    /// Makes the response from an upstream's answer.
    fn respond(
        &self,
        answer: UpstreamAnswer<'_>,
        route: RoutePermits<'_>,
        write_timeout: Duration,
    ) -> Response<ResponseBody> {
        let UpstreamAnswer { upstream, started, permits } = answer;
        let start = started.outcome();
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
        let RoutePermits { route, tenant, request } = route;
        let estimate = request.estimate.clone();
        let permits = AnswerPermits { upstream: permits, route, start, estimate, tenant };
        Response::from_parts(parts, StreamedBody::response(body, permits, write_timeout))
    }
}

/// A request that its route and its tenant take.
struct Admitted<'a> {
    operation: &'a Operation,
    request: InboundRequest,
    tenant: Option<TenantCall>,
    /// What a letter about it would need.
    draft: Option<Draft>,
    api: Option<Api>,
}

/// What an answer holds beside the permits of its upstream.
struct RoutePermits<'a> {
    route: HeldPermits,
    tenant: Option<TenantCall>,
    request: &'a InboundRequest,
}

/// Ends a tenant's request that got no answer: it has used nothing.
fn end_failed(tenant: Option<TenantCall>) {
    if let Some(tenant) = tenant {
        tenant.end(Outcome::failure(Class::Unknown));
    }
}

/// Runs the work of a route.
async fn drive<'a>(
    operation: &Operation,
    route: &'a Route,
    request: &'a InboundRequest,
    trace: &'a RequestTrace,
) -> Result<(UpstreamAnswer<'a>, HeldPermits), Error<UpstreamError<'a>>> {
    let tokens = request.expected_tokens();
    let attributes = Attributes { key: trace.key, tokens, ..Attributes::default() };
    let work = RouteWork { request, upstreams: &route.upstreams, trace };
    operation.drive(work).attributes(attributes).classify(classify_answer).held().await
}

/// The failure that an upstream's answer is, where the upstream and not the client is to blame. No further attempt takes
/// its place, so it is for good.
fn final_failure(answer: &UpstreamAnswer<'_>) -> Option<FinalFailure> {
    let verdict = answer.started.outcome().verdict();
    matches!(verdict, Verdict::Failure | Verdict::RateLimited).then(|| {
        let status = answer.started.parts.status.as_u16();
        let error = format!("{} answered with status {status}", answer.upstream.name);
        FinalFailure { class: format!("status_{status}"), error }
    })
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
