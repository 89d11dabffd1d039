//! The bytes of one connection: how long the client may be silent at each point, and interim responses.
//!
//! A connection is closed if its client is silent for `limits.client_timeout` within a head, or for
//! `limits.keep_alive_timeout` between two requests. hyper's own timeout cannot distinguish the two.

use super::framing::Framing;
use crate::{
    config::Limits,
    gateway::interim::{InterimQueue, InterimSender},
};
use bytes::{Buf, Bytes};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// How long a client may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The longest silence before the first request, and within a head.
    pub(super) head: Duration,
    /// The longest silence between two requests.
    pub(super) keep_alive: Duration,
}

/// The state that a connection and its requests share.
pub(super) struct Line {
    /// The number of requests that began.
    begun: AtomicU64,
    /// Requests whose answer is not out yet.
    in_progress: AtomicUsize,
    /// The request, counted from 0, whose length is ambiguous; none is `u64::MAX`.
    ambiguous: AtomicU64,
    /// When the last request ended, or the connection was accepted.
    quiet_since: Mutex<Instant>,
    /// Interim responses to the request in progress.
    interim: Arc<InterimQueue>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            in_progress: AtomicUsize::new(0),
            ambiguous: AtomicU64::new(u64::MAX),
            quiet_since: Mutex::new(Instant::now()),
            interim: Arc::default(),
        }
    }

    /// Begins a request. It lasts until the returned value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        InProgress { line: self.clone(), number }
    }

    fn quiet_since(&self) -> MutexGuard<'_, Instant> {
        self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in progress, until the last byte of its answer was handed to hyper.
pub(crate) struct InProgress {
    line: Arc<Line>,
    number: u64,
}

impl InProgress {
    /// Whether the request gives the length of its body twice.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.line.ambiguous.load(Ordering::Relaxed) == self.number
    }

    /// Lets interim responses to this request, of HTTP/1.1, be sent from now on.
    pub(super) fn open_interim(&self) -> InterimSender {
        self.line.interim.open(self.number)
    }

    /// Drops interim responses from now on, since the final answer begins.
    pub(super) fn close_interim(&self) {
        self.line.interim.close();
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        *self.line.quiet_since() = Instant::now();
        self.line.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stream of a connection; it measures silences, and knows where in a request the client is.
pub(super) struct Wire<S> {
    stream: S,
    line: Arc<Line>,
    patience: Patience,
    framing: Framing,
    /// When the first byte of the present head came.
    head_since: Instant,
    last_write: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    /// The interim responses that are being sent.
    sending: Bytes,
    /// Whether hyper has nothing more to write of an earlier answer.
    is_flushed: bool,
}

impl Patience {
    /// The longest timeout that is used: practically for ever, and short enough to be added to an instant.
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            head: limits.client_timeout.min(Self::LONGEST),
            keep_alive: limits.keep_alive_timeout.min(Self::LONGEST),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, line: Arc<Line>, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            stream,
            line,
            patience,
            framing: Framing::new(),
            head_since: now,
            last_write: now,
            alarm: None,
            sending: Bytes::new(),
            is_flushed: true,
        }
    }

    fn see(&mut self, bytes: &[u8]) {
        let in_head = self.framing.is_in_head();
        self.framing.read(bytes);
        if !in_head && self.framing.is_in_head() {
            self.head_since = Instant::now();
        }
        if let Some(number) = self.framing.ambiguous() {
            self.line.ambiguous.store(number, Ordering::Relaxed);
        }
    }

    /// When a silent client is given up; never while it waits for an answer, or within a body.
    fn deadline(&self) -> Option<Instant> {
        if self.line.in_progress.load(Ordering::Relaxed) > 0 {
            return None;
        }
        // A client that is slow to read an answer that is complete on our side is not idle.
        let quiet = self.line.quiet_since().max(self.last_write);
        let is_first = self.line.begun.load(Ordering::Relaxed) == 0;
        if self.framing.is_in_head() {
            Some(quiet.max(self.head_since) + self.patience.head)
        } else if self.framing.is_between_requests() && is_first {
            Some(quiet + self.patience.head)
        } else if self.framing.is_between_requests() || self.framing.is_http2() {
            Some(quiet + self.patience.keep_alive)
        } else {
            None
        }
    }

    /// Ready when the client was silent for too long. The alarm rings even while nothing is due: hyper does not poll
    /// again when an answer is complete, and only a further look then sees an idle connection.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let (now, deadline) = (Instant::now(), self.deadline());
            let due = deadline.unwrap_or(now + self.patience.keep_alive);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
            ready!(alarm.as_mut().poll(cx));
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
    }

    /// Sends interim responses, or drops them where an earlier answer is still being written.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(waiting) = self.line.interim.take()
            && self.is_flushed
        {
            self.sending = [&self.sending[..], &waiting.concat()[..]].concat().into();
        }
        while self.sending.has_remaining() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.sending))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sending.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self) {
        self.is_flushed = false;
        self.last_write = Instant::now();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                this.see(&buffer.filled()[before..]);
                Poll::Ready(result)
            }
            // As if it had hung up: an idle connection is closed in order, half a head is an error.
            Poll::Pending => this.poll_silence(cx).map(Ok),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interim(cx))?;
        let count = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.wrote();
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interim(cx))?;
        let count = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, pieces))?;
        this.wrote();
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes when it has handed over all it had.
        this.is_flushed = true;
        if this.line.in_progress.load(Ordering::Relaxed) > 0 && !this.framing.is_http2() {
            this.line.interim.wake_by(cx.waker());
        }
        ready!(this.poll_interim(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
