//! Tenants: whose a request is, and what each of them may use.

use super::{TokenLimitConfig, matching::header_of};
use http::HeaderName;
use schemars::JsonSchema;
use seawall::{
    PolicyConfig, RateLimiterConfig, SharedLimit, Unit,
    config::{Problems, days, secs},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

seawall::configuration! {
    /// Tenants: whose a request is, and what each of them may use. Without `from` there are none.
    pub struct TenantsConfig {
        /// What says whose a request is: `header:<name>`; `key`, the API key that the request has (`Authorization: Bearer`,
        /// `x-api-key`, `api-key`, `x-goog-api-key`), of which a hash is kept; or `claim:<name>`, of the JWT in
        /// `Authorization`, whose signature is not checked. Headers and claims are believed from `trusted_proxies` only;
        /// whoever else sends a request, and whoever says nothing, is the tenant `anonymous`.
        from: Option<String> = None,
        /// The tenants by name.
        named: BTreeMap<String, TenantConfig> = BTreeMap::new(),
        /// Limits and budgets that tenants share the numbers of, by name; each tenant counts for itself.
        tiers: BTreeMap<String, TenantConfig> = BTreeMap::new(),
        /// What each tenant may use that is not named.
        #[serde(rename = "default")]
        unnamed: TenantConfig = TenantConfig::default(),
        /// Whether the requests of tenants that are not named are refused, with 403.
        refuse_unknown: bool = false,
        /// The most tenants that are remembered beside those that are named. When none of them is idle, further ones count
        /// as one.
        #[range(1..=100_000)]
        max_tenants: usize = 10_000,
        /// The number of tenants that metrics name: those with the most requests. The others are one, `other`.
        #[range(1..=1_000)]
        top: usize = 20,
        /// The prices of models by name, for a million tokens each, in whatever money the budgets count. A name that ends in
        /// `*` stands for all models that begin so; the longest counts.
        prices: BTreeMap<String, PriceConfig> = BTreeMap::new(),
        /// Shares the rate limits of tenants with other instances through `store.redis`; says how. Left out: each instance
        /// counts alone. Budgets and `max_concurrent` are always counted by each instance.
        #[nested]
        shared: Option<SharedLimit> = None,
    }
}

seawall::configuration! {
    /// What one tenant may use. What it leaves out is as its tier says.
    pub struct TenantConfig {
        /// The tier of the tenant.
        tier: Option<String> = None,
        /// The SHA-256 of each API key of the tenant, as 64 hexadecimal digits; where tenants are known by `key`. Of a key in
        /// `$KEY`: `printf %s "$KEY" | sha256sum`.
        key_hashes: Vec<String> = Vec::new(),
        /// The limit of its requests.
        #[nested]
        requests: Option<RequestLimitConfig> = None,
        /// The limit of the tokens of language models that it uses.
        #[nested]
        tokens: Option<TokenLimitConfig> = None,
        /// The most requests of it that are in progress at once; further ones are refused with 429.
        #[range(1..=1_000_000)]
        max_concurrent: Option<usize> = None,
        /// What it may spend; a request passes while none of them is used up. Left out, or empty: as its tier says.
        #[nested]
        budgets: Vec<BudgetConfig> = Vec::new(),
    }
}

seawall::configuration! {
    /// A limit of requests.
    #[schemars(extend("required" = ["rate"]))]
    pub struct RequestLimitConfig {
        /// Requests allowed in each `per`.
        #[range(1..=1_000_000_000)]
        rate: u32 = 0,
        /// The period that `rate` counts in.
        #[range(positive..=days(31))]
        per: Duration = secs(60),
        /// Requests allowed on top of `rate` after a quiet time.
        #[range(0..=1_000_000_000)]
        burst: u32 = 0,
    }
}

seawall::configuration! {
    /// What may be spent in one period of the calendar, in UTC. When it is used up, requests are refused with 429 until the
    /// period is over. Requests in progress count with what is expected of them.
    #[schemars(extend("required" = ["unit", "limit", "per"]))]
    #[check(Self::check_limit)]
    pub struct BudgetConfig {
        /// What is counted: `requests`, `tokens`, or `money` by `tenants.prices`.
        unit: BudgetUnit = BudgetUnit::Requests,
        /// How much of it there is in each period; more than 0.
        limit: f64 = 1.0,
        /// The period: `hour`, `day` or `month`.
        per: Period = Period::Day,
        /// The share of the budget from which on a warning is raised.
        #[range(0.0..=1.0)]
        warn_at: f64 = 0.8,
    }
}

/// The things that a budget can count.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BudgetUnit {
    /// Requests.
    #[default]
    Requests,
    /// Tokens of language models.
    Tokens,
    /// Money, by the prices of models.
    Money,
}

/// A period of the calendar, in UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// An hour.
    Hour,
    /// A day, from midnight on.
    #[default]
    Day,
    /// A month, from its first day on.
    Month,
}

seawall::configuration! {
    /// The prices of a model, for a million tokens each.
    #[schemars(extend("required" = ["input", "output"]))]
    pub struct PriceConfig {
        /// Tokens of requests.
        #[range(0.0..=1_000_000.0)]
        input: f64 = 0.0,
        /// Tokens of answers.
        #[range(0.0..=1_000_000.0)]
        output: f64 = 0.0,
        /// Tokens of requests that come from a cache. Left out: as `input`.
        #[range(0.0..=1_000_000.0)]
        cached_input: Option<f64> = None,
        /// Tokens of requests that are written to a cache. Left out: as `input`.
        #[range(0.0..=1_000_000.0)]
        cache_write: Option<f64> = None,
    }
}

/// What says whose a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TenantSource {
    Header(HeaderName),
    Key,
    Claim(String),
}

impl TenantSource {
    /// Reads `header:<name>`, `key` or `claim:<name>`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("claim:") {
            _ if text == "key" => Some(Self::Key),
            Some(name) if !name.is_empty() && name.len() <= 200 => Some(Self::Claim(name.into())),
            Some(_) => None,
            None => header_of(text).map(Self::Header),
        }
    }

    /// Whether only trusted proxies are believed.
    pub(crate) fn needs_trust(&self) -> bool {
        *self != Self::Key
    }
}

impl BudgetUnit {
    /// `requests`, `tokens` or `money`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Money => "money",
        }
    }
}

impl Period {
    /// `hour`, `day` or `month`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl BudgetConfig {
    fn check_limit(&self, problems: &mut Problems) {
        let good = self.limit.is_finite() && self.limit > 0.0 && self.limit <= 1e15;
        problems.require(good, "limit", self.limit, "more than 0, and at most 1e15");
    }
}

impl TenantConfig {
    /// The hashes of the tenant's API keys; `None` in place of each that is no hash.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = Option<[u8; 32]>> {
        self.key_hashes.iter().map(|text| {
            let mut hash = [0; 32];
            let digits = text.as_bytes();
            if digits.len() != 2 * hash.len() {
                return None;
            }
            for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
                let digit = |at: usize| char::from(pair[at]).to_digit(16);
                *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
            }
            Some(hash)
        })
    }
}

impl TenantsConfig {
    /// What says whose a request is; `None` where there are no tenants.
    pub(crate) fn source(&self) -> Option<TenantSource> {
        TenantSource::parse(self.from.as_deref()?)
    }

    /// What this tenant may use, with what its tier adds.
    pub(crate) fn effective(&self, tenant: &TenantConfig) -> TenantConfig {
        let Some(tier) = tenant.tier.as_ref().and_then(|tier| self.tiers.get(tier)) else {
            return tenant.clone();
        };
        let budgets = if tenant.budgets.is_empty() { &tier.budgets } else { &tenant.budgets };
        TenantConfig {
            tier: tenant.tier.clone(),
            key_hashes: tenant.key_hashes.clone(),
            requests: tenant.requests.clone().or_else(|| tier.requests.clone()),
            tokens: tenant.tokens.clone().or_else(|| tier.tokens.clone()),
            max_concurrent: tenant.max_concurrent.or(tier.max_concurrent),
            budgets: budgets.clone(),
        }
    }

    /// All tenants with their own numbers: each by its name, and the default one without.
    pub(crate) fn plans(&self) -> impl Iterator<Item = (Option<&str>, TenantConfig)> {
        let named = self.named.iter().map(|(name, one)| (Some(name.as_str()), self.effective(one)));
        named.chain([(None, self.effective(&self.unnamed))])
    }

    /// The rate limits of a tenant with these numbers; one for each key where `keyed`.
    pub(crate) fn policies(&self, tenant: &TenantConfig, keyed: bool) -> Vec<PolicyConfig> {
        let limiter = |unit, rate, per, burst| {
            PolicyConfig::RateLimiter(RateLimiterConfig {
                rate,
                per,
                burst,
                unit,
                keyed,
                max_keys: u32::try_from(self.max_tenants).unwrap_or(u32::MAX),
                shared: self.shared.clone(),
                ..Default::default()
            })
        };
        let requests = tenant.requests.as_ref();
        let requests = requests.map(|one| limiter(Unit::Calls, one.rate, one.per, one.burst));
        let tokens = tenant.tokens.as_ref();
        let tokens = tokens.map(|one| limiter(Unit::Tokens, one.rate, one.per, one.burst));
        requests.into_iter().chain(tokens).collect()
    }
}
