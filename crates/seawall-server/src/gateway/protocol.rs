//! The special features of each protocol: which requests may be repeated, which events are content, which end a
//! stream, which fail it, and the form of an error.

use crate::config::Protocol;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

mod reader;

pub(super) use reader::{EventMeaning, Reader};

/// One of the APIs whose streams are understood. An upstream may offer several of them, by path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// OpenAI's for chat, and the older one for completions.
    Chat,
    /// OpenAI's Responses API.
    Responses,
    /// OpenAI's Assistants API.
    Assistants,
    /// Anthropic's Messages API.
    Messages,
    /// Google's `streamGenerateContent`.
    GenerateContent,
}

impl Protocol {
    /// Whether a request of this method may be sent again after it may have arrived.
    pub(super) fn repeats(self, method: &Method) -> bool {
        method.is_idempotent() || self != Self::Http
    }

    /// Whether its answers report tokens of language models.
    pub(super) fn has_tokens(self) -> bool {
        self != Self::Http
    }

    /// The API of a client that asks for this path; `None` for any other HTTP.
    pub(super) fn api(self, path: &str) -> Option<Api> {
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
        match (self, last) {
            (Self::Http, _) => None,
            (Self::Anthropic, _) => Some(Api::Messages),
            (Self::Openai, "responses") => Some(Api::Responses),
            (Self::Openai, _) if path.contains("/threads") => Some(Api::Assistants),
            (Self::Openai, "messages") => Some(Api::Messages),
            (Self::Openai, _) => Some(Api::Chat),
            // Google's own door for clients of OpenAI.
            (Self::Gemini, "completions") => Some(Api::Chat),
            (Self::Gemini, _) => Some(Api::GenerateContent),
        }
    }
}

/// The fault of a stream, as reported to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamFault {
    /// The stream broke off, or ended too early.
    Broken,
    /// Nothing of the stream came for too long.
    Late,
}

/// How the names of an API's events begin. Events of chat and of Google have no names: they are recognized by
/// `choices` and `candidates`.
const KNOWN: [(Api, &[&str]); 3] = [
    (Api::Messages, &["message_start", "message_delta", "message_stop", "content_block_"]),
    (
        Api::Responses,
        &[
            "response.created",
            "response.queued",
            "response.in_progress",
            "response.completed",
            "response.incomplete",
            "response.failed",
            "response.output_",
            "response.content_part.",
            "response.reasoning",
            "response.refusal.",
            "response.function_call",
        ],
    ),
    (Api::Assistants, &["thread."]),
];

/// The names of events that complete a stream.
const DONE: [&str; 5] = [
    "message_stop",
    "response.completed",
    "response.incomplete",
    "response.cancelled",
    "response.done",
];

/// The data that completes a stream in place of JSON.
const DONE_DATA: &[u8] = b"[DONE]";

/// Events of the Assistants API behind which nothing of the answer comes. The last event is `done`.
const RUN_OVER: [&str; 5] = [
    "thread.run.completed",
    "thread.run.incomplete",
    "thread.run.requires_action",
    "thread.run.cancelled",
    "thread.run.expired",
];

/// Events that say that a stream failed, in any API.
const FAILED: [&str; 3] = ["error", "response.failed", "thread.run.failed"];

/// Events that bring nothing of the answer, by their whole name or by its end.
const QUIET: [&str; 5] = ["ping", "heartbeat", "keepalive", "keep-alive", "message_start"];
const QUIET_ENDS: [&str; 4] = [".created", ".queued", ".in_progress", ".added"];

impl Api {
    /// The API of a client, as far as its headers alone show it. `x-stainless-lang` is sent by the clients that OpenAI
    /// and Anthropic have generated.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key("anthropic-version") {
            Some(Self::Messages)
        } else if headers.contains_key("x-goog-api-client")
            || headers.contains_key("x-goog-api-key")
        {
            Some(Self::GenerateContent)
        } else {
            headers.contains_key("x-stainless-lang").then_some(Self::Chat)
        }
    }

    /// The `error` member of an answer with this status, in the terms that clients of this API know.
    pub(super) fn error(self, status: StatusCode, code: &str, message: &str) -> Value {
        match self {
            Self::Messages => json!({ "type": anthropic_type(status), "message": message }),
            Self::GenerateContent => json!({
                "code": status.as_u16(),
                "status": google_status(status),
                "message": message,
            }),
            Self::Chat | Self::Responses | Self::Assistants => {
                json!({ "type": openai_type(status), "code": code, "message": message, "param": null })
            }
        }
    }

    /// The event that reports to the client of a stream that it failed. It comes after an event of the sequence number
    /// `last_number`, in an API that numbers its events.
    pub(super) fn error_event(self, fault: StreamFault, message: &str, last_number: u64) -> String {
        let (code, status) = match fault {
            StreamFault::Broken => ("upstream_error", StatusCode::BAD_GATEWAY),
            StreamFault::Late => ("upstream_timeout", StatusCode::GATEWAY_TIMEOUT),
        };
        let mut error = self.error(status, code, message);
        match self {
            // Google's own servers break the form of events here, and its clients look for exactly that: bare JSON.
            Self::GenerateContent => format!("{}\n", json!({ "error": error })),
            Self::Messages => {
                format!("event: error\ndata: {}\n\n", json!({ "type": "error", "error": error }))
            }
            Self::Responses => {
                error["type"] = "error".into();
                error["sequence_number"] = last_number.saturating_add(1).into();
                format!("event: error\ndata: {error}\n\n")
            }
            Self::Chat | Self::Assistants => {
                error["type"] = code.into();
                let name = if self == Self::Chat { "" } else { "event: error\n" };
                format!("{name}data: {}\n\n", json!({ "error": error }))
            }
        }
    }

    /// The member `type` of a whole document about an error, where clients read it.
    pub(super) fn document_type(self) -> Option<&'static str> {
        (self == Self::Messages).then_some("error")
    }
}

fn openai_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// The name of a status in Google's APIs (`google.rpc.Code`).
fn google_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}
