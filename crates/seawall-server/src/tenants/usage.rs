//! Tokens that calls have used, and what they cost.

use crate::config::{PriceConfig, TenantsConfig};
use std::collections::BTreeMap;

/// The tokens that a call has used, by kind. Each token is counted in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Tokens of the request that were read for the first time.
    pub(crate) input: u64,
    /// Tokens of the request that came from a cache.
    pub(crate) cached_input: u64,
    /// Tokens of the request that were written to a cache.
    pub(crate) cache_write: u64,
    /// Tokens of the answer, those of its reasoning included.
    pub(crate) output: u64,
}

impl Usage {
    /// All tokens together.
    pub(crate) fn total(&self) -> u64 {
        self.of_request().saturating_add(self.output)
    }

    /// The tokens of the request.
    pub(crate) fn of_request(&self) -> u64 {
        self.input.saturating_add(self.cached_input).saturating_add(self.cache_write)
    }
}

/// Billionths of the money that prices are in.
pub(crate) const NANOS: f64 = 1e9;

/// The prices of models.
#[derive(Debug, Default)]
pub(super) struct Prices {
    exact: BTreeMap<String, PriceConfig>,
    /// Prices of all models that begin so, the longest first.
    beginnings: Vec<(String, PriceConfig)>,
}

impl Prices {
    pub(super) fn new(config: &TenantsConfig) -> Self {
        let mut prices = Self::default();
        for (name, price) in &config.prices {
            match name.strip_suffix('*') {
                Some(beginning) => prices.beginnings.push((beginning.to_owned(), price.clone())),
                None => _ = prices.exact.insert(name.clone(), price.clone()),
            }
        }
        prices.beginnings.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        prices
    }

    /// The price of this use in billionths; `None` where the model has none.
    pub(super) fn of(&self, model: Option<&str>, usage: Usage) -> Option<u64> {
        let model = model.unwrap_or_default();
        let begins = |(beginning, _): &&(String, PriceConfig)| model.starts_with(&**beginning);
        let price = self.exact.get(model);
        let price = price.or_else(|| Some(&self.beginnings.iter().find(begins)?.1))?;
        let cost = |tokens: u64, price: f64| tokens as f64 * price * (NANOS / 1e6);
        let total = cost(usage.input, price.input)
            + cost(usage.cached_input, price.cached_input.unwrap_or(price.input))
            + cost(usage.cache_write, price.cache_write.unwrap_or(price.input))
            + cost(usage.output, price.output);
        // A conversion of a large number gives the largest.
        Some(total.round() as u64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.beginnings.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_that_fits_has_the_price() {
        let price = |input| PriceConfig { input, output: 10.0, ..Default::default() };
        let prices = [("gpt-4o", 2.5), ("gpt-4*", 30.0), ("gpt-4o-mini*", 0.15), ("gpt-*", 1.0)];
        let prices = prices.map(|(name, input)| (name.to_owned(), price(input)));
        let prices = Prices::new(&TenantsConfig { prices: prices.into(), ..Default::default() });
        let usage = Usage { input: 1_000_000, ..Usage::default() };
        for (model, expected) in [
            ("gpt-4o", Some(2.5)),
            ("gpt-4o-2024", Some(30.0)),
            ("gpt-4o-mini-x", Some(0.15)),
            ("gpt-5", Some(1.0)),
            ("claude", None),
            ("", None),
        ] {
            let cost = prices.of(Some(model), usage).map(|cost| cost as f64 / NANOS);
            assert_eq!(cost, expected, "{model}");
        }
    }

    #[test]
    fn each_kind_of_token_has_its_price_and_absurd_numbers_do_no_harm() {
        let price = PriceConfig {
            input: 3.0,
            output: 15.0,
            cached_input: Some(0.3),
            cache_write: Some(3.75),
        };
        let config =
            TenantsConfig { prices: [("*".to_owned(), price)].into(), ..Default::default() };
        let prices = Prices::new(&config);
        let usage = Usage { input: 10, cached_input: 1_000, cache_write: 100, output: 20 };
        assert_eq!(prices.of(None, usage), Some(30_000 + 300_000 + 375_000 + 300_000));
        let most = Usage { input: u64::MAX, output: u64::MAX, ..usage };
        assert_eq!(prices.of(None, most), Some(u64::MAX));
        assert_eq!(most.total(), u64::MAX);
    }
}
