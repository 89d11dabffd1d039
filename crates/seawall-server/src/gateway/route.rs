//! Routes, and which of them a request takes.

use super::upstream::Upstream;
use crate::{
    config::{KeySource, PathPattern, RouteConfig},
    runtime::Operation,
};
use http::{HeaderMap, Method};
use seawall::Key;
use std::{net::IpAddr, sync::Arc};

/// A route: its match, its own operation (limit and fallback), and the upstreams in order.
pub(crate) struct Route {
    pattern: PathPattern,
    methods: Vec<Method>,
    key: KeySource,
    pub(crate) operation: Operation,
    /// The upstream that is asked first, then its fallbacks.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
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
        operation: Operation,
        upstreams: Vec<Arc<Upstream>>,
    ) -> Option<Self> {
        let key = config.rate_limit.as_ref().and_then(|limit| limit.key.as_deref());
        let methods: Result<Vec<Method>, _> =
            config.methods.iter().map(|method| method.parse()).collect();
        Some(Self {
            pattern: PathPattern::parse(&config.path)?,
            methods: methods.ok()?,
            key: KeySource::parse(key)?,
            operation,
            upstreams,
        })
    }

    /// What the route's rate limit counts by.
    pub(crate) fn key_source(&self) -> &KeySource {
        &self.key
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
