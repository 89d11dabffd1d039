//! What the gateway itself answers: problem documents, in the words of the protocol where it has some.

use super::body::AnswerBody;
use crate::Protocol;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use seawall_tower::Problem;

/// A problem that no policy made: `about:blank` with a title and a detail.
pub(crate) fn plain(status: StatusCode, title: &'static str, detail: String) -> Problem {
    Problem { status, title, detail, policy: "gateway", reason: "request", retry_after: None }
}

/// The response that a problem is. For `openai` and `anthropic` the document also has the `error` member that
/// their clients read, and tells them not to retry what was retried here.
pub(crate) fn problem(problem: &Problem, protocol: Protocol) -> Response<AnswerBody> {
    let mut response = Response::new(document(problem, protocol).into());
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = problem.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    // A client told to come back later may; one that would only repeat our retries should not.
    if problem.status.is_server_error() {
        let name = HeaderName::from_static("x-should-retry");
        headers.insert(name, HeaderValue::from_static("false"));
    }
    response
}

fn document(problem: &Problem, protocol: Protocol) -> String {
    let body = problem.body();
    let error = match protocol {
        Protocol::Http => return body,
        Protocol::Openai => serde_json::json!({
            "message": problem.detail, "type": problem.reason, "code": problem.reason,
        }),
        Protocol::Anthropic => serde_json::json!({
            "message": problem.detail, "type": "overloaded_error",
        }),
    };
    format!("{},\"error\":{error}}}", body.trim_end_matches('}'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn documents_are_json_in_every_protocol() {
        let problem = Problem {
            detail: "a \"quoted\" }} name".into(),
            retry_after: Some(Duration::from_millis(1200)),
            ..plain(StatusCode::SERVICE_UNAVAILABLE, "At capacity", String::new())
        };
        for protocol in [Protocol::Http, Protocol::Openai, Protocol::Anthropic] {
            let document: serde_json::Value =
                serde_json::from_str(&document(&problem, protocol)).unwrap();
            assert_eq!(document["status"], 503);
            assert_eq!(document["retry_after"], 2);
            assert_eq!(document["detail"], "a \"quoted\" }} name");
            assert_eq!(document.get("error").is_some(), protocol != Protocol::Http);
        }
    }
}
