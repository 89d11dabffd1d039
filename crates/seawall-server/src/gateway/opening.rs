//! The opening of an answer: its headers are held back until something of it has come.
//!
//! Until then the client has nothing, so an upstream that dies, falls silent or reports an error can still be
//! asked again, or another in its place. Pings and events such as `response.created` are held with the
//! headers; what is held is bounded in time, events and bytes.

use super::{
    protocol::Api,
    stream::{Ending, Last, Watch},
    trailers,
    upload::Uploads,
    upstream::CallError,
};
use bytes::Bytes;
use http::{HeaderMap, Response, header, response::Parts};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seawall::Outcome;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Events held at most, and bytes.
const MAX_EVENTS: u32 = 64;
const MAX_BYTES: usize = 512 << 10;

/// How long the headers of an event stream whose events nobody here knows are held. Somebody who waits for news may
/// have to wait for long, and wants to know at once that the connection stands.
const SUBSCRIPTION: Duration = Duration::from_millis(100);

/// How long an answer may take to come, and how long it may pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until its first content, from the call on.
    pub(super) first_byte: Option<Duration>,
    /// Between two pieces.
    pub(super) idle: Duration,
    /// For which its headers are held, where `first_byte` does not say so.
    pub(super) hold: Duration,
}

/// An answer whose opening has come.
pub(crate) struct Opened {
    pub(super) parts: Parts,
    pub(super) rest: Rest,
    /// It opens with an event that says that it failed.
    failed: Option<Outcome>,
}

/// The body of an answer, with what was held of it.
pub(crate) struct Rest {
    pub(super) body: Incoming,
    pub(super) held: VecDeque<Frame<Bytes>>,
    pub(super) watch: Option<Watch>,
    kind: Kind,
    /// Something came that is more than a sign of life.
    begun: bool,
    pub(super) idle: Duration,
    /// When its first content must have come, while it has not.
    pub(super) first_by: Option<(Instant, Duration)>,
    pub(super) last_piece: Instant,
    /// The request's body, where it may still be under way.
    pub(super) uploads: Option<Arc<Uploads>>,
    /// How long the client had been waited for at the last piece, and when the answer began.
    pub(super) waited: [Duration; 2],
    /// How it ended, where its end has come already.
    pub(super) ended: Option<Outcome>,
}

impl Opened {
    /// What the upstream made of the request, as far as its answer's opening says.
    pub(super) fn outcome(&self) -> Outcome {
        let Parts { status, headers, .. } = &self.parts;
        self.failed.unwrap_or_else(|| seawall_tower::classify_status(*status, headers))
    }

    /// Waits for the opening of an answer to a call that began at `began`.
    pub(super) async fn read(
        response: Response<Incoming>,
        api: Option<Api>,
        patience: Patience,
        began: Instant,
        uploads: Option<Arc<Uploads>>,
    ) -> Result<Self, CallError> {
        let (parts, body) = response.into_parts();
        let is_error = parts.status.is_client_error() || parts.status.is_server_error();
        let kind = Kind::of(&parts.headers);
        let is_stream = kind == Kind::Events;
        // What has no body at all, as an answer to HEAD, is no stream either.
        let is_readable = is_stream && !body.is_end_stream() && !is_encoded(&parts.headers);
        let watch = api.filter(|_| !is_error && is_readable);
        let now = Instant::now();
        let first_by = patience.first_byte.filter(|_| !is_error);
        let rest = Rest {
            body,
            held: VecDeque::new(),
            watch: watch.map(Watch::new),
            kind,
            begun: false,
            idle: patience.idle,
            first_by: first_by.map(|limit| (began + limit, limit)),
            last_piece: now,
            waited: [uploads.as_ref().map_or(Duration::ZERO, |uploads| uploads.waited()); 2],
            uploads,
            ended: None,
        };
        let hold = patience.hold;
        let until = match (api, is_stream) {
            (Some(_), _) => None,
            (None, true) => Some(now + hold.min(SUBSCRIPTION)),
            (None, false) => Some(now + hold),
        };
        let mut opening = Opening { rest, bytes: 0, until, hold };
        let failed = if is_error { None } else { opening.wait().await? };
        Ok(Self { parts, rest: opening.rest, failed })
    }
}

struct Opening {
    rest: Rest,
    bytes: usize,
    /// When the headers pass on whatever has come; `None` while there is nothing worth passing on.
    until: Option<Instant>,
    hold: Duration,
}

impl Opening {
    /// Waits until the answer has begun, or has waited long enough. What it says if it begins with a failure.
    async fn wait(&mut self) -> Result<Option<Outcome>, CallError> {
        loop {
            let rest = &mut self.rest;
            let until = if rest.first_by.is_some() { None } else { self.until };
            let due = until.map_or_else(|| rest.due(), |until| until.min(rest.due()));
            match timeout_at(due, rest.body.frame()).await {
                Ok(Some(Ok(frame))) => self.take(frame),
                Ok(Some(Err(error))) => {
                    return Err(CallError::broken(format!("its answer broke off: {error}")));
                }
                Ok(None) => return self.end(),
                Err(_) if until == Some(due) => return Ok(None),
                // The client was waited for in the meantime.
                Err(_) if Instant::now() < rest.due() => {}
                Err(_) => {
                    let (limit, told) = rest.lateness(due);
                    return Err(CallError::late(limit, told));
                }
            }
            if let Some(failed) = self.failed() {
                return Ok(Some(failed));
            }
            if self.is_enough() {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        let rest = &mut self.rest;
        let frame = rest.take(frame);
        self.until.get_or_insert(rest.last_piece + self.hold);
        let length = frame.data_ref().map(Bytes::len);
        if length != Some(0) {
            rest.held.push_back(frame);
        }
        self.bytes += length.unwrap_or(0);
    }

    fn failed(&self) -> Option<Outcome> {
        let watch = self.rest.watch.as_ref().filter(|watch| !watch.began())?;
        watch.ended().filter(|outcome| !outcome.is_success())
    }

    fn is_enough(&self) -> bool {
        let full = |watch: &Watch| watch.events() >= MAX_EVENTS;
        let Rest { begun, watch, .. } = &self.rest;
        *begun || self.bytes >= MAX_BYTES || watch.as_ref().is_some_and(full)
    }

    /// The body ended before anything of an answer came.
    fn end(&mut self) -> Result<Option<Outcome>, CallError> {
        let rest = &mut self.rest;
        rest.first_by = None;
        let Some(watch) = &mut rest.watch else {
            rest.ended = Some(Outcome::Success);
            return Ok(None);
        };
        let Ending { outcome, last } = watch.end();
        rest.ended = Some(outcome);
        match last {
            Last::Bytes(bytes) if outcome.is_success() || watch.ended().is_some() => {
                if !bytes.is_empty() {
                    rest.held.push_back(Frame::data(bytes));
                }
                Ok(Some(outcome).filter(|outcome| !outcome.is_success()))
            }
            _ => Err(CallError::broken("its stream ended before its first content".into())),
        }
    }
}

impl Rest {
    /// Reads along the next piece; what of it may pass on.
    pub(super) fn take(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        self.touch();
        let frame = trailers::of(frame);
        let Some(watch) = &mut self.watch else {
            if !self.begun {
                self.begun = frame.data_ref().is_some_and(|data| self.kind.is_content(data));
                self.first_by = self.first_by.filter(|_| !self.begun);
            }
            return frame;
        };
        let frame = frame.map_data(|data| watch.feed(data));
        if !self.begun && watch.has_content() {
            (self.begun, self.first_by) = (true, None);
        }
        frame
    }

    /// The upstream is asked for the next piece now.
    pub(super) fn touch(&mut self) {
        self.last_piece = Instant::now();
        self.waited[0] = self.waited();
    }

    /// How long the client was waited for, while its request's body is passed on.
    fn waited(&self) -> Duration {
        self.uploads.as_ref().map_or(Duration::ZERO, |uploads| uploads.waited())
    }

    /// The clock that rings next, if nothing comes before: the first content's, or that of pauses. Both stand while
    /// the client is waited for.
    pub(super) fn due(&self) -> Instant {
        let waited = self.waited();
        let idle = self.last_piece + self.idle + waited.saturating_sub(self.waited[0]);
        self.first_by(waited).map_or(idle, |at| at.min(idle))
    }

    fn first_by(&self, waited: Duration) -> Option<Instant> {
        self.first_by.map(|(at, _)| at + waited.saturating_sub(self.waited[1]))
    }

    /// Why `now` is too late.
    pub(super) fn lateness(&self, now: Instant) -> (Duration, String) {
        match (self.first_by, self.first_by(self.waited())) {
            (Some((_, limit)), Some(at)) if at <= now => {
                (limit, format!("no content came within {limit:?}"))
            }
            _ => (self.idle, format!("nothing came for {:?}", self.idle)),
        }
    }

    /// Whether the client itself spoiled its request while the answer was under way.
    pub(super) fn is_client_fault(&self) -> bool {
        self.uploads.as_ref().is_some_and(|uploads| uploads.fault().is_some())
    }
}

/// What a body is made of, as far as its first content is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Events,
    Json,
    Other,
}

impl Kind {
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

/// Whether its events cannot be read along. In a compressed stream neither the last event can be seen nor an
/// error event be added; it counts by the end of its body, as any other answer.
fn is_encoded(headers: &HeaderMap) -> bool {
    let coding = headers.get(header::CONTENT_ENCODING);
    coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
