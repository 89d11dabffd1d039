//! The body of an answer: passed on piece by piece, with the permits held until its last byte.
//!
//! When the client leaves, hyper drops this body; with it go the upstream's connection and the permits.

use super::{
    opening::Rest,
    protocol::Trouble,
    stream::{Ending, Last, Watch},
    upstream::client_fault,
};
use crate::{BoxError, HeldPermits};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use seawall::{Class, Outcome};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    task::AbortHandle,
    time::{Instant, Sleep, sleep_until},
};

/// Every body that the server sends.
pub(crate) enum AnswerBody {
    /// Our own words.
    Own(Full<Bytes>),
    /// An upstream's, under way.
    Passing(Arc<Mutex<Option<Passing>>>),
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
            Self::Passing(body) => match lock(body).as_mut() {
                Some(passing) => passing.poll_next(cx),
                None => Poll::Ready(Some(Err("the client did not read on".into()))),
            },
            Self::Control(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Passing(body) => lock(body).as_ref().is_some_and(Passing::is_over),
            Self::Control(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Passing(body) => lock(body).as_ref().map(Passing::size_hint).unwrap_or_default(),
            Self::Control(body) => body.size_hint(),
        }
    }
}

/// An upstream's body on its way to the client.
pub(crate) struct Passing {
    rest: Rest,
    /// Of the route and of the upstream; `None` when the end has been told.
    permits: Option<[HeldPermits; 2]>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Since when the client has had a piece, or the headers, and not asked for more.
    unasked_since: Option<Instant>,
    /// Who looks whether it asks.
    guard: Option<AbortHandle>,
    /// What ends the body early, once what came before it has been written.
    broken: Option<BoxError>,
}

type Piece = Option<Result<Frame<Bytes>, BoxError>>;

impl Passing {
    /// The answer as a body. A client that does not read on within `write_timeout` loses it.
    pub(super) fn body(
        rest: Rest,
        permits: [HeldPermits; 2],
        write_timeout: Duration,
    ) -> AnswerBody {
        let unasked_since = Some(Instant::now());
        let mut this = Self {
            rest,
            permits: Some(permits),
            alarm: None,
            unasked_since,
            guard: None,
            broken: None,
        };
        this.end_if_over();
        let under_way = this.permits.is_some();
        let body = Arc::new(Mutex::new(Some(this)));
        if under_way {
            let guard = tokio::spawn(guard(Arc::downgrade(&body), write_timeout)).abort_handle();
            if let Some(this) = lock(&body).as_mut() {
                this.guard = Some(guard);
            }
        }
        AnswerBody::Passing(body)
    }

    fn is_over(&self) -> bool {
        self.permits.is_none() && self.rest.held.is_empty() && self.broken.is_none()
    }

    /// What is left of it. Of an event stream nobody can say: an error event may come in place of its end.
    fn size_hint(&self) -> SizeHint {
        let held = self.rest.held.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64);
        let held: u64 = held.sum();
        if self.permits.is_none() || self.rest.ended.is_some() {
            return SizeHint::with_exact(held);
        }
        let mut hint = SizeHint::new();
        if self.rest.watch.is_none() {
            let rest = self.rest.body.size_hint();
            hint.set_lower(rest.lower().saturating_add(held));
            if let Some(upper) = rest.upper() {
                hint.set_upper(upper.saturating_add(held));
            }
        }
        hint
    }

    /// The calls that the upstream's operation made for this answer are over, and ended like this.
    fn end(&mut self, outcome: Outcome) {
        for permit in self.permits.take().into_iter().flatten() {
            permit.end(outcome);
        }
        if let Some(guard) = self.guard.take() {
            guard.abort();
        }
    }

    /// Ends when the upstream has given its last byte, whatever of it the client has read by then: with a known
    /// length nobody asks again after it.
    fn end_if_over(&mut self) {
        let plain_end = self.rest.watch.is_none() && self.rest.body.is_end_stream();
        if let Some(outcome) = self.rest.ended.or_else(|| plain_end.then_some(Outcome::Success)) {
            self.end(outcome);
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.unasked_since.take().is_some() {
            // While the client did not ask, nor was the upstream asked: its clock begins now.
            self.rest.touch();
        }
        match self.poll_piece(cx) {
            // hyper drops a connection whose body fails without writing what it still buffers, the head
            // included. One turn of waiting lets it write the pieces that arrived together with the failure.
            Poll::Ready(Some(Err(error))) => {
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            piece => {
                if let Poll::Ready(Some(Ok(_))) = piece {
                    self.unasked_since = Some(Instant::now());
                }
                piece
            }
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        loop {
            if let Some(frame) = self.rest.held.pop_front() {
                self.end_if_over();
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.permits.is_none() {
                return Poll::Ready(None);
            }
            match Pin::new(&mut self.rest.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let frame = self.rest.take(frame);
                    self.end_if_over();
                    // Of a piece inside an event nothing passes on yet.
                    if frame.data_ref().is_none_or(|data| !data.is_empty()) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Ready(None) => match &mut self.rest.watch {
                    Some(watch) => {
                        let ending = watch.end();
                        return self.last(ending, "the upstream's stream broke off".into());
                    }
                    None => self.end(Outcome::Success),
                },
                Poll::Ready(Some(Err(error))) => {
                    return self.break_off(Trouble::Broken, BoxError::from(error));
                }
                Poll::Pending if self.poll_late(cx).is_ready() => {
                    let (_, told) = self.rest.lateness(Instant::now());
                    return self.break_off(Trouble::Late, told.into());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn break_off(&mut self, trouble: Trouble, error: BoxError) -> Poll<Piece> {
        if self.rest.is_client_fault() {
            self.end(client_fault());
            return Poll::Ready(Some(Err(error)));
        }
        match &mut self.rest.watch {
            Some(watch) => {
                let ending = watch.break_off(trouble, &format!("the upstream broke off: {error}"));
                self.last(ending, error)
            }
            None => {
                self.end(Outcome::failure(Class::Transient));
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn last(&mut self, ending: Ending, error: BoxError) -> Poll<Piece> {
        self.end(ending.outcome);
        match ending.last {
            Last::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Last::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Last::Cut => Poll::Ready(Some(Err(error))),
        }
    }

    /// The alarm is set once and looked at when it rings: setting it at each piece would cost more than
    /// passing the piece on.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.rest.due();
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if alarm.deadline() > due {
                alarm.as_mut().reset(due);
            }
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

impl Drop for Passing {
    /// A client that leaves when it has the whole answer leaves a success behind.
    fn drop(&mut self) {
        if let Some(outcome) = self.rest.watch.as_ref().and_then(Watch::left) {
            self.end(outcome);
        }
        if let Some(guard) = self.guard.take() {
            guard.abort();
        }
        if let Some(uploads) = &self.rest.uploads {
            uploads.answered();
        }
    }
}

type Shared = Mutex<Option<Passing>>;

fn lock(body: &Shared) -> MutexGuard<'_, Option<Passing>> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the answer away from a client that does not read: its permits go back, and the upstream's call is
/// cancelled. Nobody asks the body for more meanwhile, so it cannot do so itself.
async fn guard(body: Weak<Shared>, write_timeout: Duration) {
    let mut due = Instant::now() + write_timeout;
    loop {
        sleep_until(due).await;
        let Some(body) = body.upgrade() else { return };
        let mut place = lock(&body);
        let Some(passing) = place.as_mut() else { return };
        let now = Instant::now();
        due = passing.unasked_since.unwrap_or(now) + write_timeout;
        if due <= now {
            // The guard is this task: it must not end itself half-way.
            passing.guard = None;
            passing.end(client_fault());
            *place = None;
            return;
        }
    }
}
