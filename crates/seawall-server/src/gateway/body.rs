//! The body of an answer: passed on piece by piece, with the permits held until its last byte.
//!
//! When the client leaves, hyper drops this body; with it go the upstream's connection and the permits.

use super::stream::Watch;
use crate::{BoxError, Held};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use seawall::{Class, Outcome};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Every body that the server sends.
pub(crate) enum AnswerBody {
    /// Our own words.
    Own(Full<Bytes>),
    /// An upstream's, under way.
    Passing(Box<Passing>),
    /// The control plane's.
    Control(axum::body::Body),
}

impl AnswerBody {
    pub(crate) fn empty() -> Self {
        Self::Own(Full::default())
    }
}

impl<T: Into<Bytes>> From<T> for AnswerBody {
    fn from(text: T) -> Self {
        Self::Own(Full::new(text.into()))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Passing(body) => body.poll_next(cx),
            Self::Control(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Passing(body) => body.is_over(),
            Self::Control(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Passing(body) if body.permits.is_none() && body.farewell.is_none() => {
                Empty::<Bytes>::new().size_hint()
            }
            Self::Passing(body) => body.upstream.size_hint(),
            Self::Control(body) => body.size_hint(),
        }
    }
}

/// An upstream's body on its way to the client.
pub(crate) struct Passing {
    upstream: Incoming,
    /// Of the route and of the upstream; `None` when the end has been told.
    permits: Option<[Held; 2]>,
    watch: Option<Watch>,
    /// What is still to be said after the upstream broke off.
    farewell: Option<Bytes>,
    idle: Duration,
    last_piece: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Passing {
    pub(crate) fn new(
        upstream: Incoming,
        permits: [Held; 2],
        watch: Option<Watch>,
        idle: Duration,
    ) -> Self {
        let permits = Some(permits);
        let last_piece = Instant::now();
        let mut this =
            Self { upstream, permits, watch, farewell: None, idle, last_piece, alarm: None };
        if this.upstream.is_end_stream() {
            this.end(Outcome::Success);
        }
        this
    }

    fn is_over(&self) -> bool {
        self.permits.is_none() && self.farewell.is_none()
    }

    /// The calls that the upstream's operation made for this answer are over, and ended like this.
    fn end(&mut self, outcome: Outcome) {
        for permit in self.permits.take().into_iter().flatten() {
            permit.end(outcome);
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(farewell) = self.farewell.take() {
            return Poll::Ready(Some(Ok(Frame::data(farewell))));
        }
        if self.permits.is_none() {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.upstream).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.passed(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.end_of_body();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => self.broke_off(BoxError::from(error)),
            Poll::Pending => match self.poll_idle(cx) {
                Poll::Ready(()) => {
                    self.broke_off(format!("nothing came for {:?}", self.idle).into())
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn passed(&mut self, frame: &Frame<Bytes>) {
        self.last_piece = Instant::now();
        if let (Some(watch), Some(data)) = (&mut self.watch, frame.data_ref()) {
            watch.see(data);
        }
        // With a known length nobody asks again after the last byte.
        if self.upstream.is_end_stream() {
            self.end_of_body();
        }
    }

    fn end_of_body(&mut self) {
        let outcome = self.watch.as_ref().map_or(Outcome::Success, Watch::outcome);
        self.end(outcome);
    }

    fn broke_off(&mut self, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.end(Outcome::failure(Class::Transient));
        let told = self
            .watch
            .as_ref()
            .and_then(|watch| watch.error_event(&format!("the upstream broke off: {error}")));
        match told {
            Some(event) => Poll::Ready(Some(Ok(Frame::data(event)))),
            None => Poll::Ready(Some(Err(error))),
        }
    }

    /// The alarm is set once and looked at when it rings: setting it at each piece would cost more than
    /// passing the piece on.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.last_piece + self.idle;
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
    }
}
