//! A limit that several instances share through a store, which counts for all of them.
//!
//! The core does no I/O, so it holds *leases* (calls that the store has granted to this instance) and an outbox of
//! questions, which a connector takes to the store ([`SharedLimits`]). A call whose key has a lease passes at once; others
//! wait, a bounded time. The invariant: every call that passes was granted by the store or, while it does not answer, decided
//! as [`DegradedMode`] says; and nobody waits for a store that is known not to answer.

use super::{Limit, Quota, RateLimiter, RateLimiterConfig, windows::Taken};
use crate::{
    attributes::Key,
    config::ConfigError,
    event::Kind,
    outcome::Outcome,
    policy::{Cx, Step},
    rejection::{Reason, Rejection},
    sync::{Mutex, lock},
    time::Instant,
};
use std::{sync::Arc, task::Waker};

mod book;
mod connector;
mod settings;

use book::{Admission, Book, Verdict, Wakers};
pub use connector::{LimitAsk, LimitGrant, LimitSettlement, SharedLimits};
pub use settings::{DegradedMode, SharedLimit};

/// The state of a shared limit on this instance.
#[derive(Debug)]
pub(super) struct Shared {
    settings: SharedLimit,
    limits: Box<[Limit]>,
    /// What a call may cost at most.
    capacity: u32,
    keyed: bool,
    book: Mutex<Book>,
    local: Mutex<Local>,
}

/// How this instance counts by itself while the store does not answer.
#[derive(Debug)]
struct Local {
    /// The whole limit.
    config: RateLimiterConfig,
    /// How many instances there are, as far as is known.
    instances: u32,
    /// This one's share.
    limiter: Arc<RateLimiter>,
}

/// What becomes of a call that arrives.
enum Entry {
    Decided(Result<(), Rejection>),
    Degraded(Result<(), Rejection>),
    Waiting { ticket: u64, until: Instant },
}

/// A call that waits for the store.
pub(crate) struct Waiting {
    ticket: u64,
    pub(super) since: Instant,
    until: Instant,
}

impl Shared {
    pub(super) fn new(
        config: &RateLimiterConfig,
        settings: SharedLimit,
    ) -> Result<Self, ConfigError> {
        let limits: Box<[Limit]> = config.limits().into();
        let instances = settings.instances.unwrap_or(1);
        let limiter = Arc::new(RateLimiter::new(config.share_of(instances))?);
        let max_keys = if config.keyed { config.max_keys as usize } else { 1 };
        Ok(Self {
            capacity: config.capacity(),
            limits,
            keyed: config.keyed,
            book: Mutex::new(Book::new(settings.lease, settings.lease_time, max_keys)),
            local: Mutex::new(Local { config: config.clone(), instances, limiter }),
            settings,
        })
    }

    /// Runs a change of the book, and wakes whom it names when the lock is free again.
    fn change<T>(&self, change: impl FnOnce(&mut Book, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::new();
        let answer = change(&mut lock(&self.book), &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        answer
    }

    fn enter(&self, now: Instant, key: Key, cost: u32, waker: Option<&Waker>) -> Entry {
        let key = if self.keyed { key } else { Key::NONE };
        let cost = cost.max(1);
        if cost > self.capacity {
            return Entry::Decided(Err(Rejection::new(Reason::RateLimited, None)));
        }
        match self.change(|book, wakers| book.admit(now, key, cost, waker, wakers)) {
            Admission::Decided(verdict) => self.decide(verdict, now, key, cost),
            Admission::Waits { ticket } => {
                Entry::Waiting { ticket, until: now + self.settings.timeout }
            }
        }
    }

    fn decide(&self, verdict: Verdict, now: Instant, key: Key, cost: u32) -> Entry {
        match verdict {
            Verdict::Granted => Entry::Decided(Ok(())),
            Verdict::Refused(until) => {
                let wait = Some(until.since(now));
                Entry::Decided(Err(Rejection::new(Reason::RateLimited, wait)))
            }
            Verdict::Lost => Entry::Degraded(self.decide_alone(now, key, cost)),
        }
    }

    /// Decides a call without the store.
    fn decide_alone(&self, now: Instant, key: Key, cost: u32) -> Result<(), Rejection> {
        match self.settings.degraded {
            DegradedMode::Local => lock(&self.local).limiter.clone().try_acquire(now, key, cost),
            DegradedMode::Open => Ok(()),
            DegradedMode::Closed => Err(Rejection::new(Reason::LimitUnknown, None)),
        }
    }

    /// Decides without waiting, for use outside a pipeline: a call for which the store would have to be asked is refused, and
    /// the store is asked for the next one.
    pub(super) fn try_acquire(&self, now: Instant, key: Key, cost: u32) -> Result<(), Rejection> {
        match self.enter(now, key, cost, None) {
            Entry::Decided(answer) | Entry::Degraded(answer) => answer,
            Entry::Waiting { ticket, .. } => {
                self.leave(ticket);
                Err(Rejection::new(Reason::RateLimited, Some(self.settings.timeout)))
            }
        }
    }

    pub(super) fn start(&self, cx: &mut Cx<'_>, cost: u32) -> (Option<Waiting>, Step) {
        match self.enter(cx.now, cx.attributes.key, cost, Some(cx.waker)) {
            Entry::Waiting { ticket, until } => {
                cx.emit(Kind::Queued { policy: "rate_limiter" });
                cx.wake_at(until);
                (Some(Waiting { ticket, since: cx.now, until }), Step::Wait)
            }
            entry => (None, self.step(entry, cx)),
        }
    }

    /// What a decision asks of the execution.
    fn step(&self, entry: Entry, cx: &mut Cx<'_>) -> Step {
        let answer = match entry {
            Entry::Decided(answer) => answer,
            Entry::Degraded(answer) => {
                cx.emit(Kind::LimitDegraded { how: self.settings.degraded.label() });
                answer
            }
            Entry::Waiting { .. } => return Step::Wait,
        };
        match answer {
            Ok(()) => Step::Call,
            Err(rejection) => {
                cx.emit(Kind::Rejected(rejection));
                Step::Finish(Outcome::Rejected(rejection))
            }
        }
    }

    /// Corrects what a call took to what it has used: in the store, or here while that does not answer. What a store that is
    /// lost has not heard is lost with it.
    pub(super) fn settle(&self, now: Instant, key: Key, taken: Taken, used: u32) {
        let key = if self.keyed { key } else { Key::NONE };
        if !self.change(|book, wakers| book.settle(now, key, taken, used, wakers)) {
            let local = lock(&self.local).limiter.clone();
            local.settle(now, key, taken, used);
        }
    }

    pub(super) fn wake(&self, waiting: &Waiting, cx: &mut Cx<'_>, cost: u32) -> Step {
        let Waiting { ticket, until, .. } = *waiting;
        let mut verdict = lock(&self.book).poll(ticket, cx.waker);
        if verdict.is_none() && cx.now >= until {
            if self.change(|book, wakers| book.lose(true, wakers)) {
                cx.emit(Kind::StoreLost { policy: "rate_limiter" });
            }
            verdict = lock(&self.book).poll(ticket, cx.waker).or(Some(Verdict::Lost));
        }
        let Some(verdict) = verdict else { return Step::Wait };
        cx.wake_at(Instant::FAR_FUTURE);
        let key = if self.keyed { cx.attributes.key } else { Key::NONE };
        let entry = self.decide(verdict, cx.now, key, cost);
        self.step(entry, cx)
    }

    pub(super) fn give_up(&self, waiting: &Waiting) {
        self.leave(waiting.ticket);
    }

    fn leave(&self, ticket: u64) {
        self.change(|book, wakers| book.leave(ticket, wakers));
    }

    /// What is left as far as this instance knows; while the store does not answer, of its own share.
    pub(super) fn quota(&self, now: Instant, key: Key) -> Quota {
        let key = if self.keyed { key } else { Key::NONE };
        let (connected, left) = {
            let book = lock(&self.book);
            (book.connected, book.left(now, key))
        };
        if !connected && self.settings.degraded == DegradedMode::Local {
            return lock(&self.local).limiter.quota(now, key);
        }
        let limit = u64::from(self.capacity);
        let (remaining, reset_at) = left.unwrap_or((self.capacity, now));
        let remaining = u64::from(remaining).min(limit);
        Quota { limit, remaining, reset_after: reset_at.since(now) }
    }

    /// Forgets a refusal of the store, and what this instance counted by itself.
    pub(super) fn reset(&self, key: Key) {
        let key = if self.keyed { key } else { Key::NONE };
        lock(&self.book).allow(key);
        lock(&self.local).limiter.reset(key);
    }

    /// The keys that this instance knows; none where there is one limit for all calls.
    pub(super) fn each_key(&self) -> Vec<Key> {
        if self.keyed { lock(&self.book).each_key() } else { Vec::new() }
    }

    pub(super) fn keys(&self) -> usize {
        if self.keyed { lock(&self.book).keys() } else { 0 }
    }

    pub(super) fn is_degraded(&self) -> bool {
        !lock(&self.book).connected
    }

    /// Takes note of how many instances there are; the share of this one follows.
    fn count_instances(&self, instances: u32) {
        let instances = self.settings.instances.unwrap_or(instances).max(1);
        let mut local = lock(&self.local);
        if local.instances != instances {
            local.instances = instances;
            // A part of a limit that is right is right.
            if let Ok(limiter) = RateLimiter::new(local.config.share_of(instances)) {
                local.limiter = Arc::new(limiter);
            }
        }
    }
}

#[cfg(test)]
mod tests;
