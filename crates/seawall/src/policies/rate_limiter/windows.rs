//! Counting by the clock: in fixed windows, in two windows that slide, or in a log of every call.

use super::rules::Refusal;
use crate::time::{Instant, READ_LATE, is_due};
use std::{collections::VecDeque, time::Duration};

/// What a call took in advance, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) cost: u32,
    pub(super) at: Instant,
}

impl Taken {
    /// The count of a window after the call used `used`; `own` says that it was counted there.
    fn settle(self, counted: u64, own: bool, used: u32) -> u64 {
        let (beyond, left) = (used.saturating_sub(self.cost), self.cost.saturating_sub(used));
        let left = if own { u64::from(left) } else { 0 };
        counted.saturating_sub(left) + u64::from(beyond)
    }
}

/// A number of calls in a number of nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) limit: u64,
    pub(super) per: u64,
}

impl Span {
    fn window(self, now: Instant) -> u64 {
        now.as_nanos() / self.per
    }

    fn into_window(self, now: Instant) -> u64 {
        now.as_nanos() % self.per
    }

    fn until_next(self, now: Instant) -> u64 {
        self.per - self.into_window(now)
    }

    /// `now`; or the beginning of a word's window, where that began after `now` was read. Where it begins much later
    /// than that, the clock was set back, and another window is open.
    fn not_before(self, window: u64, mask: u64, now: Instant) -> Instant {
        let ahead = window.wrapping_sub(self.window(now)) & mask;
        if ahead == 0 || ahead > mask / 2 {
            return now;
        }
        let until = ahead.saturating_mul(self.per) - self.into_window(now);
        if until <= READ_LATE { now + Duration::from_nanos(until) } else { now }
    }
}

/// Calls in the present window, in one word: `window (32 bits) | calls in it (32)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed(pub(super) Span);

const THIRTY_TWO: u64 = (1 << 32) - 1;

impl Fixed {
    fn used(self, word: u64, now: Instant) -> u64 {
        let same = word >> 32 == self.0.window(now) & THIRTY_TWO;
        if same { word & THIRTY_TWO } else { 0 }
    }

    pub(super) fn decide(self, word: u64, now: Instant, cost: u64) -> Result<u64, Refusal> {
        let Self(span) = self;
        let at = span.not_before(word >> 32, THIRTY_TWO, now);
        let used = self.used(word, at) + cost;
        if cost > span.limit {
            return Err(None);
        }
        if used > span.limit {
            return Err(Some(at.since(now) + Duration::from_nanos(span.until_next(at))));
        }
        Ok(span.window(at) << 32 | used)
    }

    /// The word after a call took `taken.cost` and used `used`. What it left goes back to its own window only; what it used
    /// beyond that counts in the present one, and is forgotten with it.
    pub(super) fn settle(self, word: u64, now: Instant, taken: Taken, used: u32) -> u64 {
        let Self(span) = self;
        let at = span.not_before(word >> 32, THIRTY_TWO, now);
        let counted = self.used(word, at);
        let own = span.window(taken.at) == span.window(at);
        let counted = taken.settle(counted, own, used).min(THIRTY_TWO);
        (span.window(at) & THIRTY_TWO) << 32 | counted
    }

    pub(super) fn remaining(self, word: u64, now: Instant) -> u64 {
        self.0.limit.saturating_sub(self.used(word, now))
    }

    pub(super) fn idle_from(self, word: u64, now: Instant) -> u64 {
        if self.used(word, now) == 0 { 0 } else { now.as_nanos() + self.0.until_next(now) }
    }
}

/// The calls in the present window and in the one before, in one word: `window (24 bits) | calls in the one before
/// (20) | calls in it (20)`. The window before counts by the share of it that the last `per` still covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sliding(pub(super) Span);

const TWENTY: u64 = (1 << 20) - 1;
/// The number of windows that can be told apart.
const WINDOWS: u64 = (1 << 24) - 1;

impl Sliding {
    /// Calls in the window before, and in this one.
    fn used(self, word: u64, now: Instant) -> (u64, u64) {
        let window = self.0.window(now) & WINDOWS;
        let (before, current) = (word >> 20 & TWENTY, word & TWENTY);
        match window.wrapping_sub(word >> 40) & WINDOWS {
            0 => (before, current),
            1 => (current, 0),
            _ => (0, 0),
        }
    }

    /// How far into a window the calls of the one before count for little enough: `before · (1 − f) ≤ free`.
    fn far_enough(self, before: u64, free: u64) -> u64 {
        if before <= free {
            return 0;
        }
        let weight = u128::from(free) * u128::from(self.0.per) / u128::from(before);
        self.0.per - weight as u64
    }

    pub(super) fn decide(self, word: u64, now: Instant, cost: u64) -> Result<u64, Refusal> {
        let Self(span) = self;
        if cost > span.limit {
            return Err(None);
        }
        let at = span.not_before(word >> 40, WINDOWS, now);
        let late = at.since(now);
        let (before, current) = self.used(word, at);
        let into = span.into_window(at);
        if let Some(free) = span.limit.checked_sub(current + cost) {
            let from = self.far_enough(before, free);
            if into >= from {
                let window = span.window(at) & WINDOWS;
                return Ok(window << 40 | before << 20 | (current + cost));
            }
            return Err(Some(late + Duration::from_nanos(from - into)));
        }
        let from = self.far_enough(current, span.limit - cost);
        Err(Some(late + Duration::from_nanos(span.until_next(at) + from)))
    }

    /// The word after a call took `taken.cost` and used `used`. What it left goes back to its own window, if that still
    /// counts; what it used beyond that counts in the present one, up to 1,048,575 in all.
    pub(super) fn settle(self, word: u64, now: Instant, taken: Taken, used: u32) -> u64 {
        let Self(span) = self;
        let at = span.not_before(word >> 40, WINDOWS, now);
        let (before, current) = self.used(word, at);
        let windows_ago = span.window(at).saturating_sub(span.window(taken.at));
        let (before, current) = match windows_ago {
            1 if used < taken.cost => (taken.settle(before, true, used), current),
            ago => (before, taken.settle(current, ago == 0, used)),
        };
        (span.window(at) & WINDOWS) << 40 | before << 20 | current.min(TWENTY)
    }

    pub(super) fn remaining(self, word: u64, now: Instant) -> u64 {
        let (before, current) = self.used(word, now);
        let weight = u128::from(before) * u128::from(self.0.until_next(now));
        let weighs = weight.div_ceil(u128::from(self.0.per)) as u64;
        self.0.limit.saturating_sub(weighs + current)
    }

    pub(super) fn idle_from(self, word: u64, now: Instant) -> u64 {
        let next = now.as_nanos() + self.0.until_next(now);
        match self.used(word, now) {
            (0, 0) => 0,
            (_, 0) => next,
            _ => next + self.0.per,
        }
    }
}

/// Each call that passed is remembered, with its cost, oldest first; never more than the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log(pub(super) Span);

pub(super) type Calls = VecDeque<(u64, u32)>;

/// The time at which a call passed that was logged at `at`: now, if the clock was set back since.
fn logged(at: u64, now: Instant) -> u64 {
    if is_due(now, at, 0) { at.min(now.as_nanos()) } else { at }
}

impl Log {
    /// Whether a call of this cost would be refused, and for how long. Calls that are too old to count are forgotten.
    pub(super) fn refusal(self, log: &mut Calls, now: Instant, cost: u32) -> Result<(), Refusal> {
        let Self(span) = self;
        let cost = u64::from(cost.max(1));
        if cost > span.limit {
            return Err(None);
        }
        if log.back().is_some_and(|(at, _)| logged(*at, now) < *at) {
            log.iter_mut().for_each(|(at, _)| *at = logged(*at, now));
        }
        let expired = |at: u64| at + span.per <= now.as_nanos();
        while log.front().is_some_and(|(at, _)| expired(*at)) {
            log.pop_front();
        }
        let mut used: u64 = log.iter().map(|(_, cost)| u64::from(*cost)).sum();
        for (at, of) in &*log {
            if used + cost <= span.limit {
                break;
            }
            used -= u64::from(*of);
            if used + cost <= span.limit {
                let free_at = Instant::from_nanos(at + span.per);
                return Err(Some(free_at.since(now)));
            }
        }
        if used + cost > span.limit { Err(None) } else { Ok(()) }
    }

    /// Corrects the entry of a call that took `taken.cost` and used `used`. Where the entry is gone, it is too old to count:
    /// then what was used beyond it counts as of now.
    pub(super) fn settle(self, log: &mut Calls, now: Instant, taken: Taken, used: u32) {
        let is_its_own =
            |(at, cost): &&mut (u64, u32)| *at == taken.at.as_nanos() && *cost == taken.cost;
        if let Some((_, cost)) = log.iter_mut().rev().find(is_its_own) {
            *cost = used;
        } else if let Some(beyond) = used.checked_sub(taken.cost).filter(|beyond| *beyond > 0) {
            // No more entries than calls that may pass.
            let is_full = log.len() as u64 >= self.0.limit;
            match log.back_mut().filter(|_| is_full) {
                Some((_, cost)) => *cost = cost.saturating_add(beyond),
                None => log.push_back((now.as_nanos(), beyond)),
            }
        }
    }

    pub(super) fn remaining(self, log: &Calls, now: Instant) -> u64 {
        let since = now.as_nanos().saturating_sub(self.0.per);
        let recent = log.iter().filter(|(at, _)| *at > since);
        let used: u64 = recent.map(|(_, cost)| u64::from(*cost)).sum();
        self.0.limit.saturating_sub(used)
    }

    pub(super) fn idle_from(self, log: &Calls, now: Instant) -> u64 {
        log.back().map_or(0, |(at, _)| logged(*at, now) + self.0.per)
    }
}
