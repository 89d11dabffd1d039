//! The answers to requests that got none from an upstream.
//!
//! Each of them answers four questions: what went wrong (status and title), who stopped the request (`detail`,
//! `x-seawall-upstream`, `x-seawall-circuit`), for which cause (`policy`, `reason`), and when to come back
//! (`Retry-After`).

use super::{
    CORRELATION, Gateway, correlation_id,
    dead_letter::{FinalFailure, Kept, describe_letter},
    describe_upstream,
    in_flight::EarlyRefusal,
    problem_response::{gateway_problem, letter_members, problem_response, problem_response_with},
    protocol::Api,
    request::RequestError,
    response_body::ResponseBody,
    route::Route,
    trace::RequestTrace,
    upstream::{CallError, CallErrorKind, Upstream},
    work::UpstreamError,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use seawall::Error;
use seawall_tower::{Problem, rejection_problem, timeout_problem, write_rate_limit};
use std::time::Duration;

/// The suggested wait if only the number of requests in flight is the reason: most of them end within seconds.
const IN_FLIGHT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a route found no answer to a request.
pub(super) struct Refusal<'a> {
    problem: Problem,
    /// The upstream that is named; none where a policy of the route refused the request.
    upstream: Option<&'a Upstream>,
}

/// The refusal of a request for which its route found no answer.
///
/// | error | who stopped the request | upstream that is named |
/// |---|---|---|
/// | `Rejected` | a policy of the route: its rate limit | none was asked |
/// | `TimedOut` | the route's `total_timeout` | the one asked last |
/// | `Inner(Rejected)` | a policy of the upstream | that one |
/// | `Inner(TimedOut)` | a timeout of the upstream | that one |
/// | `Inner(Inner)` | the upstream's last call failed | that one |
pub(super) fn of<'a>(
    route: &'a Route,
    error: Error<UpstreamError<'a>>,
    trace: &RequestTrace,
) -> Refusal<'a> {
    let (problem, upstream) = match error {
        Error::Rejected(rejected) => (rejection_problem(&rejected), None),
        Error::TimedOut(elapsed) => (timeout_problem(&elapsed), trace.last_asked(route)),
        Error::Inner(UpstreamError { upstream, error }) => {
            let problem = match error {
                Error::Rejected(rejected) => rejection_problem(&rejected),
                Error::TimedOut(elapsed) => timeout_problem(&elapsed),
                Error::Inner(error) => call_problem(&upstream.name, &error),
            };
            (problem, Some(upstream))
        }
    };
    Refusal { problem, upstream }
}

impl Refusal<'_> {
    /// What went wrong, in a sentence.
    pub(super) fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// The failure that it is, where not the client is to blame: one that comes too often is refused by the route.
    pub(super) fn final_failure(&self) -> Option<FinalFailure> {
        let Problem { reason, detail, .. } = &self.problem;
        self.upstream?;
        Some(FinalFailure { class: (*reason).to_owned(), error: detail.clone() })
    }

    /// The answer to the request, with the letter that it has become.
    pub(super) fn answer(
        &self,
        api: Option<Api>,
        trace: &RequestTrace,
        kept: Option<&Kept>,
    ) -> Response<ResponseBody> {
        let Self { problem, upstream } = self;
        tracing::debug!(
            correlation = ?trace.correlation,
            status = problem.status.as_u16(),
            policy = problem.policy,
            reason = problem.reason,
            upstream = upstream.map_or("", |upstream| &upstream.name),
            "no answer: {}",
            problem.detail
        );
        let letter = kept.map(letter_members).unwrap_or_default();
        let mut response = problem_response_with(problem, api, &letter);
        match (upstream, &trace.operation) {
            (Some(upstream), _) => describe_upstream(response.headers_mut(), upstream),
            (None, Some(operation)) => {
                write_rate_limit(response.headers_mut(), operation, trace.key);
            }
            (None, None) => {}
        }
        if let Some(kept) = kept {
            describe_letter(response.headers_mut(), kept);
        }
        response
    }
}

/// The problem where the last call of an upstream failed.
fn call_problem(upstream: &str, error: &CallError) -> Problem {
    let timed_out = matches!(error.kind, CallErrorKind::Late(_));
    let (status, title, policy, reason) = match error.kind {
        CallErrorKind::Late(_) => {
            (StatusCode::GATEWAY_TIMEOUT, "Timed out", "timeout", "timed_out")
        }
        CallErrorKind::NotSent => {
            (StatusCode::BAD_GATEWAY, "No answer from the upstream", "upstream", "connect")
        }
        CallErrorKind::Broken | CallErrorKind::ClientFault => {
            (StatusCode::BAD_GATEWAY, "No answer from the upstream", "upstream", "broken")
        }
    };
    Problem {
        status,
        title,
        detail: format!("{upstream}: {error}"),
        policy,
        reason,
        retry_after: timed_out.then_some(Duration::from_secs(1)),
    }
}

impl RequestError {
    /// The problem that a client's fault is.
    pub(super) fn problem(&self) -> Problem {
        let (status, title, detail) = match self {
            Self::BodyTooLarge(max) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Body too large",
                format!("the body is longer than limits.max_body_bytes, {max}"),
            ),
            Self::BodyTooSlow(max) => (
                StatusCode::REQUEST_TIMEOUT,
                "Request too slow",
                format!("nothing came for limits.client_timeout, {max:?}"),
            ),
            Self::BodyBelowRate(min) => (
                StatusCode::REQUEST_TIMEOUT,
                "Request too slow",
                format!("it came with fewer bytes a second than limits.min_upload_rate, {min}"),
            ),
            Self::BodyBroken => (
                StatusCode::BAD_REQUEST,
                "Broken request",
                "the body broke off before its end".into(),
            ),
            Self::PathTooLong => (
                StatusCode::URI_TOO_LONG,
                "Path too long",
                "behind the path of the upstream's endpoint it is longer than an address may be"
                    .into(),
            ),
        };
        gateway_problem(status, title, detail)
    }
}

/// Answers a request whose path has routes for other methods only.
pub(super) fn method_not_allowed(
    request: &Request<Incoming>,
    allowed: &[Method],
) -> Response<ResponseBody> {
    let list = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let detail = format!("{} takes {list}, not {}", request.uri().path(), request.method());
    let problem = gateway_problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail);
    let mut response = problem_response(&problem, Api::of(request.headers()));
    if let Ok(list) = HeaderValue::from_str(&list) {
        response.headers_mut().insert(header::ALLOW, list);
    }
    response
}

/// Answers a request whose path has no route.
pub(super) fn not_found(request: &Request<Incoming>) -> Response<ResponseBody> {
    let detail = format!("no route for {} {}", request.method(), request.uri().path());
    let problem = gateway_problem(StatusCode::NOT_FOUND, "No route", detail);
    problem_response(&problem, Api::of(request.headers()))
}

impl Gateway {
    /// Answers a request while `limits.max_in_flight` requests are in flight.
    pub(crate) fn at_capacity(&self, headers: &HeaderMap) -> Response<ResponseBody> {
        self.in_flight.count_refusal(EarlyRefusal::InFlight);
        let max = self.table.load().limits.max_in_flight;
        let detail = format!("limits.max_in_flight, {max}, requests are in progress");
        let problem = Problem {
            reason: "in_flight",
            retry_after: Some(IN_FLIGHT_RETRY_AFTER),
            ..gateway_problem(StatusCode::SERVICE_UNAVAILABLE, "At capacity", detail)
        };
        let mut response = problem_response(&problem, Api::of(headers));
        response.headers_mut().insert(CORRELATION, correlation_id(headers));
        response
    }

    /// Answers a request that two readers could understand differently.
    pub(crate) fn malformed(&self, problem: &Problem) -> Response<ResponseBody> {
        self.in_flight.count_refusal(EarlyRefusal::Malformed);
        problem_response(problem, None)
    }

    /// Answers a request that passed through here before, and would go round for ever. Where it leads is configured, so
    /// no upstream is to blame.
    pub(super) fn looped(&self, parts: &Parts, api: Option<Api>) -> Response<ResponseBody> {
        self.in_flight.count_refusal(EarlyRefusal::Loop);
        let detail = format!(
            "{} {} passed through this gateway before: an endpoint leads back to it",
            parts.method,
            parts.uri.path()
        );
        let problem = Problem {
            reason: "loop",
            ..gateway_problem(StatusCode::LOOP_DETECTED, "Loop detected", detail)
        };
        problem_response(&problem, api)
    }
}
