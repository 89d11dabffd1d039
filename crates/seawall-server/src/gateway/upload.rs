//! A client's body as it comes: how fast it must come, and its way to an upstream where it is too long to keep.
//!
//! Nothing of it is taken before a connection to the upstream stands. While nothing has been taken it can be given
//! to another endpoint, another attempt or a fallback. Time in which the client is waited for is measured apart: it
//! is the client's, not the upstream's.

use super::{
    request::{Fault, Refused},
    trailers,
};
use crate::{BoxError, config::Limits};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};

/// How long an attempt waits for a body that the one before is just letting go of.
const HAND_OVER: Duration = Duration::from_secs(1);

/// How long an upstream may read on when it has answered.
const AFTER_ANSWER: Duration = Duration::from_secs(30);

/// Set while the body of a connection's latest request has not been read to its end.
#[derive(Clone, Default)]
pub(crate) struct Unread(pub(crate) Arc<AtomicBool>);

impl Unread {
    /// A request comes. In HTTP/2 its body is no part of the connection's own bytes.
    pub(crate) fn expect(&self, request: &http::Request<Incoming>) {
        let has_body = request.version() < http::Version::HTTP_2 && !request.body().is_end_stream();
        self.0.store(has_body, Ordering::Relaxed);
    }
}

/// How long the client has been waited for, in all.
#[derive(Default)]
pub(super) struct Waits {
    before: Duration,
    since: Option<Instant>,
}

impl Waits {
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

/// The client's end of a body: what came of it, and how fast.
pub(super) struct Source {
    body: Incoming,
    received: u64,
    max_bytes: u64,
    patience: Duration,
    /// Bytes a second, on average over the time waited; 0 for any.
    least_rate: u64,
    waits: Waits,
    /// Rings when the client has been waited for too long.
    alarm: Option<Pin<Box<Sleep>>>,
    unread: Unread,
}

impl Source {
    pub(super) fn new(body: Incoming, limits: &Limits, unread: Unread) -> Self {
        Self {
            body,
            received: 0,
            max_bytes: limits.max_body_bytes,
            patience: limits.client_timeout,
            least_rate: limits.min_upload_rate,
            waits: Waits::default(),
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

    /// The next piece, or what is wrong with the client.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Refused>>> {
        let Poll::Ready(piece) = Pin::new(&mut self.body).poll_frame(cx) else {
            return self.poll_slow(cx).map(|refused| Some(Err(refused)));
        };
        self.waits.end();
        let is_last = |piece: &Result<Frame<Bytes>, _>| {
            piece.as_ref().is_ok_and(|frame: &Frame<Bytes>| frame.is_trailers())
        };
        if self.body.is_end_stream() || piece.as_ref().is_none_or(is_last) {
            self.unread.0.store(false, Ordering::Relaxed);
        }
        Poll::Ready(match piece {
            None => None,
            Some(Err(_)) => Some(Err(Refused::Broken)),
            Some(Ok(frame)) => {
                self.received += frame.data_ref().map_or(0, Bytes::len) as u64;
                let too_large = self.received > self.max_bytes;
                Some(if too_large {
                    Err(Refused::TooLarge(self.max_bytes))
                } else {
                    Ok(trailers::of(frame))
                })
            }
        })
    }

    /// Ready when this wait is longer than the client may pause, or all of them are longer than its bytes are worth.
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<Refused> {
        let since = self.waits.begin();
        let pause = (since + self.patience, Refused::TooSlow(self.patience));
        let (due, refused) = match self.worth() {
            Some(worth) if since + worth < pause.0 => {
                (since + worth, Refused::BelowRate(self.least_rate))
            }
            _ => pause,
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        alarm.as_mut().poll(cx).map(|()| refused)
    }

    /// How long the client may still be waited for, by its rate so far: as long as it may pause, and a second for
    /// each `least_rate` bytes.
    fn worth(&self) -> Option<Duration> {
        let rate = std::num::NonZeroU64::new(self.least_rate)?;
        let earned = Duration::from_secs_f64(self.received as f64 / rate.get() as f64);
        Some((self.patience + earned).saturating_sub(self.waits.before))
    }
}

/// A body that is too long to keep, for whoever may send it.
pub(super) struct Uploads {
    place: Mutex<Place>,
    /// An upload was given back.
    given_back: Notify,
    fault: Fault,
}

struct Place {
    /// `None` when nobody wants its rest any more: then the connection to the client is free to end.
    source: Option<Source>,
    /// How long the client was waited for, once the source is gone.
    waited: Duration,
    /// What was read of it before; empty once more was taken.
    kept: Bytes,
    is_lent: bool,
    /// Some of it was taken that nobody has any more.
    is_spent: bool,
}

impl Uploads {
    pub(super) fn new(source: Source, kept: Bytes, fault: Fault) -> Arc<Self> {
        let place = Place {
            source: Some(source),
            waited: Duration::ZERO,
            kept,
            is_lent: false,
            is_spent: false,
        };
        Arc::new(Self { place: Mutex::new(place), given_back: Notify::new(), fault })
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.lock().is_spent
    }

    /// How long the client has been waited for.
    pub(super) fn waited(&self) -> Duration {
        let place = self.lock();
        place.source.as_ref().map_or(place.waited, |source| source.waits.total())
    }

    /// What the client did wrong while it was sent.
    pub(super) fn fault(&self) -> Option<Refused> {
        self.fault.get().copied()
    }

    /// The answer is over. An upstream that still reads the rest may do so for a while; one that does not would
    /// keep the client's connection for ever.
    pub(super) fn answered(self: &Arc<Self>) {
        if self.lock().source.is_none() {
            return;
        }
        let uploads = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_ANSWER).await;
            if let Some(uploads) = uploads.upgrade() {
                uploads.lock().close();
            }
        });
    }

    /// The body from its beginning; `None` when some of it is gone.
    pub(super) async fn lend(self: &Arc<Self>) -> Option<Upload> {
        let lending = async {
            loop {
                let given_back = self.given_back.notified();
                {
                    let mut place = self.lock();
                    if place.is_spent {
                        return None;
                    }
                    if !place.is_lent {
                        place.is_lent = true;
                        let kept = Some(place.kept.clone()).filter(|kept| !kept.is_empty());
                        return Some(Upload { kept, uploads: self.clone() });
                    }
                }
                given_back.await;
            }
        };
        tokio::time::timeout(HAND_OVER, lending).await.ok().flatten()
    }
}

impl Place {
    fn close(&mut self) {
        self.is_spent = true;
        if let Some(source) = self.source.take() {
            self.waited = source.waits.total();
        }
    }
}

/// What one call sends of it: what was read before, then the rest as it comes.
pub(crate) struct Upload {
    kept: Option<Bytes>,
    uploads: Arc<Uploads>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(kept) = self.kept.take() {
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        let mut place = self.uploads.lock();
        let Some(source) = &mut place.source else {
            return Poll::Ready(Some(Err("the answer is over".into())));
        };
        let piece = std::task::ready!(source.poll(cx));
        if piece.is_some() {
            place.is_spent = true;
            place.kept = Bytes::new();
        }
        Poll::Ready(piece.map(|piece| {
            piece.map_err(|refused| {
                // The first fault is the cause of those that follow.
                let _ = self.uploads.fault.set(refused);
                "the client's request broke off".into()
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        let source_ended = |source: &Source| source.is_end();
        self.kept.is_none() && self.uploads.lock().source.as_ref().is_some_and(source_ended)
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.as_ref().map_or(0, Bytes::len) as u64;
        let rest = self.uploads.lock().source.as_ref().map(Source::size_hint).unwrap_or_default();
        let mut hint = SizeHint::new();
        hint.set_lower(kept.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(kept.saturating_add(upper));
        }
        hint
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut place = self.uploads.lock();
        place.is_lent = false;
        if place.is_spent {
            place.close();
        } else if let Some(source) = &mut place.source {
            source.waits.end();
        }
        drop(place);
        self.uploads.given_back.notify_one();
    }
}
