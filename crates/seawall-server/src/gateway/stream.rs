//! Reads along an event stream, to know whether it came to its proper end.
//!
//! A stream of server-sent events can break off in a way that looks like a clean end of its body. The
//! protocols say when they are done; that, not the body's end, is the outcome. Whole events are passed on
//! untouched and at once; what their protocol makes of them is [`protocol`](super::protocol)'s.

use super::{
    event::{Event, Events, join},
    protocol::{Api, Reader, Sign, Trouble},
};
use bytes::Bytes;
use seawall::{Class, Outcome};

/// What an event stream said so far.
pub(super) struct Watch {
    /// The API that its client speaks, as far as its request says.
    api: Api,
    events: Events,
    seen: Seen,
}

struct Seen {
    reader: Reader,
    /// Something came that is more than a sign of life.
    content: bool,
    /// The stream said itself how it ended; what follows does not count.
    ended: Option<Outcome>,
    events: u32,
}

/// How a stream's body ended, and what its client still gets.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) last: Last,
}

pub(super) enum Last {
    /// These bytes, then the end of the body.
    Bytes(Bytes),
    /// Half an event has been passed on: only a broken connection keeps the client from taking it for a whole.
    Cut,
}

impl Watch {
    pub(super) fn new(api: Api) -> Self {
        let seen = Seen { reader: Reader::default(), content: false, ended: None, events: 0 };
        Self { api, events: Events::default(), seen }
    }

    /// Looks at the next piece; what may pass on now.
    pub(super) fn feed(&mut self, piece: Bytes) -> Bytes {
        if self.seen.ended.is_some() {
            return piece;
        }
        let ready = self.events.feed(piece, |event| self.seen.see(event, false));
        if self.seen.ended.is_some() {
            // Nothing is read any more, so nothing waits.
            return join(ready, self.events.let_go());
        }
        ready
    }

    /// Whether something of the answer has come, or its end.
    pub(super) fn has_content(&self) -> bool {
        self.seen.content || self.seen.ended.is_some() || self.events.is_inside_event()
    }

    /// Whether a part of the answer has come.
    pub(super) fn began(&self) -> bool {
        self.seen.content
    }

    /// How the stream ended, where it said so itself.
    pub(super) fn ended(&self) -> Option<Outcome> {
        self.seen.ended
    }

    /// How many events have come.
    pub(super) fn events(&self) -> u32 {
        self.seen.events
    }

    /// What is left when nobody waits for the rest: all is well where the answer is complete.
    pub(super) fn left(&self) -> Option<Outcome> {
        let complete = self.seen.reader.is_complete().then_some(Outcome::Success);
        self.seen.ended.or(complete)
    }

    /// The body ended cleanly.
    pub(super) fn end(&mut self) -> Ending {
        self.events.end(|event| self.seen.see(event, true));
        if self.seen.ended.is_none() && self.seen.reader.is_cut_short() {
            let message = "the stream of the upstream ended before its last event";
            return self.fail(Trouble::Broken, message);
        }
        let outcome = self.seen.ended.unwrap_or(Outcome::Success);
        Ending { outcome, last: Last::Bytes(self.events.let_go()) }
    }

    /// The body broke off, or nothing came for too long.
    pub(super) fn break_off(&mut self, trouble: Trouble, message: &str) -> Ending {
        match self.left() {
            Some(outcome) => Ending { outcome, last: Last::Bytes(Bytes::new()) },
            None => self.fail(trouble, message),
        }
    }

    /// The unfinished event is dropped, and an error event takes its place. Clients raise an error for it; for
    /// a body that just ends they raise none.
    fn fail(&mut self, trouble: Trouble, message: &str) -> Ending {
        let last = if self.events.is_inside_event() {
            Last::Cut
        } else {
            Last::Bytes(self.seen.reader.error_event(self.api, trouble, message).into())
        };
        Ending { outcome: Outcome::failure(Class::Transient), last }
    }
}

impl Seen {
    fn see(&mut self, event: &Event<'_>, last: bool) {
        if self.ended.is_some() {
            return;
        }
        self.events = self.events.saturating_add(1);
        let sign = if last { self.reader.read_last(event) } else { Some(self.reader.read(event)) };
        match sign {
            None | Some(Sign::Quiet) => {}
            Some(Sign::Content) => self.content = true,
            Some(Sign::Done) => self.ended = Some(Outcome::Success),
            Some(Sign::Failed(outcome)) => self.ended = Some(outcome),
        }
    }
}

#[cfg(test)]
mod tests;
