//! A request's body that is too long to keep, on its one way to an upstream.
//!
//! Nothing of it is taken before a connection to the upstream stands. While nothing has been taken it can be given
//! to another endpoint, another attempt or a fallback.

use super::{
    client_body::ClientBody,
    request::{RequestError, SharedFault},
};
use crate::runtime::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::Notify;

/// How long a call waits for a body that the call before it is just letting go of.
const HAND_OVER: Duration = Duration::from_secs(1);

/// How long an upstream may read on when it has answered.
const AFTER_ANSWER: Duration = Duration::from_secs(30);

/// A body that is too long to keep: one call at a time may send it.
pub(super) struct StreamedUpload {
    state: Mutex<UploadState>,
    /// Notified when a lease has ended.
    returned: Notify,
    fault: SharedFault,
}

struct UploadState {
    /// The client's body; `None` when its rest is no longer needed, so that the client's connection is free to end.
    body: Option<ClientBody>,
    /// How long the gateway has waited for the client, once `body` is gone.
    waited: Duration,
    /// The part of the body that was read before it turned out to be too long to keep; empty once more was taken.
    kept: Bytes,
    is_leased: bool,
    /// Whether a part of the body was taken and is lost.
    is_consumed: bool,
}

impl StreamedUpload {
    pub(super) fn new(body: ClientBody, kept: Bytes, fault: SharedFault) -> Arc<Self> {
        let state = UploadState {
            body: Some(body),
            waited: Duration::ZERO,
            kept,
            is_leased: false,
            is_consumed: false,
        };
        Arc::new(Self { state: Mutex::new(state), returned: Notify::new(), fault })
    }

    fn lock(&self) -> MutexGuard<'_, UploadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_consumed(&self) -> bool {
        self.lock().is_consumed
    }

    /// The part of the body that was read, while no more of it was taken.
    pub(super) fn kept(&self) -> Bytes {
        self.lock().kept.clone()
    }

    /// How long the gateway has waited for the client's bytes.
    pub(super) fn waited(&self) -> Duration {
        let state = self.lock();
        state.body.as_ref().map_or(state.waited, ClientBody::waited)
    }

    /// The fault of the client while the body was sent.
    pub(super) fn fault(&self) -> Option<RequestError> {
        self.fault.get().copied()
    }

    /// Closes the body a while after its answer is over: an upstream may still read the rest, but one that does not
    /// would keep the client's connection for ever.
    pub(super) fn close_after_answer(self: &Arc<Self>) {
        if self.lock().body.is_none() {
            return;
        }
        let upload = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_ANSWER).await;
            if let Some(upload) = upload.upgrade() {
                upload.lock().close();
            }
        });
    }

    /// Lends the body from its beginning, when the call before has let go of it; `None` when some of it is gone.
    pub(super) async fn lend(self: &Arc<Self>) -> Option<UploadLease> {
        let lending = async {
            loop {
                let returned = self.returned.notified();
                {
                    let mut state = self.lock();
                    if state.is_consumed {
                        return None;
                    }
                    if !state.is_leased {
                        state.is_leased = true;
                        let kept = Some(state.kept.clone()).filter(|kept| !kept.is_empty());
                        return Some(UploadLease { kept, upload: self.clone() });
                    }
                }
                returned.await;
            }
        };
        tokio::time::timeout(HAND_OVER, lending).await.ok().flatten()
    }
}

impl UploadState {
    fn close(&mut self) {
        self.is_consumed = true;
        if let Some(body) = self.body.take() {
            self.waited = body.waited();
        }
    }
}

/// The body of one call: what was read before, then the rest as it comes. Dropping it gives the body back.
pub(super) struct UploadLease {
    kept: Option<Bytes>,
    upload: Arc<StreamedUpload>,
}

impl Body for UploadLease {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(kept) = self.kept.take() {
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        let mut state = self.upload.lock();
        let Some(body) = &mut state.body else {
            return Poll::Ready(Some(Err("the answer is over".into())));
        };
        let piece = std::task::ready!(body.poll(cx));
        if piece.is_some() {
            state.is_consumed = true;
            state.kept = Bytes::new();
        }
        Poll::Ready(piece.map(|piece| {
            piece.map_err(|fault| {
                // The first fault is the cause of those that follow.
                let _ = self.upload.fault.set(fault);
                "the client's request broke off".into()
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_none() && self.upload.lock().body.as_ref().is_some_and(ClientBody::is_end)
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.as_ref().map_or(0, Bytes::len) as u64;
        let rest = self.upload.lock().body.as_ref().map(ClientBody::size_hint).unwrap_or_default();
        let mut hint = SizeHint::new();
        hint.set_lower(kept.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(kept.saturating_add(upper));
        }
        hint
    }
}

impl Drop for UploadLease {
    fn drop(&mut self) {
        let mut state = self.upload.lock();
        state.is_leased = false;
        if state.is_consumed {
            state.close();
        } else if let Some(body) = &mut state.body {
            body.stop_waiting();
        }
        drop(state);
        self.upload.returned.notify_one();
    }
}
