//! Retry budgets: what all callers of one operation may spend on retries together.
//!
//! Where everything fails, three attempts a call are three times the load, and keep what is down from coming back.
//! A budget lets retries be a small share of the calls instead. All three forms are a bucket of tokens in one
//! word; they differ in what puts tokens in and takes them out.

use crate::{
    Class, Instant, Outcome,
    config::{Problems, config},
    sync::{AtomicU64, Ordering, update},
};

/// What retries may cost.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RetryBudget {
    /// A share of the calls, and some a second.
    Share(ShareBudget),
    /// A quota that retries use up and successes refill, as in the AWS SDKs.
    Aws(AwsBudget),
    /// Tokens that failures use up and successes refill, as in gRPC.
    Grpc(GrpcBudget),
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::Share(ShareBudget::default())
    }
}

config! {
    /// Each call puts `ratio` of a token in, time puts `min_per_second` in, each retry takes one out. (The idea
    /// is Finagle's `RetryBudget`.)
    pub struct ShareBudget {
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

config! {
    /// Each retry takes `retry_cost` out; its success gives that back, and a success at the first attempt gives
    /// `refill`. (The "standard" mode of the AWS SDKs.)
    pub struct AwsBudget {
        /// Tokens at the beginning, and at most.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        capacity: u32 = 500,
        /// What a retry costs.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000)))]
        retry_cost: u32 = 5,
        /// What a retry after a timeout costs.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000)))]
        timeout_cost: u32 = 10,
        /// What a retry after a rate-limit failure costs.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000)))]
        rate_limit_cost: u32 = 5,
        /// What a success at the first attempt gives.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000)))]
        refill: u32 = 1,
    }
}

config! {
    /// Each failure takes a token out, each success puts `token_ratio` in; retries are made while more than half
    /// of the tokens are left. (gRPC's `retryThrottling`, proposal A6.)
    pub struct GrpcBudget {
        /// Tokens at the beginning, and at most.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000)))]
        max_tokens: u32 = 10,
        /// What a success gives.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.001, max = 1_000.0)))]
        token_ratio: f64 = 0.1,
    }
}

impl RetryBudget {
    pub(crate) fn check(&self, problems: &mut Problems) {
        match self {
            Self::Share(budget) => problems.within("share", |problems| budget.check(problems)),
            Self::Aws(budget) => problems.within("aws", |problems| budget.check(problems)),
            Self::Grpc(budget) => problems.within("grpc", |problems| budget.check(problems)),
        }
    }
}

impl ShareBudget {
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

impl AwsBudget {
    fn check(&self, problems: &mut Problems) {
        let million = 1_000_000;
        let good = (1..=million).contains(&self.capacity);
        problems.require(good, "capacity", self.capacity, "a whole number from 1 to 1000000");
        for (field, value) in [
            ("retry_cost", self.retry_cost),
            ("timeout_cost", self.timeout_cost),
            ("rate_limit_cost", self.rate_limit_cost),
            ("refill", self.refill),
        ] {
            let right = "a whole number from 0 to 1000000";
            problems.require(value <= million, field, value, right);
        }
    }
}

impl GrpcBudget {
    fn check(&self, problems: &mut Problems) {
        let good = (1..=1_000).contains(&self.max_tokens);
        problems.require(good, "max_tokens", self.max_tokens, "a whole number from 1 to 1000");
        let good = (0.001..=1_000.0).contains(&self.token_ratio);
        problems.require(good, "token_ratio", self.token_ratio, "a number from 0.001 to 1000");
    }
}

/// Parts of a token.
const TOKEN: u64 = 1024;

/// The bucket: `milliseconds << 32 | parts of tokens`, the time modulo 2³² and that of the last change.
#[derive(Debug)]
pub(crate) struct Bucket {
    word: AtomicU64,
    most: u64,
    per_second: f64,
    /// A retry is made only where more than this is left after it, in parts.
    floor: u64,
    rates: Rates,
}

/// What puts parts of tokens in, and what takes them out.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    by_call: u64,
    by_first_success: u64,
    by_later_success: u64,
    of_failure: u64,
    of_retry: u64,
    of_retry_after_timeout: u64,
    of_retry_after_rate_limit: u64,
}

fn parts(tokens: f64) -> u64 {
    (tokens * TOKEN as f64).round() as u64
}

impl Bucket {
    /// A full one.
    pub(super) fn new(budget: &RetryBudget) -> Self {
        match budget {
            RetryBudget::Share(share) => Self::share(share),
            RetryBudget::Aws(aws) => Self::full(
                aws.capacity,
                0.0,
                0,
                Rates {
                    by_first_success: u64::from(aws.refill) * TOKEN,
                    by_later_success: u64::from(aws.retry_cost) * TOKEN,
                    of_retry: u64::from(aws.retry_cost) * TOKEN,
                    of_retry_after_timeout: u64::from(aws.timeout_cost) * TOKEN,
                    of_retry_after_rate_limit: u64::from(aws.rate_limit_cost) * TOKEN,
                    ..Rates::default()
                },
            ),
            RetryBudget::Grpc(grpc) => {
                let floor = u64::from(grpc.max_tokens) * TOKEN / 2;
                Self::full(
                    grpc.max_tokens,
                    0.0,
                    floor + 1,
                    Rates {
                        by_first_success: parts(grpc.token_ratio),
                        by_later_success: parts(grpc.token_ratio),
                        of_failure: TOKEN,
                        ..Rates::default()
                    },
                )
            }
        }
    }

    /// A full one that is refilled by calls and by time.
    pub(crate) fn share(budget: &ShareBudget) -> Self {
        Self::full(
            budget.max_saved,
            budget.min_per_second,
            0,
            Rates {
                by_call: parts(budget.ratio),
                of_retry: TOKEN,
                of_retry_after_timeout: TOKEN,
                of_retry_after_rate_limit: TOKEN,
                ..Rates::default()
            },
        )
    }

    fn full(tokens: u32, per_second: f64, floor: u64, rates: Rates) -> Self {
        let most = u64::from(tokens) * TOKEN;
        Self { word: AtomicU64::new(most), most, per_second, floor, rates }
    }

    /// Whether it wants to hear of successes.
    pub(super) fn heeds_success(&self) -> bool {
        self.rates.by_first_success > 0 || self.rates.by_later_success > 0
    }

    /// A call began.
    #[inline]
    pub(crate) fn began(&self, now: Instant) {
        if self.rates.by_call > 0 {
            self.put(now, self.rates.by_call);
        }
    }

    /// An attempt ended like this, the first or a later one; refusals of our own say nothing.
    #[inline]
    pub(super) fn ended(&self, now: Instant, outcome: &Outcome, first: bool) {
        match outcome {
            Outcome::Success if first => self.put(now, self.rates.by_first_success),
            Outcome::Success => self.put(now, self.rates.by_later_success),
            Outcome::Failure(_) | Outcome::TimedOut { .. } => self.take(now, self.rates.of_failure),
            Outcome::Rejected(_) => {}
        }
    }

    /// Whether a retry, or a hedge, may be made; it is paid for then.
    pub(crate) fn withdraw(&self, now: Instant) -> bool {
        self.pay(now, self.rates.of_retry)
    }

    /// Whether a retry may be made after this outcome; it is paid for then.
    pub(super) fn withdraw_after(&self, now: Instant, outcome: &Outcome) -> bool {
        self.pay(
            now,
            match outcome {
                Outcome::TimedOut { .. } => self.rates.of_retry_after_timeout,
                Outcome::Failure(failure) if failure.class == Class::RateLimited => {
                    self.rates.of_retry_after_rate_limit
                }
                _ => self.rates.of_retry,
            },
        )
    }

    #[inline]
    fn put(&self, now: Instant, parts: u64) {
        update(&self.word, |word| {
            // A full bucket stays as it is: its time does not matter, so nothing is written.
            if parts == 0 || word & u64::from(u32::MAX) >= self.most {
                return (word, ());
            }
            (pack(now, (self.held(word, now) + parts).min(self.most)), ())
        });
    }

    fn take(&self, now: Instant, parts: u64) {
        if parts > 0 {
            update(&self.word, |word| (pack(now, self.held(word, now).saturating_sub(parts)), ()));
        }
    }

    fn pay(&self, now: Instant, price: u64) -> bool {
        update(&self.word, |word| match self.held(word, now).checked_sub(price) {
            Some(rest) if rest >= self.floor => {
                (if price == 0 { word } else { pack(now, rest) }, true)
            }
            _ => (word, false),
        })
    }

    /// Whole tokens and parts of them that are in it at `now`.
    pub(super) fn tokens(&self, now: Instant) -> f64 {
        self.held(self.word.load(Ordering::Acquire), now) as f64 / TOKEN as f64
    }

    /// What is in it at `now`.
    fn held(&self, word: u64, now: Instant) -> u64 {
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
