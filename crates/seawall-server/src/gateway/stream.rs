//! Reads along an event stream, to know whether it came to its proper end.
//!
//! A stream of server-sent events can break off in a way that looks like a clean end of its body. The
//! protocols say when they are done; that, not the body's end, is the outcome. Events are passed on
//! untouched and at once; only the lines that matter are looked at, across pieces.

use crate::Protocol;
use bytes::Bytes;
use seawall::{Class, Outcome};

/// Longest line that is looked at in full; what is longer cannot be one that matters.
const MAX_LINE: usize = 64 << 10;

/// What an event stream said so far.
pub(crate) struct Watch {
    protocol: Protocol,
    /// The line under way, where it began in an earlier piece.
    line: Vec<u8>,
    done: bool,
    failed: bool,
}

impl Watch {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { protocol, line: Vec::new(), done: protocol == Protocol::Http, failed: false }
    }

    /// Looks at the next piece.
    pub(crate) fn see(&mut self, mut piece: &[u8]) {
        if self.protocol == Protocol::Http {
            return;
        }
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            if self.line.is_empty() {
                self.see_line(&piece[..end]);
            } else {
                self.keep(&piece[..end]);
                let line = std::mem::take(&mut self.line);
                self.see_line(&line);
            }
            piece = &piece[end + 1..];
        }
        self.keep(piece);
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn see_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.protocol == Protocol::Anthropic {
            match line.strip_prefix(b"event:").map(<[u8]>::trim_ascii) {
                Some(b"message_stop") => self.done = true,
                Some(b"error") => self.failed = true,
                _ => {}
            }
            return;
        }
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return };
        if data == b"[DONE]" || finish_reason(data) {
            self.done = true;
        } else if data.starts_with(b"{\"error\"") || data.starts_with(b"{ \"error\"") {
            self.failed = true;
        }
    }

    /// What the stream was, if its body ended now.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.done && !self.failed {
            Outcome::Success
        } else {
            Outcome::failure(Class::Transient)
        }
    }

    /// The event that tells the client of a stream that broke off. Clients of both protocols raise an
    /// error for it; for a body that just ends they raise none.
    pub(crate) fn error_event(&self, message: &str) -> Option<Bytes> {
        let error = serde_json::json!({ "type": "upstream_error", "message": message });
        match self.protocol {
            Protocol::Http => None,
            Protocol::Openai => {
                Some(format!("\n\ndata: {}\n\n", serde_json::json!({ "error": error })).into())
            }
            Protocol::Anthropic => {
                let error = serde_json::json!({
                    "type": "error",
                    "error": { "type": "api_error", "message": message },
                });
                Some(format!("\n\nevent: error\ndata: {error}\n\n").into())
            }
        }
    }
}

/// Whether a chunk names the reason it is the last one: `"finish_reason":"stop"`, not `null`.
fn finish_reason(data: &[u8]) -> bool {
    const FIELD: &[u8] = b"\"finish_reason\"";
    let Some(at) = data.windows(FIELD.len()).rposition(|window| window == FIELD) else {
        return false;
    };
    let rest = data[at + FIELD.len()..].trim_ascii_start();
    rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"\""))
}

#[cfg(test)]
mod tests;
