//! Which route a request takes.

use super::upstream::Upstream;
use crate::{Operation, RouteConfig};
use http::{HeaderMap, HeaderName, Method};
use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
};

/// A route: its match, its own operation (limit and fallback), and the upstreams in order.
pub(crate) struct Route {
    pattern: Pattern,
    methods: Vec<Method>,
    key: KeySource,
    pub(crate) operation: Operation,
    /// The first, then its fallbacks.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
}

/// A path, or the start of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(String),
    /// With its last slash: `/v1/*` is `/v1/`, and also matches `/v1`.
    Prefix(String),
}

/// Whom a keyed limit tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    None,
    Peer,
    Header(HeaderName),
}

/// What a request's path and method came to.
pub(crate) enum Match<'a> {
    Route(&'a Arc<Route>),
    /// The path is known with other methods.
    Methods(Vec<Method>),
    Nothing,
}

impl Pattern {
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (start, wild) = match path.strip_suffix('*') {
            Some(start) => (start, true),
            None => (path, false),
        };
        let good = start.starts_with('/')
            && !start.contains(['*', '?', '#'])
            && !start.chars().any(|c| c.is_whitespace() || c.is_control());
        match (good, wild) {
            (false, _) => None,
            (true, false) => Some(Self::Exact(start.into())),
            (true, true) => start.ends_with('/').then(|| Self::Prefix(start.into())),
        }
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(whole) => path == whole,
            Self::Prefix(start) => {
                // CONNECT names no path at all: that is not the `/` of `/*`.
                let whole = !path.is_empty() && path == &start[..start.len() - 1];
                whole || path.starts_with(start.as_str())
            }
        }
    }
}

impl KeySource {
    pub(crate) fn parse(key: Option<&str>) -> Option<Self> {
        match key {
            None => Some(Self::None),
            Some("peer") => Some(Self::Peer),
            Some(key) => {
                let name = key.strip_prefix("header:")?;
                HeaderName::try_from(name).ok().map(Self::Header)
            }
        }
    }

    /// The key of a request. Hashed with a secret of the process, so that nobody can choose keys that
    /// collide. Without the header the client's address takes its place; so it does where the header is there twice,
    /// as nobody knows which of the two the upstream goes by.
    fn of(&self, headers: &HeaderMap, client: IpAddr, secret: &RandomState) -> u64 {
        match self {
            Self::None => 0,
            Self::Peer => secret.hash_one(client),
            Self::Header(name) => {
                let mut lines = headers.get_all(name).iter();
                match (lines.next(), lines.next()) {
                    (Some(value), None) => secret.hash_one(value.as_bytes()),
                    _ => secret.hash_one(client),
                }
            }
        }
    }
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
            pattern: Pattern::parse(&config.path)?,
            methods: methods.ok()?,
            key: KeySource::parse(key)?,
            operation,
            upstreams,
        })
    }

    /// The key of its limit, for a request of the client at this address.
    pub(crate) fn key(&self, headers: &HeaderMap, client: IpAddr, secret: &RandomState) -> u64 {
        self.key.of(headers, client, secret)
    }
}

/// The first route that a request matches.
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

#[cfg(test)]
mod tests;
