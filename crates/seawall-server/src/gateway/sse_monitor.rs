//! Follows a stream of server-sent events, to find out whether it came to its proper end.
//!
//! A stream of server-sent events can break off in a way that looks like a clean end of its body. The protocols say
//! when they are done; that, not the body's end, is the outcome. Whole events are passed on untouched and at once;
//! [`protocol`](super::protocol) decides what they mean.

use super::{
    protocol::{Api, EventMeaning, Reader, StreamFault},
    sse::{SseEvent, SseSplitter, join},
    usage::Seen,
};
use bytes::Bytes;
use seawall::{Class, Outcome};

/// Follows one event stream while it passes.
pub(super) struct SseMonitor {
    /// The API of the client, as far as its request shows it.
    api: Api,
    events: SseSplitter,
    progress: Progress,
}

/// The progress of an event stream.
struct Progress {
    reader: Reader,
    /// Whether something came that is more than a sign of life.
    content: bool,
    /// The outcome of the stream, once the stream itself reported one; what follows does not count.
    ended: Option<Outcome>,
    events: u32,
    /// Events that brought a part of the answer.
    parts: u64,
}

/// The end of a stream: its outcome, and what its client still gets.
pub(super) struct StreamEnd {
    pub(super) outcome: Outcome,
    pub(super) last: FinalBytes,
}

/// The end of a body, as its client gets it.
pub(super) enum FinalBytes {
    /// These bytes come, then the body ends.
    Bytes(Bytes),
    /// The connection breaks off: half an event has been passed on, which the client must not take for a whole.
    Cut,
}

impl SseMonitor {
    pub(super) fn new(api: Api) -> Self {
        let progress = Progress {
            reader: Reader::default(),
            content: false,
            ended: None,
            events: 0,
            parts: 0,
        };
        Self { api, events: SseSplitter::default(), progress }
    }

    /// Reads the next piece, and returns what may pass on now.
    pub(super) fn feed(&mut self, piece: Bytes) -> Bytes {
        if self.progress.ended.is_some() {
            return piece;
        }
        let ready = self.events.feed(piece, |event| self.progress.see(event, false));
        if self.progress.ended.is_some() {
            // Nothing is read any more, so nothing waits.
            return join(ready, self.events.release());
        }
        ready
    }

    /// Whether a part of the answer has come, or its end.
    pub(super) fn has_content(&self) -> bool {
        self.progress.content || self.progress.ended.is_some() || self.events.is_inside_event()
    }

    /// Whether a part of the answer has come.
    pub(super) fn began(&self) -> bool {
        self.progress.content
    }

    /// The outcome of the stream, once the stream itself reported one.
    pub(super) fn ended(&self) -> Option<Outcome> {
        self.progress.ended
    }

    /// The number of events that have come.
    pub(super) fn events(&self) -> u32 {
        self.progress.events
    }

    /// What was seen by now of the tokens that the call used.
    pub(super) fn seen(&self) -> Seen {
        let Progress { reader, parts, .. } = &self.progress;
        let is_whole = self.left().is_some_and(|outcome| outcome.is_success());
        Seen { reported: reader.usage(), parts: *parts, is_whole }
    }

    /// The outcome if the client leaves before the rest, where it is known: a complete answer is a success.
    pub(super) fn left(&self) -> Option<Outcome> {
        let complete = self.progress.reader.is_complete().then_some(Outcome::Success);
        self.progress.ended.or(complete)
    }

    /// Reads the clean end of the body.
    pub(super) fn end(&mut self) -> StreamEnd {
        self.events.end(|event| self.progress.see(event, true));
        if self.progress.ended.is_none() && self.progress.reader.is_cut_short() {
            let message = "the stream of the upstream ended before its last event";
            return self.fail(StreamFault::Broken, message);
        }
        let outcome = self.progress.ended.unwrap_or(Outcome::Success);
        StreamEnd { outcome, last: FinalBytes::Bytes(self.events.release()) }
    }

    /// Ends a stream whose body broke off, or of which nothing came for too long.
    pub(super) fn break_off(&mut self, fault: StreamFault, message: &str) -> StreamEnd {
        match self.left() {
            Some(outcome) => StreamEnd { outcome, last: FinalBytes::Bytes(Bytes::new()) },
            None => self.fail(fault, message),
        }
    }

    /// Puts an error event in the place of the unfinished event. Clients raise an error for it; for a body that just
    /// ends they raise none.
    fn fail(&mut self, fault: StreamFault, message: &str) -> StreamEnd {
        let last = if self.events.is_inside_event() {
            FinalBytes::Cut
        } else {
            FinalBytes::Bytes(self.progress.reader.error_event(self.api, fault, message).into())
        };
        StreamEnd { outcome: Outcome::failure(Class::Transient), last }
    }
}

impl Progress {
    fn see(&mut self, event: &SseEvent<'_>, last: bool) {
        if self.ended.is_some() {
            return;
        }
        self.events = self.events.saturating_add(1);
        let meaning =
            if last { self.reader.read_last(event) } else { Some(self.reader.read(event)) };
        match meaning {
            None | Some(EventMeaning::Quiet) => {}
            Some(EventMeaning::Content) => {
                self.content = true;
                self.parts = self.parts.saturating_add(1);
            }
            Some(EventMeaning::Done) => self.ended = Some(Outcome::Success),
            Some(EventMeaning::Failed(outcome)) => self.ended = Some(outcome),
        }
    }
}

#[cfg(test)]
mod tests;
