//! The body of an upstream's answer: what was held of it, what it says of itself, and when it is late.

use super::{
    headers::with_clean_trailers,
    response_start::Reading,
    sse_monitor::SseMonitor,
    upload::StreamedUpload,
    usage::{Seen, UsageScan},
};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use seawall::Outcome;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The body of an answer, with what was held of it.
pub(super) struct UpstreamBody {
    pub(super) body: Incoming,
    /// Pieces that were read and have not passed on.
    pub(super) held: VecDeque<Frame<Bytes>>,
    /// Reads along an event stream of a known API.
    pub(super) monitor: Option<SseMonitor>,
    /// Reads along a JSON document, for the tokens that it reports.
    usage: Option<UsageScan>,
    pub(super) kind: ContentKind,
    /// Whether something came that is more than a sign of life.
    pub(super) has_begun: bool,
    pub(super) clock: LateClock,
    /// The outcome of the body, if its end has come already.
    pub(super) ended: Option<Outcome>,
}

impl UpstreamBody {
    /// A body of which nothing has come. Only events of `api` are read along, and only where they can be read: what has
    /// no body at all, as an answer to HEAD, is no stream.
    pub(super) fn new(
        body: Incoming,
        headers: &HeaderMap,
        reading: Reading,
        clock: LateClock,
    ) -> Self {
        let kind = ContentKind::of(headers);
        let is_plain = !body.is_end_stream() && !is_encoded(headers);
        let is_readable = kind == ContentKind::Events && is_plain;
        let reports = reading.counts_tokens && kind == ContentKind::Json && is_plain;
        Self {
            body,
            held: VecDeque::new(),
            monitor: reading.api.filter(|_| is_readable).map(SseMonitor::new),
            usage: reports.then(UsageScan::default),
            kind,
            has_begun: false,
            clock,
            ended: None,
        }
    }

    /// Reads along the next piece, and gives back what of it may pass on.
    pub(super) fn take(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        self.clock.restart_pause();
        let mut frame = with_clean_trailers(frame);
        if let Some((usage, data)) = self.usage.as_mut().zip(frame.data_ref()) {
            usage.feed(data);
        }
        if let Some(monitor) = &mut self.monitor {
            frame = frame.map_data(|data| monitor.feed(data));
        }
        if !self.has_begun && self.is_content(&frame) {
            self.has_begun = true;
            self.clock.content_came();
        }
        frame
    }

    /// What was seen by now of the tokens that the call used.
    pub(super) fn seen(&self) -> Seen {
        match (&self.monitor, &self.usage) {
            (Some(monitor), _) => monitor.seen(),
            (None, Some(usage)) => usage.seen(),
            (None, None) => Seen::default(),
        }
    }

    /// Whether a piece is more than a sign of life.
    fn is_content(&self, frame: &Frame<Bytes>) -> bool {
        match &self.monitor {
            Some(monitor) => monitor.has_content(),
            None => frame.data_ref().is_some_and(|data| self.kind.is_content(data)),
        }
    }

    /// Whether the client itself spoiled its request while the answer was under way.
    pub(super) fn is_client_fault(&self) -> bool {
        self.clock.upload.as_ref().is_some_and(|upload| upload.fault().is_some())
    }
}

/// The clock that decides when an answer is late: with its first content, or in a pause between two pieces. Time in
/// which the gateway waits for the client, while its request's body is passed on, does not count.
pub(super) struct LateClock {
    /// The longest pause between two pieces.
    idle: Duration,
    /// The instant at which the first content must have come, and the limit that it follows from, while it has not
    /// come.
    first_content: Option<(Instant, Duration)>,
    last_piece: Instant,
    /// The request's body, where it may still be under way.
    pub(super) upload: Option<Arc<StreamedUpload>>,
    /// How long the gateway had waited for the client when the answer began.
    waited_at_start: Duration,
    /// How long the gateway had waited for the client when the last piece came.
    waited_at_last_piece: Duration,
}

impl LateClock {
    /// A clock of an answer that begins now, to a call that began at `call_began`.
    pub(super) fn new(
        idle: Duration,
        first_content: Option<Duration>,
        call_began: Instant,
        upload: Option<Arc<StreamedUpload>>,
    ) -> Self {
        let mut clock = Self {
            idle,
            first_content: first_content.map(|limit| (call_began + limit, limit)),
            last_piece: Instant::now(),
            upload,
            waited_at_start: Duration::ZERO,
            waited_at_last_piece: Duration::ZERO,
        };
        clock.waited_at_start = clock.waited();
        clock.waited_at_last_piece = clock.waited_at_start;
        clock
    }

    fn waited(&self) -> Duration {
        self.upload.as_ref().map_or(Duration::ZERO, |upload| upload.waited())
    }

    /// A pause begins: a piece came, or the upstream is asked for the next one only now.
    pub(super) fn restart_pause(&mut self) {
        self.last_piece = Instant::now();
        self.waited_at_last_piece = self.waited();
    }

    /// The first content came, or will not come: only pauses count from now on.
    pub(super) fn content_came(&mut self) {
        self.first_content = None;
    }

    /// Whether the first content has not come yet, and is bounded in time.
    pub(super) fn bounds_first_content(&self) -> bool {
        self.first_content.is_some()
    }

    /// When the answer is late if nothing comes before.
    pub(super) fn due(&self) -> Instant {
        let waited = self.waited().saturating_sub(self.waited_at_last_piece);
        let pause = self.last_piece + self.idle + waited;
        self.first_content_due().map_or(pause, |(due, _)| due.min(pause))
    }

    fn first_content_due(&self) -> Option<(Instant, Duration)> {
        let waited = self.waited().saturating_sub(self.waited_at_start);
        self.first_content.map(|(due, limit)| (due + waited, limit))
    }

    /// The time that is over at `now`, and in words what did not come within it.
    pub(super) fn lateness(&self, now: Instant) -> (Duration, String) {
        match self.first_content_due() {
            Some((due, limit)) if due <= now => (limit, no_content_within(limit)),
            _ => (self.idle, format!("nothing came for {:?}", self.idle)),
        }
    }
}

/// The message for an answer whose first content did not come in time.
pub(super) fn no_content_within(limit: Duration) -> String {
    format!("no content came within {limit:?}")
}

/// The kind of a body, as far as its first content is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentKind {
    Events,
    Json,
    Other,
}

impl ContentKind {
    fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let begins = |name: &[u8]| {
            kind.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        if begins(b"text/event-stream") {
            Self::Events
        } else if begins(b"application/json") {
            Self::Json
        } else {
            Self::Other
        }
    }

    /// Whether a piece at the beginning of a body is more than something that keeps the connection alive: comments in
    /// events, white space before JSON.
    fn is_content(self, piece: &[u8]) -> bool {
        match self {
            Self::Other => !piece.is_empty(),
            Self::Json => !piece.trim_ascii().is_empty(),
            Self::Events => {
                let mut lines = piece.split(|byte| matches!(byte, b'\n' | b'\r'));
                lines.any(|line| line.first().is_some_and(|first| *first != b':'))
            }
        }
    }
}

/// Whether the events of a stream are encoded, and so cannot be followed. In a compressed stream neither the last
/// event can be seen nor an error event be added; it counts by the end of its body, as any other answer.
fn is_encoded(headers: &HeaderMap) -> bool {
    let coding = headers.get(header::CONTENT_ENCODING);
    coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
