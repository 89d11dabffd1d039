//! Decisions about one limit or several: pure transitions of their state.

use super::{
    Quota,
    gcra::Gcra,
    windows::{Calls, Fixed, Log, Sliding, Taken},
};
use crate::time::Instant;
use smallvec::SmallVec;
use std::time::Duration;

/// How long a refused call must wait; none if it will never pass.
pub(super) type Refusal = Option<Duration>;

/// A limit that is counted in one word; 0 is the word of one that is unused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Bucket(Gcra),
    Fixed(Fixed),
    Sliding(Sliding),
}

impl Rule {
    /// The next word, where a call of this cost passes.
    #[inline]
    fn decide(&self, word: u64, now: Instant, cost: u32) -> Result<u64, Refusal> {
        let cost = cost.max(1);
        match self {
            Self::Bucket(gcra) => {
                gcra.decide(Instant::from_nanos(word), now, cost).map(Instant::as_nanos)
            }
            Self::Fixed(window) => window.decide(word, now, u64::from(cost)),
            Self::Sliding(window) => window.decide(word, now, u64::from(cost)),
        }
    }

    /// The word where the clock was set back since it was written. `waits` is how far ahead turns were given, in
    /// nanoseconds.
    fn settled(&self, word: u64, now: Instant, waits: u64) -> u64 {
        match self {
            Self::Bucket(gcra) => gcra.settled(Instant::from_nanos(word), now, waits).as_nanos(),
            Self::Fixed(_) | Self::Sliding(_) => word,
        }
    }

    /// Takes `cost` from this limit if the call passes; otherwise the answer is how long to wait.
    #[inline]
    pub(super) fn take(
        &self,
        word: &mut u64,
        now: Instant,
        cost: u32,
        waits: impl FnOnce() -> u64,
    ) -> Result<(), Refusal> {
        match self {
            Self::Bucket(gcra) => gcra.take_or_wait(word, now, cost, waits),
            Self::Fixed(_) | Self::Sliding(_) => {
                *word = self.decide(*word, now, cost)?;
                Ok(())
            }
        }
    }

    /// The word after a call took `taken.cost` and used `used`.
    pub(super) fn settle(&self, word: u64, now: Instant, taken: Taken, used: u32) -> u64 {
        match self {
            Self::Bucket(gcra) => {
                gcra.settle(Instant::from_nanos(word), now, taken.cost, used).as_nanos()
            }
            Self::Fixed(window) => window.settle(word, now, taken, used),
            Self::Sliding(window) => window.settle(word, now, taken, used),
        }
    }

    /// How far ahead a word is by a debt, in nanoseconds: a word that is further ahead is from before the clock was set back.
    pub(super) fn debt(&self, word: u64, now: Instant) -> u64 {
        match self {
            Self::Bucket(gcra) => gcra.debt(Instant::from_nanos(word), now),
            Self::Fixed(_) | Self::Sliding(_) => 0,
        }
    }

    /// From when on a word says no more than 0 does, in nanoseconds.
    #[inline]
    pub(super) fn idle_from(&self, word: u64, now: Instant, waits: u64) -> u64 {
        match self {
            // Where the clock was set back, a word from before is worth no place among the keys.
            Self::Bucket(_) if self.settled(word, now, waits) != word => 0,
            Self::Bucket(_) => word,
            Self::Fixed(window) => window.idle_from(word, now),
            Self::Sliding(window) => window.idle_from(word, now),
        }
    }

    pub(super) fn quota(&self, word: u64, now: Instant, waits: u64) -> Quota {
        let word = self.settled(word, now, waits);
        let reset_after = Instant::from_nanos(self.idle_from(word, now, waits)).since(now);
        let (limit, remaining) = match self {
            Self::Bucket(gcra) => {
                let remaining = gcra.remaining(Instant::from_nanos(word), now);
                (gcra.tolerance / gcra.interval, remaining)
            }
            Self::Fixed(window) => (window.0.limit, window.remaining(word, now)),
            Self::Sliding(window) => (window.0.limit, window.remaining(word, now)),
        };
        Quota { limit, remaining, reset_after }
    }
}

/// Limits of which a call takes from all, or from none.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) words: Vec<Rule>,
    pub(super) logs: Vec<Log>,
}

/// The counts of such limits, in the order of their [`Rules`]; empty before the first call.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    words: Box<[u64]>,
    logs: Box<[Calls]>,
}

impl Rules {
    /// Takes `cost` from all limits, or from none: then the answer is how long to wait for the one that takes longest.
    pub(super) fn take(
        &self,
        counted: &mut Counted,
        now: Instant,
        cost: u32,
        waits: u64,
    ) -> Result<(), Refusal> {
        self.lay_out(counted);
        let Counted { words, logs } = counted;
        let mut longest = Ok(());
        let mut next: SmallVec<[u64; 8]> = SmallVec::new();
        for (rule, word) in self.words.iter().zip(words.iter_mut()) {
            *word = rule.settled(*word, now, waits);
            match rule.decide(*word, now, cost) {
                Ok(word) => next.push(word),
                Err(refusal) => longest = longer(longest, refusal),
            }
        }
        for (rule, log) in self.logs.iter().zip(logs.iter_mut()) {
            if let Err(refusal) = rule.refusal(log, now, cost) {
                longest = longer(longest, refusal);
            }
        }
        longest?;
        words.copy_from_slice(&next);
        logs.iter_mut().for_each(|log| log.push_back((now.as_nanos(), cost.max(1))));
        Ok(())
    }

    fn lay_out(&self, counted: &mut Counted) {
        if counted.words.len() != self.words.len() || counted.logs.len() != self.logs.len() {
            counted.words = vec![0; self.words.len()].into();
            counted.logs = vec![Calls::new(); self.logs.len()].into();
        }
    }

    /// Corrects all counts after a call took `taken.cost` and used `used`. Returns how far ahead the largest debt is, in
    /// nanoseconds.
    pub(super) fn settle(
        &self,
        counted: &mut Counted,
        now: Instant,
        taken: Taken,
        used: u32,
    ) -> u64 {
        self.lay_out(counted);
        let mut debt = 0;
        for (rule, word) in self.words.iter().zip(counted.words.iter_mut()) {
            *word = rule.settle(*word, now, taken, used);
            debt = debt.max(rule.debt(*word, now));
        }
        for (rule, log) in self.logs.iter().zip(counted.logs.iter_mut()) {
            rule.settle(log, now, taken, used);
        }
        debt
    }

    /// From when on these counts say no more than empty ones, in nanoseconds.
    pub(super) fn idle_from(&self, counted: &Counted, now: Instant, waits: u64) -> u64 {
        let words = self.words.iter().zip(&counted.words);
        let words = words.map(|(rule, word)| rule.idle_from(*word, now, waits));
        let logs = self.logs.iter().zip(&counted.logs);
        words.chain(logs.map(|(rule, log)| rule.idle_from(log, now))).max().unwrap_or(0)
    }

    /// How much is left of the limit that has least.
    pub(super) fn quota(&self, mut counted: Counted, now: Instant, waits: u64) -> Quota {
        self.lay_out(&mut counted);
        let words = self.words.iter().zip(&counted.words);
        let words = words.map(|(rule, word)| rule.quota(*word, now, waits));
        let logs = self.logs.iter().zip(&counted.logs).map(|(rule, log)| Quota {
            limit: rule.0.limit,
            remaining: rule.remaining(log, now),
            reset_after: Instant::from_nanos(rule.idle_from(log, now)).since(now),
        });
        let least = words.chain(logs).min_by_key(|quota| quota.remaining);
        least.unwrap_or(Quota { limit: 0, remaining: 0, reset_after: Duration::ZERO })
    }
}

fn longer(longest: Result<(), Refusal>, refusal: Refusal) -> Result<(), Refusal> {
    match longest {
        Ok(()) => Err(refusal),
        Err(one) => Err(one.zip(refusal).map(|(one, other)| one.max(other))),
    }
}
