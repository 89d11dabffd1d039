//! The body that a client sends, as it comes: bounded in length, in each pause, and in its rate.
//!
//! Time in which the client is waited for is measured apart: it is the client's, not the upstream's.

use super::{headers::with_clean_trailers, request::RequestError};
use crate::config::Limits;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    future::Future,
    num::NonZeroU64,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A flag of a connection: the body of its latest request has not been read to its end.
#[derive(Clone, Default)]
pub(crate) struct UnreadBody(pub(crate) Arc<AtomicBool>);

impl UnreadBody {
    /// Notes a request that comes. In HTTP/2 its body is no part of the connection's own bytes.
    pub(crate) fn expect(&self, request: &http::Request<Incoming>) {
        let has_body = request.version() < http::Version::HTTP_2 && !request.body().is_end_stream();
        self.0.store(has_body, Ordering::Relaxed);
    }
}

/// The time for which the gateway has waited for the client.
#[derive(Default)]
struct WaitTime {
    /// The length of all waits that are over.
    before: Duration,
    /// When the present wait began.
    since: Option<Instant>,
}

impl WaitTime {
    fn begin(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now)
    }

    fn end(&mut self) {
        if let Some(since) = self.since.take() {
            self.before += since.elapsed();
        }
    }

    fn total(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A client's body, with how much of it came and how fast.
pub(super) struct ClientBody {
    body: Incoming,
    received: u64,
    max_bytes: u64,
    /// The longest pause between two pieces.
    max_pause: Duration,
    /// Bytes a second that must come, on average over the time waited; 0 for any.
    min_rate: u64,
    waited: WaitTime,
    /// Rings when the client has been waited for too long.
    alarm: Option<Pin<Box<Sleep>>>,
    unread: UnreadBody,
}

impl ClientBody {
    pub(super) fn new(body: Incoming, limits: &Limits, unread: UnreadBody) -> Self {
        Self {
            body,
            received: 0,
            max_bytes: limits.max_body_bytes,
            max_pause: limits.client_timeout,
            min_rate: limits.min_upload_rate,
            waited: WaitTime::default(),
            alarm: None,
            unread,
        }
    }

    pub(super) fn is_end(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// Polls for the next piece; an error is what is wrong with the client.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestError>>> {
        let Poll::Ready(piece) = Pin::new(&mut self.body).poll_frame(cx) else {
            return self.poll_too_slow(cx).map(|error| Some(Err(error)));
        };
        self.waited.end();
        let is_last = match &piece {
            None => true,
            Some(piece) => piece.as_ref().is_ok_and(Frame::is_trailers),
        };
        if is_last || self.body.is_end_stream() {
            self.unread.0.store(false, Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| {
            let frame = piece.map_err(|_| RequestError::BodyBroken)?;
            self.received += frame.data_ref().map_or(0, Bytes::len) as u64;
            if self.received > self.max_bytes {
                return Err(RequestError::BodyTooLarge(self.max_bytes));
            }
            Ok(with_clean_trailers(frame))
        }))
    }

    /// The client has been waited for until now, and is no longer.
    pub(super) fn stop_waiting(&mut self) {
        self.waited.end();
    }

    /// How long the gateway has waited for the client.
    pub(super) fn waited(&self) -> Duration {
        self.waited.total()
    }

    /// Ready when this wait is longer than the client may pause, or all of them are longer than its rate allows.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<RequestError> {
        let since = self.waited.begin();
        let mut due = since + self.max_pause;
        let mut error = RequestError::BodyTooSlow(self.max_pause);
        if let Some(left) = self.wait_left_by_rate()
            && since + left < due
        {
            due = since + left;
            error = RequestError::BodyBelowRate(self.min_rate);
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        alarm.as_mut().poll(cx).map(|()| error)
    }

    /// How long the gateway may still wait for the client at its rate so far: for one pause, and for a second for each
    /// `min_rate` bytes that came. `None` if there is no least rate.
    fn wait_left_by_rate(&self) -> Option<Duration> {
        let rate = NonZeroU64::new(self.min_rate)?;
        let earned = Duration::from_secs_f64(self.received as f64 / rate.get() as f64);
        Some((self.max_pause + earned).saturating_sub(self.waited.before))
    }
}
