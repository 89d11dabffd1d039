//! The content of answers: chat completions in the OpenAI shape, whole or as a stream of server-sent events.
//!
//! The words are always the same. Only what clients look at is there: ids, model, choices, usage.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

const WORDS: [&str; 8] = ["All", "is", "well", "behind", "the", "wall", "this", "tide"];

/// The parts of a request that decide about its answer. A body that is no JSON asks for nothing in particular.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    pub(super) stream: bool,
    model: Option<String>,
}

impl Wish {
    pub(super) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

/// The fields that every form of one answer repeats.
pub(super) struct Completion {
    id: String,
    created: u64,
    model: String,
}

impl Completion {
    /// The answer to the `nth` call.
    pub(super) fn new(nth: u64, wish: Wish, model: &str) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            id: format!("chatcmpl-{nth}"),
            created: since_epoch.map_or(0, |since| since.as_secs()),
            model: wish.model.unwrap_or_else(|| model.to_owned()),
        }
    }

    /// The whole answer as one JSON object. A token is taken to be four bytes of the prompt, or a word.
    pub(super) fn whole(&self, prompt_bytes: usize) -> Bytes {
        let (prompt, completion) = (prompt_bytes.div_ceil(4), WORDS.len());
        let mut object = self.object("chat.completion");
        object["choices"] = json!([{
            "index": 0,
            "message": { "role": "assistant", "content": WORDS.join(" ") },
            "finish_reason": "stop",
        }]);
        object["usage"] = json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        });
        object.to_string().into()
    }

    /// `chunks` events of a word each, the last with the reason to stop, then `[DONE]`.
    pub(super) fn events(&self, chunks: usize) -> VecDeque<Bytes> {
        let chunk = |n: usize| {
            let mut delta = json!({ "content": format!("{} ", WORDS[n % WORDS.len()]) });
            if n == 0 {
                delta["role"] = "assistant".into();
            }
            let finish = (n + 1 == chunks).then_some("stop");
            let mut object = self.object("chat.completion.chunk");
            object["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
            Bytes::from(format!("data: {object}\n\n"))
        };
        let done = Bytes::from_static(b"data: [DONE]\n\n");
        (0..chunks).map(chunk).chain([done]).collect()
    }

    fn object(&self, kind: &str) -> Value {
        json!({ "id": self.id, "object": kind, "created": self.created, "model": self.model })
    }
}

/// An error as the OpenAI API words it.
pub(super) fn error(status: http::StatusCode) -> Bytes {
    let kind = if status == http::StatusCode::TOO_MANY_REQUESTS {
        "rate_limit_error"
    } else {
        "server_error"
    };
    let message = status.canonical_reason().unwrap_or("error");
    json!({ "error": { "message": message, "type": kind, "code": status.as_u16() } })
        .to_string()
        .into()
}
