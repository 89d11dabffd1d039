//! **Rate limiter**: bounds calls over time, for everyone together or for each key.
//!
//! Use it to protect a dependency's quota, or yourself from one caller. Not to bound work in progress
//! (that is the bulkhead). Four ways to count; the first is a token bucket, kept as the generic cell rate
//! algorithm (ITU-T I.371): one word holds the *theoretical arrival time*, the instant at which the bucket is
//! full again. The invariant: never more pass than the algorithm's definition allows, in any stretch of time;
//! of several limits, a call takes from all or from none.

use crate::{
    attributes::Key,
    config::{Check, ConfigError},
    event::Kind,
    keyed::Keyed,
    outcome::Outcome,
    policy::{Cause, Cx, OnSuccess, Pattern, Step},
    rejection::{Reason, Rejection},
    sync::{AtomicU64, Mutex, Ordering, lock, update},
    time::{Instant, nanos},
};
use std::{sync::Arc, time::Duration};

mod rules;
mod settings;

pub use rules::Gcra;
use rules::{Rule, Slot, Slots, take_all};
pub use settings::{Algorithm, Limit, RateLimiterConfig, rate_limit};

/// What is left of a limit; of several, of the one that has least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls that pass when nothing is used up: of a token bucket `rate + burst`.
    pub limit: u64,
    /// Calls that would pass now.
    pub remaining: u64,
    /// Until nothing is used up.
    pub reset_after: Duration,
}

/// A rate limiter, for all calls together or for each key.
#[derive(Debug)]
pub struct RateLimiter {
    config: RateLimiterConfig,
    rules: Box<[Rule]>,
    state: State,
    /// The longest that anybody was given a turn ahead, in nanoseconds: a bucket is that much fuller at most.
    waits: AtomicU64,
}

/// One word where one word is enough.
#[derive(Debug)]
enum State {
    One(AtomicU64),
    Keyed(Keyed<u64>),
    Several(Mutex<Slots>),
    KeyedSeveral(Keyed<Slots>),
}

/// A turn of a call that may have to wait for it. Dropping it changes nothing: the call counts. Where the call
/// is not made, give its turn back with [`refund`](Self::refund).
#[derive(Debug)]
#[must_use = "the turn is taken, also where nobody waits for it"]
pub struct Reservation<'a> {
    limiter: &'a RateLimiter,
    key: Key,
    cost: u32,
    /// How long to wait.
    pub wait: Duration,
}

impl Reservation<'_> {
    /// The call is not made: what it took is given back.
    pub fn refund(self) {
        self.limiter.refund(self.key, self.cost);
    }
}

impl RateLimiter {
    /// A limiter with everything left.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: RateLimiterConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let rules: Box<[Rule]> = config.rules().into();
        let one_word = matches!(&*rules, [Rule::Bucket(_) | Rule::Fixed(_) | Rule::Sliding(_)]);
        let state = match (one_word, config.keyed) {
            (true, false) => State::One(AtomicU64::new(0)),
            (true, true) => State::Keyed(Keyed::new(config.max_keys)),
            (false, false) => State::Several(Mutex::default()),
            (false, true) => State::KeyedSeveral(Keyed::new(config.max_keys)),
        };
        Ok(Self { config, rules, state, waits: AtomicU64::new(0) })
    }

    /// Its configuration.
    pub fn config(&self) -> &RateLimiterConfig {
        &self.config
    }

    /// Takes `cost` from the limit of `key` (one limit for all unless `keyed`): for use outside a pipeline.
    ///
    /// # Errors
    /// A rejection that says when to come back; without a time when `cost` is more than the whole limit.
    #[inline]
    pub fn try_acquire(&self, now: Instant, key: Key, cost: u32) -> Result<(), Rejection> {
        let rule = &self.rules[0];
        let waits = || self.waits.load(Ordering::Relaxed);
        let decide = |word: u64| rule.transition(word, now, cost, waits());
        let answer = match &self.state {
            State::One(word) => update(word, decide),
            State::Keyed(keyed) => {
                let idle = |word: &u64| rule.idle_from(*word, now, waits());
                keyed.update(key, now, idle, |word| {
                    let (next, answer) = decide(*word);
                    *word = next;
                    answer
                })
            }
            State::Several(slots) => take_all(&self.rules, &mut lock(slots), now, cost),
            State::KeyedSeveral(keyed) => {
                let idle = |slots: &Slots| rules::idle_from(&self.rules, slots, now);
                keyed.update(key, now, idle, |slots| take_all(&self.rules, slots, now, cost))
            }
        };
        answer.map_err(|wait| Rejection::new(Reason::RateLimited, wait))
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
        let Rule::Bucket(gcra) = self.rules[0] else {
            self.try_acquire(now, key, cost)?;
            return Ok(Reservation { limiter: self, key, cost, wait: Duration::ZERO });
        };
        let waits = self.waits.load(Ordering::Relaxed);
        let decide = |tat: u64| {
            let tat = gcra.settled(Instant::from_nanos(tat), now, waits);
            match gcra.reserve(tat, now, cost) {
                Some((next, wait)) if wait <= max_wait => (next.as_nanos(), Ok(wait)),
                Some((_, wait)) => (tat.as_nanos(), Err(Some(wait))),
                None => (tat.as_nanos(), Err(None)),
            }
        };
        let answer = match &self.state {
            State::One(word) => update(word, decide),
            State::Keyed(keyed) => keyed.update(
                key,
                now,
                |word| self.rules[0].idle_from(*word, now, waits),
                |word| {
                    let (next, answer) = decide(*word);
                    *word = next;
                    answer
                },
            ),
            State::Several(_) | State::KeyedSeveral(_) => {
                return self.try_acquire(now, key, cost).map(|()| Reservation {
                    limiter: self,
                    key,
                    cost,
                    wait: Duration::ZERO,
                });
            }
        };
        match answer {
            Ok(wait) => {
                update(&self.waits, |longest| (longest.max(nanos(wait)), ()));
                Ok(Reservation { limiter: self, key, cost, wait })
            }
            Err(wait) => Err(Rejection::new(Reason::RateLimited, wait)),
        }
    }

    fn refund(&self, key: Key, cost: u32) {
        let Rule::Bucket(gcra) = self.rules[0] else { return };
        let back = |tat: u64| gcra.refund(Instant::from_nanos(tat), cost).as_nanos();
        match &self.state {
            State::One(word) => update(word, |word| (back(word), ())),
            State::Keyed(keyed) => keyed.change(key, |word| *word = back(*word)),
            State::Several(_) | State::KeyedSeveral(_) => {}
        }
    }

    /// What is left for `key`.
    pub fn quota(&self, now: Instant, key: Key) -> Quota {
        let slots: Slots = match &self.state {
            State::One(word) => [Slot::Word(word.load(Ordering::Acquire))].into(),
            State::Keyed(keyed) => [Slot::Word(keyed.peek(key))].into(),
            State::Several(slots) => lock(slots).clone(),
            State::KeyedSeveral(keyed) => keyed.peek(key),
        };
        let waits = self.waits.load(Ordering::Relaxed);
        let quotas = self.rules.iter().enumerate().map(|(i, rule)| {
            let slot = slots.get(i).cloned().unwrap_or_else(|| rule.empty_slot());
            let (remaining, reset_after) = rule.left(&slot, now, waits);
            Quota { limit: rule.limit(), remaining, reset_after }
        });
        let least = quotas.min_by_key(|quota| quota.remaining);
        least.unwrap_or(Quota { limit: 0, remaining: 0, reset_after: Duration::ZERO })
    }

    /// Keys remembered now; 0 where there is one limit for all.
    pub fn keys(&self) -> usize {
        match &self.state {
            State::One(_) | State::Several(_) => 0,
            State::Keyed(keyed) => keyed.len(),
            State::KeyedSeveral(keyed) => keyed.len(),
        }
    }
}

/// What was taken stays taken, unless the caller leaves before its turn.
pub(crate) enum Frame {
    Through,
    Waiting { until: Instant },
}

impl Pattern for Arc<RateLimiter> {
    type Frame = Frame;

    #[inline]
    fn on_success(&self) -> OnSuccess {
        OnSuccess::HandsOn
    }

    #[inline]
    fn holds(frame: &Frame) -> bool {
        matches!(frame, Frame::Waiting { .. })
    }

    #[inline(always)]
    fn pass(&self, cx: &mut Cx<'_>) -> Option<Frame> {
        let (State::One(word), Rule::Bucket(gcra)) = (&self.state, &self.rules[0]) else {
            return None;
        };
        let (now, cost) = (cx.now, cx.attributes.cost);
        let taken = update(word, |tat| match gcra.take(Instant::from_nanos(tat), now, cost) {
            Some(next) => (next.as_nanos(), true),
            None => (tat, false),
        });
        taken.then_some(Frame::Through)
    }

    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let (now, key, cost) = (cx.now, cx.attributes.key, cx.attributes.cost);
        let wait = match self.config.max_wait {
            None => self.try_acquire(now, key, cost).map(|()| Duration::ZERO),
            // Who cannot have a turn before the deadline need not wait for it.
            Some(max_wait) => {
                let max_wait = max_wait.min(cx.deadline.since(now));
                self.reserve(now, key, cost, max_wait).map(|turn| turn.wait)
            }
        };
        match wait {
            Ok(Duration::ZERO) => (Frame::Through, Step::Call),
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
                *frame = Frame::Through;
                Step::Call
            }
            _ => Step::Wait,
        }
    }

    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, _cause: Cause) {
        if let Frame::Waiting { .. } = frame {
            *frame = Frame::Through;
            self.refund(cx.attributes.key, cx.attributes.cost);
        }
    }
}

#[cfg(test)]
mod tests;
