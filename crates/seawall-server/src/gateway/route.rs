//! Routes, and which of them a request takes.

use super::upstream::Upstream;
use crate::{
    config::{KeySource, PathPattern, RateLimitConfig, RouteConfig},
    runtime::Operation,
};
use http::{HeaderMap, HeaderName, Method};
use seawall::Key;
use seawall_store::letters::Redaction;
use std::{net::IpAddr, sync::Arc};

/// A route: its match, its own operations (limit and fallback), and the upstreams in order.
pub(crate) struct Route {
    pattern: PathPattern,
    methods: Vec<Method>,
    key: KeySource,
    path: String,
    /// Whether a limit on the way counts tokens of language models.
    pub(super) counts_tokens: bool,
    /// The queue for requests that failed for good.
    pub(super) dead_letter: Option<String>,
    operations: Operations,
    /// The upstream that is asked first, then its fallbacks.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
}

/// The operations of a route: one, or one for each tier of its rate limit.
struct Operations {
    /// The header that names the tier.
    tier: Option<HeaderName>,
    /// The tiers with their operations; at least one, and that of the default tier first.
    all: Vec<(Option<String>, Operation)>,
}

/// The result of looking for a route by path and method.
pub(crate) enum Match<'a> {
    /// The first route that matches.
    Route(&'a Arc<Route>),
    /// Only routes of these other methods have the path.
    Methods(Vec<Method>),
    /// No route has the path.
    Nothing,
}

impl Route {
    pub(crate) fn new(
        config: &RouteConfig,
        operations: Vec<(Option<String>, Operation)>,
        upstreams: Vec<Arc<Upstream>>,
        counts_tokens: bool,
    ) -> Option<Self> {
        let limit = config.rate_limit.as_ref();
        let key = KeySource::parse(limit.and_then(|limit| limit.key.as_deref()))?;
        let is_shared = limit.is_some_and(|limit| limit.shared.is_some());
        let key = if is_shared { KeySource::Shared(key.into()) } else { key };
        let methods: Result<Vec<Method>, _> =
            config.methods.iter().map(|method| method.parse()).collect();
        Some(Self {
            pattern: PathPattern::parse(&config.path)?,
            methods: methods.ok()?,
            key,
            path: config.path.clone(),
            counts_tokens,
            dead_letter: config.dead_letter.queue().map(str::to_owned),
            operations: Operations {
                tier: limit.and_then(RateLimitConfig::tier_header),
                all: operations,
            },
            upstreams,
        })
    }

    /// The operation that a request with these headers comes under. Its tier counts if whoever sent it is trusted.
    pub(crate) fn operation(&self, headers: &HeaderMap, trusted: bool) -> &Operation {
        let Operations { tier, all } = &self.operations;
        let named = tier.as_ref().filter(|_| trusted).and_then(|header| {
            let mut lines = headers.get_all(header).iter();
            // It is not known which of two lines whoever reads it takes.
            let (Some(value), None) = (lines.next(), lines.next()) else { return None };
            let value = value.to_str().ok()?.trim();
            all.iter().find(|(tier, _)| {
                tier.as_ref().is_some_and(|tier| tier.eq_ignore_ascii_case(value))
            })
        });
        &named.unwrap_or(&all[0]).1
    }

    /// Whether an operation of this name is the route's.
    pub(crate) fn has_operation(&self, name: &str) -> bool {
        self.operations.all.iter().any(|(_, operation)| &*operation.name() == name)
    }

    /// What the route's rate limit counts by.
    pub(crate) fn key_source(&self) -> &KeySource {
        &self.key
    }

    /// The path, as the file has it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The tenant whose request it is: the value of the header by which the route's rate limit counts, unless that is a
    /// secret.
    pub(super) fn tenant(&self, headers: &HeaderMap, redaction: &Redaction) -> Option<String> {
        let KeySource::Header(name) = &self.key else { return None };
        if redaction.is_secret(name.as_str()) {
            return None;
        }
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.chars().take(200).collect())
    }

    /// The key of the route's rate limit, for a request of the client at this address.
    pub(crate) fn key(&self, headers: &HeaderMap, client: IpAddr) -> Key {
        self.key.of(headers, client)
    }
}

/// Finds the first route that a request matches.
pub(crate) fn find<'a>(routes: &'a [Arc<Route>], method: &Method, path: &str) -> Match<'a> {
    let mut allowed = Vec::new();
    for route in routes.iter().filter(|route| route.pattern.matches(path)) {
        if route.methods.is_empty() || route.methods.contains(method) {
            return Match::Route(route);
        }
        allowed.extend(route.methods.iter().cloned());
    }
    if allowed.is_empty() { Match::Nothing } else { Match::Methods(allowed) }
}
