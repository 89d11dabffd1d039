//! Everything that the gateway knows of a protocol: what may be repeated, which events are content, which end a
//! stream, which fail it, and what an error looks like. A further protocol is added here and nowhere else.

use super::{
    event_json::{Choice, EventJson, is_whole, members, text, words_of},
    sse::SseEvent,
};
use crate::config::Protocol;
use http::{HeaderMap, Method, StatusCode};
use seawall::{Class, Outcome};
use serde_json::{Value, json, value::RawValue};

/// One of the APIs whose streams are understood. An upstream may speak several of them, by path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// OpenAI's for chat, and the older one for completions.
    Chat,
    /// OpenAI's Responses.
    Responses,
    /// OpenAI's Assistants.
    Assistants,
    /// Anthropic's Messages.
    Messages,
}

/// What one event says of its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum EventMeaning {
    /// The stream lives, but nothing of the answer has come: a ping, `response.created`, a role.
    Quiet,
    /// A part of the answer, or an event that nobody here knows.
    Content,
    /// The stream is complete. What comes behind it does not count.
    Done,
    /// The stream failed, and says so.
    Failed(Outcome),
}

/// What went wrong with a stream, as its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamFault {
    Broken,
    Late,
}

impl Protocol {
    /// Whether its requests may be sent again although the method alone does not say so.
    pub(super) fn repeats(self, method: &Method) -> bool {
        method.is_idempotent() || self != Self::Http
    }

    /// The API that a client of this path speaks; `None` for any HTTP.
    pub(super) fn api(self, path: &str) -> Option<Api> {
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
        match (self, last) {
            (Self::Http, _) => None,
            (Self::Anthropic, _) => Some(Api::Messages),
            (Self::Openai, "responses") => Some(Api::Responses),
            (Self::Openai, _) if path.contains("/threads") => Some(Api::Assistants),
            (Self::Openai, "messages") => Some(Api::Messages),
            (Self::Openai, _) => Some(Api::Chat),
        }
    }
}

/// Events that begin like this are of an API whose end is known.
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

/// Events that complete a stream.
const DONE: [&str; 5] = [
    "message_stop",
    "response.completed",
    "response.incomplete",
    "response.cancelled",
    "response.done",
];

/// What completes a stream in place of JSON.
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

/// Data longer than this is read only where something in it may matter.
const SMALL: usize = 4 << 10;

/// What a stream has said so far.
#[derive(Default)]
pub(super) struct Reader {
    /// The API that its events are of; `None` while they are of none that is known.
    spoken: Option<Api>,
    events: u64,
    /// Choices that have come, and those that are finished, a bit each.
    choices: (u128, u128),
    run_is_over: bool,
    /// An event was too long to be read in full: it may have been the last.
    in_doubt: bool,
    sequence_number: u64,
}

impl Reader {
    /// Reads an event that the body's end finished. Half of one says nothing.
    pub(super) fn read_last(&mut self, event: &SseEvent<'_>) -> Option<EventMeaning> {
        let data = event.data.trim_ascii();
        if data == DONE_DATA || is_whole(data) {
            return Some(self.read(event));
        }
        // Text that is no JSON may well be whole.
        self.events += u64::from(!data.is_empty() && !data.starts_with(b"{"));
        None
    }

    /// Reads the next event.
    pub(super) fn read(&mut self, event: &SseEvent<'_>) -> EventMeaning {
        self.events += 1;
        let (name, data) = (event.name.trim_ascii(), event.data.trim_ascii());
        if data == DONE_DATA {
            return EventMeaning::Done;
        }
        let name = std::str::from_utf8(name).unwrap_or("");
        if data.len() > SMALL && self.is_plain(name, data) {
            self.sequence_number = self.sequence_number.saturating_add(1);
            return EventMeaning::Content;
        }
        let members = EventJson::read(data);
        self.sequence_number = members.sequence_number.unwrap_or(self.sequence_number);
        let names = [name, &*members.kind];
        let failed = names.iter().any(|name| FAILED.contains(name)) || members.object == "error";
        if failed || members.error.is_some() {
            return EventMeaning::Failed(failure(&members));
        }
        let known = names.map(|name| self.learn(name)).contains(&true);
        if let Some(choices) = members.choices.and_then(Choice::all) {
            self.spoken.get_or_insert(Api::Chat);
            return self.read_choices(&choices);
        }
        self.in_doubt |= !event.whole && !known;
        self.read_names(names, &members, data)
    }

    /// Whether long data is of an event that neither ends nor fails a stream: seen without reading it.
    fn is_plain(&mut self, name: &str, data: &[u8]) -> bool {
        let ends = DONE.contains(&name) || RUN_OVER.contains(&name) || FAILED.contains(&name);
        !ends && self.learn(name) && memchr::memmem::find(data, b"\"error\"").is_none()
    }

    /// Learns from an event's name which API is spoken; whether it is one that is known.
    fn learn(&mut self, name: &str) -> bool {
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        let known = KNOWN.iter().find(|(_, starts)| begins(starts));
        if let Some((api, _)) = known {
            self.spoken = Some(*api);
        }
        known.is_some()
    }

    fn read_names(
        &mut self,
        names: [&str; 2],
        members: &EventJson<'_>,
        data: &[u8],
    ) -> EventMeaning {
        let is = |list: &[&str]| names.iter().any(|name| list.contains(name));
        if is(&DONE) || (is(&["done"]) && self.spoken == Some(Api::Assistants)) {
            let failed = members.response.filter(|response| has_failed(response));
            return failed.map_or(EventMeaning::Done, |_| EventMeaning::Failed(failure(members)));
        }
        self.run_is_over |= is(&RUN_OVER);
        let ends = |name: &&str| QUIET_ENDS.iter().any(|end| name.ends_with(end));
        let empty_block =
            is(&["content_block_start"]) && !members.content_block.is_some_and(block_has_content);
        let bare = names == ["", ""] && members.choices.is_none() && is_empty(data);
        if is(&QUIET) || names.iter().any(ends) || empty_block || bare {
            EventMeaning::Quiet
        } else {
            EventMeaning::Content
        }
    }

    fn read_choices(&mut self, choices: &[Choice<'_>]) -> EventMeaning {
        let mut meaning = EventMeaning::Quiet;
        for choice in choices {
            let place = 1_u128.checked_shl(choice.index()).unwrap_or(0);
            self.choices.0 |= place;
            let reason = choice.finish_reason();
            if let Some(error) = choice.error() {
                return EventMeaning::Failed(Outcome::failure(class_of(std::iter::once(error))));
            }
            if reason == "error" {
                return EventMeaning::Failed(Outcome::failure(Class::Transient));
            }
            if !reason.is_empty() {
                self.choices.1 |= place;
            }
            if !reason.is_empty() || choice.has_content() {
                meaning = EventMeaning::Content;
            }
        }
        meaning
    }

    /// Whether the answer is all there, though the stream's own last event has not come.
    pub(super) fn is_complete(&self) -> bool {
        let (seen, finished) = self.choices;
        match self.spoken {
            Some(Api::Chat) => seen != 0 && seen == finished,
            Some(Api::Assistants) => self.run_is_over,
            _ => false,
        }
    }

    /// Whether a clean end of the body, now, would be too early. Of events that are not known nobody can say.
    pub(super) fn is_cut_short(&self) -> bool {
        let known = self.spoken.is_some() || self.events == 0;
        known && !self.is_complete() && !self.in_doubt
    }

    /// The event that tells the client of a stream that failed, in the API that it spoke, else in `api`.
    pub(super) fn error_event(&self, api: Api, fault: StreamFault, message: &str) -> String {
        let (code, status) = match fault {
            StreamFault::Broken => ("upstream_error", StatusCode::BAD_GATEWAY),
            StreamFault::Late => ("upstream_timeout", StatusCode::GATEWAY_TIMEOUT),
        };
        let api = self.spoken.unwrap_or(api);
        let mut error = api.error(status, code, message);
        if api != Api::Messages {
            error["type"] = code.into();
        }
        let (name, data) = match api {
            Api::Responses => {
                error["type"] = "error".into();
                error["sequence_number"] = self.sequence_number.saturating_add(1).into();
                ("event: error\n", error)
            }
            Api::Chat => ("", json!({ "error": error })),
            Api::Assistants => ("event: error\n", json!({ "error": error })),
            Api::Messages => ("event: error\n", json!({ "type": "error", "error": error })),
        };
        format!("{name}data: {data}\n\n")
    }
}

impl Api {
    /// The API that a client speaks, as far as its headers alone say. `x-stainless-lang` is of the clients that
    /// both makers have generated.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key("anthropic-version") {
            return Some(Self::Messages);
        }
        headers.contains_key("x-stainless-lang").then_some(Self::Chat)
    }

    /// What an answer with this status has under `error`, in the words that clients of this API know.
    pub(super) fn error(self, status: StatusCode, code: &str, message: &str) -> Value {
        if self == Self::Messages {
            return json!({ "type": anthropic_type(status), "message": message });
        }
        let kind = match status.as_u16() {
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "type": kind, "code": code, "message": message, "param": null })
    }

    /// The member `type` of a whole document about an error, where clients read it.
    pub(super) fn document_type(self) -> Option<&'static str> {
        (self == Self::Messages).then_some("error")
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

fn is_empty(data: &[u8]) -> bool {
    matches!(data, b"" | b"{}" | b"null")
}

/// Whether a block begins with content of its own; text and thinking come behind it.
fn block_has_content(block: &RawValue) -> bool {
    let block = members(block);
    let said = |name| block.get(name).is_some_and(|value| !text(value).is_empty());
    let plain = block.get("type").is_some_and(|kind| matches!(&*text(kind), "text" | "thinking"));
    !plain || said("text") || said("thinking")
}

/// Whether the `response` that an event carries has failed.
fn has_failed(response: &RawValue) -> bool {
    members(response).get("status").is_some_and(|status| text(status) == "failed")
}

/// What an event that reports a failure says of whose fault it is.
fn failure(members: &EventJson<'_>) -> Outcome {
    let response = members.response.map(self::members).unwrap_or_default();
    let nested = response.get("error").copied();
    let all = [members.error, members.last_error, nested, members.code];
    Outcome::failure(class_of(all.into_iter().flatten()))
}

/// The class of a failure, by the words of its errors; the name of a limit says more than that of a fault.
fn class_of<'a>(errors: impl Iterator<Item = &'a RawValue>) -> Class {
    let words: Vec<_> = errors.flat_map(words_of).collect();
    let any = |test: fn(&str) -> bool| words.iter().any(|word| test(word));
    if any(is_limit) {
        Class::RateLimited
    } else if any(is_callers_fault)
        && !any(|word| code_in(word, 500..600) || word == "server_error")
    {
        Class::Permanent
    } else {
        Class::Transient
    }
}

fn code_in(word: &str, codes: std::ops::Range<u16>) -> bool {
    word.parse().is_ok_and(|code| codes.contains(&code))
}

fn is_limit(word: &str) -> bool {
    word.starts_with("rate_limit")
        || matches!(word, "429" | "too_many_requests" | "insufficient_quota")
}

fn is_callers_fault(word: &str) -> bool {
    const WORDS: [&str; 10] = [
        "invalid_request_error",
        "invalid_request",
        "invalid_prompt",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "billing_error",
        "context_length_exceeded",
        "content_policy_violation",
    ];
    WORDS.contains(&word) || (code_in(word, 400..500) && !matches!(word, "408" | "425"))
}
