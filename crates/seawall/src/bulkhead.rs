//! **Bulkhead**: bounds the calls in progress, with a bounded queue before it.
//!
//! Use it so that one slow dependency cannot take all threads, sockets or memory. Not to bound calls
//! over time (that is the rate limiter). One word counts places taken and callers waiting; only who
//! has to wait, or frees a place that somebody waits for, takes a lock. The invariant: never more than
//! `max_concurrent` in progress; waiters are served in the order they came; a place is given back
//! however its holder ends.

use crate::{
    Instant, Outcome, Reason, Rejection,
    config::{ConfigError, Problems, validated},
    event::Kind,
    policy::{Cause, Cx, Pattern, Step, policy_config},
    sync::{AtomicU64, Mutex, Ordering, lock},
};
use std::{collections::VecDeque, sync::Arc, task::Waker, time::Duration};

policy_config! {
    /// Limits calls in progress.
    pub struct BulkheadConfig {
        /// Calls in progress at once.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        max_concurrent: u32 = 100,
        /// Calls waiting at once; 0 refuses whatever finds no place.
        #[cfg_attr(feature = "schema", schemars(range(max = 1_000_000)))]
        max_queued: u32 = 0,
        /// The longest wait.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        max_wait: Duration = Duration::from_secs(30),
    }
}

impl BulkheadConfig {
    pub(crate) fn check(&self, problems: &mut Problems) {
        let million = 1_000_000;
        problems.require(
            (1..=million).contains(&self.max_concurrent),
            "max_concurrent",
            self.max_concurrent,
            "a whole number from 1 to 1000000",
        );
        problems.require(
            self.max_queued <= million,
            "max_queued",
            self.max_queued,
            "a whole number from 0 to 1000000",
        );
        problems.require_positive("max_wait", self.max_wait);
    }
}

/// A bulkhead.
#[derive(Debug)]
pub struct Bulkhead {
    config: BulkheadConfig,
    /// `waiting << 32 | in use`. `waiting` changes under the queue's lock only; while it is not 0, `in
    /// use` does not fall: freed places go to waiters.
    word: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    next_ticket: u64,
    /// First come, first served; tickets grow from front to back.
    waiting: VecDeque<(u64, Waker)>,
    /// Tickets that own a place their holder has not yet noticed.
    granted: Vec<u64>,
}

/// A place; dropping it gives it back.
#[must_use = "a place that is dropped at once bounds nothing"]
#[derive(Debug)]
pub struct Place<'a>(&'a Bulkhead);

const ONE_WAITING: u64 = 1 << 32;

fn in_use(word: u64) -> u32 {
    word as u32
}

fn waiting(word: u64) -> u32 {
    (word >> 32) as u32
}

/// The answer to who asks for a place.
enum Entry {
    Taken,
    Waiting(u64),
    Full,
}

impl Bulkhead {
    /// An empty bulkhead.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: BulkheadConfig) -> Result<Self, ConfigError> {
        validated(|problems| config.check(problems))?;
        Ok(Self { config, word: AtomicU64::new(0), queue: Mutex::default() })
    }

    /// Its configuration.
    pub fn config(&self) -> &BulkheadConfig {
        &self.config
    }

    /// Calls in progress.
    pub fn in_use(&self) -> u32 {
        in_use(self.word.load(Ordering::Acquire))
    }

    /// Calls waiting.
    pub fn queued(&self) -> u32 {
        waiting(self.word.load(Ordering::Acquire))
    }

    /// Takes a place if one is free, without waiting: naked use.
    ///
    /// # Errors
    /// A rejection when all places are taken, or others wait for one.
    #[inline]
    pub fn try_acquire(&self) -> Result<Place<'_>, Rejection> {
        if self.take() { Ok(Place(self)) } else { Err(Rejection::new(Reason::BulkheadFull, None)) }
    }

    #[inline]
    fn take(&self) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        while waiting(word) == 0 && in_use(word) < self.config.max_concurrent {
            match self.swap(word, word + 1) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
        false
    }

    #[inline]
    fn swap(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Takes a place, or a place in the queue.
    #[inline]
    fn enter(&self, waker: &Waker) -> Entry {
        if self.take() {
            return Entry::Taken;
        }
        // Refusing must be cheap, so it asks before it locks.
        if waiting(self.word.load(Ordering::Acquire)) >= self.config.max_queued {
            return Entry::Full;
        }
        self.enqueue(waker)
    }

    #[cold]
    fn enqueue(&self, waker: &Waker) -> Entry {
        let mut queue = lock(&self.queue);
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let free = waiting(word) == 0 && in_use(word) < self.config.max_concurrent;
            if !free && waiting(word) >= self.config.max_queued {
                return Entry::Full;
            }
            match self.swap(word, if free { word + 1 } else { word + ONE_WAITING }) {
                Ok(_) if free => return Entry::Taken,
                Ok(_) => break,
                Err(current) => word = current,
            }
        }
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push_back((ticket, waker.clone()));
        Entry::Waiting(ticket)
    }

    #[inline]
    fn release(&self) {
        let mut word = self.word.load(Ordering::Acquire);
        while waiting(word) == 0 {
            match self.swap(word, word - 1) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
        self.hand_over();
    }

    /// Gives a freed place to the first in the queue; `in use` stays as it is.
    #[cold]
    fn hand_over(&self) {
        let waker = {
            let mut queue = lock(&self.queue);
            match queue.waiting.pop_front() {
                Some((ticket, waker)) => {
                    queue.granted.push(ticket);
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

    /// Whether the ticket's turn has come; otherwise remembers whom to wake.
    fn poll(&self, ticket: u64, waker: &Waker) -> bool {
        let mut queue = lock(&self.queue);
        if queue.claim(ticket) {
            return true;
        }
        if let Ok(at) = queue.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            queue.waiting[at].1.clone_from(waker);
        }
        false
    }

    /// Leaves the queue, or gives back the place that was granted meanwhile.
    fn leave(&self, ticket: u64) {
        let mut queue = lock(&self.queue);
        if let Ok(at) = queue.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            queue.waiting.remove(at);
            self.word.fetch_sub(ONE_WAITING, Ordering::AcqRel);
        } else if queue.claim(ticket) {
            drop(queue);
            self.release();
        }
    }
}

impl Queue {
    fn claim(&mut self, ticket: u64) -> bool {
        let at = self.granted.iter().position(|granted| *granted == ticket);
        at.map(|at| self.granted.swap_remove(at)).is_some()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

pub(crate) enum Frame {
    /// Holds a place.
    Inside,
    /// Stands in the queue until the deadline.
    Waiting { ticket: u64, until: Instant },
    /// Holds nothing.
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
    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        match self.enter(cx.waker) {
            Entry::Taken => (Frame::Inside, Step::Call),
            Entry::Full => (Frame::Outside, refuse(cx, Reason::BulkheadFull)),
            Entry::Waiting(ticket) => {
                let until = cx.now + self.config.max_wait;
                cx.wake_at(until);
                cx.emit(Kind::Queued { policy: "bulkhead" });
                (Frame::Waiting { ticket, until }, Step::Wait)
            }
        }
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        let Frame::Waiting { ticket, until } = *frame else { return Step::Wait };
        if self.poll(ticket, cx.waker) {
            *frame = Frame::Inside;
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
    fn release(&self, frame: &mut Frame, _cx: &mut Cx<'_>, _cause: Cause) {
        match std::mem::replace(frame, Frame::Outside) {
            Frame::Inside => Bulkhead::release(self),
            Frame::Waiting { ticket, .. } => self.leave(ticket),
            Frame::Outside => {}
        }
    }
}

#[cfg(test)]
mod tests;
