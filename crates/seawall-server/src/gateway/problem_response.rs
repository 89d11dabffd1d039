//! The gateway's own answers: problem documents, with the `error` member of the client's API.

use super::{dead_letter::Kept, protocol::Api, response_body::ResponseBody, tenant::TENANT_BUDGET};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use seawall_tower::Problem;
use serde_json::{Map, Value};

/// A problem that no policy made.
pub(crate) fn gateway_problem(status: StatusCode, title: &'static str, detail: String) -> Problem {
    Problem { status, title, detail, policy: "gateway", reason: "request", retry_after: None }
}

/// Makes the response of a problem. The client of a known API gets the `error` member that it reads, and a hint
/// whether to try again: `Retry-After` says when, for a request that was refused and did not run; `x-should-retry:
/// false` says not to, for one that ran and failed here as often as it may.
pub(super) fn problem_response(problem: &Problem, api: Option<Api>) -> Response<ResponseBody> {
    problem_response_with(problem, api, &Map::new())
}

/// The response of a problem whose document has these members, too.
pub(super) fn problem_response_with(
    problem: &Problem,
    api: Option<Api>,
    members: &Map<String, Value>,
) -> Response<ResponseBody> {
    let mut response = Response::new(with_members(document(problem, api), members).into());
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if api.is_some() && is_final(problem) {
        let name = HeaderName::from_static("x-should-retry");
        headers.insert(name, HeaderValue::from_static("false"));
    } else if let Some(seconds) = problem.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The members that say what became of a request as a dead letter.
pub(super) fn letter_members(kept: &Kept) -> Map<String, Value> {
    let mut members = Map::new();
    let id = kept.as_ref().map_or(Value::Null, |id| id.to_string().into());
    members.insert("dead_letter_id".into(), id);
    if let Err(why) = kept {
        members.insert("dead_letter_not_kept".into(), why.to_string().into());
    }
    members
}

/// Whether another try would not help: calls were made and failed as often as they may (502, 504), the path is
/// configured wrongly (508), a tenant's budget is used up, or it is not known when the cause will be gone.
fn is_final(problem: &Problem) -> bool {
    let named = [502, 504, 508].contains(&problem.status.as_u16());
    let spent = problem.reason == TENANT_BUDGET;
    named || spent || (problem.status.is_server_error() && problem.retry_after.is_none())
}

fn with_members(document: String, members: &Map<String, Value>) -> String {
    if members.is_empty() {
        return document;
    }
    let mut document: Value = serde_json::from_str(&document).unwrap_or_default();
    for (name, value) in members {
        document[name.as_str()] = value.clone();
    }
    document.to_string()
}

fn document(problem: &Problem, api: Option<Api>) -> String {
    let Some(api) = api else { return problem.body() };
    let retry_after = problem.retry_after.filter(|_| !is_final(problem));
    let mut document: Value =
        serde_json::from_str(&Problem { retry_after, ..problem.clone() }.body())
            .unwrap_or_default();
    document["error"] = api.error(problem.status, problem.reason, &problem.detail);
    if let Some(kind) = api.document_type() {
        document["type"] = kind.into();
    }
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample(status: StatusCode) -> Problem {
        Problem {
            detail: "a \"quoted\" }} name".into(),
            retry_after: Some(Duration::from_millis(1200)),
            ..gateway_problem(status, "At capacity", String::new())
        }
    }

    #[test]
    fn documents_are_json_in_every_api() {
        let apis =
            [Api::Chat, Api::Responses, Api::Assistants, Api::Messages, Api::GenerateContent]
                .map(Some);
        for api in apis.into_iter().chain([None]) {
            let document: Value =
                serde_json::from_str(&document(&sample(StatusCode::SERVICE_UNAVAILABLE), api))
                    .unwrap();
            assert_eq!(document["status"], 503);
            assert_eq!(document["retry_after"], 2);
            assert_eq!(document["detail"], "a \"quoted\" }} name");
            assert_eq!(document.get("error").is_some(), api.is_some());
        }
    }

    #[test]
    fn every_status_has_the_type_that_clients_of_its_api_know() {
        for (status, anthropic, openai, google) in [
            (400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
            (401, "authentication_error", "invalid_request_error", "UNAUTHENTICATED"),
            (403, "permission_error", "invalid_request_error", "PERMISSION_DENIED"),
            (404, "not_found_error", "invalid_request_error", "NOT_FOUND"),
            (405, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
            (408, "invalid_request_error", "invalid_request_error", "DEADLINE_EXCEEDED"),
            (413, "request_too_large", "invalid_request_error", "INVALID_ARGUMENT"),
            (414, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
            (429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
            (500, "api_error", "server_error", "INTERNAL"),
            (502, "api_error", "server_error", "UNAVAILABLE"),
            (503, "overloaded_error", "server_error", "UNAVAILABLE"),
            (504, "timeout_error", "server_error", "DEADLINE_EXCEEDED"),
            (529, "overloaded_error", "server_error", "INTERNAL"),
        ] {
            let problem = sample(StatusCode::from_u16(status).unwrap());
            let read =
                |api| -> Value { serde_json::from_str(&document(&problem, Some(api))).unwrap() };
            let (messages, chat) = (read(Api::Messages), read(Api::Chat));
            let generated = read(Api::GenerateContent);
            assert_eq!(generated["error"]["status"], google, "{status}");
            assert_eq!(generated["error"]["code"], status);
            assert_eq!(messages["type"], "error");
            assert_eq!(messages["error"]["type"], anthropic, "{status}");
            assert_eq!(chat["error"]["type"], openai, "{status}");
            assert_eq!(chat["error"]["code"], "request");
        }
    }

    #[test]
    fn an_answer_never_says_both_to_retry_and_not_to() {
        for status in [429, 502, 503, 504, 508] {
            for api in [None, Some(Api::Chat), Some(Api::Messages)] {
                let answer = problem_response(&sample(StatusCode::from_u16(status).unwrap()), api);
                let come_back = answer.headers().contains_key("retry-after");
                let stay_away = answer.headers().contains_key("x-should-retry");
                assert!(come_back != stay_away, "{status} {api:?}");
            }
        }
        let unknown = Problem { retry_after: None, ..sample(StatusCode::LOOP_DETECTED) };
        let answer = problem_response(&unknown, Some(Api::Chat));
        assert_eq!(answer.headers()["x-should-retry"], "false");
        assert!(!answer.headers().contains_key("retry-after"));
    }
}
