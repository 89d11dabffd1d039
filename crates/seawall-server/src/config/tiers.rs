//! Tiers of a route's rate limit: what a request's plan allows.

use super::{RateLimitConfig, matching::header_of};
use http::HeaderName;
use seawall::{
    RateLimiterConfig,
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
    }
}

/// The tiers where a file names none.
fn built_in() -> BTreeMap<String, TierConfig> {
    let hourly = |rate, burst| TierConfig { rate, per: hours(1), burst };
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

    /// The rate limiters that these fields describe, with the tier of each: without tiers one, under no name; with them
    /// the one of `default_tier` first.
    pub(crate) fn limiters(&self) -> Vec<(Option<String>, RateLimiterConfig)> {
        let limiter = |rate, per, burst| RateLimiterConfig {
            rate,
            per,
            burst,
            keyed: self.key.is_some(),
            max_keys: self.max_keys,
            shared: self.shared.clone(),
            ..Default::default()
        };
        let mut tiers: Vec<_> = self.tiers_in_force().into_iter().collect();
        if tiers.is_empty() {
            return vec![(None, limiter(self.rate.unwrap_or_default(), self.per, self.burst))];
        }
        tiers.sort_by_key(|(name, _)| *name != self.default_tier);
        let tiers = tiers.into_iter();
        tiers.map(|(name, tier)| (Some(name), limiter(tier.rate, tier.per, tier.burst))).collect()
    }
}
