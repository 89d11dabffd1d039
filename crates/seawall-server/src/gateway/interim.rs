//! Interim responses (RFC 9110, 15.2): an upstream's 103 with early hints reaches the client before the answer.
//!
//! hyper has no way to send one, so they go into the connection as bytes. HTTP/2 has none at all here: its clients
//! get the final answer only, as HTTP/1.0 clients do, who know nothing else.

use super::{forward::Pseudonym, headers::remove_connection_headers};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use std::{
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

/// The most interim responses that are passed on for one request; an upstream has no use for more.
const MAX_RESPONSES: usize = 16;

/// The interim responses that wait for one connection to write them.
#[derive(Default)]
pub(crate) struct InterimQueue {
    /// Whether responses wait, so that the lock is taken in the rare case only.
    has_some: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Bytes>,
    /// The number of responses accepted for the request in progress.
    accepted: usize,
    /// The request whose responses are accepted; none is once its final answer has begun.
    open_for: Option<u64>,
    /// Wakes the connection, so that it writes what waits.
    waker: Option<Waker>,
}

impl InterimQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts responses to the request of this number on the connection, and to no other.
    pub(crate) fn open(self: &Arc<Self>, request: u64) -> InterimSender {
        let mut state = self.lock();
        state.waiting.clear();
        (state.accepted, state.open_for) = (0, Some(request));
        InterimSender { queue: self.clone(), request }
    }

    /// Accepts no further responses.
    pub(crate) fn close(&self) {
        self.lock().open_for = None;
    }

    /// Takes out the responses that wait; `None` when there are none.
    pub(crate) fn take(&self) -> Option<Vec<Bytes>> {
        let has_some = self.has_some.swap(false, Ordering::Relaxed);
        has_some.then(|| std::mem::take(&mut self.lock().waiting))
    }

    /// Has this waker called when a response comes.
    pub(crate) fn wake_by(&self, waker: &Waker) {
        match &mut self.lock().waker {
            Some(known) => known.clone_from(waker),
            unknown => *unknown = Some(waker.clone()),
        }
    }
}

/// Sends interim responses to the client of one request.
#[derive(Clone)]
pub(crate) struct InterimSender {
    queue: Arc<InterimQueue>,
    request: u64,
}

impl InterimSender {
    /// Sends a response, if there is still time and room for it. An attempt that was given up may still receive one
    /// when its client is already at the next request.
    fn send(&self, response: Bytes) {
        let mut state = self.queue.lock();
        if state.open_for == Some(self.request) && state.accepted < MAX_RESPONSES {
            state.accepted += 1;
            state.waiting.push(response);
            self.queue.has_some.store(true, Ordering::Relaxed);
            if let Some(waker) = &state.waker {
                waker.wake_by_ref();
            }
        }
    }
}

/// Passes an upstream's interim responses on to the client of one request.
#[derive(Clone)]
pub(crate) struct InterimRelay {
    pub(super) sender: InterimSender,
    pub(super) pseudonym: Arc<Pseudonym>,
}

impl InterimRelay {
    /// Passes one on. 100 stays here, since it was the gateway that took the body, and so does 101, since no
    /// protocol is switched here.
    pub(super) fn pass(&self, status: StatusCode, version: Version, headers: &HeaderMap) {
        if status.is_informational() && status.as_u16() > 101 {
            let mut headers = headers.clone();
            remove_connection_headers(&mut headers);
            headers.remove(http::header::CONTENT_LENGTH);
            self.pseudonym.add_to(&mut headers, version);
            self.sender.send(message(status, &headers).into());
        }
    }
}

/// The bytes of an interim response.
fn message(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut head = String::new();
    let reason = status.canonical_reason().unwrap_or("Interim");
    let _ = write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    let mut message = head.into_bytes();
    for (name, value) in headers {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    message
}
