//! Tiers of a route's rate limit: what a request's plan allows.

use super::{RateLimitConfig, TokenLimitConfig, matching::header_of};
use http::HeaderName;
use seawall::{
    RateLimiterConfig, Unit,
    config::{days, hours},
};
use std::{collections::BTreeMap, time::Duration};

seawall::configuration! {
    /// The limit of one tier.
    #[schemars(extend("required" = ["rate"]))]
    pub struct TierConfig {
        /// Requests allowed in each `per`.
        #[range(1..=1_000_000_000)]
        rate: u32 = 0,
        /// The period that `rate` counts in.
        #[range(positive..=days(31))]
        per: Duration = hours(1),
        /// Requests allowed on top of `rate` after a quiet time.
        #[range(0..=1_000_000_000)]
        burst: u32 = 0,
        /// A limit of the tokens of language models, beside that of requests.
        #[nested]
        tokens: Option<TokenLimitConfig> = None,
    }
}

/// The tiers where a file names none.
fn built_in() -> BTreeMap<String, TierConfig> {
    let hourly = |rate, burst| TierConfig { rate, per: hours(1), burst, tokens: None };
    [
        ("free", hourly(100, 10)),
        ("basic", hourly(1_000, 100)),
        ("premium", hourly(10_000, 1_000)),
        ("enterprise", hourly(100_000, 10_000)),
    ]
    .map(|(name, tier)| (name.to_owned(), tier))
    .into()
}

impl RateLimitConfig {
    /// The header in which a request has its tier; `None` if there are no tiers.
    pub(crate) fn tier_header(&self) -> Option<HeaderName> {
        header_of(self.tier.as_deref()?)
    }

    /// The tiers in force by name: those of the file, or the built-in ones; none without `tier`.
    pub(super) fn tiers_in_force(&self) -> BTreeMap<String, TierConfig> {
        match (&self.tier, self.tiers.is_empty()) {
            (None, _) => BTreeMap::new(),
            (Some(_), true) => built_in(),
            (Some(_), false) => self.tiers.clone(),
        }
    }

    /// The rate limiters that these fields describe, with the tier of each: without tiers under no name; with them those of
    /// `default_tier` first. A limit of tokens stands behind that of requests.
    pub(crate) fn limiters(&self) -> Vec<(Option<String>, RateLimiterConfig)> {
        let tiers = self.tiers_in_force();
        if tiers.is_empty() {
            let calls = self.rate.map(|rate| (rate, self.per, self.burst));
            return self.both(calls, self.tokens.as_ref()).map(|limit| (None, limit)).collect();
        }
        let mut tiers: Vec<_> = tiers.into_iter().collect();
        tiers.sort_by_key(|(name, _)| *name != self.default_tier);
        let of_tier = |(name, tier): (String, TierConfig)| {
            let calls = Some((tier.rate, tier.per, tier.burst));
            let limits = self.both(calls, tier.tokens.as_ref());
            limits.map(|limit| (Some(name.clone()), limit)).collect::<Vec<_>>()
        };
        tiers.into_iter().flat_map(of_tier).collect()
    }

    fn both(
        &self,
        calls: Option<(u32, Duration, u32)>,
        tokens: Option<&TokenLimitConfig>,
    ) -> impl Iterator<Item = RateLimiterConfig> {
        let limiter = |unit| {
            move |(rate, per, burst)| RateLimiterConfig {
                rate,
                per,
                burst,
                unit,
                keyed: self.key.is_some(),
                max_keys: self.max_keys,
                shared: self.shared.clone(),
                ..Default::default()
            }
        };
        let tokens = tokens.map(|limit| (limit.rate, limit.per, limit.burst));
        calls.map(limiter(Unit::Calls)).into_iter().chain(tokens.map(limiter(Unit::Tokens)))
    }
}
