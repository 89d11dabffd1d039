//! **Bulkhead**: bounds the calls in progress, with a bounded queue before it.
//!
//! Use it so that one slow dependency cannot take all threads, sockets or memory. Do not use it to bound calls
//! over time (that is the rate limiter). The bound is fixed, or follows what the dependency can take; calls of
//! low priority can be kept from the last places. One word counts the places in use and the callers that wait; a lock
//! is taken only to wait, or to free a place that somebody waits for. The invariant: never more calls begin than the
//! limit allows; nobody waits beside a free place; a place is given back however its holder ends.

use crate::{
    attributes::{Attributes, Priority},
    config::{Check, ConfigError},
    event::Kind,
    outcome::{Class, Outcome},
    policy::{Cause, Cx, OnSuccess, Pattern, Step},
    rejection::{Reason, Rejection},
    sync::{AtomicU64, Mutex, Ordering, lock},
    time::Instant,
};
use std::{ops::Deref, sync::Arc, task::Waker, time::Duration};

mod adaptive;
mod queue;
mod settings;

use adaptive::{Estimator, Sample};
use queue::Queue;
pub use settings::{
    Adaptive, Aimd, BulkheadConfig, ControlledDelay, Gradient, QueueOrder, bulkhead,
};

/// A bulkhead: a bounded number of calls in progress, and a bounded queue before it.
#[derive(Debug)]
pub struct Bulkhead {
    config: BulkheadConfig,
    /// `waiting << 32 | in use`. `waiting` changes under the queue's lock only; while it is not 0, a freed
    /// place goes to a waiter, unless the limit fell below what is in use.
    word: AtomicU64,
    /// The number of calls that may be in progress at once.
    limit: AtomicU64,
    queue: Mutex<Queue>,
    /// The estimator that moves the limit, if the limit is adaptive.
    estimator: Option<Mutex<Estimator>>,
}

/// A place in a bulkhead, from [`Bulkhead::try_acquire`] (it borrows the bulkhead) or [`Bulkhead::try_acquire_owned`] (it
/// shares the bulkhead, and may go to another task). Dropping it gives it back.
#[must_use = "a place that is dropped at once bounds nothing"]
#[derive(Debug)]
pub struct Place<B: Deref<Target = Bulkhead> = Arc<Bulkhead>>(B);

const ONE_WAITING: u64 = 1 << 32;

fn in_use(word: u64) -> u32 {
    word as u32
}

fn waiting(word: u64) -> u32 {
    (word >> 32) as u32
}

/// The answer to a request for a place.
enum Entry {
    Taken,
    Waiting { ticket: u64, until: Instant },
    Full,
    Shed,
}

impl Bulkhead {
    /// A bulkhead with all places free.
    ///
    /// # Errors
    /// All fields that are out of their bounds.
    pub fn new(config: BulkheadConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            word: AtomicU64::new(0),
            limit: AtomicU64::new(u64::from(config.initial_limit())),
            queue: Mutex::default(),
            estimator: Estimator::new(&config).map(Mutex::new),
            config,
        })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &BulkheadConfig {
        &self.config
    }

    /// How many calls may be in progress at once at this moment; an adaptive limit moves.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Acquire) as u32
    }

    /// The number of calls in progress.
    pub fn in_use(&self) -> u32 {
        in_use(self.word.load(Ordering::Acquire))
    }

    /// The number of calls that wait in the queue.
    pub fn queued(&self) -> u32 {
        waiting(self.word.load(Ordering::Acquire))
    }

    /// Takes a place if one is free, without waiting: for use outside a pipeline.
    ///
    /// # Errors
    /// A rejection when all places are taken, or others wait for one.
    #[inline]
    pub fn try_acquire(&self) -> Result<Place<&Self>, Rejection> {
        self.acquire().map(|()| Place(self))
    }

    /// Takes a place if one is free, without waiting; it keeps the bulkhead alive, and may be moved into a spawned task or
    /// thread.
    ///
    /// # Errors
    /// A rejection when all places are taken, or others wait for one.
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<Place, Rejection> {
        self.acquire().map(|()| Place(self.clone()))
    }

    #[inline]
    fn acquire(&self) -> Result<(), Rejection> {
        if self.take(1.0) { Ok(()) } else { Err(Rejection::new(Reason::BulkheadFull, None)) }
    }

    /// Records for an adaptive limit how a call ended and how long it took: for use outside a pipeline, before the
    /// call's place goes back.
    pub fn record(&self, now: Instant, took: Duration, outcome: &Outcome) {
        let Some(estimator) = &self.estimator else { return };
        let dropped = match outcome {
            Outcome::Success => false,
            Outcome::TimedOut { .. } => true,
            Outcome::Failure(failure) if failure.class == Class::RateLimited => true,
            // A quick error says nothing about how much the dependency can take.
            Outcome::Failure(_) | Outcome::Rejected(_) | Outcome::CallerFault(_) => return,
        };
        let sample = Sample { took, dropped, in_use: self.in_use() };
        let limit = u64::from(lock(estimator).record(now, sample));
        if self.limit.swap(limit, Ordering::AcqRel) < limit {
            self.fill();
        }
    }

    #[inline]
    fn take(&self, share: f64) -> bool {
        let limit = self.open_to(share);
        let mut word = self.word.load(Ordering::Acquire);
        while waiting(word) == 0 && in_use(word) < limit {
            match self.swap(word, word + 1) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
        false
    }

    /// The number of places that calls with this share may fill, at least one.
    #[inline]
    fn open_to(&self, share: f64) -> u32 {
        let limit = self.limit.load(Ordering::Relaxed) as u32;
        if share >= 1.0 { limit } else { ((f64::from(limit) * share) as u32).max(1) }
    }

    #[inline]
    fn swap(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Takes a place, or a place in the queue.
    #[inline]
    fn enter(&self, priority: Priority, now: Instant, waker: &Waker) -> Entry {
        let share = self.config.share(priority);
        if self.take(share) {
            return Entry::Taken;
        }
        if share < 1.0 && self.in_use() < self.limit() {
            return Entry::Shed;
        }
        // Refusing must be cheap, so it asks before it locks.
        if share < 1.0 || waiting(self.word.load(Ordering::Acquire)) >= self.config.max_queued {
            return Entry::Full;
        }
        self.enqueue(now, waker)
    }

    #[cold]
    fn enqueue(&self, now: Instant, waker: &Waker) -> Entry {
        let mut queue = lock(&self.queue);
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let free = waiting(word) == 0 && in_use(word) < self.limit();
            if !free && waiting(word) >= self.config.max_queued {
                return Entry::Full;
            }
            match self.swap(word, if free { word + 1 } else { word + ONE_WAITING }) {
                Ok(_) if free => return Entry::Taken,
                Ok(_) => break,
                Err(current) => word = current,
            }
        }
        let (ticket, until) = queue.push(&self.config, now, waker);
        Entry::Waiting { ticket, until }
    }

    #[inline]
    fn release(&self) {
        let mut word = self.word.load(Ordering::Acquire);
        while waiting(word) == 0 || in_use(word) > self.limit() {
            match self.swap(word, word - 1) {
                Ok(_) => return self.fill_after(word),
                Err(current) => word = current,
            }
        }
        self.hand_over();
    }

    /// A place was given up beside waiters because the limit had fallen; it may have risen since.
    #[inline]
    fn fill_after(&self, word: u64) {
        if waiting(word) > 0 {
            self.fill();
        }
    }

    /// Lets waiters in while there are places.
    #[cold]
    fn fill(&self) {
        loop {
            let word = self.word.load(Ordering::Acquire);
            if waiting(word) == 0 || in_use(word) >= self.limit() {
                return;
            }
            if self.swap(word, word + 1).is_ok() {
                self.hand_over();
            }
        }
    }

    /// Gives a place that counts as in use to the next caller in the queue.
    #[cold]
    fn hand_over(&self) {
        let waker = {
            let mut queue = lock(&self.queue);
            match queue.next(self.config.order) {
                Some(waker) => {
                    self.word.fetch_sub(ONE_WAITING, Ordering::AcqRel);
                    waker
                }
                // The last waiter left between our look and our lock.
                None => {
                    self.word.fetch_sub(1, Ordering::AcqRel);
                    return;
                }
            }
        };
        waker.wake(); // Outside of the lock: it may run anything.
    }

    /// Whether the ticket was granted a place; otherwise the waker is woken when it is.
    fn poll(&self, ticket: u64, waker: &Waker) -> bool {
        lock(&self.queue).poll(ticket, waker)
    }

    /// Leaves the queue, or gives back the place that was granted meanwhile.
    fn leave(&self, ticket: u64) {
        let mut queue = lock(&self.queue);
        if queue.remove(ticket) {
            self.word.fetch_sub(ONE_WAITING, Ordering::AcqRel);
        } else if queue.claim(ticket) {
            drop(queue);
            self.release();
        }
    }
}

impl<B: Deref<Target = Bulkhead>> Drop for Place<B> {
    fn drop(&mut self) {
        self.0.release();
    }
}

pub(crate) enum Frame {
    /// The frame holds a place since then.
    Inside { since: Instant },
    /// Stands in the queue until the deadline.
    Waiting { ticket: u64, until: Instant },
    /// The frame holds nothing.
    Outside,
}

fn refuse(cx: &mut Cx<'_>, reason: Reason) -> Step {
    let rejection = Rejection::new(reason, None);
    cx.emit(Kind::Rejected(rejection));
    Step::Finish(Outcome::Rejected(rejection))
}

impl Pattern for Arc<Bulkhead> {
    type Frame = Frame;

    #[inline]
    fn holds(frame: &Frame) -> bool {
        !matches!(frame, Frame::Outside)
    }

    #[inline]
    fn on_success(&self) -> OnSuccess {
        OnSuccess::observed_if(self.estimator.is_some())
    }

    #[inline(always)]
    fn pass(&self, cx: &mut Cx<'_>) -> Option<Frame> {
        let share = self.config.share(cx.attributes.priority);
        self.take(share).then_some(Frame::Inside { since: cx.now })
    }

    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let Attributes { priority, .. } = *cx.attributes;
        match self.enter(priority, cx.now, cx.waker) {
            Entry::Taken => (Frame::Inside { since: cx.now }, Step::Call),
            Entry::Full => (Frame::Outside, refuse(cx, Reason::BulkheadFull)),
            Entry::Shed => (Frame::Outside, refuse(cx, Reason::Shed)),
            Entry::Waiting { ticket, until } => {
                cx.wake_at(until);
                cx.emit(Kind::Queued { policy: "bulkhead" });
                (Frame::Waiting { ticket, until }, Step::Wait)
            }
        }
    }

    #[inline]
    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        if let Frame::Inside { since } = *frame {
            self.record(cx.now, cx.now.since(since), &outcome);
        }
        Step::Finish(outcome)
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        let Frame::Waiting { ticket, until } = *frame else { return Step::Wait };
        if self.poll(ticket, cx.waker) {
            *frame = Frame::Inside { since: cx.now };
            cx.wake_at(Instant::FAR_FUTURE);
            return Step::Call;
        }
        if cx.now < until {
            return Step::Wait;
        }
        self.leave(ticket);
        *frame = Frame::Outside;
        refuse(cx, Reason::QueueTimeout)
    }

    #[inline]
    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
        match std::mem::replace(frame, Frame::Outside) {
            Frame::Inside { since } => {
                if cause == Cause::TimedOut {
                    let limit = cx.now.since(since);
                    self.record(cx.now, limit, &Outcome::TimedOut { limit });
                }
                Bulkhead::release(self);
            }
            Frame::Waiting { ticket, .. } => self.leave(ticket),
            Frame::Outside => {}
        }
    }

    fn exclude(&self, frame: &mut Frame, length: Duration) {
        if let Frame::Inside { since } = frame {
            *since = *since + length;
        }
    }
}

#[cfg(test)]
mod tests;
