//! The body of an answer: pieces with a gap between them, and an end that may be missing.
//!
//! The body carries its call, and settles it when the last piece is handed to the connection. If the client
//! leaves first, the body is dropped with the call unsettled, which counts as cancelled.

use super::ledger::{Call, Settled};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Long enough for the connection to send what it has before the break, so that the client sees a body begun.
const BEFORE_BREAK: Duration = Duration::from_millis(5);

/// The error that tears down a connection; only this process sees it.
#[derive(Debug)]
pub(super) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off on purpose")
    }
}

impl std::error::Error for BrokenOff {}

pub(super) struct Answer {
    pieces: VecDeque<Bytes>,
    gap: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// The bytes that the head promises and that are not yet sent; `None` for a stream.
    promised: Option<u64>,
    cut: bool,
    becomes: Settled,
    call: Call,
}

impl Answer {
    /// An answer in one piece, whose head says its length.
    pub(super) fn whole(call: Call, text: Bytes, becomes: Settled) -> Self {
        let promised = Some(text.len() as u64);
        Self { promised, ..Self::stream(call, [text].into(), Duration::ZERO, becomes) }
    }

    /// Pieces with a gap between one and the next.
    pub(super) fn stream(
        call: Call,
        pieces: VecDeque<Bytes>,
        gap: Duration,
        becomes: Settled,
    ) -> Self {
        Self { pieces, gap, waiting: None, promised: None, cut: false, becomes, call }
    }

    /// This answer, broken off half-way: after half of its pieces, or half of the only one.
    pub(super) fn cut_off(mut self) -> Self {
        self.pieces.truncate(self.pieces.len().div_ceil(2));
        if let ([only], Some(_)) = (self.pieces.make_contiguous(), self.promised) {
            only.truncate(only.len() / 2);
        }
        Self { cut: true, becomes: Settled::CutOff, ..self }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        if self.pieces.is_empty() && !self.cut {
            self.call.settle(self.becomes);
        } else {
            let pause = if self.pieces.is_empty() { BEFORE_BREAK } else { self.gap };
            self.waiting = (!pause.is_zero()).then(|| Box::pin(sleep(pause)));
        }
        self.promised = self.promised.map(|bytes| bytes.saturating_sub(piece.len() as u64));
        Some(piece)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if let Some(waiting) = &mut this.waiting {
            ready!(waiting.as_mut().poll(context));
            this.waiting = None;
        }
        Poll::Ready(match this.next_piece() {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if this.cut => {
                this.call.settle(this.becomes);
                Some(Err(BrokenOff))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        self.promised.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
