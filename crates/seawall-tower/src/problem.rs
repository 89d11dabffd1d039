//! Refusals and timeouts as HTTP responses: problem documents (RFC 9457) with `Retry-After`.

use http::StatusCode;
use seawall::{Elapsed, Reason, Rejected};
use std::time::Duration;

/// An error as a problem document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status of the response.
    pub status: StatusCode,
    /// A title that all problems of this kind share.
    pub title: &'static str,
    /// A description of this occurrence, with the operation's name.
    pub detail: String,
    /// The policy that refused, or `timeout`.
    pub policy: &'static str,
    /// The cause as a label for programs: `circuit_open`, `rate_limited` …
    pub reason: &'static str,
    /// How long to wait before another try; `None` if no wait is suggested.
    pub retry_after: Option<Duration>,
}

/// Makes a problem of a rejection, which names its operation: 429 for a rate limit, 503 for every other reason.
pub fn rejection_problem(rejected: &Rejected) -> Problem {
    let Rejected { operation, reason, retry_after } = rejected;
    let (status, title) = match reason {
        Reason::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Reason::CircuitOpen | Reason::ProbesTaken | Reason::RampingUp => {
            (StatusCode::SERVICE_UNAVAILABLE, "Circuit open")
        }
        Reason::FaultInjected => (StatusCode::SERVICE_UNAVAILABLE, "Fault injected"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "At capacity"),
    };
    Problem {
        status,
        title,
        detail: format!("{operation}: {reason}"),
        policy: reason.policy(),
        reason: reason.label(),
        // If the wait is unknown, "soon" still keeps clients from coming back at once.
        retry_after: Some(retry_after.unwrap_or(Duration::from_secs(1))),
    }
}

/// Makes a problem of a timeout: 504.
pub fn timeout_problem(elapsed: &Elapsed) -> Problem {
    Problem {
        status: StatusCode::GATEWAY_TIMEOUT,
        title: "Timed out",
        detail: if elapsed.by_caller {
            elapsed.to_string()
        } else {
            format!("{}: no answer within {:?}", elapsed.operation, elapsed.limit)
        },
        policy: if elapsed.by_caller { "deadline" } else { "timeout" },
        reason: if elapsed.by_caller { "deadline_passed" } else { "timed_out" },
        retry_after: Some(Duration::from_secs(1)),
    }
}

impl Problem {
    /// The value of `Retry-After` in whole seconds: rounded up, and at least 1, so that no client comes back early.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.retry_after?;
        Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// The problem document as JSON.
    pub fn body(&self) -> String {
        let Self { status, title, detail, policy, reason, .. } = self;
        let mut document = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "policy": policy,
            "reason": reason,
        });
        if let Some(seconds) = self.retry_after_seconds() {
            document["retry_after"] = seconds.into();
        }
        document.to_string()
    }
}
