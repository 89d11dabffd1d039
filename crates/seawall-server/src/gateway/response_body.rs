//! The body of an answer: passed on piece by piece, with the permits held until its last byte.
//!
//! When the client leaves, hyper drops this body; with it go the upstream's connection and the permits.

use super::{
    protocol::StreamFault,
    sse_monitor::{FinalBytes, SseMonitor, StreamEnd},
    upstream::CLIENT_FAULT,
    upstream_body::UpstreamBody,
    usage::Estimate,
};
use crate::{
    runtime::{BoxError, HeldPermits},
    tenants::TenantCall,
};
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

/// The body of a response of this server.
pub(crate) enum ResponseBody {
    /// A text of the gateway's own.
    Own(Full<Bytes>),
    /// An upstream's body, on its way.
    Streamed(Arc<SharedBody>),
    /// A body of the control plane.
    Control(axum::body::Body),
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self::Own(Full::default())
    }

    /// The outcome of an upstream's answer, once its end is known.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Streamed(body) => lock(body).as_ref().and_then(|streamed| streamed.outcome),
            Self::Own(_) | Self::Control(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for ResponseBody {
    fn from(text: T) -> Self {
        Self::Own(Full::new(text.into()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Streamed(body) => match lock(body).as_mut() {
                Some(streamed) => streamed.poll_next(cx),
                None => Poll::Ready(Some(Err("the client did not read on".into()))),
            },
            Self::Control(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Streamed(body) => lock(body).as_ref().is_some_and(StreamedBody::is_over),
            Self::Control(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Streamed(body) => {
                lock(body).as_ref().map(StreamedBody::size_hint).unwrap_or_default()
            }
            Self::Control(body) => body.size_hint(),
        }
    }
}

/// A body that its connection polls and [`watch_reader`] may take away; `None` when it was.
pub(crate) type SharedBody = Mutex<Option<StreamedBody>>;

/// The permits that an answer holds until its last byte.
pub(super) struct AnswerPermits {
    pub(super) upstream: HeldPermits,
    pub(super) route: HeldPermits,
    /// The outcome of the call as far as the start of its answer says. Where that is a failure, it is that of the whole.
    pub(super) start: Outcome,
    /// The tokens that were expected of the request, where somebody counts them.
    pub(super) estimate: Option<Estimate>,
    /// The tenant whose request it is.
    pub(super) tenant: Option<TenantCall>,
}

/// An upstream's body on its way to the client.
pub(crate) struct StreamedBody {
    upstream: UpstreamBody,
    /// `None` when the outcome is known and reported.
    permits: Option<AnswerPermits>,
    /// What was reported of its end.
    outcome: Option<Outcome>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Since when the client has had a piece, or the headers, and not asked for more.
    unasked_since: Option<Instant>,
    /// The task that looks whether the client reads on.
    reader_watch: Option<AbortHandle>,
    /// The error that ends the body early, once what came before it has been written.
    broken: Option<BoxError>,
}

type Piece = Option<Result<Frame<Bytes>, BoxError>>;

impl StreamedBody {
    /// Makes the body of a response. A client that does not read on within `write_timeout` loses it.
    pub(super) fn response(
        upstream: UpstreamBody,
        permits: AnswerPermits,
        write_timeout: Duration,
    ) -> ResponseBody {
        let mut this = Self {
            upstream,
            permits: Some(permits),
            outcome: None,
            alarm: None,
            unasked_since: Some(Instant::now()),
            reader_watch: None,
            broken: None,
        };
        this.end_if_over();
        if this.permits.is_none() {
            return ResponseBody::Streamed(Arc::new(Mutex::new(Some(this))));
        }
        let body = Arc::new_cyclic(|body| {
            let watch = tokio::spawn(watch_reader(body.clone(), write_timeout));
            this.reader_watch = Some(watch.abort_handle());
            Mutex::new(Some(this))
        });
        ResponseBody::Streamed(body)
    }

    fn is_over(&self) -> bool {
        self.permits.is_none() && self.upstream.held.is_empty() && self.broken.is_none()
    }

    /// What is left of the body. The length of an event stream is unknown: an error event may come in place of its
    /// end.
    fn size_hint(&self) -> SizeHint {
        let held = self.upstream.held.iter().filter_map(Frame::data_ref);
        let held: u64 = held.map(|data| data.len() as u64).sum();
        if self.permits.is_none() || self.upstream.ended.is_some() {
            return SizeHint::with_exact(held);
        }
        let mut hint = SizeHint::new();
        if self.upstream.monitor.is_none() {
            let rest = self.upstream.body.size_hint();
            hint.set_lower(rest.lower().saturating_add(held));
            if let Some(upper) = rest.upper() {
                hint.set_upper(upper.saturating_add(held));
            }
        }
        hint
    }

    /// Reports how the calls ended that the route and its upstream made for this answer.
    fn end(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
        self.report_use();
        if let Some(AnswerPermits { upstream, route, start, tenant, .. }) = self.permits.take() {
            let outcome = if start.is_success() { outcome } else { start };
            upstream.end(outcome);
            route.end(outcome);
            if let Some(tenant) = tenant {
                tenant.end(outcome);
            }
        }
        if let Some(watch) = self.reader_watch.take() {
            watch.abort();
        }
    }

    /// Reports the tokens that were used, as far as the answer was read: limits are settled with it when the permits go.
    fn report_use(&mut self) {
        let Some(permits) = &mut self.permits else { return };
        let Some(used) =
            permits.estimate.as_ref().and_then(|estimate| self.upstream.seen().used(estimate))
        else {
            return;
        };
        let tokens = u32::try_from(used.total()).unwrap_or(u32::MAX);
        permits.upstream.used_tokens(tokens);
        permits.route.used_tokens(tokens);
        if let Some(tenant) = &mut permits.tenant {
            tenant.used(used);
        }
    }

    /// Reports the end when the upstream has given its last byte, whatever of it the client has read by then: a body
    /// of known length is not polled again after its last byte.
    fn end_if_over(&mut self) {
        let UpstreamBody { monitor, body, ended, .. } = &self.upstream;
        let plain_end = monitor.is_none() && body.is_end_stream();
        if let Some(outcome) = ended.or_else(|| plain_end.then_some(Outcome::Success)) {
            self.end(outcome);
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.unasked_since.take().is_some() {
            // While the client did not ask, the upstream was not asked either: its pause begins now.
            self.upstream.clock.restart_pause();
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
            if let Some(frame) = self.upstream.held.pop_front() {
                self.end_if_over();
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.permits.is_none() {
                return Poll::Ready(None);
            }
            match Pin::new(&mut self.upstream.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let frame = self.upstream.take(frame);
                    self.end_if_over();
                    // Of a piece inside an event nothing passes on yet.
                    if frame.data_ref().is_none_or(|data| !data.is_empty()) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Ready(None) => match &mut self.upstream.monitor {
                    Some(monitor) => {
                        let ending = monitor.end();
                        return self.last(ending, "the upstream's stream broke off".into());
                    }
                    None => self.end(Outcome::Success),
                },
                Poll::Ready(Some(Err(error))) => {
                    return self.break_off(StreamFault::Broken, BoxError::from(error));
                }
                Poll::Pending if self.poll_late(cx).is_ready() => {
                    let (_, detail) = self.upstream.clock.lateness(Instant::now());
                    return self.break_off(StreamFault::Late, detail.into());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The upstream's body broke off, or is late.
    fn break_off(&mut self, fault: StreamFault, error: BoxError) -> Poll<Piece> {
        if self.upstream.is_client_fault() {
            self.end(CLIENT_FAULT);
            return Poll::Ready(Some(Err(error)));
        }
        match &mut self.upstream.monitor {
            Some(monitor) => {
                let ending = monitor.break_off(fault, &format!("the upstream broke off: {error}"));
                self.last(ending, error)
            }
            None => {
                self.end(Outcome::failure(Class::Transient));
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// The last piece of an event stream.
    fn last(&mut self, ending: StreamEnd, error: BoxError) -> Poll<Piece> {
        self.end(ending.outcome);
        match ending.last {
            FinalBytes::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            FinalBytes::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            FinalBytes::Cut => Poll::Ready(Some(Err(error))),
        }
    }

    /// Ready when the upstream is late. The alarm is set once and looked at when it rings: setting it at each piece
    /// would cost more than passing the piece on.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.upstream.clock.due();
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

impl Drop for StreamedBody {
    /// A client that leaves when it has the whole answer leaves a success behind; in any case it has used what came by then.
    fn drop(&mut self) {
        if let Some(outcome) = self.upstream.monitor.as_ref().and_then(SseMonitor::left) {
            self.end(outcome);
        }
        self.report_use();
        if let Some(watch) = self.reader_watch.take() {
            watch.abort();
        }
        if let Some(upload) = &self.upstream.clock.upload {
            upload.close_after_answer();
        }
    }
}

fn lock(body: &SharedBody) -> MutexGuard<'_, Option<StreamedBody>> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the answer away from a client that does not read: its permits go back, and the upstream's call is cancelled.
/// The body is not polled meanwhile, so it cannot do so itself.
async fn watch_reader(body: Weak<SharedBody>, write_timeout: Duration) {
    let mut due = Instant::now() + write_timeout;
    loop {
        sleep_until(due).await;
        let Some(body) = body.upgrade() else { return };
        let mut shared = lock(&body);
        let Some(streamed) = shared.as_mut() else { return };
        let now = Instant::now();
        due = streamed.unasked_since.unwrap_or(now) + write_timeout;
        if due <= now {
            // This task must not abort itself half-way.
            streamed.reader_watch = None;
            streamed.end(CLIENT_FAULT);
            *shared = None;
            return;
        }
    }
}
