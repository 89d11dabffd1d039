//! Replays: the request of a dead letter goes along its route again, as a client's would.
//!
//! Nothing here makes a letter, so a replay that fails goes back to the letter that it is of.

use super::{
    Admitted, Gateway, RoutePermits, correlation_id,
    dead_letter::{CLIENT, METHOD, PATH},
    drive, end_failed, refusal,
    request::InboundRequest,
    response_body::ResponseBody,
    route::{self, Match, Route},
    routing_table::RoutingTable,
    trace::RequestTrace,
};
use crate::wall_clock;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, request::Parts};
use http_body_util::BodyExt;
use seawall::{Error, Outcome};
use seawall_store::letters::{Attempt, Content, Header, Letter, LetterId, REDACTED};
use std::{net::SocketAddr, time::Instant};

/// Tells an upstream that a request is a replay, and of which letter.
const REPLAY: HeaderName = HeaderName::from_static("x-seawall-replay");

/// How the replay of a letter ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Replayed {
    /// The upstream has done the work.
    Succeeded(Attempt),
    /// It failed, or nothing can be sent of it.
    Failed(Attempt),
    /// A policy refused it for this reason before anything was sent: it may be tried again later.
    Refused(String),
}

impl Gateway {
    /// Sends the request of a letter along its route, through all policies, and reads the answer to its end.
    pub(crate) async fn replay(&self, letter: &Letter) -> Replayed {
        let (at, began) = (wall_clock::now_ms(), Instant::now());
        let failed = |error: String| Attempt {
            at,
            outcome: "not sent".into(),
            errors: vec![error],
            ..Attempt::default()
        };
        let (parts, client) = match request_of(letter) {
            Ok(request) => request,
            Err(error) => return Replayed::Failed(failed(error)),
        };
        let Content::Open { payload, .. } = &letter.content else {
            return Replayed::Failed(failed("its content cannot be read".into()));
        };
        let table = self.table.load_full();
        let Match::Route(route) = route::find(&table.routes, &parts.method, parts.uri.path())
        else {
            let error = format!("no route for {} {}", parts.method, parts.uri.path());
            return Replayed::Failed(failed(error));
        };
        let Some(_place) = self.admit() else {
            return Replayed::Refused("limits.max_in_flight requests are in progress".into());
        };
        let mut trace = RequestTrace::new(correlation_id(&parts.headers));
        trace.key = route.key(&parts.headers, table.forwarding.client(&parts.headers, client.ip()));
        let trusted = table.forwarding.trusts(client.ip());
        let operation = route.operation(&parts.headers, trusted);
        trace.note_attempts();
        let body = payload.0.clone().into();
        let mut request = InboundRequest::kept(parts, body);
        self.complete_headers(&mut request, Version::HTTP_11, &table, client, &trace);
        let has_tenant = self.tenants.are_configured();
        if route.upstreams[0].protocol.has_tokens() && (route.counts_tokens || has_tenant) {
            request.count_tokens();
        }
        let tenant = match letter.envelope.tenant.as_deref().filter(|_| has_tenant) {
            // The letter may not have the secrets by which its tenant was known.
            Some(name) => match self.admit_tenant(name, &request, &table).await {
                Ok(call) => Some(call),
                Err(problem) => return Replayed::Refused(problem.detail()),
            },
            None => None,
        };
        let admitted = Admitted { operation, request, tenant, draft: None, api: None };
        let end = self.sent(route, admitted, &table, &trace).await;
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = trace.attempts().pop().unwrap_or_default();
        let attempt = Attempt { at, duration_ms, ..last };
        match end {
            Ok(()) => Replayed::Succeeded(attempt),
            Err(Unanswered::Refused(why)) => Replayed::Refused(why),
            Err(Unanswered::Failed(why)) => {
                let mut attempt = attempt;
                if attempt.outcome.is_empty() {
                    attempt.outcome = "not sent".into();
                }
                if !attempt.errors.contains(&why) {
                    attempt.errors.insert(0, why);
                }
                Replayed::Failed(attempt)
            }
        }
    }

    async fn sent(
        &self,
        route: &Route,
        admitted: Admitted<'_>,
        table: &RoutingTable,
        trace: &RequestTrace,
    ) -> Result<(), Unanswered> {
        let Admitted { operation, request, tenant, .. } = admitted;
        let driven = drive(operation, route, &request, trace).await;
        let (tenant, failed) = if driven.is_ok() { (tenant, None) } else { (None, tenant) };
        end_failed(failed);
        let (answer, permits) = driven.map_err(|error| {
            let refused = match &error {
                Error::Rejected(_) => true,
                Error::Inner(inner) => matches!(inner.error, Error::Rejected(_)),
                Error::TimedOut(_) => false,
            };
            let why = refusal::of(route, error, trace).detail().to_owned();
            // A refusal by the last upstream says nothing where another one was called before.
            if refused && trace.calls() == 0 {
                Unanswered::Refused(why)
            } else {
                Unanswered::Failed(why)
            }
        })?;
        let (outcome, name) = (answer.started.outcome(), answer.upstream.name.clone());
        let status = answer.started.parts.status;
        let permits = RoutePermits { route: permits, tenant, request: &request };
        let body = self.respond(answer, permits, table.limits.write_timeout).into_body();
        let ended = read_to_end(body).await;
        if outcome != Outcome::Success {
            let failed = format!("{name} answered with status {}", status.as_u16());
            return Err(Unanswered::Failed(failed));
        }
        ended.map_err(|error| Unanswered::Failed(format!("{name}: {error}")))
    }

    /// Whether every upstream of the letter's route refuses calls now, since its circuit is open.
    pub(crate) fn is_cut_off(&self, letter: &Letter) -> bool {
        let Ok((parts, _)) = request_of(letter) else { return false };
        let table = self.table.load();
        match route::find(&table.routes, &parts.method, parts.uri.path()) {
            Match::Route(route) => route.upstreams.iter().all(|upstream| upstream.is_cut_off()),
            Match::Methods(_) | Match::Nothing => false,
        }
    }
}

enum Unanswered {
    Refused(String),
    Failed(String),
}

/// Reads an answer to its end; the error says why it had none, or not its proper one.
async fn read_to_end(mut body: ResponseBody) -> Result<(), String> {
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| error.to_string())?;
    }
    match body.outcome() {
        None | Some(Outcome::Success) => Ok(()),
        Some(_) => Err("the answer broke off".to_owned()),
    }
}

/// The request of a letter, and its client. Secrets are not in the letter, so the request goes without them.
fn request_of(letter: &Letter) -> Result<(Parts, SocketAddr), String> {
    let Content::Open { headers, .. } = &letter.content else {
        return Err("its content cannot be read".to_owned());
    };
    let own = |name: &str| {
        let found = headers.iter().find(|header| header.name == name);
        found.map(|header| header.value.as_str()).ok_or_else(|| format!("it has no {name}"))
    };
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = own(METHOD)?.parse::<Method>().map_err(|error| error.to_string())?;
    let path = without_redacted(own(PATH)?);
    parts.uri = path.parse::<Uri>().map_err(|error| format!("its path: {error}"))?;
    let client = own(CLIENT)?.parse().map_err(|error| format!("its client: {error}"))?;
    parts.headers = sent_headers(letter.envelope.id, headers);
    Ok((parts, client))
}

fn sent_headers(id: LetterId, headers: &[Header]) -> HeaderMap {
    let mut sent = HeaderMap::new();
    for header in headers.iter().filter(|header| header.value != REDACTED) {
        // The names of what is no header begin with a colon, and are none.
        let name = HeaderName::try_from(&header.name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(&header.value)) {
            sent.append(name, value);
        }
    }
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        sent.insert(REPLAY, id);
    }
    sent
}

/// An address without the parameters whose values are not in the letter.
fn without_redacted(address: &str) -> String {
    let Some((path, query)) = address.split_once('?') else { return address.to_owned() };
    let redacted = format!("={REDACTED}");
    let kept: Vec<_> = query.split('&').filter(|pair| !pair.ends_with(&redacted)).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}
