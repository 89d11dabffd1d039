//! **Rate limiter**: bounds calls over time, for everyone together or for each key.
//!
//! Use it to protect a dependency's quota, or yourself from one caller. Not to bound work in progress
//! (that is the bulkhead). Four ways to count; the first is a token bucket, kept as the generic cell rate
//! algorithm (ITU-T I.371): one word holds the *theoretical arrival time*, the instant at which the bucket is
//! full again. The invariant: never more pass than the algorithm's definition allows, in any stretch of time;
//! of several limits, a call takes from all or from none.

use crate::{
    attributes::{Attributes, Key},
    config::{Check, ConfigError},
    event::Kind,
    outcome::Outcome,
    policy::{Cause, Cx, OnSuccess, Pattern, Step},
    rejection::{Reason, Rejection},
    sync::{AtomicU64, Mutex, Ordering, update},
    time::{Instant, nanos},
};
use std::{sync::Arc, time::Duration};

mod gcra;
mod rules;
mod settings;
mod shared;
mod state;
mod windows;

pub use gcra::Gcra;
use rules::{Counted, Rule, Rules};
pub use settings::{Algorithm, Limit, RateLimiterConfig, Unit, rate_limit};
pub use shared::{DegradedMode, LimitAsk, LimitGrant, LimitSettlement, SharedLimit, SharedLimits};
use shared::{Shared, Waiting};
use state::State;
use windows::Taken;

/// How much of a limit is left; with several limits, of the one that has least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The number of calls that pass when nothing is used up: of a token bucket `rate + burst`.
    pub limit: u64,
    /// The number of calls that would pass now.
    pub remaining: u64,
    /// How long until the whole limit is available again.
    pub reset_after: Duration,
}

impl Quota {
    /// The share of the limit that is left, 0 to 1.
    pub fn left(&self) -> f64 {
        self.remaining as f64 / self.limit.max(1) as f64
    }
}

/// A rate limiter, for all calls together or for each key.
#[derive(Debug)]
pub struct RateLimiter {
    config: RateLimiterConfig,
    limiter: Limiter,
    /// What one call may take at most.
    capacity: u32,
    /// The longest that anybody was given a turn ahead, or was in debt, in nanoseconds: a bucket is that much fuller at most.
    waits: AtomicU64,
}

/// The algorithm that counts, with what it has counted.
#[derive(Debug)]
enum Limiter {
    /// One limit that is counted in a word, without a lock where it is for all calls.
    Word(Rule, State<AtomicU64>),
    /// A log of calls, or several limits.
    Several(Rules, State<Mutex<Counted>>),
    /// Counted by a store, for several instances.
    Shared(Box<Shared>),
}

/// The turn of a call, which may have to wait for it. Dropping the reservation changes nothing: the call counts. Where the
/// call is not made, give its turn back with [`refund`](Self::refund); where it used more or less than its cost, correct that
/// with [`settle`](Self::settle).
#[derive(Debug)]
#[must_use = "the turn is taken, also where nobody waits for it"]
pub struct Reservation<'a> {
    limiter: &'a RateLimiter,
    key: Key,
    taken: Taken,
    /// How long to wait before the call is made.
    pub wait: Duration,
}

impl Reservation<'_> {
    /// Gives back what the call took, because it is not made.
    pub fn refund(self) {
        self.limiter.settle(self.taken.at, self.key, self.taken, 0);
    }

    /// Corrects what the call took to what it has used. More is a debt, which later calls wait for: in a token bucket until
    /// it is paid off, at most ten whole limits; in windows and logs as long as the window counts. Less goes back.
    pub fn settle(self, now: Instant, used: u32) {
        self.limiter.settle(now, self.key, self.taken, used);
    }
}

impl RateLimiter {
    /// A limiter with everything left.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: RateLimiterConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let max_keys = config.keyed.then_some(config.max_keys);
        let rules = config.rules();
        let limiter = match (&config.shared, &*rules.words, &*rules.logs) {
            (Some(shared), ..) => Limiter::Shared(Shared::new(&config, shared.clone())?.into()),
            (None, [rule], []) => Limiter::Word(*rule, State::new(max_keys)),
            _ => Limiter::Several(rules, State::new(max_keys)),
        };
        let capacity = config.capacity();
        Ok(Self { config, limiter, capacity, waits: AtomicU64::new(0) })
    }

    /// The configuration of the rate limiter.
    pub fn config(&self) -> &RateLimiterConfig {
        &self.config
    }

    /// Takes `cost` from the limit of `key` (one limit for all unless `keyed`): for use outside a pipeline.
    ///
    /// # Errors
    /// A rejection that says when to come back; without a time when `cost` is more than the whole limit.
    #[inline]
    pub fn try_acquire(&self, now: Instant, key: Key, cost: u32) -> Result<(), Rejection> {
        let answer = match &self.limiter {
            Limiter::Word(rule, state) => {
                let idle_from = |word: &u64| rule.idle_from(*word, now, self.waits());
                state
                    .update(key, now, idle_from, |word| rule.take(word, now, cost, || self.waits()))
            }
            Limiter::Several(rules, state) => {
                let waits = self.waits();
                let idle_from = |counted: &Counted| rules.idle_from(counted, now, waits);
                state.update(key, now, idle_from, |counted| rules.take(counted, now, cost, waits))
            }
            Limiter::Shared(shared) => return shared.try_acquire(now, key, cost),
        };
        answer.map_err(|wait| Rejection::new(Reason::RateLimited, wait))
    }

    #[inline]
    fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Reserves a turn that comes within `max_wait`: for use outside a pipeline, with one token bucket only.
    ///
    /// # Errors
    /// A rejection where the turn would come later; then nothing is taken. With other algorithms, and with
    /// several limits, whatever cannot pass at once.
    pub fn reserve(
        &self,
        now: Instant,
        key: Key,
        cost: u32,
        max_wait: Duration,
    ) -> Result<Reservation<'_>, Rejection> {
        let Limiter::Word(rule @ Rule::Bucket(gcra), state) = &self.limiter else {
            self.try_acquire(now, key, cost)?;
            let taken = Taken { cost: cost.max(1), at: now };
            return Ok(Reservation { limiter: self, key, taken, wait: Duration::ZERO });
        };
        let waits = self.waits();
        let idle_from = |word: &u64| rule.idle_from(*word, now, waits);
        let answer = state.update(key, now, idle_from, |word| {
            let tat = gcra.settled(Instant::from_nanos(*word), now, waits);
            let (next, answer) = match gcra.reserve(tat, now, cost) {
                Some((next, wait)) if wait <= max_wait => (next, Ok(wait)),
                Some((_, wait)) => (tat, Err(Some(wait))),
                None => (tat, Err(None)),
            };
            *word = next.as_nanos();
            answer
        });
        let wait = answer.map_err(|wait| Rejection::new(Reason::RateLimited, wait))?;
        self.look_ahead(nanos(wait));
        let taken = Taken { cost: cost.max(1), at: now };
        Ok(Reservation { limiter: self, key, taken, wait })
    }

    /// A state may be so many nanoseconds ahead of what it could be by calls that pass at once.
    fn look_ahead(&self, by: u64) {
        if by > self.waits() {
            update(&self.waits, |longest| (longest.max(by), ()));
        }
    }

    /// Corrects what a call took to what it has used.
    fn settle(&self, now: Instant, key: Key, taken: Taken, used: u32) {
        if taken.cost == used {
            return;
        }
        match &self.limiter {
            Limiter::Word(rule, state) => {
                let idle_from = |word: &u64| rule.idle_from(*word, now, u64::MAX);
                let debt = state.update(key, now, idle_from, |word| {
                    *word = rule.settle(*word, now, taken, used);
                    rule.debt(*word, now)
                });
                self.look_ahead(debt);
            }
            Limiter::Several(rules, state) => {
                let idle_from = |counted: &Counted| rules.idle_from(counted, now, u64::MAX);
                let debt = state
                    .update(key, now, idle_from, |counted| rules.settle(counted, now, taken, used));
                self.look_ahead(debt);
            }
            Limiter::Shared(shared) => shared.settle(now, key, taken, used),
        }
    }

    /// What a call with these attributes takes: no more than there can be, of tokens.
    fn amount(&self, attributes: &Attributes) -> u32 {
        match self.config.unit {
            Unit::Calls => attributes.cost.max(1),
            Unit::Tokens => attributes.tokens.min(self.capacity),
        }
    }

    /// The frame of a call that took its amount at `at`, and passes now.
    fn through(&self, at: Instant, attributes: &Attributes) -> Frame {
        match self.config.unit {
            Unit::Calls => Frame::Through,
            Unit::Tokens => {
                Frame::Reserved { at, used_before: attributes.used_tokens.unwrap_or(0) }
            }
        }
    }

    /// How much of the limit is left for `key` at `now`; of a shared limit, as far as this instance knows.
    pub fn quota(&self, now: Instant, key: Key) -> Quota {
        match &self.limiter {
            Limiter::Word(rule, state) => rule.quota(state.read(key), now, self.waits()),
            Limiter::Several(rules, state) => rules.quota(state.read(key), now, self.waits()),
            Limiter::Shared(shared) => shared.quota(now, key),
        }
    }

    /// Forgets what was counted for `key`, so that its whole limit is left. Of a shared limit, what this instance knows and
    /// counts by itself; its store goes on counting.
    pub fn reset(&self, key: Key) {
        match &self.limiter {
            Limiter::Word(_, state) => state.change(key, |word| *word = 0),
            Limiter::Several(_, state) => {
                state.change(key, |counted| *counted = Counted::default())
            }
            Limiter::Shared(shared) => shared.reset(key),
        }
    }

    /// The keys that have used most of their limit, at most `most`, with what is left of it, the least first. None where
    /// there is one limit for all calls, and none of the keys that share a limit because there was no place for them. It
    /// looks at every key: for people, not for the path of a call.
    pub fn nearest(&self, now: Instant, most: usize) -> Vec<(Key, Quota)> {
        let keys = match &self.limiter {
            Limiter::Word(_, state) => state.each_key(),
            Limiter::Several(_, state) => state.each_key(),
            Limiter::Shared(shared) => shared.each_key(),
        };
        let quotas = keys.into_iter().map(|key| (key, self.quota(now, key)));
        let mut used: Vec<_> = quotas.filter(|(_, quota)| quota.remaining < quota.limit).collect();
        used.sort_by(|(one, a), (other, b)| {
            a.left().total_cmp(&b.left()).then(one.hash().cmp(&other.hash()))
        });
        used.truncate(most);
        used
    }

    /// The number of keys that are remembered now; 0 if there is one limit for all calls.
    pub fn keys(&self) -> usize {
        match &self.limiter {
            Limiter::Word(_, state) => state.keys(),
            Limiter::Several(_, state) => state.keys(),
            Limiter::Shared(shared) => shared.keys(),
        }
    }
}

/// A call keeps what it took, unless the caller leaves before its turn, or what it took was an estimate.
pub(crate) enum Frame {
    Through,
    Waiting {
        until: Instant,
    },
    /// Took tokens in advance, which are settled when the frame goes.
    Reserved {
        at: Instant,
        /// Tokens that the execution had used before.
        used_before: u32,
    },
    /// Waits for the store that counts a shared limit.
    Asking(Waiting),
}

impl Pattern for Arc<RateLimiter> {
    type Frame = Frame;

    #[inline]
    fn on_success(&self) -> OnSuccess {
        OnSuccess::HandsOn
    }

    #[inline]
    fn holds(frame: &Frame) -> bool {
        !matches!(frame, Frame::Through)
    }

    #[inline(always)]
    fn pass(&self, cx: &mut Cx<'_>) -> Option<Frame> {
        let Limiter::Word(Rule::Bucket(gcra), State::One(word)) = &self.limiter else {
            return None;
        };
        if self.config.unit == Unit::Tokens {
            return None;
        }
        let (now, cost) = (cx.now, cx.attributes.cost);
        let taken = update(word, |tat| match gcra.take(Instant::from_nanos(tat), now, cost) {
            Some(next) => (next.as_nanos(), true),
            None => (tat, false),
        });
        taken.then_some(Frame::Through)
    }

    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let (now, key, cost) = (cx.now, cx.attributes.key, self.amount(cx.attributes));
        if cost == 0 {
            return (Frame::Through, Step::Call);
        }
        if let Limiter::Shared(shared) = &self.limiter {
            let (waiting, step) = shared.start(cx, cost);
            let frame = match (waiting, step) {
                (Some(waiting), _) => Frame::Asking(waiting),
                (None, Step::Call) => self.through(now, cx.attributes),
                (None, _) => Frame::Through,
            };
            return (frame, step);
        }
        let wait = match self.config.max_wait {
            None => self.try_acquire(now, key, cost).map(|()| Duration::ZERO),
            // Who cannot have a turn before the deadline need not wait for it.
            Some(max_wait) => {
                let max_wait = max_wait.min(cx.deadline.since(now));
                self.reserve(now, key, cost, max_wait).map(|turn| turn.wait)
            }
        };
        match wait {
            Ok(Duration::ZERO) => (self.through(now, cx.attributes), Step::Call),
            Ok(wait) => {
                let until = now + wait;
                cx.emit(Kind::Queued { policy: "rate_limiter" });
                cx.wake_at(until);
                (Frame::Waiting { until }, Step::Wait)
            }
            Err(rejection) => {
                cx.emit(Kind::Rejected(rejection));
                (Frame::Through, Step::Finish(Outcome::Rejected(rejection)))
            }
        }
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        match frame {
            Frame::Waiting { until } if cx.now >= *until => {
                *frame = self.through(*until, cx.attributes);
                Step::Call
            }
            Frame::Asking(waiting) => {
                let Limiter::Shared(shared) = &self.limiter else { return Step::Wait };
                let step = shared.wake(waiting, cx, self.amount(cx.attributes));
                match step {
                    Step::Wait => {}
                    // The store counted it at some time since it was asked.
                    Step::Call => *frame = self.through(waiting.since, cx.attributes),
                    _ => *frame = Frame::Through,
                }
                step
            }
            _ => Step::Wait,
        }
    }

    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
        let (key, cost) = (cx.attributes.key, self.amount(cx.attributes));
        match (std::mem::replace(frame, Frame::Through), &self.limiter) {
            (Frame::Through, _) => {}
            (Frame::Waiting { .. }, _) => {
                self.settle(cx.now, key, Taken { cost, at: cx.now }, 0);
            }
            (Frame::Reserved { at, used_before }, _) => {
                let used = cx.attributes.used_tokens.and_then(|all| all.checked_sub(used_before));
                let used = used_in_the_end(used, cost, cause);
                self.settle(cx.now, key, Taken { cost, at }, used);
            }
            (Frame::Asking(waiting), Limiter::Shared(shared)) => shared.give_up(&waiting),
            (Frame::Asking(_), _) => {}
        }
    }
}

/// What counts as used in the end, of a call that took `cost`. A call that reported nothing has used what was expected if it
/// succeeded, or if its caller left before its end, and nothing if it failed. An attempt in whose place another one came has
/// used nothing.
fn used_in_the_end(reported: Option<u32>, cost: u32, cause: Cause) -> u32 {
    match cause {
        Cause::Ended(outcome) if outcome.is_success() => reported.unwrap_or(cost),
        Cause::CallerGone => reported.unwrap_or(cost),
        Cause::Ended(_) | Cause::TimedOut | Cause::Panicked => reported.unwrap_or(0),
        Cause::Discarded => 0,
    }
}

#[cfg(test)]
mod tests;
