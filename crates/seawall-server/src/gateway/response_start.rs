//! The start of an answer: its headers are held back until something of it has come.
//!
//! Until then the client has nothing, so an upstream that dies, falls silent or reports an error can still be
//! asked again, or another in its place. Pings and events such as `response.created` are held with the
//! headers; what is held is bounded in time, events and bytes.

use super::{
    protocol::Api,
    sse_monitor::{FinalBytes, SseMonitor, StreamEnd},
    upload::StreamedUpload,
    upstream::CallError,
    upstream_body::{ContentKind, LateClock, UpstreamBody},
};
use bytes::Bytes;
use http::{Response, response::Parts};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seawall::Outcome;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The most events that are held.
const MAX_EVENTS: u32 = 64;
/// The most bytes that are held.
const MAX_BYTES: usize = 512 << 10;

/// How long the headers of an event stream with unknown events are held. A client that waits for news may have to wait
/// for long, and wants to see at once that the connection stands.
const SUBSCRIPTION: Duration = Duration::from_millis(100);

/// The time limits for the start of an answer, and for its pauses.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseTimeouts {
    /// The longest time from the call to the first content.
    pub(super) first_byte: Option<Duration>,
    /// The longest pause between two pieces.
    pub(super) idle: Duration,
    /// How long the headers are held, if `first_byte` does not say so.
    pub(super) hold: Duration,
}

/// The facts that decide how an answer is read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// The API whose events it has.
    pub(super) api: Option<Api>,
    /// Whether it is looked through for the tokens that were used.
    pub(super) counts_tokens: bool,
    /// The instant at which the call began.
    pub(super) began: Instant,
}

/// An answer that has started.
pub(super) struct StartedResponse {
    pub(super) parts: Parts,
    pub(super) body: UpstreamBody,
    /// The outcome, where its first event says that it failed.
    failed: Option<Outcome>,
}

impl StartedResponse {
    /// The outcome of the call, as far as the start of its answer says.
    pub(super) fn outcome(&self) -> Outcome {
        let Parts { status, headers, .. } = &self.parts;
        self.failed.unwrap_or_else(|| seawall_tower::classify_status(*status, headers))
    }

    /// Waits for the start of an answer.
    pub(super) async fn read(
        response: Response<Incoming>,
        reading: Reading,
        timeouts: ResponseTimeouts,
        upload: Option<Arc<StreamedUpload>>,
    ) -> Result<Self, CallError> {
        let Reading { api, began, .. } = reading;
        let (parts, body) = response.into_parts();
        let is_error = parts.status.is_client_error() || parts.status.is_server_error();
        let first_content = timeouts.first_byte.filter(|_| !is_error);
        let clock = LateClock::new(timeouts.idle, first_content, began, upload);
        let reading = Reading {
            api: api.filter(|_| !is_error),
            counts_tokens: reading.counts_tokens && !is_error,
            began,
        };
        let body = UpstreamBody::new(body, &parts.headers, reading, clock);
        let (now, hold) = (Instant::now(), timeouts.hold);
        let until = match (api, body.kind) {
            (Some(_), _) => None,
            (None, ContentKind::Events) => Some(now + hold.min(SUBSCRIPTION)),
            (None, _) => Some(now + hold),
        };
        let mut reader = StartReader { body, bytes: 0, until, hold };
        let failed = if is_error { None } else { reader.wait().await? };
        Ok(Self { parts, body: reader.body, failed })
    }
}

/// Reads the start of an answer.
struct StartReader {
    body: UpstreamBody,
    bytes: usize,
    /// When the headers pass on whatever has come; `None` while there is nothing worth passing on.
    until: Option<Instant>,
    hold: Duration,
}

impl StartReader {
    /// Waits until the answer has begun, or has waited long enough. Gives the outcome where it begins with a failure.
    async fn wait(&mut self) -> Result<Option<Outcome>, CallError> {
        loop {
            let clock = &self.body.clock;
            let until = self.until.filter(|_| !clock.bounds_first_content());
            let due = until.map_or_else(|| clock.due(), |until| until.min(clock.due()));
            match timeout_at(due, self.body.body.frame()).await {
                Ok(Some(Ok(frame))) => self.take(frame),
                Ok(Some(Err(error))) => {
                    return Err(CallError::broken(format!("its answer broke off: {error}")));
                }
                Ok(None) => return self.end(),
                Err(_) if until == Some(due) => return Ok(None),
                // The client was waited for in the meantime.
                Err(_) if Instant::now() < self.body.clock.due() => {}
                Err(_) => {
                    let (limit, detail) = self.body.clock.lateness(due);
                    return Err(CallError::late(limit, detail));
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
        let frame = self.body.take(frame);
        self.until.get_or_insert_with(|| Instant::now() + self.hold);
        let length = frame.data_ref().map(Bytes::len);
        if length != Some(0) {
            self.body.held.push_back(frame);
        }
        self.bytes += length.unwrap_or(0);
    }

    /// The outcome of an answer whose first event says that it failed.
    fn failed(&self) -> Option<Outcome> {
        let monitor = self.body.monitor.as_ref().filter(|monitor| !monitor.began())?;
        monitor.ended().filter(|outcome| !outcome.is_success())
    }

    /// Whether the answer has begun, or as much of it is held as may be.
    fn is_enough(&self) -> bool {
        let is_full = |monitor: &SseMonitor| monitor.events() >= MAX_EVENTS;
        let UpstreamBody { has_begun, monitor, .. } = &self.body;
        *has_begun || self.bytes >= MAX_BYTES || monitor.as_ref().is_some_and(is_full)
    }

    /// The body ended before anything of an answer came.
    fn end(&mut self) -> Result<Option<Outcome>, CallError> {
        let body = &mut self.body;
        body.clock.content_came();
        let Some(monitor) = &mut body.monitor else {
            body.ended = Some(Outcome::Success);
            return Ok(None);
        };
        let StreamEnd { outcome, last } = monitor.end();
        body.ended = Some(outcome);
        match last {
            FinalBytes::Bytes(bytes) if outcome.is_success() || monitor.ended().is_some() => {
                if !bytes.is_empty() {
                    body.held.push_back(Frame::data(bytes));
                }
                Ok(Some(outcome).filter(|outcome| !outcome.is_success()))
            }
            _ => Err(CallError::broken("its stream ended before its first content".into())),
        }
    }
}
