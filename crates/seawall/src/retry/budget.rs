//! A retry budget: what all callers of one operation may spend on retries together.
//!
//! Where everything fails, three attempts a call are three times the load, and keep what is down from coming back.
//! A budget lets retries be a small share of the calls instead. It is a bucket of tokens: each first attempt
//! puts `ratio` of a token in, time puts `min_per_second` in, each retry takes one out. (The idea is Finagle's
//! `RetryBudget`; here the bucket is one word, and a full one is only read.)

use crate::{
    Instant,
    config::{Problems, config},
    sync::{AtomicU64, update},
};

config! {
    /// What retries may cost.
    pub struct RetryBudget {
        /// Retries allowed for each call, on the long run: 0.2 is one for every five calls.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 100.0)))]
        ratio: f64 = 0.2,
        /// Retries allowed in each second on top, so that rare calls may be repeated too.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 100_000.0)))]
        min_per_second: f64 = 10.0,
        /// Retries that may be saved up.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        max_saved: u32 = 100,
    }
}

impl RetryBudget {
    pub(crate) fn check(&self, problems: &mut Problems) {
        let Self { ratio, min_per_second, max_saved } = *self;
        let good = (0.0..=100.0).contains(&ratio);
        problems.require(good, "ratio", ratio, "a number from 0 to 100");
        let good = (0.0..=100_000.0).contains(&min_per_second);
        problems.require(good, "min_per_second", min_per_second, "a number from 0 to 100000");
        let good = (1..=1_000_000).contains(&max_saved);
        problems.require(good, "max_saved", max_saved, "a whole number from 1 to 1000000");
    }
}

/// Parts of a token.
const TOKEN: u64 = 1024;

/// The bucket: `milliseconds << 32 | parts of tokens`, the time modulo 2³² and that of the last change.
#[derive(Debug)]
pub(super) struct Bucket {
    word: AtomicU64,
    most: u64,
    for_a_call: u64,
    per_second: f64,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(budget: &RetryBudget) -> Self {
        let parts = |tokens: f64| (tokens * TOKEN as f64).round() as u64;
        let most = u64::from(budget.max_saved) * TOKEN;
        Self {
            word: AtomicU64::new(most),
            most,
            for_a_call: parts(budget.ratio),
            per_second: budget.min_per_second,
        }
    }

    /// A call began.
    #[inline]
    pub(super) fn deposit(&self, now: Instant) {
        update(&self.word, |word| {
            // A full bucket stays as it is: its time does not matter, so nothing is written.
            if word & u64::from(u32::MAX) >= self.most {
                return (word, ());
            }
            (pack(now, (self.parts(word, now) + self.for_a_call).min(self.most)), ())
        });
    }

    /// Whether a retry may be made; it is paid for then.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        update(&self.word, |word| match self.parts(word, now).checked_sub(TOKEN) {
            Some(rest) => (pack(now, rest), true),
            None => (word, false),
        })
    }

    /// What is in it at `now`.
    fn parts(&self, word: u64, now: Instant) -> u64 {
        let saved = word & u64::from(u32::MAX);
        // Late readings of the clock come as a step back, which is no time at all.
        let passed = millis(now).wrapping_sub((word >> 32) as u32);
        let passed = if passed > u32::MAX / 2 { 0 } else { passed };
        let earned = f64::from(passed) / 1000.0 * self.per_second * TOKEN as f64;
        (saved + earned as u64).min(self.most)
    }
}

fn millis(now: Instant) -> u32 {
    (now.as_nanos() / 1_000_000) as u32
}

fn pack(now: Instant, parts: u64) -> u64 {
    u64::from(millis(now)) << 32 | parts
}

#[cfg(test)]
mod tests;
