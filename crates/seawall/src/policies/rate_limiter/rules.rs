//! What each algorithm decides: pure transitions of a word, or of a log.

use crate::time::{Instant, READ_LATE, is_due, nanos};
use std::{collections::VecDeque, time::Duration};

/// The two numbers of the generic cell rate algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// Time that one call uses up, in nanoseconds.
    interval: u64,
    /// Time that may be used up ahead, in nanoseconds: `interval · (rate + burst)`.
    pub(super) tolerance: u64,
}

impl Gcra {
    /// Rounded so that never more than `rate` in `per` pass.
    pub fn new(rate: u32, per: Duration, burst: u32) -> Self {
        let interval = nanos(per).div_ceil(u64::from(rate.max(1))).max(1);
        let capacity = u64::from(rate) + u64::from(burst);
        Self { interval, tolerance: interval.saturating_mul(capacity) }
    }

    /// Whether a call of this cost passes at `now` where the bucket is full again at `tat`: the new
    /// `tat`, or how long to wait. A cost beyond the whole bucket never passes.
    #[inline]
    pub fn decide(
        &self,
        tat: Instant,
        now: Instant,
        cost: u32,
    ) -> Result<Instant, Option<Duration>> {
        let (next, wait) = self.reserve(tat, now, cost).ok_or(None)?;
        if wait.is_zero() { Ok(next) } else { Err(Some(wait)) }
    }

    /// The new `tat` where a call of this cost passes at once.
    #[inline(always)]
    pub(super) fn take(&self, tat: Instant, now: Instant, cost: u32) -> Option<Instant> {
        let uses = self.interval.saturating_mul(u64::from(cost.max(1)));
        let next = tat.max(now).as_nanos().saturating_add(uses);
        (next - now.as_nanos() <= self.tolerance).then_some(Instant::from_nanos(next))
    }

    /// The place of a call that waits for its turn: the new `tat`, and how long it waits. `None` where the
    /// cost is beyond the whole bucket.
    #[inline]
    pub fn reserve(&self, tat: Instant, now: Instant, cost: u32) -> Option<(Instant, Duration)> {
        let uses = self.interval.saturating_mul(u64::from(cost.max(1)));
        if uses > self.tolerance {
            return None;
        }
        let next = tat.max(now).as_nanos().saturating_add(uses);
        let wait = (next - now.as_nanos()).saturating_sub(self.tolerance);
        Some((Instant::from_nanos(next), Duration::from_nanos(wait)))
    }

    /// `tat` where the clock was set back since: the bucket is empty then, and fills from now on. `waits` is how far
    /// ahead turns were given, in nanoseconds.
    pub(super) fn settled(&self, tat: Instant, now: Instant, waits: u64) -> Instant {
        if is_due(now, tat.as_nanos(), self.tolerance.saturating_add(waits)) {
            tat.min(now + Duration::from_nanos(self.tolerance))
        } else {
            tat
        }
    }

    /// `tat` after what a call took was given back.
    pub fn refund(&self, tat: Instant, cost: u32) -> Instant {
        tat - Duration::from_nanos(self.interval.saturating_mul(u64::from(cost.max(1))))
    }

    /// Calls that would pass at `now`.
    pub fn remaining(&self, tat: Instant, now: Instant) -> u64 {
        let used = tat.as_nanos().saturating_sub(now.as_nanos());
        self.tolerance.saturating_sub(used) / self.interval
    }
}

/// One limit with its algorithm.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Bucket(Gcra),
    /// `window (32 bits) | calls in it (32)`.
    Fixed(Span),
    /// `window (24 bits) | calls in the one before (20) | calls in it (20)`.
    Sliding(Span),
    Log(Span),
}

/// So many calls in so many nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) limit: u64,
    pub(super) per: u64,
}

/// The answer to a call: how long to wait, or never.
type Refusal = Option<Duration>;

const TWENTY: u64 = (1 << 20) - 1;
/// The windows that a sliding one can tell apart.
const WINDOWS: u64 = (1 << 24) - 1;

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

    fn fixed(self, word: u64, now: Instant) -> u64 {
        let same = word >> 32 == self.window(now) & u64::from(u32::MAX);
        if same { word & u64::from(u32::MAX) } else { 0 }
    }

    fn decide_fixed(self, word: u64, now: Instant, cost: u64) -> Result<u64, Refusal> {
        let at = self.not_before(word >> 32, u64::from(u32::MAX), now);
        let used = self.fixed(word, at) + cost;
        if cost > self.limit {
            return Err(None);
        }
        if used > self.limit {
            return Err(Some(at.since(now) + Duration::from_nanos(self.until_next(at))));
        }
        Ok(self.window(at) << 32 | used)
    }

    /// Calls in the window before, and in this one.
    fn sliding(self, word: u64, now: Instant) -> (u64, u64) {
        let window = self.window(now) & ((1 << 24) - 1);
        let (before, current) = (word >> 20 & TWENTY, word & TWENTY);
        match window.wrapping_sub(word >> 40) & ((1 << 24) - 1) {
            0 => (before, current),
            1 => (current, 0),
            _ => (0, 0),
        }
    }

    /// How far into a window the calls of the one before weigh little enough: `before · (1 − f) ≤ free`.
    fn far_enough(self, before: u64, free: u64) -> u64 {
        if before <= free {
            return 0;
        }
        let weight = u128::from(free) * u128::from(self.per) / u128::from(before);
        self.per - weight as u64
    }

    fn decide_sliding(self, word: u64, now: Instant, cost: u64) -> Result<u64, Refusal> {
        if cost > self.limit {
            return Err(None);
        }
        let at = self.not_before(word >> 40, WINDOWS, now);
        let late = at.since(now);
        let (before, current) = self.sliding(word, at);
        let into = self.into_window(at);
        if let Some(free) = self.limit.checked_sub(current + cost) {
            let from = self.far_enough(before, free);
            if into >= from {
                let window = self.window(at) & WINDOWS;
                return Ok(window << 40 | before << 20 | (current + cost));
            }
            return Err(Some(late + Duration::from_nanos(from - into)));
        }
        let from = self.far_enough(current, self.limit - cost);
        Err(Some(late + Duration::from_nanos(self.until_next(at) + from)))
    }
}

impl Rule {
    /// The transition of a rule that needs no more than a word.
    #[inline]
    pub(super) fn decide(&self, word: u64, now: Instant, cost: u32) -> Result<u64, Refusal> {
        let cost = cost.max(1);
        match self {
            Self::Bucket(gcra) => {
                gcra.decide(Instant::from_nanos(word), now, cost).map(Instant::as_nanos)
            }
            Self::Fixed(span) => span.decide_fixed(word, now, u64::from(cost)),
            Self::Sliding(span) => span.decide_sliding(word, now, u64::from(cost)),
            // A log is no word: what cannot be counted does not pass.
            Self::Log(_) => Err(None),
        }
    }

    /// The word where the clock was set back since it was written.
    pub(super) fn settled(&self, word: u64, now: Instant, waits: u64) -> u64 {
        match self {
            Self::Bucket(gcra) => gcra.settled(Instant::from_nanos(word), now, waits).as_nanos(),
            Self::Fixed(_) | Self::Sliding(_) | Self::Log(_) => word,
        }
    }

    /// The next word and whether a call passes: [`decide`](Self::decide), also where the clock was set back.
    #[inline]
    pub(super) fn transition(
        &self,
        word: u64,
        now: Instant,
        cost: u32,
        waits: u64,
    ) -> (u64, Result<(), Refusal>) {
        match self.decide(word, now, cost) {
            Ok(next) => (next, Ok(())),
            Err(refusal) => {
                let settled = self.settled(word, now, waits);
                let told = if settled == word {
                    refusal
                } else {
                    self.decide(settled, now, cost).err().unwrap_or(refusal)
                };
                (settled, Err(told))
            }
        }
    }

    /// From when on a word says no more than 0 does, in nanoseconds.
    #[inline]
    pub(super) fn idle_from(&self, word: u64, now: Instant, waits: u64) -> u64 {
        match self {
            // Where the clock was set back, a word from before is worth no place among the keys.
            Self::Bucket(_) if self.settled(word, now, waits) != word => 0,
            Self::Bucket(_) => word,
            Self::Fixed(span) if span.fixed(word, now) == 0 => 0,
            Self::Fixed(span) => now.as_nanos() + span.until_next(now),
            Self::Sliding(span) => match span.sliding(word, now) {
                (0, 0) => 0,
                (_, 0) => now.as_nanos() + span.until_next(now),
                _ => now.as_nanos() + span.until_next(now) + span.per,
            },
            Self::Log(_) => u64::MAX,
        }
    }

    /// Calls that would pass at `now`, and until when something is used up.
    pub(super) fn left(&self, slot: &Slot, now: Instant, waits: u64) -> (u64, Duration) {
        let word = if let Slot::Word(word) = slot { *word } else { 0 };
        let word = self.settled(word, now, waits);
        let until = |nanos: u64| Instant::from_nanos(nanos).since(now);
        let reset = until(self.idle_from(word, now, waits));
        match (self, slot) {
            (Self::Bucket(gcra), _) => (gcra.remaining(Instant::from_nanos(word), now), reset),
            (Self::Fixed(span), _) => (span.limit.saturating_sub(span.fixed(word, now)), reset),
            (Self::Sliding(span), _) => {
                let (before, current) = span.sliding(word, now);
                let weight = u128::from(before) * u128::from(span.until_next(now));
                let weighs = weight.div_ceil(u128::from(span.per)) as u64;
                (span.limit.saturating_sub(weighs + current), reset)
            }
            (Self::Log(span), Slot::Log(log)) => {
                let since = now.as_nanos().saturating_sub(span.per);
                let recent = log.iter().filter(|(at, _)| *at > since);
                let used: u64 = recent.map(|(_, cost)| u64::from(*cost)).sum();
                let last = log.back().map_or(0, |(at, _)| logged(*at, now) + span.per);
                (span.limit.saturating_sub(used), until(last))
            }
            (Self::Log(_), Slot::Word(_)) => (0, Duration::ZERO),
        }
    }

    pub(super) fn limit(&self) -> u64 {
        match self {
            Self::Bucket(gcra) => gcra.tolerance / gcra.interval,
            Self::Fixed(span) | Self::Sliding(span) | Self::Log(span) => span.limit,
        }
    }

    pub(super) fn empty_slot(&self) -> Slot {
        match self {
            Self::Log(_) => Slot::Log(VecDeque::new()),
            _ => Slot::Word(0),
        }
    }
}

/// The state of one limit, where there is a lock around it.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Word(u64),
    /// Calls that passed, and their costs, oldest first. No more than the limit.
    Log(VecDeque<(u64, u32)>),
}

/// The state of several limits.
pub(super) type Slots = Box<[Slot]>;

/// Takes `cost` from all limits, or from none: then how long to wait for the one that takes longest.
pub(super) fn take_all(
    rules: &[Rule],
    slots: &mut Slots,
    now: Instant,
    cost: u32,
) -> Result<(), Refusal> {
    if slots.is_empty() {
        *slots = rules.iter().map(Rule::empty_slot).collect();
    }
    let mut longest = Ok(());
    for (rule, slot) in rules.iter().zip(slots.iter_mut()) {
        let refused = match (rule, slot) {
            (Rule::Log(span), Slot::Log(log)) => log_refusal(*span, log, now, cost).err(),
            (rule, Slot::Word(word)) => {
                *word = rule.settled(*word, now, 0);
                rule.decide(*word, now, cost).err()
            }
            // No other rule keeps a log: what cannot be counted does not pass.
            (_, Slot::Log(_)) => Some(None),
        };
        longest = match (longest, refused) {
            (longest, None) => longest,
            (Ok(()), Some(refusal)) => Err(refusal),
            (Err(one), Some(other)) => Err(one.zip(other).map(|(one, other)| one.max(other))),
        };
    }
    longest?;
    for (rule, slot) in rules.iter().zip(slots.iter_mut()) {
        match slot {
            Slot::Log(log) => log.push_back((now.as_nanos(), cost.max(1))),
            Slot::Word(word) => *word = rule.decide(*word, now, cost).unwrap_or(*word),
        }
    }
    Ok(())
}

/// When a call passed that was logged at `at`: now, where the clock was set back since.
fn logged(at: u64, now: Instant) -> u64 {
    if is_due(now, at, 0) { at.min(now.as_nanos()) } else { at }
}

fn log_refusal(
    span: Span,
    log: &mut VecDeque<(u64, u32)>,
    now: Instant,
    cost: u32,
) -> Result<(), Refusal> {
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

/// From when on these slots say no more than empty ones, in nanoseconds.
pub(super) fn idle_from(rules: &[Rule], slots: &Slots, now: Instant) -> u64 {
    let each = rules.iter().zip(slots.iter()).map(|(rule, slot)| match (rule, slot) {
        (Rule::Log(span), Slot::Log(log)) => {
            log.back().map_or(0, |(at, _)| logged(*at, now) + span.per)
        }
        (rule, Slot::Word(word)) => rule.idle_from(*word, now, 0),
        (_, Slot::Log(_)) => u64::MAX,
    });
    each.max().unwrap_or(0)
}
