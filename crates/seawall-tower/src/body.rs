//! The body of a response that holds the permits of its call.

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall::{Class, HeldPermits, Outcome, Pipeline, Timer};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

/// The permits of a call under an operation, which last until the end of its response.
pub type Permits<Tm> = HeldPermits<Arc<Pipeline>, Tm>;

pin_project! {
    /// The body of a response. At its end the permits are released and the policies learn the outcome: a body that ends
    /// is a success, and one that fails or panics a failure. One that is dropped before its end releases the permits
    /// without an outcome.
    pub struct HeldBody<B, Tm: Timer> {
        #[pin]
        body: B,
        // Never locked: the mutex makes the body `Sync`, as clients such as reqwest want it, though a user's policies
        // need not be.
        permits: Mutex<Option<Permits<Tm>>>,
        // Set while the body's own code runs: if it is still set when we are dropped, it panicked.
        in_body: bool,
    }

    impl<B, Tm: Timer> PinnedDrop for HeldBody<B, Tm> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if *this.in_body {
                end(this.permits, Outcome::failure(Class::Unknown));
            }
        }
    }
}

impl<B: Body, Tm: Timer> HeldBody<B, Tm> {
    pub(crate) fn new(body: B, permits: Permits<Tm>) -> Self {
        let mut this = Self { body, permits: Mutex::new(Some(permits)), in_body: false };
        if this.body.is_end_stream() {
            end(&mut this.permits, Outcome::Success);
        }
        this
    }
}

fn end<Tm: Timer>(permits: &mut Mutex<Option<Permits<Tm>>>, outcome: Outcome) {
    let permits = permits.get_mut().unwrap_or_else(PoisonError::into_inner);
    if let Some(permits) = permits.take() {
        permits.end(outcome);
    }
}

impl<B: Body, Tm: Timer> Body for HeldBody<B, Tm> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        *this.in_body = true;
        let polled = this.body.as_mut().poll_frame(cx);
        *this.in_body = false;
        let frame = ready!(polled);
        match &frame {
            Some(Err(_)) => end(this.permits, Outcome::failure(Class::Transient)),
            None => end(this.permits, Outcome::Success),
            // A body of known length is not polled again after its last byte.
            Some(Ok(_)) if this.body.is_end_stream() => end(this.permits, Outcome::Success),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
