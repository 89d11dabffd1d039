//! Retry budgets: what all callers of one operation may spend on retries together.
//!
//! Where everything fails, three attempts a call are three times the load, and keep what is down from coming back.
//! A budget lets retries be a small share of the calls instead. All three forms are a bucket of tokens in one
//! word; they differ in what puts tokens in and takes them out.

use crate::{
    config::{Check, Problems, config},
    outcome::{Class, Outcome},
    sync::{AtomicU64, Ordering, update},
    time::Instant,
};

config! {
    /// A bound on the retries of all callers of an operation together.
    pub enum RetryBudget {
        /// Retries are a share of the calls, and some more in each second.
        Share(ShareBudget),
        /// Retries use up a quota that successes refill, as in the AWS SDKs.
        Aws(AwsBudget),
        /// Failures use up tokens that successes refill, as in gRPC.
        Grpc(GrpcBudget),
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::Share(ShareBudget::default())
    }
}

impl Check for RetryBudget {
    fn check(&self, problems: &mut Problems) {
        match self {
            Self::Share(budget) => problems.within("share", |problems| budget.check(problems)),
            Self::Aws(budget) => problems.within("aws", |problems| budget.check(problems)),
            Self::Grpc(budget) => problems.within("grpc", |problems| budget.check(problems)),
        }
    }
}

config! {
    /// Each call adds `ratio` of a token, each second adds `min_per_second`, each retry takes a token. (The idea
    /// is Finagle's `RetryBudget`.)
    pub struct ShareBudget {
        /// Retries allowed for each call, in the long run: 0.2 is one for every five calls.
        #[range(0.0..=100.0)]
        ratio: f64 = 0.2,
        /// Retries allowed in each second on top, so that rare calls may be repeated, too.
        #[range(0.0..=100_000.0)]
        min_per_second: f64 = 10.0,
        /// The most retries that can be saved up.
        #[range(1..=1_000_000)]
        max_saved: u32 = 100,
    }
}

config! {
    /// Each retry takes its cost; its success gives back what it cost, and a success at the first attempt gives
    /// `refill`. (The "standard" mode of the AWS SDKs.)
    pub struct AwsBudget {
        /// Tokens at the beginning, and the most there can be.
        #[range(1..=1_000_000)]
        capacity: u32 = 500,
        /// The number of tokens that a retry costs.
        #[range(0..=1_000_000)]
        retry_cost: u32 = 5,
        /// Tokens that a retry after a timeout costs.
        #[range(0..=1_000_000)]
        timeout_cost: u32 = 10,
        /// Tokens that a retry after a rate-limit failure costs.
        #[range(0..=1_000_000)]
        rate_limit_cost: u32 = 5,
        /// Tokens that a success at the first attempt gives.
        #[range(0..=1_000_000)]
        refill: u32 = 1,
    }
}

config! {
    /// Each failure takes a token, each success adds `token_ratio`; retries are made while more than half of the
    /// tokens are left. (gRPC's `retryThrottling`, proposal A6.)
    pub struct GrpcBudget {
        /// Tokens at the beginning, and the most there can be.
        #[range(1..=1_000)]
        max_tokens: u32 = 10,
        /// The number of tokens that a success adds.
        #[range(0.001..=1_000.0)]
        token_ratio: f64 = 0.1,
    }
}

/// The price of a retry, which depends on the outcome of the attempt before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Price {
    /// A retry after any other failure.
    Retry,
    AfterTimeout,
    AfterRateLimit,
}

impl Price {
    fn after(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::TimedOut { .. } => Self::AfterTimeout,
            Outcome::Failure(failure) if failure.class == Class::RateLimited => {
                Self::AfterRateLimit
            }
            _ => Self::Retry,
        }
    }
}

/// A bucket of tokens in one word.
///
/// Time puts tokens in at a steady rate, so what time has put in since the epoch is a line, the same for every bucket
/// of this rate. The word holds the level *above that line*, which only calls and retries change: no instant is
/// stored, so none is rounded, and an old instant cannot be mistaken for a new one.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// An `i64`: the level, in parts, less what time has put in since the epoch.
    word: AtomicU64,
    /// Parts of one token, a power of two: as fine as 62 bits allow for the tokens of all time.
    token: u64,
    most: i64,
    /// Parts that time puts in, in 2⁻⁶⁴ of one a nanosecond.
    per_nano: u64,
    /// A retry is made only where at least this is left after it, in parts.
    floor: i64,
    rates: Rates,
}

/// The amounts, in parts of tokens, that calls and retries put in and take out.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    by_call: i64,
    by_first_success: i64,
    by_later_success: i64,
    /// The success of a retry gives back what the retry was paid.
    gives_back: bool,
    of_failure: i64,
    of_retry: i64,
    of_retry_after_timeout: i64,
    of_retry_after_rate_limit: i64,
}

impl Rates {
    fn of(&self, price: Price) -> i64 {
        match price {
            Price::Retry => self.of_retry,
            Price::AfterTimeout => self.of_retry_after_timeout,
            Price::AfterRateLimit => self.of_retry_after_rate_limit,
        }
    }
}

/// A clock that steps back by more than this was set back; by less, it was read late.
const READ_LATE: Instant = Instant::from_millis(60_000);

impl Bucket {
    /// A bucket that is full.
    pub(super) fn new(budget: &RetryBudget) -> Self {
        match budget {
            RetryBudget::Share(share) => Self::share(share),
            RetryBudget::Aws(aws) => {
                let this = Self::full(aws.capacity, 0.0);
                let rates = Rates {
                    by_first_success: this.whole(aws.refill),
                    gives_back: true,
                    of_retry: this.whole(aws.retry_cost),
                    of_retry_after_timeout: this.whole(aws.timeout_cost),
                    of_retry_after_rate_limit: this.whole(aws.rate_limit_cost),
                    ..Rates::default()
                };
                Self { rates, ..this }
            }
            RetryBudget::Grpc(grpc) => {
                let this = Self::full(grpc.max_tokens, 0.0);
                // Rounded down: at the very half, retries stay withheld.
                let gives = (grpc.token_ratio * this.token as f64) as i64;
                let rates = Rates {
                    by_first_success: gives,
                    by_later_success: gives,
                    of_failure: this.whole(1),
                    ..Rates::default()
                };
                Self { rates, floor: this.most / 2 + 1, ..this }
            }
        }
    }

    /// A full bucket that calls and time refill.
    pub(crate) fn share(budget: &ShareBudget) -> Self {
        let this = Self::full(budget.max_saved, budget.min_per_second);
        let token = this.whole(1);
        let rates = Rates {
            by_call: this.parts(budget.ratio),
            of_retry: token,
            of_retry_after_timeout: token,
            of_retry_after_rate_limit: token,
            ..Rates::default()
        };
        Self { rates, ..this }
    }

    fn full(tokens: u32, per_second: f64) -> Self {
        // All that time can ever put in, and the bucket itself, stay below 2⁶² parts.
        let ever = per_second * (u64::MAX as f64 / 1e9) + f64::from(tokens);
        let finest = (2_f64.powi(62) / ever).log2().floor().clamp(0.0, 32.0) as u32;
        let token = 1 << finest;
        // Rounded up in whole numbers, so that a token that is due is there.
        let nanos_a_second = 1_000_000_000_u128;
        let billionths = (per_second * 1e9).ceil() as u128;
        let per_nano = ((billionths * u128::from(token)) << 64).div_ceil(nanos_a_second.pow(2));
        let most = (u64::from(tokens) * token) as i64;
        Self {
            word: AtomicU64::new(most as u64),
            token,
            most,
            per_nano: u64::try_from(per_nano).unwrap_or(u64::MAX),
            floor: 0,
            rates: Rates::default(),
        }
    }

    /// A number of tokens in parts.
    fn whole(&self, tokens: u32) -> i64 {
        (u64::from(tokens) * self.token) as i64
    }

    /// A number of tokens in parts, rounded up: a token that is due is there, and no share of one is rounded to nothing.
    fn parts(&self, tokens: f64) -> i64 {
        (tokens * self.token as f64).ceil() as i64
    }

    /// Whether a success changes the budget.
    pub(super) fn observes_success(&self) -> bool {
        let rates = &self.rates;
        rates.by_first_success > 0 || rates.by_later_success > 0 || rates.gives_back
    }

    /// Records that a call began.
    #[inline]
    pub(crate) fn began(&self, now: Instant) {
        if self.rates.by_call > 0 {
            self.put(now, self.rates.by_call);
        }
    }

    /// Records how an attempt ended: the first, or a later one that was paid for. Rejections change nothing.
    #[inline]
    pub(super) fn ended(&self, now: Instant, outcome: &Outcome, paid: Option<Price>) {
        match (outcome, paid) {
            (Outcome::Success, None) => self.put(now, self.rates.by_first_success),
            (Outcome::Success, Some(price)) if self.rates.gives_back => {
                self.put(now, self.rates.of(price));
            }
            (Outcome::Success, Some(_)) => self.put(now, self.rates.by_later_success),
            (outcome, _) if outcome.blames_dependency() => {
                self.take(now, self.rates.of_failure);
            }
            // Neither our own refusals nor what the caller spoiled speak against the dependency.
            _ => {}
        }
    }

    /// Pays for a hedge, if the budget allows one; says whether it did.
    pub(crate) fn withdraw(&self, now: Instant) -> bool {
        self.pay(now, self.rates.of_retry)
    }

    /// Pays for a retry after this outcome, if the budget allows one; returns the price.
    pub(super) fn withdraw_after(&self, now: Instant, outcome: &Outcome) -> Option<Price> {
        let price = Price::after(outcome);
        self.pay(now, self.rates.of(price)).then_some(price)
    }

    #[inline]
    fn put(&self, now: Instant, parts: i64) {
        if parts == 0 {
            return;
        }
        update(&self.word, |word| {
            let held = self.held(word, now);
            // A full bucket stays as it is: nothing is written.
            if held == self.most { (word, ()) } else { (self.word(now, held + parts), ()) }
        });
    }

    fn take(&self, now: Instant, parts: i64) {
        if parts > 0 {
            update(&self.word, |word| (self.word(now, (self.held(word, now) - parts).max(0)), ()));
        }
    }

    fn pay(&self, now: Instant, price: i64) -> bool {
        update(&self.word, |word| {
            let held = self.held(word, now);
            let rest = held - price;
            if held < 0 || rest < self.floor {
                // Where the clock was set back, the time from now on counts again.
                let set_back = held == 0 && self.level(word, now) < 0;
                (if set_back { self.word(now, 0) } else { word }, false)
            } else {
                (if price == 0 { word } else { self.word(now, rest) }, true)
            }
        })
    }

    /// Whole tokens and parts of them that are in it at `now`.
    pub(super) fn tokens(&self, now: Instant) -> f64 {
        let held = self.held(self.word.load(Ordering::Acquire), now);
        held.max(0) as f64 / self.token as f64
    }

    /// The parts in it at `now`; fewer than none where `now` was read before the last retry was paid for.
    fn held(&self, word: u64, now: Instant) -> i64 {
        let level = self.level(word, now);
        if level < -self.by_time(READ_LATE) { 0 } else { level.min(self.most) }
    }

    fn level(&self, word: u64, now: Instant) -> i64 {
        (word as i64).saturating_add(self.by_time(now))
    }

    fn word(&self, now: Instant, held: i64) -> u64 {
        (held.min(self.most) - self.by_time(now)) as u64
    }

    /// The parts that time has put in since the epoch, up to `now`; below 2⁶².
    fn by_time(&self, now: Instant) -> i64 {
        let parts = u128::from(now.as_nanos()) * u128::from(self.per_nano);
        (parts >> 64) as i64
    }
}

#[cfg(test)]
mod tests;
