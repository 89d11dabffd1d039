//! Reads the events of a stream as far as it takes to know how it ends, in any of the APIs.

use super::{Api, DONE, DONE_DATA, FAILED, KNOWN, QUIET, QUIET_ENDS, RUN_OVER, StreamFault};
use crate::gateway::{
    event_json::{Choice, EventJson, is_whole, members, text, words_of},
    sse::SseEvent,
    usage::usage_inside,
};
use crate::tenants::Usage;
use seawall::{Class, Outcome};
use serde_json::value::RawValue;

/// The meaning of one event for its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::gateway) enum EventMeaning {
    /// The stream lives, but nothing of the answer has come: a ping, `response.created`, a role.
    Quiet,
    /// A part of the answer, or an unknown event.
    Content,
    /// The stream is complete. What comes behind it does not count.
    Done,
    /// The stream failed, and says so.
    Failed(Outcome),
}

/// Data longer than this is read only where something in it may matter.
const SMALL: usize = 4 << 10;

/// Reads the events of a stream, and remembers what they said.
#[derive(Default)]
pub(in crate::gateway) struct Reader {
    /// The API that its events are of; `None` while they are of none that is known.
    spoken: Option<Api>,
    events: u64,
    /// The choices or candidates that have come, a bit each.
    begun_choices: u128,
    /// Those of them that are finished.
    finished_choices: u128,
    /// Whether an event said that nothing of the answer comes after it, before the last event.
    is_over: bool,
    /// Whether an event was too long to be read in full: it may have been the last.
    in_doubt: bool,
    sequence_number: u64,
    /// The tokens that events have reported.
    usage: Usage,
}

impl Reader {
    /// Reads an event that the body's end finished; `None` where it is only half of one.
    pub(in crate::gateway) fn read_last(&mut self, event: &SseEvent<'_>) -> Option<EventMeaning> {
        let data = event.data.trim_ascii();
        if data == DONE_DATA || is_whole(data) {
            return Some(self.read(event));
        }
        // Text that is no JSON may well be whole.
        self.events += u64::from(!data.is_empty() && !data.starts_with(b"{"));
        None
    }

    /// Reads the next event.
    pub(in crate::gateway) fn read(&mut self, event: &SseEvent<'_>) -> EventMeaning {
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
        self.read_usage(&members);
        let names = [name, &*members.kind];
        let failed = names.iter().any(|name| FAILED.contains(name)) || members.object == "error";
        if failed || members.error.is_some() {
            return EventMeaning::Failed(failure(&members));
        }
        let known = names.map(|name| self.learn(name)).contains(&true);
        for (api, choices) in
            [(Api::Chat, members.choices), (Api::GenerateContent, members.candidates)]
        {
            if let Some(choices) = choices.and_then(Choice::all) {
                self.spoken.get_or_insert(api);
                return self.read_choices(&choices);
            }
        }
        if members.prompt_feedback.is_some_and(is_blocked) {
            // Google refuses to answer, and says no more.
            self.spoken.get_or_insert(Api::GenerateContent);
            self.is_over = true;
        }
        self.in_doubt |= !event.whole && !known;
        self.read_names(names, &members, data)
    }

    /// The tokens that events have reported so far.
    pub(in crate::gateway) fn usage(&self) -> Usage {
        self.usage
    }

    /// Reads the tokens that an event reports: itself, or in the message or the response that it has.
    fn read_usage(&mut self, members: &EventJson<'_>) {
        if let Some(usage) = members.usage {
            self.usage.merge(Usage::read(usage));
        }
        for whole in [members.message, members.response].into_iter().flatten() {
            // Most events with a response have it without its usage.
            if memchr::memmem::find(whole.get().as_bytes(), b"\"usage\"").is_some() {
                self.usage.merge(usage_inside(whole));
            }
        }
    }

    /// Whether long data belongs to an event that neither ends nor fails a stream, as far as that is seen without
    /// parsing it.
    fn is_plain(&mut self, name: &str, data: &[u8]) -> bool {
        let ends = DONE.contains(&name) || RUN_OVER.contains(&name) || FAILED.contains(&name);
        !ends && self.learn(name) && memchr::memmem::find(data, b"\"error\"").is_none()
    }

    /// Learns from an event's name which API is spoken. Says whether it is one that is known.
    fn learn(&mut self, name: &str) -> bool {
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        let known = KNOWN.iter().find(|(_, starts)| begins(starts));
        if let Some((api, _)) = known {
            self.spoken = Some(*api);
        }
        known.is_some()
    }

    /// Reads an event by its names: its `event` field, and the `type` in its data.
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
        self.is_over |= is(&RUN_OVER);
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

    /// Reads an event that carries parts of one or several choices.
    fn read_choices(&mut self, choices: &[Choice<'_>]) -> EventMeaning {
        let mut meaning = EventMeaning::Quiet;
        for choice in choices {
            let place = 1_u128.checked_shl(choice.index()).unwrap_or(0);
            self.begun_choices |= place;
            let reason = choice.finish_reason();
            if let Some(error) = choice.error() {
                return EventMeaning::Failed(Outcome::failure(class_of(std::iter::once(error))));
            }
            if reason == "error" {
                return EventMeaning::Failed(Outcome::failure(Class::Transient));
            }
            if !reason.is_empty() {
                self.finished_choices |= place;
            }
            if !reason.is_empty() || choice.has_content() {
                meaning = EventMeaning::Content;
            }
        }
        meaning
    }

    /// Whether the answer is complete, though the stream's own last event has not come.
    pub(in crate::gateway) fn is_complete(&self) -> bool {
        let all_finished = self.begun_choices != 0 && self.begun_choices == self.finished_choices;
        match self.spoken {
            Some(Api::Chat) => all_finished,
            Some(Api::GenerateContent) => all_finished || self.is_over,
            Some(Api::Assistants) => self.is_over,
            Some(Api::Responses | Api::Messages) | None => false,
        }
    }

    /// Whether an end of the body, now, would be too early. For events that are not known this is never so.
    pub(in crate::gateway) fn is_cut_short(&self) -> bool {
        let known = self.spoken.is_some() || self.events == 0;
        known && !self.is_complete() && !self.in_doubt
    }

    /// The event that reports to the client of a stream that it failed, in the API that the stream used, else in
    /// `api`.
    pub(in crate::gateway) fn error_event(
        &self,
        api: Api,
        fault: StreamFault,
        message: &str,
    ) -> String {
        self.spoken.unwrap_or(api).error_event(fault, message, self.sequence_number)
    }
}

/// Whether the data of an event is empty.
fn is_empty(data: &[u8]) -> bool {
    matches!(data, b"" | b"{}" | b"null")
}

/// Whether a block begins with content of its own; text and thinking come after its start.
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

/// Whether Google's feedback on a prompt says that there will be no answer.
fn is_blocked(feedback: &RawValue) -> bool {
    members(feedback).contains_key("blockReason")
}

/// The outcome of an event that reports a failure: it says whose fault it is.
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
